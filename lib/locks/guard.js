// Guards: holds of named locks and semaphores as objects. What is unusual about a hold (its signal, an upgrade,
// its name in words) is made when somebody asks for it: most guards live for a microsecond.
// @ts-check
'use strict'

const { calls, RELEASED } = require('./face')
const { epochMs } = require('./clock')
const { createTracker } = require('./collected')
const { wanted, modeOf, lost, givenBack } = require('./errors')
const { waitToUpgrade } = require('./upgrade')
const waiters = require('./waiters')

// Node 20.0–20.3 and older engines have neither; the names are then ordinary symbols of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/** Of `#tracking`. */
const UNTRACKED = 0
const TRACKED = 1
const REGISTERED = 2

/** @typedef {import('./targets').Target} Target */

/**
 * What other modules do with a guard, and users do not.
 * @type {{
 *   end(guard: LockGuard, failed: 0 | 1): boolean,
 *   track(guard: LockGuard): void,
 *   untrack(guard: LockGuard): void,
 *   isOne(value: any): value is LockGuard,
 *   facts(guard: LockGuard): { target: Target, weight: number, slot: number },
 *   setWeight(guard: LockGuard, weight: number): void,
 *   setUpgrade(guard: LockGuard, upgrade: import('./upgrade').Upgrade | null): void,
 *   words(guard: LockGuard): string,
 * }}
 */
let guards
/** @type {import('./collected').Tracker<LockGuard>} */
let tracker

// One class without a parent, whose methods are not private ones: both would make a guard three times as
// expensive.
class LockGuard {
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
  /** Whether its being garbage-collected is looked out for. @type {0 | 1 | 2} */
  #tracking = UNTRACKED
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

  get names() {
    const target = this.#target
    return typeof target === 'object' && target.modes ? [...target.modes.keys()] : [this.name]
  }

  get mode() {
    return modeOf(this.#weight)
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
      if (this.check()) waiters.watch(this.token, { taken: (how) => LockGuard.#taken(weak.deref(), controller, how) })
      // Taken away before anybody watched. What was released stays quiet.
      else if (this.#isOpen) LockGuard.#lose(this, 0)
    }
    return this.#controller.signal
  }

  check() {
    return this.#isOpen && calls.holds(this.#slot, this.token)
  }

  assertHeld() {
    if (!this.check()) throw lost(guards.words(this), this.token, 0, this.assertHeld)
  }

  release() {
    return this.#isOpen && LockGuard.#end(this, 0)
  }

  downgrade() {
    if (this.#weight !== 0 || !isOfOne(this.#target) || !this.check()) return false
    const answer = calls.downgrade(this.#slot, this.token)
    if ((answer & RELEASED) !== 0) this.#weight = 1
    if (answer !== RELEASED) waiters.goOn(answer)
    return (answer & RELEASED) !== 0
  }

  tryUpgrade() {
    if (!isOfOne(this.#target) || !this.check()) return false
    if (this.#weight !== 0 && !calls.tryUpgrade(this.#slot, this.token)) return false
    this.#weight = 0
    return true
  }

  /** @param {unknown} [given] */
  async upgrade(given) {
    await waitToUpgrade(this, guards, given)
  }

  [DISPOSE]() {
    this.release()
  }

  async [ASYNC_DISPOSE]() {
    this.release()
  }

  /** @param {LockGuard} guard @param {0 | 1} failed Whether its callback threw. */
  static #end(guard, failed) {
    guard.#isOpen = false
    if (guard.#tracking !== UNTRACKED) tracker.forget(guard, guard.#tracking === REGISTERED)
    if (guard.#upgrade !== null) guard.#upgrade.ended(givenBack(guards.words(guard), guard.token))
    if (guard.#controller !== null) waiters.unwatch(guard.token)
    const answer = calls.release(guard.#slot, guard.token, failed)
    if (answer !== RELEASED) waiters.goOn(answer)
    if ((answer & RELEASED) !== 0) return true
    // Taken away, and the word of it is still on its way, or nobody has asked for it yet.
    guard.#controller?.abort(lost(guards.words(guard), guard.token, 0))
    return false
  }

  /** @param {LockGuard} guard @param {number} how */
  static #lose(guard, how) {
    guard.#isOpen = false
    if (guard.#tracking !== UNTRACKED) tracker.forget(guard, guard.#tracking === REGISTERED)
    const error = lost(guards.words(guard), guard.token, how)
    guard.#upgrade?.ended(error)
    guard.#controller?.abort(error)
  }

  /** @param {LockGuard | undefined} guard @param {AbortController} controller @param {number} how */
  static #taken(guard, controller, how) {
    if (guard === undefined) controller.abort()
    else if (guard.#isOpen) LockGuard.#lose(guard, how)
  }

  static {
    guards = {
      // The release of a call for which it was made.
      end: (guard, failed) => guard.#isOpen && LockGuard.#end(guard, failed),
      track(guard) {
        guard.#tracking = TRACKED
        tracker.track(guard)
      },
      // Held by a call from now on, which gives it back: however long that takes.
      untrack(guard) {
        if (guard.#tracking === UNTRACKED) return
        tracker.forget(guard, guard.#tracking === REGISTERED)
        guard.#tracking = UNTRACKED
      },
      isOne: (value) => #slot in value,
      facts: (guard) => ({ target: guard.#target, weight: guard.#weight, slot: guard.#slot }),
      setWeight(guard, weight) {
        guard.#weight = weight
      },
      setUpgrade(guard, upgrade) {
        guard.#upgrade = upgrade
      },
      words: (guard) => wanted(guard.#target, guard.#weight),
    }
    tracker = createTracker({
      isHeld: (guard) => guard.#isOpen && guard.#tracking !== UNTRACKED,
      register(guard) {
        guard.#tracking = REGISTERED
        return { what: guards.words(guard), label: guard.label, slot: guard.#slot, token: guard.token }
      },
    })
  }
}

/** A hold of a semaphore has no mode that could change. */
class SemaphoreGuard extends LockGuard {
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
for (const name of ['names', 'mode', 'downgrade', 'tryUpgrade', 'upgrade']) {
  Object.defineProperty(SemaphoreGuard.prototype, name, { value: undefined })
}

/** @param {Target} target */
const isOfOne = (target) => typeof target === 'string' || target.modes === undefined

/**
 * The mode in which a guard holds the read/write lock of that name; undefined when it does not.
 * @param {any} guard Perhaps of another copy of this package.
 * @param {string} name
 * @returns {import('../../index').LockMode | undefined}
 */
function modeHeld(guard, name) {
  if (!guard.check()) return undefined
  if (!guards.isOne(guard)) return guard.names?.length === 1 && guard.names[0] === name ? guard.mode : undefined
  const { target, weight } = guards.facts(guard)
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
  return new SemaphoreGuard(target, weight, label, slot, token, at)
}

module.exports = { guards, LockGuard, makeGuard, modeHeld }
