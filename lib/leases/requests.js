// What this thread has asked the leases' I/O thread and not heard of yet, by number, and the thread's mailbox. A
// request keeps the event loop alive until it is answered; a held lease does not.
// @ts-check
'use strict'

const { native, face, calls, scratch, takeText, TOLD_SIZE, MOST_TOLD, Told } = require('./face')
const { faultOf } = require('./errors')

/**
 * @typedef {{ lease: number, tokens: number[], retries: number, waitedMs: number, claimedStale: boolean }} Grant
 * @typedef {{ answered(value: any): void, failed(error: Error): void }} Request
 * @typedef {{ lost(text: string): void, risk(msLeft: number): void }} Held
 */

/** @type {Map<number, Request>} */
const pending = new Map()

/** Who hears of what becomes of a lease. Being heard of keeps nobody. @type {Map<number, WeakRef<Held>>} */
const held = new Map()

/** Those whose signal was asked for: somebody relies on being told, who may keep nothing else. @type {Map<number, Held>} */
const kept = new Map()

let isOpen = false
/** An answer to a mailbox that is not open would be lost. */
function open() {
  if (isOpen) return
  native.openMailbox(face, fetch)
  isOpen = true
}

/**
 * Asks, and answers what comes of it.
 * @param {() => number} ask The number of the request.
 * @returns {Promise<any>}
 */
function request(ask) {
  open()
  const number = ask()
  return new Promise((resolve, reject) => add(number, { answered: resolve, failed: reject }))
}

/** @param {number} number @param {Request} of */
function add(number, of) {
  pending.set(number, of)
  if (pending.size === 1) native.keepAlive(face, true)
}

/** @param {number} number */
function take(number) {
  const of = pending.get(number)
  if (pending.delete(number) && pending.size === 0) native.keepAlive(face, false)
  return of
}

/**
 * Asks for a lease; `signal` ends the wait.
 * @param {() => number} ask
 * @param {AbortSignal | undefined} signal
 * @param {(grant: Grant) => any} make
 * @returns {Promise<any>}
 */
function requestLease(ask, signal, make) {
  open()
  if (signal?.aborted) return Promise.reject(signal.reason)
  const number = ask()
  return new Promise((resolve, reject) => {
    const abort = () => {
      native.leaseAbort(face, number)
      // The answer is still to come; what it grants nobody wants any more.
      pending.set(number, unwanted)
      reject(signal?.reason)
    }
    const follow = () => signal?.removeEventListener('abort', abort)
    add(number, {
      answered(grant) {
        follow()
        resolve(make(grant))
      },
      failed(error) {
        follow()
        reject(error)
      },
    })
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** @type {Request} */
const unwanted = {
  answered: ({ lease }) => dismiss(lease),
  failed() {},
}

/** Gives a lease back that nobody has. @param {number} lease */
function dismiss(lease) {
  open()
  add(native.leaseRelease(face, lease), { answered() {}, failed() {} })
}

/** @param {number} lease @param {Held} of */
const watch = (lease, of) => held.set(lease, new WeakRef(of))

/** @param {number} lease @param {Held} of */
const keep = (lease, of) => kept.set(lease, of)

/** @param {number} lease */
function unwatch(lease) {
  held.delete(lease)
  kept.delete(lease)
}

/** Takes everything out of the mailbox and tells it. */
function fetch() {
  let count
  do {
    count = calls.fetch()
    // What is told may lead to further calls: the scratch array is then another.
    const told = scratch.slice(0, count * TOLD_SIZE)
    for (let at = 0; at < told.length; at += TOLD_SIZE) tell(told.subarray(at, at + TOLD_SIZE))
  } while (count === MOST_TOLD)
}

/** @param {Float64Array} told */
function tell(told) {
  const [kind, number, first, second] = told
  if (kind === Told.LOST) held.get(number)?.deref()?.lost(takeText(first))
  else if (kind === Told.RISK) held.get(number)?.deref()?.risk(first)
  else if (kind === Told.FAILED) take(number)?.failed(faultOf(takeText(first)))
  else if (kind === Told.GRANTED) take(number)?.answered(grantOf(told))
  else if (kind === Told.NUMBER) take(number)?.answered(first)
  else if (kind === Told.RELEASED) take(number)?.answered({ released: first !== 0, reason: takeText(second) || null })
  else take(number)?.answered(takeText(first))
}

/** @param {Float64Array} told @returns {Grant} */
function grantOf([, , lease, token, retries, waitedMs, stale, several]) {
  const tokens = several === 0 ? [token] : JSON.parse(takeText(several))
  return { lease, tokens, retries, waitedMs, claimedStale: stale !== 0 }
}

module.exports = { request, requestLease, dismiss, watch, keep, unwatch, fetch }
