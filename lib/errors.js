// The errors: one brand, stable codes, and words for what a caller passed.
// @ts-check
'use strict'

const BRAND = Symbol.for('chainlock.error')

class ChainlockError extends Error {
  /**
   * @param {import('../index').ChainlockErrorCode} code
   * @param {string} message
   * @param {object} [details] Further fields of the error.
   */
  constructor(code, message, details) {
    super(message)
    brand(this, code, details)
  }

  // Two copies of the package have two classes; the brand makes them one for `instanceof`.
  static [Symbol.hasInstance](/** @type {any} */ value) {
    return typeof value === 'object' && value !== null && value[BRAND] === true
  }
}
Object.defineProperty(ChainlockError.prototype, 'name', { value: 'ChainlockError', configurable: true, writable: true })

const DEADLOCK = Symbol.for('chainlock.deadlock')

class DeadlockError extends ChainlockError {
  /**
   * @param {'ERR_LOCK_DEADLOCK' | 'ERR_LOCK_SELF_DEADLOCK'} code
   * @param {string} message
   * @param {{ cycle: readonly import('../index').DeadlockEdge[], report: string }} details
   */
  constructor(code, message, details) {
    super(code, message, details)
    Object.defineProperty(this, DEADLOCK, { value: true })
  }

  static [Symbol.hasInstance](/** @type {any} */ value) {
    return typeof value === 'object' && value !== null && value[DEADLOCK] === true
  }
}
Object.defineProperty(DeadlockError.prototype, 'name', { value: 'DeadlockError', configurable: true, writable: true })

/**
 * @param {Error} error
 * @param {import('../index').ChainlockErrorCode} code
 * @param {object} [details]
 */
function brand(error, code, details) {
  Object.defineProperty(error, BRAND, { value: true })
  Object.assign(error, { code }, details)
}

/**
 * A wrong argument: a `TypeError` that is a `ChainlockError` as well.
 * @param {import('../index').ChainlockErrorCode} code
 * @param {string} message
 */
function typeError(code, message) {
  const error = new TypeError(message)
  brand(error, code)
  Error.captureStackTrace(error, typeError)
  return error
}

/**
 * @param {string} name The argument or option, as the caller knows it.
 * @param {string} allowed What it may be.
 * @param {unknown} value What it was.
 */
function invalidArgument(name, allowed, value) {
  return typeError('ERR_LOCK_INVALID_ARGUMENT', `${name} must be ${allowed}; got ${describe(value)}`)
}

const LONGEST_SHOWN = 40

/**
 * A value in words: its kind and, where it is short and harmless, itself. Touches no property of an object.
 * @param {unknown} value
 */
function describe(value) {
  switch (typeof value) {
    case 'string':
      if (value === '') return "the empty string ''"
      return value.length > LONGEST_SHOWN
        ? `a string of ${value.length.toLocaleString('en-US')} characters`
        : `the string ${quote(value)}`
    case 'number':
    case 'boolean':
      return `the ${typeof value} ${value}`
    case 'bigint':
      return 'a bigint'
    case 'undefined':
      return 'undefined'
    case 'symbol':
    case 'function':
      return `a ${typeof value}`
    default:
      return value === null ? 'null' : isArray(value) ? 'an array' : 'an object'
  }
}

/** @param {string} text */
function quote(text) {
  const escaped = JSON.stringify(text).replace(
    /[^\x20-\x7e\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0589\u3040-\u30ff\u4e00-\u9fff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return `'${escaped.slice(1, -1)}'`
}

/** @param {unknown} value */
function isArray(value) {
  try {
    return Array.isArray(value)
  } catch {
    // A revoked proxy.
    return false
  }
}

module.exports = { ChainlockError, DeadlockError, typeError, invalidArgument, describe, quote }
