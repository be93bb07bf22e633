// The send lock between machines: the calls of the send lock, answered by promises. Its rules and its state are native,
// and in the store; a hold is a lease.
// @ts-check
'use strict'

const { ChainlockError, quote } = require('../errors')
const options = require('./send-options')
const { Lease } = require('./lease')
const views = require('./send-views')

const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/**
 * @typedef {import('../../leases').ClusterSendAttempt} Attempt
 * @typedef {import('../../index').SendRefusal} Reason
 * @typedef {import('./options').Ask} Ask
 * @typedef {{
 *   caps: import('../../leases').LeaseCaps, ttlMs: number,
 *   acquire(call: string, key: string, ask: Ask, signal: AbortSignal | undefined): Promise<Lease>,
 *   look(call: string, what: object): Promise<views.NativeLook>,
 * }} Access What the lock has of its manager.
 */

/** A hold of a send lock. */
class ClusterSendGuard {
  #lease

  /** @param {Lease} lease @param {string} layerId */
  constructor(lease, layerId) {
    this.#lease = lease
    this.layerId = layerId
    this.token = lease.token
    this.acquiredAt = lease.acquiredAt
  }

  get signal() {
    return this.#lease.signal
  }

  get released() {
    return this.#lease.released || this.#lease.lost
  }

  get remainingMs() {
    return this.#lease.remainingMs
  }

  check() {
    return this.#lease.remainingMs > 0
  }

  assertHeld() {
    this.#lease.assertHeld()
  }

  /** Looks, by renewing, whether it was taken away. */
  renew() {
    return this.#lease.renew()
  }

  /** @param {unknown} [given] @returns {Promise<boolean>} */
  async release(given) {
    const first = !this.#lease.released
    const { released } = await (options.sent(given) ? this.#lease.release() : Lease.unsent(this.#lease))
    return released && first
  }

  [DISPOSE]() {
    void this.release()
  }

  async [ASYNC_DISPOSE]() {
    await this.release()
  }
}

class ClusterSendLock {
  #access
  #ttlMs
  #first
  #key
  /** Of those who keep no guard: the drop-in calls. @type {Map<string, ClusterSendGuard>} */
  #guards = new Map()
  /** @type {Record<Reason, number>} */
  #refused = { unknown_layer: 0, cooldown: 0, held: 0, duplicate_message: 0 }

  /** @param {unknown} name @param {unknown} given @param {Access} access */
  constructor(name, given, access) {
    this.name = options.name(name)
    this.#access = access
    const { ttlMs, first } = options.opening(given, access.ttlMs, access.caps.minTtlMs)
    this.#ttlMs = ttlMs
    this.#first = first
    this.#key = `send:${this.name}`
    if (access.caps.clock === 'session') {
      throw new ChainlockError(
        'ERR_LOCK_STORE_UNSUPPORTED',
        `sendLock: ${access.caps.engine} has no clock by which a cooldown could be told; use SQLite, Redis, PostgreSQL or GitHub`,
      )
    }
  }

  /** @param {unknown} layerId @param {unknown} [given] @returns {Promise<Attempt>} */
  async trySend(layerId, given) {
    return this.#try('trySend', layerId, given)
  }

  /** @param {unknown} layerId @param {unknown} [given] */
  async tryAcquireSendLock(layerId, given) {
    try {
      const attempt = await this.#try('tryAcquireSendLock', layerId, given)
      if (attempt.acquired) this.#guards.set(attempt.guard.layerId, /** @type {any} */ (attempt.guard))
      return attempt.acquired
    } catch {
      return false
    }
  }

  /** @param {unknown} layerId @param {unknown} [token] */
  async releaseSendLock(layerId, token) {
    try {
      const id = options.layerId('releaseSendLock', layerId)
      const guard = this.#guards.get(id)
      if (guard === undefined || (token !== undefined && token !== guard.token)) return false
      this.#guards.delete(id)
      return await guard.release()
    } catch {
      return false
    }
  }

  /** @param {unknown} layerId @param {unknown} [given] */
  async acquireSendLock(layerId, given) {
    return this.#acquire('acquireSendLock', layerId, given)
  }

