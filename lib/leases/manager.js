// The manager: asks for leases, tells what becomes of them, and, by `familiar.js`, speaks as the GitHub-issue design
// did. It keeps no state of locks; that is native, and in the store.
// @ts-check
'use strict'

const { channel } = require('node:diagnostics_channel')
const { EventEmitter } = require('node:events')
const { callback } = require('../options')
const { native, face, calls } = require('./face')
const { closed, faultOf } = require('./errors')
const { Familiar } = require('./familiar')
const { Lease } = require('./lease')
const options = require('./options')
const { request, requestLease } = require('./requests')
const { ClusterSendLock } = require('./send-lock')
const { statusOf } = require('./views')

const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')
/** How often the native side is told that the loop turns, in the time that it may stand still. */
const BEATS = 4
const LEAST_BEAT_MS = 5

const losses = channel('chainlock:lost')

/** Nobody can reach it any more: its requests and connections end. @type {FinalizationRegistry<{ manager: number, beat: NodeJS.Timeout | null }>} */
const collected = new FinalizationRegistry(({ manager, beat }) => {
  if (beat !== null) clearInterval(beat)
  void closeNative(manager, true).catch(() => {})
})

/** @param {number} manager @param {boolean} release @returns {Promise<import('../../leases').LeaseMetrics>} What it has done. */
async function closeNative(manager, release) {
  try {
    await request(() => native.leaseClose(face, manager, release))
    return JSON.parse(native.leaseStatistics(face, manager))
  } finally {
    native.leaseDrop(face, manager)
  }
}

/** @typedef {import('./options').Ask} Ask */

class LeaseManager extends EventEmitter {
  #settings
  #number
  #familiar
  #beat
  /** What is asked for when nobody says more; by who waits, and by who does not. */
  #plain
  #plainTry
  /** @type {Promise<void> | null} */
  #closing = null
  #listener
  /** After the end. @type {import('../../leases').LeaseMetrics | null} */
  #lastMetrics = null

