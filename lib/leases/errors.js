// The errors of leases: those that the native side words, with what belongs to them, and those of a lost lease.
// @ts-check
'use strict'

const { ChainlockError, quote, typeError } = require('../errors')
const { holderOf } = require('./views')

/**
 * @typedef {import('../../index').ChainlockErrorCode} Code
 * @typedef {import('../../leases').LostCause} LostCause
 * @typedef {import('../../leases').LeaseHolder} LeaseHolder
 * @typedef {{
 *   code: Code, message: string, key?: string | null, holder?: import('./views').NativeHolder | null,
 *   retryAfterMs?: number | null, retries?: number,
 * }} Fault
 */

/** What a lost lease says. @type {Record<LostCause, string>} */
const WHY = {
  expired: 'it could not be renewed in time',
  stolen: 'it was taken away',
  gone: 'the store does not know it any more',
  session: 'the store ended the session of this process',
  maxHold: 'it was held for longer than maxHoldMs',
  loop: 'the event loop did not turn for requireLoopAliveMs',
  closed: 'its manager was destroyed',
}

/** @param {string} text JSON, of a fault. */
function faultOf(text) {
  if (text === '') return new ChainlockError('ERR_LOCK_INTERNAL', 'it is not known any more why')
  const { code, message, key, holder, retryAfterMs, retries } = /** @type {Fault} */ (JSON.parse(text))
  /** @type {Record<string, unknown>} */
  const details = {}
  if (key) details.key = key
  if (holder) details.heldBy = holderOf(holder)
  if (retryAfterMs) details.retryAfterMs = retryAfterMs
  if (retries) details.retries = retries
  // What only the store's promises or the record could tell is an argument all the same.
  return code === 'ERR_LOCK_INVALID_ARGUMENT' ? Object.assign(typeError(code, message), details) : new ChainlockError(code, message, details)
}

/** @param {readonly string[]} keys */
const named = (keys) => quote(keys[0].slice(0, 64)) + (keys.length > 1 ? ` and ${keys.length - 1} more` : '')

/**
 * @param {readonly string[]} keys
 * @param {number} token
 * @param {LostCause} cause
 * @param {LeaseHolder | null} by
 */
function lost(keys, token, cause, by) {
  const who = by === null ? '' : ` by worker ${quote(by.workerId.slice(0, 64))}, token ${by.token}`
  const text = `the lease on ${named(keys)} (token ${token}) is lost: ${WHY[cause]}${who}`
  return new ChainlockError('ERR_LOCK_LEASE_LOST', text, { key: keys[0], token, cause, by })
}

/** @param {readonly string[]} keys @param {number} token */
function givenBack(keys, token) {
  const text = `the lease on ${named(keys)} (token ${token}) was released`
  return new ChainlockError('ERR_LOCK_LEASE_LOST', text, { key: keys[0], token, by: null })
}

/** @param {string} call */
function closed(call) {
  return new ChainlockError('ERR_LOCK_LEASE_CLOSED', `${call}: this LeaseManager was destroyed`)
}

module.exports = { faultOf, lost, givenBack, closed, named }
