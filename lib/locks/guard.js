// Guards: holds of named locks and semaphores as objects. What is unusual about a hold (its signal, an upgrade,
// its name in words) is made when somebody asks for it: most guards live for a microsecond.
// @ts-check
'use strict'

const { calls, RELEASED, FETCH } = require('./face')
const { epochMs } = require('./clock')
const { createTracker } = require('./collected')
const { wanted, modeOf, lost, givenBack } = require('./errors')
const { waitToUpgrade } = require('./upgrade')
const waiters = require('./waiters')

// Node 20.0–20.3 and older engines have neither; the names are then ordinary symbols of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/** @typedef {import('./targets').Target} Target */

class HoldGuard {
  /** @type {Target} */
  #target
  /** @type {number} */
  #weight
  /** @type {number} */
  #slot
  /** When it was granted, on the native clock. @type {number} */
  #at
  /** Neither released nor known to be taken away. */
  #isOpen = true
  /** Whether its being garbage-collected is looked out for, and by the registry already. */
  #isTracked = false
  #isRegistered = false
  /** @type {AbortController | null} */
  #controller = null
  /** The wait to become exclusive, which ends with the hold. @type {import('./upgrade').Upgrade | null} */
  #upgrade = null

  /**
   * @param {Target} target
   * @param {number} weight
   * @param {string | undefined} label
   * @param {number} slot
   * @param {number} token
   * @param {number} at
   */
  constructor(target, weight, label, slot, token, at) {
    this.#target = target
    this.#weight = weight
    this.#slot = slot
    this.#at = at
    this.name = typeof target === 'string' ? target : target.name
    this.token = token
    this.label = label === undefined ? null : label
  }

