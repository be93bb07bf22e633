// What callers of the proper-lockfile face may pass: its options, its defaults, its least values.
// @ts-check
'use strict'

const { invalidArgument, typeError } = require('../errors')
const { copyOptions, milliseconds } = require('../options')

const CHECK = ['stale', 'realpath', 'fs', 'lockfilePath']
const LOCK = [...CHECK, 'update', 'retries', 'onCompromised']
const RETRIES = ['retries', 'factor', 'minTimeout', 'maxTimeout', 'randomize', 'forever', 'unref', 'maxRetryTime']
const STALE_MS = { usual: 10_000, least: 2_000 }
const LEAST_UPDATE_MS = 1_000

/**
 * @typedef {object} Settings
 * @property {number} staleMs
 * @property {number} updateMs
 * @property {boolean} realpath
 * @property {string | undefined} lockfilePath
 * @property {((error: Error) => unknown) | undefined} onCompromised
 * @property {import('../retry').Plan} plan
 */

/** @param {string} call @param {unknown} file @returns {string} */
function fileName(call, file) {
  if (typeof file !== 'string' || file === '' || file.includes('\0')) {
    throw invalidArgument(`${call}: file`, 'a path (a string without NUL)', file)
  }
  return file
}

/** @param {string} call @param {unknown} options @returns {Settings} */
function lockSettings(call, options) {
  const copy = copyOptions(call, options, LOCK)
  const common = shared(call, copy)
  const { update, onCompromised } = copy
  if (onCompromised !== undefined && typeof onCompromised !== 'function') {
    throw invalidArgument(`${call}: options.onCompromised`, 'a function', onCompromised)
  }
  const half = common.staleMs / 2
  const wanted = update === undefined || update === null ? half : milliseconds(call, 'options.update', update)
  return {
    ...common,
    updateMs: Math.max(Math.min(wanted, half), LEAST_UPDATE_MS),
    onCompromised: /** @type {Settings['onCompromised']} */ (onCompromised),
    plan: retryPlan(call, copy.retries),
  }
}

/** For `check` and `unlock`. @param {string} call @param {unknown} options */
function checkSettings(call, options) {
  return shared(call, copyOptions(call, options, LOCK))
}

/** @param {string} call @param {Record<string, unknown>} copy */
function shared(call, { stale, realpath, fs, lockfilePath }) {
  if (fs !== undefined) {
    throw typeError(
      'ERR_LOCK_INVALID_ARGUMENT',
      `${call}: options.fs cannot be given: the lock directory is kept by a native thread, on the real file system`,
    )
  }
  if (realpath !== undefined && typeof realpath !== 'boolean') {
    throw invalidArgument(`${call}: options.realpath`, 'true or false', realpath)
  }
  if (lockfilePath !== undefined) fileName(`${call}: options.lockfilePath; its`, lockfilePath)
  const staleMs = stale === undefined || stale === null ? STALE_MS.usual : milliseconds(call, 'options.stale', stale)
  return {
    staleMs: Math.max(staleMs, STALE_MS.least),
    realpath: realpath !== false,
    lockfilePath: /** @type {string | undefined} */ (lockfilePath),
  }
}

/**
 * As the package `retry` counts: a number, or how the pauses grow.
 * @param {string} call @param {unknown} value
 * @returns {import('../retry').Plan}
 */
function retryPlan(call, value) {
  const given = value === undefined || value === null ? 0 : value
  const copy = typeof given === 'number' ? { retries: given } : copyOptions(call, given, RETRIES, 'options.retries')
  const number = (/** @type {string} */ name, /** @type {number} */ otherwise) => {
    const one = /** @type {any} */ (copy)[name]
    if (one === undefined) return otherwise
    if (one === Infinity) return Infinity
    return milliseconds(call, `options.retries${typeof given === 'number' ? '' : `.${name}`}`, one)
  }
  const retries = number('retries', 10)
  const [factor, least, most] = [number('factor', 2), number('minTimeout', 1_000), number('maxTimeout', Infinity)]
  if (least > most) throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: options.retries.minTimeout is greater than maxTimeout`)
  const { randomize = false, forever = false, unref = false } = /** @type {Record<string, unknown>} */ (copy)
  return {
    retries: forever ? Infinity : retries,
    pauseMs: (attempt) => {
      const grown = least * factor ** Math.min(attempt - 1, Math.max(retries - 1, 0))
      return Math.min(Math.round(grown * (randomize ? 1 + Math.random() : 1)), most, Number.MAX_SAFE_INTEGER)
    },
    signal: undefined,
    isRef: !unref,
    deadlineMs: number('maxRetryTime', Infinity),
    shouldRetry: () => true,
  }
}

module.exports = { fileName, lockSettings, checkSettings }
