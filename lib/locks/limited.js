// `withTimeout` and `tryAcquire`: views of a `Mutex` or a `Semaphore` whose waits end sooner.
// @ts-check
'use strict'

const { invalidArgument } = require('../errors')
const { E_ALREADY_LOCKED, E_TIMEOUT } = require('./class-errors')
const { limitSemaphore } = require('./counting')
const { limitMutex } = require('./mutex')

/**
 * @param {string} call
 * @param {unknown} sync
 * @param {unknown} timeoutMs
 * @param {Error} error
 */
function limited(call, sync, timeoutMs, error) {
  const isObject = typeof sync === 'object' && sync !== null
  const view = isObject
    ? (limitMutex(sync, call, timeoutMs, error) ?? limitSemaphore(sync, call, timeoutMs, error))
    : undefined
  if (view) return view
  throw invalidArgument(`${call}: sync`, 'a Mutex or a Semaphore of chainlock, or what this made of one', sync)
}

/** @param {unknown} sync @param {unknown} timeoutMs @param {Error} [error] */
const withTimeout = (sync, timeoutMs, error = E_TIMEOUT) => limited('withTimeout', sync, timeoutMs, error)

/** @param {unknown} sync @param {Error} [error] */
const tryAcquire = (sync, error = E_ALREADY_LOCKED) => limited('tryAcquire', sync, 0, error)

module.exports = {
  withTimeout: /** @type {typeof import('../../index').withTimeout} */ (/** @type {unknown} */ (withTimeout)),
  tryAcquire: /** @type {typeof import('../../index').tryAcquire} */ (/** @type {unknown} */ (tryAcquire)),
}