  get acquiredAt() {
    return epochMs(this.#at)
  }

  get released() {
    return !this.check()
  }

  get signal() {
    if (this.#controller === null) {
      const controller = (this.#controller = new AbortController())
      // Being watched does not keep it from being collected.
      const weak = new WeakRef(this)
      // Open before looking: what happens after the look is told.
      waiters.open()
      const lost = (/** @type {number} */ how) => HoldGuard.#taken(weak.deref(), controller, how)
      if (this.check()) waiters.watch(this.token, { lost })
      // Taken away before anybody watched. What was released stays quiet.
      else if (this.#isOpen) this.#lose(0)
    }
    return this.#controller.signal
  }

  check() {
    return this.#isOpen && calls.holds(this.#slot, this.token)
  }

  assertHeld() {
    if (!this.check()) throw lost(this.#words(), this.token, 0, this.assertHeld)
  }

  release() {
    return this.#isOpen && this.#end(0)
  }

  [DISPOSE]() {
    this.release()
  }

  async [ASYNC_DISPOSE]() {
    this.release()
  }

  #words() {
    return wanted(this.#target, this.#weight)
  }

  /** @param {0 | 1} failed Whether its callback threw. */
  #end(failed) {
    this.#isOpen = false
    if (this.#isTracked) tracker.forget(this, this.#isRegistered)
    if (this.#upgrade !== null) this.#upgrade.ended(givenBack(this.#words(), this.token))
    if (this.#controller !== null) waiters.unwatch(this.token)
    const answer = calls.release(this.#slot, this.token, failed)
    if (answer !== RELEASED) waiters.goOn(answer)
    if ((answer & RELEASED) !== 0) return true
    // Taken away, and the word of it is still on its way, or nobody has asked for it yet.
    this.#controller?.abort(lost(this.#words(), this.token, 0))
    return false
  }

  /** @param {number} how */
  #lose(how) {
    this.#isOpen = false
    if (this.#isTracked) tracker.forget(this, this.#isRegistered)
    const error = lost(this.#words(), this.token, how)
    this.#upgrade?.ended(error)
    this.#controller?.abort(error)
  }

  // What the other modules do with a guard, and users do not.

  /** A release of the one for whom it was made. @param {HoldGuard} guard @param {0 | 1} failed */
  static end(guard, failed) {
    return guard.#isOpen && guard.#end(failed)
  }

  /** @param {HoldGuard | undefined} guard @param {AbortController} controller @param {number} how */
  static #taken(guard, controller, how) {
    if (guard === undefined) controller.abort()
    else if (guard.#isOpen) guard.#lose(how)
  }

  /** Looks out for its being garbage-collected. @param {HoldGuard} guard */
  static track(guard) {
    guard.#isTracked = true
    tracker.track(guard)
  }

  /** Held by a call from now on, which gives it back: however long that takes. @param {HoldGuard} guard */
  static untrack(guard) {
    if (!guard.#isTracked) return
    guard.#isTracked = false
    tracker.forget(guard, guard.#isRegistered)
  }

  /** @param {HoldGuard} guard */
  static isTracked(guard) {
    return guard.#isOpen && guard.#isTracked
  }

  /** @param {HoldGuard} guard @returns {import('./collected').Rest} */
  static register(guard) {
    guard.#isRegistered = true
    return { what: guard.#words(), label: guard.label, slot: guard.#slot, token: guard.token }
  }

  /** @param {any} guard @returns {guard is HoldGuard} Whether it is one of this copy of the package. */
  static isOne(guard) {
    return #slot in guard
  }

  /** @param {HoldGuard} guard */
  static facts(guard) {
    return { target: guard.#target, weight: guard.#weight, slot: guard.#slot, isOpen: guard.#isOpen }
  }

  /** @param {HoldGuard} guard @param {number} weight */
  static setWeight(guard, weight) {
    guard.#weight = weight
  }

  /** @param {HoldGuard} guard @param {import('./upgrade').Upgrade | null} upgrade */
  static setUpgrade(guard, upgrade) {
    guard.#upgrade = upgrade
  }

  /** @param {HoldGuard} guard */
  static words(guard) {
    return guard.#words()
  }
}

const tracker = createTracker({ isHeld: HoldGuard.isTracked, register: HoldGuard.register })

class LockGuard extends HoldGuard {
  /**
   * @param {Target} target
   * @param {number} weight
   * @param {string | undefined} label
   * @param {number} slot
   * @param {number} token
   * @param {number} at
   */
  constructor(target, weight, label, slot, token, at) {
    super(target, weight, label, slot, token, at)
    /** @type {import('../../index').LockMode} */
    this.mode = weight === 0 ? 'exclusive' : 'shared'
  }

  get names() {
    const { target } = HoldGuard.facts(this)
    return typeof target === 'object' && target.modes ? [...target.modes.keys()] : [this.name]
  }

  downgrade() {
    const { target, weight, slot } = HoldGuard.facts(this)
    if (weight !== 0 || !isOfOne(target) || !this.check()) return false
    const answer = calls.downgrade(slot, this.token)
    if ((answer & RELEASED) !== 0) become(this, 1)
    if ((answer & FETCH) !== 0) waiters.fetch()
    return (answer & RELEASED) !== 0
  }

  tryUpgrade() {
    const { target, weight, slot } = HoldGuard.facts(this)
    if (!isOfOne(target) || !this.check()) return false
    if (weight !== 0 && !calls.tryUpgrade(slot, this.token)) return false
    become(this, 0)
    return true
  }

  /** @param {unknown} [given] */
  async upgrade(given) {
    await waitToUpgrade(this, HoldGuard, given, () => become(this, 0))
  }
}

class SemaphoreGuard extends HoldGuard {
  /**
   * @param {Target} target
   * @param {number} weight
   * @param {string | undefined} label
   * @param {number} slot
   * @param {number} token
   * @param {number} at
   */
  constructor(target, weight, label, slot, token, at) {
    super(target, weight, label, slot, token, at)
    this.weight = weight
  }
}

/** @param {Target} target */
const isOfOne = (target) => typeof target === 'string' || target.modes === undefined

/** @param {LockGuard} guard @param {0 | 1} weight */
function become(guard, weight) {
  HoldGuard.setWeight(guard, weight)
  guard.mode = modeOf(weight)
}

/**
 * The mode in which a guard holds the read/write lock of that name; undefined when it does not.
 * @param {any} guard Perhaps of another copy of this package.
 * @param {string} name
 * @returns {import('../../index').LockMode | undefined}
 */
function modeHeld(guard, name) {
  if (!guard.check()) return undefined
  if (!HoldGuard.isOne(guard)) return guard.names?.length === 1 && guard.names[0] === name ? guard.mode : undefined
  const { target, weight } = HoldGuard.facts(guard)
  if (typeof target === 'string') return target === name ? modeOf(weight) : undefined
  if (target.modes) return target.modes.get(name)
  return target.kind === 'lock' && target.isNamed && target.name === name ? modeOf(weight) : undefined
}

/**
 * @param {Target} target
 * @param {number} weight
 * @param {string | undefined} label
 * @param {number} slot
 * @param {number} token
 * @param {number} at
 * @returns {LockGuard}
 */
function makeGuard(target, weight, label, slot, token, at) {
  if (typeof target === 'string' || target.kind === 'lock') return new LockGuard(target, weight, label, slot, token, at)
  return /** @type {any} */ (new SemaphoreGuard(target, weight, label, slot, token, at))
}

module.exports = { HoldGuard, LockGuard, SemaphoreGuard, makeGuard, modeHeld }
