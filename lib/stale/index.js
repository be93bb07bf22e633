// Other people's locks: judging and clearing them, in both ways to call. What the functions mean is written in
// index.d.ts, how they judge in docs/stale-locks.md.
// @ts-check
'use strict'

const { run, runSync } = require('./steps')
const { asked } = require('./options')
const { judge } = require('./judge')
const { clear } = require('./clear')
const { failed } = require('./errors')

/** @template T @typedef {import('./steps').Steps<T>} Steps */
/** @typedef {import('./options').Asked} Asked */

/** @param {Asked} request @returns {Steps<any>} */
function* judgeSafely(request) {
  try {
    return yield* judge(request)
  } catch (error) {
    throw failed(request.call, request.path, error)
  }
}

/** @param {Asked} request @returns {Steps<import('../../index').StaleLockReport>} */
function* detecting(request) {
  const { entry, ...report } = yield* judgeSafely(request)
  return report
}

/** @param {Asked} request @returns {Steps<import('../../index').ClearedLockReport>} */
function* clearing(request) {
  const { entry, ...report } = yield* judgeSafely(request)
  if (report.verdict !== 'stale') return { cleared: false, ...report }
  const refusal = yield* clear(request.call, entry)
  if (refusal) report.reasons.push(refusal)
  return { cleared: refusal === null, ...report }
}

/** @param {unknown} path @param {unknown} [options] */
async function detectStaleLock(path, options) {
  return run(detecting(asked('detectStaleLock', path, options)))
}

/** @param {unknown} path @param {unknown} [options] */
function detectStaleLockSync(path, options) {
  return runSync(detecting(asked('detectStaleLockSync', path, options)))
}

/** @param {unknown} path @param {unknown} [options] */
async function clearStaleLock(path, options) {
  return run(clearing(asked('clearStaleLock', path, options)))
}

/** @param {unknown} path @param {unknown} [options] */
function clearStaleLockSync(path, options) {
  return runSync(clearing(asked('clearStaleLockSync', path, options)))
}

module.exports = { detectStaleLock, detectStaleLockSync, clearStaleLock, clearStaleLockSync }
