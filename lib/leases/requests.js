// What this thread has asked the leases' I/O thread and not heard of yet, by number, and the thread's mailbox. A
// request keeps the event loop alive until it is answered; a held lease does not.
// @ts-check
'use strict'

const { follow, unfollow } = require('../locks/aborts')
// Fake timers of a test framework may not stop the leases.
const { setImmediate } = globalThis
const { native, face, calls, scratch, takeText, TOLD_SIZE, MOST_TOLD, Told } = require('./face')
const { faultOf } = require('./errors')

/**
 * @typedef {import('./lease').Lease} Lease
 * @typedef {{
 *   lease: number, token: number, tokens: readonly number[] | null, retries: number, waitedMs: number, claimedStale: boolean,
 * }} Grant `tokens`: of several keys.
 * @typedef {{ answered(value: any): void, failed(error: Error): void }} Request
 * @typedef {{
 *   lost(lease: Lease, text: string): void, risk(lease: Lease, msLeft: number): void,
 *   collected(id: number, keys: string | readonly string[], token: number): void,
 * }} Ears
 */

/** @type {Map<number, Request>} */
const pending = new Map()

/** A lease, not kept by it; and what can be said of it when nobody can reach it any more. @extends {WeakRef<Lease>} */
class Watched extends WeakRef {
  /** @param {Lease} lease @param {string | readonly string[]} keys */
  constructor(lease, keys) {
    super(lease)
    this.keys = keys
    this.token = lease.token
  }
}

/** The leases that hold. @type {Map<number, Watched>} */
const held = new Map()

/** One object that is garbage says that others may be: cheaper than to register each lease. */
const collections = new FinalizationRegistry(lookForCollected)
let isLooking = false

function lookAfterCollection() {
  if (isLooking) return
  isLooking = true
  collections.register({}, undefined)
}

function lookForCollected() {
  isLooking = false
  for (const [id, watched] of held) {
    if (watched.deref() !== undefined) continue
    held.delete(id)
    ears.collected(id, watched.keys, watched.token)
  }
  if (held.size > 0) lookAfterCollection()
}

/** How they hear of what becomes of them. @type {Ears} */
let ears

/** Those whose signal was asked for: somebody relies on being told, who may keep nothing else. @type {Map<number, Lease>} */
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

/** For how long this thread answers at once what it has done by itself; then its event loop turns first. */
const TURN_MS = 0.4
/** So much longer it goes on doing it: who was answered just now asks again, and the I/O thread would take longer. */
const GRACE_MS = 0.2
/** When that is over; 0 as long as it has done nothing in this turn. */
let ends = 0
const turned = () => void (ends = 0)

const hasTime = () => ends === 0 || performance.now() < ends + GRACE_MS

/** Of what was done so: who asks again and again lets the loop turn. @template T @param {T} value @returns {T | Promise<T>} */
function done(value) {
  const now = performance.now()
  if (ends === 0) {
    ends = now + TURN_MS
    setImmediate(turned)
  }
  return now < ends ? value : new Promise((resolve) => setImmediate(resolve, value))
}

/**
 * Asks for a lease; `signal` ends the wait.
 * @template T
 * @param {(mayDoIt: boolean) => number} ask The number of the request; 0 when the grant lies in the scratch array already.
 * @param {AbortSignal | undefined} signal
 * @param {(grant: Grant) => T} make
 * @returns {T | Promise<T>}
 */
function requestLease(ask, signal, make) {
  open()
  if (signal?.aborted) return Promise.reject(signal.reason)
  const number = ask(hasTime())
  if (number === 0) return done(make(grantOf(scratch, 0)))
  return new Promise((resolve, reject) => {
    const asked = {
      /** @param {Grant} grant */
      answered(grant) {
        if (signal) unfollow(signal, asked)
        resolve(make(grant))
      },
      /** @param {Error} error */
      failed(error) {
        if (signal) unfollow(signal, asked)
        reject(error)
      },
      /** @param {number} number @param {unknown} reason */
      aborted(number, reason) {
        native.leaseAbort(face, number)
        // The answer is still to come; what it grants nobody wants any more.
        pending.set(number, unwanted)
        reject(reason)
      },
    }
    add(number, asked)
    if (signal) follow(signal, asked, number)
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

/** Gives a lease back. @param {number} lease @param {boolean} [unsent] @returns {import('../../leases').LeaseRelease | Promise<import('../../leases').LeaseRelease>} */
function release(lease, unsent) {
  if (hasTime() && calls.give(lease)) return done({ released: true, reason: null })
  open()
  const number = native.leaseRelease(face, lease, unsent)
  return new Promise((resolve, reject) => add(number, { answered: resolve, failed: reject }))
}

/** @param {Ears} given */
const listen = (given) => void (ears = given)

/** @param {number} id @param {Lease} lease @param {string | readonly string[]} keys */
function watch(id, lease, keys) {
  held.set(id, new Watched(lease, keys))
  lookAfterCollection()
}

/** @param {number} id */
const leaseOf = (id) => held.get(id)?.deref()

/** Of all managers. @returns {Lease[]} */
const leases = () => [...held.values()].map((watched) => watched.deref()).filter((lease) => lease !== undefined)

/** @param {number} id @param {Lease} lease */
const keep = (id, lease) => kept.set(id, lease)

/** Of a lost one: nobody is to be told any more, but it is still to be seen when nobody can reach it. @param {number} lease */
const loosen = (lease) => kept.delete(lease)

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
    for (let at = 0; at < told.length; at += TOLD_SIZE) tell(told, at)
  } while (count === MOST_TOLD)
}

/** @param {Float64Array} told @param {number} at */
function tell(told, at) {
  const kind = told[at]
  const number = told[at + 1]
  const first = told[at + 2]
  const second = told[at + 3]
  if (kind === Told.lost) hear(number, (lease) => ears.lost(lease, takeText(first)))
  else if (kind === Told.risk) hear(number, (lease) => ears.risk(lease, first))
  else if (kind === Told.failed) take(number)?.failed(faultOf(takeText(first)))
  else if (kind === Told.granted) take(number)?.answered(grantOf(told, at))
  else if (kind === Told.number) take(number)?.answered(first)
  else if (kind === Told.released) take(number)?.answered({ released: first !== 0, reason: takeText(second) || null })
  else take(number)?.answered(takeText(first))
}

/** @param {number} id @param {(lease: Lease) => void} say */
function hear(id, say) {
  const lease = leaseOf(id)
  if (lease !== undefined) say(lease)
}

/** The same number; a small one, which came as a double, then takes no memory of its own. @param {number} number */
const lean = (number) => ((number | 0) === number ? number | 0 : number)

/** @param {Float64Array} told @param {number} at @returns {Grant} */
function grantOf(told, at) {
  const several = told[at + 7]
  return {
    lease: lean(told[at + 2]),
    token: lean(told[at + 3]),
    tokens: several === 0 ? null : Object.freeze(JSON.parse(takeText(several))),
    retries: lean(told[at + 4]),
    waitedMs: told[at + 5],
    claimedStale: told[at + 6] !== 0,
  }
}

module.exports = { request, requestLease, release, dismiss, listen, watch, keep, loosen, unwatch, leases, fetch }
