// Trying again: exponential pauses with jitter, ended by a signal at once.
// @ts-check
'use strict'

const { invalidArgument } = require('./errors')
const { callback, copyOptions, isAbortSignal, milliseconds, oneOf } = require('./options')
// Taken when chainlock is loaded, not when this is: test frameworks replace the globals by clocks of their own.
const { now, startTimer } = require('./locks/timer')

const { random } = Math

const CALL = 'retry'
const KNOWN = ['retries', 'baseMs', 'capMs', 'jitter', 'signal', 'deadlineMs', 'shouldRetry']
const JITTER = /** @type {const} */ (['full', 'equal', 'none'])
/** Errors that say that the call itself is wrong: it would be as wrong the next time. */
const WRONG_CALLS = ['ERR_LOCK_INVALID_ARGUMENT', 'ERR_LOCK_UNKNOWN_OPTION']

/**
 * How a function is tried again.
 * @typedef {object} Plan
 * @property {number} retries
 * @property {(attempt: number) => number} pauseMs After so many attempts.
 * @property {AbortSignal | undefined} signal
 * @property {boolean} isRef Whether a pause keeps the event loop alive.
 * @property {number} deadlineMs
 * @property {(error: unknown, about: { attempt: number, pauseMs: number }) => unknown} shouldRetry
 */

/**
 * See index.d.ts.
 * @param {unknown} fn
 * @param {unknown} [options]
 */
async function retry(fn, options) {
  const run = callback(CALL, fn)
  return follow(run, planFrom(options))
}

/**
 * Runs `fn` until it does not fail, or the plan ends.
 * @param {(context: { attempt: number, signal: AbortSignal | undefined }) => unknown} fn
 * @param {Plan} plan
 */
async function follow(fn, plan) {
  const { retries, signal } = plan
  const endsAt = now() + plan.deadlineMs
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw signal.reason
    try {
      return await fn({ attempt, signal })
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      const pauseMs = plan.pauseMs(attempt)
      const mayGoOn = attempt <= retries && !isWrongCall(error) && now() + pauseMs <= endsAt
      if (!mayGoOn || !(await plan.shouldRetry(error, { attempt, pauseMs }))) throw told(error, attempt)
      await pause(pauseMs, plan)
    }
  }
}

/** @param {unknown} options @returns {Plan} */
function planFrom(options) {
  const copy = copyOptions(CALL, options, KNOWN)
  const { signal, shouldRetry, deadlineMs } = copy
  if (signal !== undefined && !isAbortSignal(signal)) throw invalidArgument(`${CALL}: options.signal`, 'an AbortSignal', signal)
  if (shouldRetry !== undefined && typeof shouldRetry !== 'function') {
    throw invalidArgument(`${CALL}: options.shouldRetry`, 'a function', shouldRetry)
  }
  return {
    retries: retriesFrom(copy.retries),
    pauseMs: pauses(copy),
    signal: /** @type {AbortSignal | undefined} */ (signal),
    isRef: true,
    deadlineMs: deadlineMs === undefined || deadlineMs === Infinity ? Infinity : milliseconds(CALL, 'options.deadlineMs', deadlineMs),
    shouldRetry: /** @type {Plan['shouldRetry']} */ (shouldRetry) ?? (() => true),
  }
}

/** @param {unknown} value */
function retriesFrom(value) {
  if (value === undefined) return 5
  if (value === Infinity || (Number.isSafeInteger(value) && Number(value) >= 0)) return Number(value)
  throw invalidArgument(`${CALL}: options.retries`, 'a whole number from 0, or Infinity', value)
}

/** @param {Record<string, unknown>} copy @returns {(attempt: number) => number} */
function pauses(copy) {
  const baseMs = copy.baseMs === undefined ? 100 : milliseconds(CALL, 'options.baseMs', copy.baseMs)
  const capMs = copy.capMs === undefined ? 30_000 : milliseconds(CALL, 'options.capMs', copy.capMs)
  const jitter = copy.jitter === undefined ? 'full' : oneOf(CALL, 'options.jitter', copy.jitter, JITTER)
  /** The part of a pause that is left to chance. */
  const loose = { full: 1, equal: 0.5, none: 0 }[jitter]
  return (attempt) => {
    const wholeMs = Math.min(baseMs * 2 ** (attempt - 1), capMs)
    // 0 times the infinite power of a long run is no number, and no pause.
    return (wholeMs || 0) * (1 - loose * random())
  }
}

/** @param {any} error */
function isWrongCall(error) {
  return error instanceof TypeError && WRONG_CALLS.includes(/** @type {any} */ (error).code)
}

/**
 * The error itself, so that whoever knows it recognises it; it tells how often it was tried.
 * @param {any} error
 * @param {number} attempts
 */
function told(error, attempts) {
  if (error instanceof Error) {
    // A frozen error stays as it is.
    Reflect.defineProperty(error, 'attempts', { value: attempts, configurable: true, writable: true })
  }
  return error
}

/**
 * Resolves after the pause; rejects at once with the signal's reason.
 * @param {number} ms
 * @param {Plan} plan
 * @returns {Promise<void>}
 */
function pause(ms, { signal, isRef }) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const aborted = () => {
      stop()
      reject(signal?.reason)
    }
    const stop = startTimer(ms, isRef, () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    })
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

module.exports = { retry, follow }
