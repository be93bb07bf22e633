// The calls of the GitHub-issue design, over leases: refusals are results, and a lock is given back by its key.
// @ts-check
'use strict'

const { ChainlockError } = require('../errors')
const { named } = require('./errors')
const { lockId, lockMetadata, lockStatus } = require('./views')

/**
 * @typedef {import('./lease').Lease} Lease
 * @typedef {import('./options').Ask} Ask
 * @typedef {(call: string, keys: string[], ask: Ask, signal: AbortSignal | undefined) => Promise<Lease>} Acquire
 * @typedef {import('../../leases').LockResult} LockResult
 * @typedef {import('../../index').ChainlockError} Refusal
 */

const ConflictStrategy = Object.freeze({
  RETRY: /** @type {const} */ ('retry'),
  FAIL_FAST: /** @type {const} */ ('fail_fast'),
  STEAL_STALE: /** @type {const} */ ('steal_stale'),
  FORCE_ACQUIRE: /** @type {const} */ ('force_acquire'),
})

class Familiar {
  #settings
  #ask
  /** By key; kept here, because those who ask so keep no object. @type {Map<string, Lease>} */
  #locks = new Map()

  /** @param {import('./options').Settings} settings @param {Acquire} ask */
  constructor(settings, ask) {
    this.#settings = settings
    this.#ask = ask
  }

  /**
   * @param {string} key
   * @param {Ask} ask
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<LockResult>}
   */
  async acquire(key, ask, signal) {
    try {
      const lease = await this.#ask('acquireLock', [key], ask, signal)
      this.#locks.set(key, lease)
      const metadata = lockMetadata(key, this.#holder(lease, ask))
      const { token, retries } = lease
      return { success: true, lockId: lockId(key, token), token, metadata, retries, lease: /** @type {any} */ (lease) }
    } catch (error) {
      // An abort is the caller's own, whatever its reason is: that of another lease's signal is an error of ours.
      if (!(error instanceof ChainlockError) || error instanceof TypeError || (signal?.aborted && error === signal.reason)) throw error
      const refusal = /** @type {Refusal} */ (/** @type {unknown} */ (error))
      const { heldBy, retries = 0 } = refusal
      const metadata = heldBy === undefined ? null : lockMetadata(key, heldBy)
      return { success: false, lockId: null, token: null, metadata, retries, error: refusal }
    }
  }

  /**
   * @param {string} key
   * @param {string | undefined} worker
   * @returns {Promise<{ success: boolean, error?: Error }>}
   */
  async release(key, worker) {
    const lease = this.#locks.get(key)
    if (lease === undefined) {
      const error = new ChainlockError('ERR_LOCK_LEASE_LOST', `releaseLock: this manager has no lock on ${named([key])}`, { key })
      return { success: false, error }
    }
    if (worker !== undefined && worker !== lease.workerId) {
      const text = `releaseLock: the lock on ${named([key])} belongs to another worker of this manager`
      return { success: false, error: new ChainlockError('ERR_LOCK_LEASE_HELD', text, { key }) }
    }
    this.#locks.delete(key)
    const { released, reason } = await lease.release()
    if (released) return { success: true }
    const code = reason === 'unavailable' ? 'ERR_LOCK_STORE_UNAVAILABLE' : 'ERR_LOCK_LEASE_LOST'
    const text = `releaseLock: the lock on ${named([key])} (token ${lease.token}) was not given back: ${reason}`
    return { success: false, error: new ChainlockError(code, text, { key, token: lease.token }) }
  }

  /** The lease as others see it. @param {Lease} lease @param {Ask} ask */
  #holder(lease, { node = this.#settings.nodeId, meta }) {
    const { workerId, token, mode, acquiredAt, ttlMs, remainingMs } = lease
    const metadata = meta === undefined ? null : JSON.parse(meta)
    const here = { host: this.#settings.host, pid: process.pid, nodeId: node ?? null }
    return { workerId, token, mode, acquiredAt, ttlMs, metadata, stale: false, expiresInMs: remainingMs, ...here }
  }

  static status = lockStatus
}

module.exports = { ConflictStrategy, Familiar }
