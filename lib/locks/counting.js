// `Semaphore`: a semaphore without a name, with the methods of async-mutex. As there, `acquire` and
// `waitForUnlock` throw at once when they are given something wrong.
// @ts-check
'use strict'

const { E_CANCELED } = require('./class-errors')
const { freeUnits, narrower, syncWait, units: checkedUnits } = require('./class-options')
const { callback } = require('./options')
const { Units } = require('./units')

/**
 * A semaphore with a shorter patience, or undefined for what is no semaphore.
 * @type {(sync: object, call: string, timeoutMs: unknown, error: Error) => LimitedSemaphore | undefined}
 */
let limitSemaphore

/** What a semaphore and its limited views have in common. */
class LimitedSemaphore {
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
    limitSemaphore = (sync, call, timeoutMs, error) => {
      if (!(#units in sync)) return undefined
      return new LimitedSemaphore(sync.#units, sync.#cancelError, narrower(call, timeoutMs, error, sync.#limit))
    }
  }

  /**
   * @param {number} [weight]
   * @param {number | import('../../index').SyncWaitOptions} [priority]
   */
  acquire(weight = 1, priority) {
    const wait = syncWait('acquire', priority, this.#limit)
    return this.#units.askFor(checkedUnits('acquire', weight), wait, this.#units.withValue)
  }

  /**
   * @param {(value: number) => any} fn
   * @param {number} [weight]
   * @param {number | import('../../index').SyncWaitOptions} [priority]
   */
  runExclusive(fn, weight = 1, priority) {
    try {
      const body = /** @type {(value: number) => any} */ (callback('runExclusive', fn))
      const wait = syncWait('runExclusive', priority, this.#limit)
      return this.#units.run(checkedUnits('runExclusive', weight), wait, ({ value }) => body(value))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {number} [weight]
   * @param {number | import('../../index').SyncWaitOptions} [priority]
   */
  waitForUnlock(weight = 1, priority) {
    const wait = syncWait('waitForUnlock', priority, this.#limit)
    return this.#units.whenFree('waitForUnlock', checkedUnits('waitForUnlock', weight), wait)
  }

  isLocked() {
    return this.#units.value <= 0
  }

  getValue() {
    return this.#units.value
  }

  /** @param {number} value */
  setValue(value) {
    this.#units.setValue(freeUnits('setValue', value))
  }

  /** @param {number} [weight] */
  release(weight = 1) {
    this.#units.giveBack(checkedUnits('release', weight))
  }

  cancel() {
    this.#units.cancel(this.#cancelError)
  }
}

class Semaphore extends LimitedSemaphore {
  #units

  /** @param {number} value @param {unknown} [cancelError] */
  constructor(value, cancelError = E_CANCELED) {
    const units = new Units(freeUnits('new Semaphore', value), false)
    super(units, cancelError, undefined)
    this.#units = units
  }

  /** @param {number} [weight] */
  tryAcquire(weight = 1) {
    const hold = this.#units.attempt(checkedUnits('tryAcquire', weight))
    return hold === null ? null : this.#units.withValue(hold)
  }
}

module.exports = { Semaphore, limitSemaphore }
