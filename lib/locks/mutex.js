// `Mutex`: a lock without a name, with the methods of async-mutex.
// @ts-check
'use strict'

const { E_CANCELED } = require('./class-errors')
const { narrower, syncWait } = require('./class-options')
const { callback } = require('./options')
const { Units } = require('./units')

/**
 * A mutex with a shorter patience, or undefined for what is no mutex.
 * @type {(sync: object, call: string, timeoutMs: unknown, error: Error) => LimitedMutex | undefined}
 */
let limitMutex

/** What a mutex and its limited views have in common. */
class LimitedMutex {
  #units
  #cancelError
  #limit

  /**
   * @param {Units} units
   * @param {unknown} cancelError
   * @param {import('./class-options').Limit | undefined} limit
   */
  constructor(units, cancelError, limit) {
    this.#units = units
    this.#cancelError = cancelError
    this.#limit = limit
  }

  static {
    limitMutex = (sync, call, timeoutMs, error) => {
      if (!(#units in sync)) return undefined
      return new LimitedMutex(sync.#units, sync.#cancelError, narrower(call, timeoutMs, error, sync.#limit))
    }
  }

  /** @param {number | import('../../index').SyncWaitOptions} [priority] */
  acquire(priority) {
    try {
      return this.#units.askFor(1, syncWait('acquire', priority, this.#limit), this.#units.releaser)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {() => any} fn
   * @param {number | import('../../index').SyncWaitOptions} [priority]
   */
  runExclusive(fn, priority) {
    try {
      const body = /** @type {() => any} */ (callback('runExclusive', fn))
      return this.#units.run(1, syncWait('runExclusive', priority, this.#limit), () => body())
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {number | import('../../index').SyncWaitOptions} [priority] */
  async waitForUnlock(priority) {
    return this.#units.whenFree('waitForUnlock', 1, syncWait('waitForUnlock', priority, this.#limit))
  }

  isLocked() {
    return this.#units.state() !== 0
  }

  release() {
    this.#units.endAny()
  }

  cancel() {
    this.#units.cancel(this.#cancelError)
  }
}

class Mutex extends LimitedMutex {
  #units

  /** @param {unknown} [cancelError] */
  constructor(cancelError = E_CANCELED) {
    const units = new Units(1, true)
    super(units, cancelError, undefined)
    this.#units = units
  }

  tryAcquire() {
    const hold = this.#units.attempt(1)
    return hold === null ? null : this.#units.releaser(hold)
  }
}

module.exports = { Mutex, limitMutex }