  /** @param {unknown} layerId @param {unknown} given @param {unknown} [fn] */
  async withSendLock(layerId, given, fn) {
    const [how, body] = fn === undefined && typeof given === 'function' ? [undefined, given] : [given, fn]
    const run = options.callback('withSendLock', body)
    const guard = await this.#acquire('withSendLock', layerId, how)
    let sent = false
    try {
      const result = await run(guard)
      sent = true
      return result
    } finally {
      await guard.release({ sent })
    }
  }

  async isSendLocked() {
    return (await this.#look('isSendLocked')).hold !== null
  }

  /** @param {unknown} [reason] */
  async forceReleaseLock(reason) {
    return (await this.#look('forceReleaseLock', { force: options.reason(reason) })).did
  }

  async getLockStatus() {
    return views.statusOf(this.name, await this.#look('getLockStatus'))
  }

  async getMetrics() {
    return views.metricsOf(await this.#look('getMetrics'), { ...this.#refused })
  }

  async lockHistory() {
    return views.historyOf(await this.#look('lockHistory'))
  }

  /** @param {unknown} given */
  async configure(given) {
    const configure = options.settings('configure', given)
    return views.settingsOf(await this.#look('configure', { configure }))
  }

  /** @param {string} call @param {object} [what] */
  #look(call, what) {
    return this.#access.look(call, { key: this.#key, first: this.#first, ...what })
  }

  /** @param {string} call @param {unknown} layerId @param {unknown} given @returns {Promise<Attempt>} */
  async #try(call, layerId, given) {
    const id = options.layerId(call, layerId)
    const message = options.request(call, given)
    try {
      const guard = await this.#ask(call, id, message, { strategy: 'failFast' }, undefined)
      return { acquired: true, guard: asGuard(guard) }
    } catch (error) {
      const refusal = views.refusalOf(error)
      if (refusal === null) throw error
      this.#refused[refusal.reason] += 1
      return refusal
    }
  }

  /** @param {string} call @param {unknown} layerId @param {unknown} given */
  async #acquire(call, layerId, given) {
    const id = options.layerId(call, layerId)
    const { message, timeoutMs, signal } = options.wait(call, given)
    try {
      return await this.#ask(call, id, message, { strategy: 'wait', timeoutMs }, signal)
    } catch (error) {
      const refusal = views.refusalOf(error)
      if (refusal !== null) this.#refused[refusal.reason] += 1
      throw refusal === null ? error : this.#error(id, refusal)
    }
  }

  /**
   * @param {string} call
   * @param {string} layer
   * @param {string | undefined} message
   * @param {Pick<Ask, 'strategy' | 'timeoutMs'>} how
   * @param {AbortSignal | undefined} signal
   */
  async #ask(call, layer, message, how, signal) {
    const send = { layer, message, first: this.#first }
    const meta = JSON.stringify({ layerId: layer })
    const lease = await this.#access.acquire(call, this.#key, { ttlMs: this.#ttlMs, meta, send, ...how }, signal)
    return new ClusterSendGuard(lease, layer)
  }

  /** @param {string} layerId @param {Attempt & { acquired: false }} refusal */
  #error(layerId, { reason, holder, retryAfterMs }) {
    const about = `send lock ${quote(this.name)}, layer ${quote(layerId)}`
    if (reason === 'unknown_layer') {
      return new ChainlockError('ERR_LOCK_UNKNOWN_LAYER', `${about}: it is not one of the layers that may take it (configure({ layers }))`)
    }
    const text = `${about}: the message was already sent; it may be sent again in ${retryAfterMs} ms`
    return new ChainlockError('ERR_LOCK_DUPLICATE_MESSAGE', text, { holder, retryAfterMs })
  }
}

/** The disposing methods have computed names, which the type checker cannot follow. @param {ClusterSendGuard} guard */
function asGuard(guard) {
  return /** @type {import('../../leases').ClusterSendGuard} */ (/** @type {unknown} */ (guard))
}

module.exports = { ClusterSendLock }