  /** @param {unknown} [given] */
  constructor(given) {
    super()
    this.#settings = options.manager(given)
    const { manager, shown, fault } = native.leaseOpen(face, JSON.stringify(this.#settings))
    if (manager === undefined || shown === undefined) throw thrown(faultOf(String(fault)))
    this.#number = manager
    this.store = shown
    this.workerId = this.#settings.workerId
    this.#plain = options.acquiring('acquire', undefined, this.#settings.ttlMs, true)
    this.#plainTry = options.acquiring('tryAcquire', undefined, this.#settings.ttlMs, false)
    this.#beat = beats(manager, this.#settings.requireLoopAliveMs)
    collected.register(this, { manager, beat: this.#beat }, this)
    this.#familiar = new Familiar(this.#settings, async (call, keys, ask, signal) => this.#ask(call, keys, ask, signal))
    this.#listener = {
      /** @type {import('./lease').Listener['lost']} */
      lost: (lease, loss) => {
        publishLoss(this.store, lease, loss)
        this.#tell('lost', lease, loss)
      },
      /** @type {import('./lease').Listener['risk']} */
      risk: (lease, danger) => this.#tell('risk', lease, danger),
    }
  }

  get destroyed() {
    return this.#closing !== null
  }

  /** @param {unknown} keys @param {unknown} [given] @returns {Promise<Lease>} */
  async acquire(keys, given) {
    const names = options.keys('acquire', keys)
    const { ask, signal } = this.#acquiring('acquire', given)
    return this.#ask('acquire', names, ask, signal)
  }

  /** @param {unknown} keys @param {unknown} [given] @returns {Promise<Lease | null>} */
  async tryAcquire(keys, given) {
    const names = options.keys('tryAcquire', keys)
    const { ask, signal } = given === undefined ? this.#plainTry : options.acquiring('tryAcquire', given, this.#settings.ttlMs, false)
    try {
      return await this.#ask('tryAcquire', names, ask, signal)
    } catch (error) {
      if (/** @type {any} */ (error)?.code === 'ERR_LOCK_LEASE_HELD') return null
      throw error
    }
  }

  /** @param {unknown} keys @param {unknown} given @param {unknown} [fn] */
  async withLease(keys, given, fn) {
    const [how, body] = fn === undefined && typeof given === 'function' ? [undefined, given] : [given, fn]
    const run = callback('withLease', body)
    const names = options.keys('withLease', keys)
    const { ask, signal } = this.#acquiring('withLease', how)
    const lease = await this.#ask('withLease', names, ask, signal)
    try {
      return await run(lease)
    } finally {
      await lease.release()
    }
  }

  /** @param {unknown} key @param {unknown} given */
  async steal(key, given) {
    const names = [options.key('steal', key)]
    const { ask, signal } = options.stealing(given, this.#settings.ttlMs)
    return this.#ask('steal', names, ask, signal)
  }

  /** @param {unknown} key */
  async status(key) {
    return this.#status('status', options.key('status', key))
  }

  /** @param {unknown} [given] */
  async list(given) {
    return this.#list('list', options.listing(given))
  }

  /** @param {unknown} name @param {unknown} [given] */
  sendLock(name, given) {
    const caps = this.caps()
    return new ClusterSendLock(name, given, {
      caps,
      ttlMs: this.#settings.ttlMs,
      acquire: async (call, key, ask, signal) => this.#ask(call, [key], ask, signal),
      look: async (call, what) => {
        this.#assertOpen(call)
        return JSON.parse(await request(() => native.leaseSend(face, this.#number, JSON.stringify(what))))
      },
    })
  }

  caps() {
    this.#assertOpen('caps')
    const text = native.leaseCaps(face, this.#number)
    const caps = JSON.parse(text)
    if (caps.code !== undefined) throw faultOf(text)
    return caps
  }

  /** @param {unknown} key @param {unknown} [given] */
  async acquireLock(key, given) {
    const name = options.key('acquireLock', key)
    const { ask, signal } = options.familiar(given, this.#settings)
    return this.#familiar.acquire(name, ask, signal)
  }

  /** @param {unknown} key @param {unknown} [workerId] */
  async releaseLock(key, workerId) {
    const name = options.key('releaseLock', key)
    return this.#familiar.release(name, options.worker(workerId))
  }

  /** @param {unknown} key */
  async getLockStatus(key) {
    return Familiar.status(await this.#status('getLockStatus', options.key('getLockStatus', key)))
  }

  async listLocks() {
    const all = await this.#list('listLocks', options.listing(undefined))
    return all.filter(({ held }) => held).map(Familiar.status)
  }

  getMetrics() {
    return this.#lastMetrics ?? JSON.parse(native.leaseStatistics(face, this.#number))
  }

  /** @param {unknown} [given] @returns {Promise<void>} */
  async destroy(given) {
    const release = options.closing(given)
    await (this.#closing ??= this.#close(release))
  }

  async [ASYNC_DISPOSE]() {
    await this.destroy()
  }

  /** @param {boolean} release */
  async #close(release) {
    collected.unregister(this)
    if (this.#beat !== null) clearInterval(this.#beat)
    const leases = Lease.all(this.#listener)
    const given = release ? leases.map((lease) => lease.release()) : []
    await Promise.all(given)
    this.#lastMetrics = await closeNative(this.#number, release)
    if (!release) for (const lease of leases) Lease.abandon(lease)
  }

  /** @param {string} call @param {unknown} given */
  #acquiring(call, given) {
    return given === undefined ? this.#plain : options.acquiring(call, given, this.#settings.ttlMs, true)
  }

  /**
   * @param {string} call
   * @param {string[]} keys
   * @param {Ask} ask
   * @param {AbortSignal | undefined} signal
   * @returns {Lease | Promise<Lease>}
   */
  #ask(call, keys, ask, signal) {
    this.#assertOpen(call)
    const { mode = 'exclusive', ttlMs, worker = this.workerId } = ask
    const asked = { keys, mode: typeof mode === 'number' ? /** @type {const} */ ('permit') : mode, workerId: worker, ttlMs }
    return requestLease((mayDoIt) => this.#send(keys, ask, mayDoIt), signal, (grant) => new Lease(asked, grant, this.#listener))
  }

  /** The number of the request; 0 when it is granted already. @param {string[]} keys @param {Ask} ask @param {boolean} mayDoIt */
  #send(keys, ask, mayDoIt) {
    const isPlain = keys.length === 1 && (ask === this.#plain.ask || ask === this.#plainTry.ask)
    if (!isPlain) return native.leaseAcquire(face, this.#number, JSON.stringify({ ...ask, keys }), mayDoIt)
    if (mayDoIt && calls.take(this.#number, ask.ttlMs, keys[0])) return 0
    return native.leaseAcquire(face, this.#number, JSON.stringify({ ...ask, keys }), false)
  }

  /** @param {string} call @param {string} key */
  async #status(call, key) {
    this.#assertOpen(call)
    const text = await request(() => native.leaseInspect(face, this.#number, key))
    return statusOf(key, JSON.parse(text))
  }

  /** @param {string} call @param {{ prefix: string, limit: number }} of */
  async #list(call, { prefix, limit }) {
    this.#assertOpen(call)
    const text = await request(() => native.leaseList(face, this.#number, prefix, limit))
    const all = /** @type {[string, import('./views').NativeStatus][]} */ (JSON.parse(text))
    return all.map(([key, status]) => statusOf(key, status))
  }

  /** @param {string} call */
  #assertOpen(call) {
    if (this.destroyed) throw closed(call)
  }

  /**
   * When what runs has ended: a listener that throws stops nothing here.
   * @param {string} event
   * @param {Lease} lease
   * @param {object} what
   */
  #tell(event, lease, what) {
    if (this.listenerCount(event) > 0) queueMicrotask(() => this.emit(event, lease, Object.freeze(what)))
  }
}

/**
 * For who watches a program from within, and holds no manager. A subscriber that throws is told by Node itself.
 * @param {string} store
 * @param {Lease} lease
 * @param {import('./lease').Loss} loss
 */
function publishLoss(store, { key, keys, token, workerId }, { cause, by }) {
  if (losses.hasSubscribers) losses.publish(Object.freeze({ store, key, keys, token, workerId, cause, by }))
}

/** The stack is that of the constructor's caller. @param {Error} error */
function thrown(error) {
  Error.captureStackTrace(error, LeaseManager)
  return error
}

/** @param {number} manager @param {number | undefined} requireLoopAliveMs */
function beats(manager, requireLoopAliveMs) {
  if (requireLoopAliveMs === undefined) return null
  native.leaseBeat(face, manager)
  const pause = Math.max(LEAST_BEAT_MS, requireLoopAliveMs / BEATS)
  return setInterval(() => native.leaseBeat(face, manager), pause).unref()
}

module.exports = { LeaseManager }
