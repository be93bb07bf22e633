// A lease as JavaScript holds it. Whether it is lost, and how much time is left, is read from native memory each time;
// the signal and the events follow when the event loop turns, or when somebody looks.
// @ts-check
'use strict'

const { face, calls, native } = require('./face')
const { lost, givenBack, named } = require('./errors')
const requests = require('./requests')
const { holderOf } = require('./views')

// Node 20.0–20.3 and older engines have neither; the names are then ordinary symbols of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/**
 * @typedef {import('../../leases').LostCause} LostCause
 * @typedef {import('../../leases').LeaseHolder} LeaseHolder
 * @typedef {import('../../leases').LeaseRelease} LeaseRelease
 * @typedef {{ cause: LostCause, by: LeaseHolder | null }} Loss
 * @typedef {{ keys: string[], mode: import('../../leases').Lease['mode'], workerId: string, ttlMs: number }} Asked
 * @typedef {{
 *   lost(lease: Lease, loss: Loss): void, risk(lease: Lease, danger: { msLeft: number }): void,
 * }} Listener
 */

class Lease {
  #id
  #listener
  /** Neither released nor known to be lost. */
  #isOpen = true
  /** @type {Loss | null} */
  #loss = null
  /** @type {AbortController | null} */
  #controller = null
  /** @type {Promise<LeaseRelease> | null} */
  #release = null
  /** One is the rule; its arrays are made when somebody asks. @type {readonly string[] | null} */
  #keys
  /** @type {readonly number[] | null} */
  #tokens

  /** @param {Asked} asked @param {requests.Grant} grant @param {Listener} listener */
  constructor({ keys, mode, workerId, ttlMs }, { lease, token, tokens, retries, waitedMs, claimedStale }, listener) {
    this.#id = lease
    this.#listener = listener
    this.#keys = keys.length === 1 ? null : Object.freeze(keys)
    this.#tokens = tokens
    this.key = keys[0]
    this.token = token
    this.mode = mode
    this.workerId = workerId
    this.ttlMs = ttlMs
    this.acquiredAt = Date.now()
    this.waitedMs = waitedMs
    this.retries = retries
    this.claimedStale = claimedStale
    requests.watch(lease, this, this.#keys ?? this.key)
  }

  get keys() {
    return (this.#keys ??= Object.freeze([this.key]))
  }

  get tokens() {
    return (this.#tokens ??= Object.freeze([this.token]))
  }

  get signal() {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      // What was released stays quiet.
      if (this.lost && this.#loss !== null) this.#controller.abort(this.#error(this.#loss))
      // Its listeners alone do not keep it, and a leader that only waits for them must not be given back.
      if (this.#isOpen) requests.keep(this.#id, this)
    }
    return this.#controller.signal
  }

  get lost() {
    if (!this.#isOpen) return this.#loss !== null
    if (!calls.isLost(this.#id)) return false
    // Why is perhaps on its way already.
    requests.fetch()
    if (this.#isOpen) this.#lose({ cause: 'expired', by: null })
    return true
  }

  get released() {
    return this.#release !== null && this.#loss === null
  }

  get remainingMs() {
    return this.#isOpen ? Math.max(0, calls.remaining(this.#id)) : 0
  }

  assertHeld() {
    if (!this.lost && this.#isOpen) return
    const error = this.#loss === null ? givenBack(this.keys, this.token) : this.#error(this.#loss)
    Error.captureStackTrace(error, this.assertHeld)
    throw error
  }

  async renew() {
    this.assertHeld()
    try {
      const left = await requests.request(() => native.leaseRenew(face, this.#id))
      // It may have been released or lost meanwhile.
      this.assertHeld()
      return left
    } catch (error) {
      if (/** @type {any} */ (error)?.code !== 'ERR_LOCK_LEASE_LOST') throw error
      // By whom, and why, is told beside the answer.
      requests.fetch()
      this.assertHeld()
      throw error
    }
  }

  /** @returns {Promise<LeaseRelease>} */
  release() {
    return (this.#release ??= this.#giveBack())
  }

  [DISPOSE]() {
    void this.release()
  }

  async [ASYNC_DISPOSE]() {
    await this.release()
  }

  /** @param {boolean} [unsent] Of the send lock's: its message was not sent. */
  async #giveBack(unsent) {
    // Nobody is asked about what is known to be lost.
    if (this.lost) this.#letGo()
    if (this.#loss !== null) return { released: false, reason: this.#loss.cause }
    const id = this.#id
    this.#end()
    try {
      const given = requests.release(id, unsent)
      return given instanceof Promise ? await given : given
    } catch {
      // It ends with its ttl; a release must not hide what the caller has to say.
      return { released: false, reason: /** @type {const} */ ('unavailable') }
    }
  }

  #end() {
    this.#isOpen = false
    // Of a lost one the native side keeps what others see, until its code has let go.
    if (this.#loss === null) requests.unwatch(this.#id)
    else requests.loosen(this.#id)
  }

  #letGo() {
    requests.unwatch(this.#id)
    native.leaseForget(face, this.#id)
  }

  /** @param {Loss} loss */
  #lose(loss) {
    if (!this.#isOpen) return
    this.#loss = loss
    this.#end()
    if (loss.cause === 'closed') this.#letGo()
    this.#controller?.abort(this.#error(loss))
    this.#listener.lost(this, loss)
  }

  /** @param {Loss} loss */
  #error({ cause, by }) {
    return lost(this.keys, this.token, cause, by)
  }

  static {
    requests.listen({
      lost(lease, text) {
        const { cause, by } = JSON.parse(text)
        lease.#lose({ cause, by: by === null ? null : holderOf(by) })
      },
      risk(lease, msLeft) {
        if (lease.#isOpen) lease.#listener.risk(lease, { msLeft })
      },
      collected(id, keys, token) {
        const held = calls.remaining(id) > 0
        requests.dismiss(id)
        if (!held) return
        process.emitWarning(
          `a lease on ${named(typeof keys === 'string' ? [keys] : keys)}, token ${token}, was garbage-collected while it held, and is given back now. ` +
            'Call lease.release(), or let `await using` or withLease() do it.',
          { code: 'CHAINLOCK_GUARD_COLLECTED' },
        )
      },
    })
  }

  /** Its manager has gone, and renews no more. @param {Lease} lease */
  static abandon(lease) {
    lease.#lose({ cause: 'closed', by: null })
  }

  /** Released without having been used. @param {Lease} lease @returns {Promise<LeaseRelease>} */
  static unsent(lease) {
    return (lease.#release ??= lease.#giveBack(true))
  }

  /** Those of a manager that hold. @param {Listener} listener */
  static all(listener) {
    return requests.leases().filter((lease) => lease.#isOpen && lease.#listener === listener)
  }

  /** @param {Lease} lease */
  static idOf(lease) {
    return lease.#id
  }
}

module.exports = { Lease }
