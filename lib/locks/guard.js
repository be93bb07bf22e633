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
 *   upgrades(guard: LockGuard): Set<import('./upgrade').Upgrade>,
 *   setParts(guard: LockGuard, parts: { ended(error: Error): void }): void,
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
  /** The waits to become exclusive, which end with the hold. @type {Set<import('./upgrade').Upgrade> | null} */
  #upgrades = null
  /** Its re-entrant parts, which end with the hold. @type {{ ended(error: Error): void } | null} */
  #parts = null

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
    return modeOf(LockGuard.#weightNow(this))
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
    if (LockGuard.#weightNow(this) !== 0 || !isOfOne(this.#target) || !this.check()) return false
    LockGuard.#overtake(this)
    const answer = calls.downgrade(this.#slot, this.token)
    if ((answer & RELEASED) !== 0) this.#weight = 1
    if (answer !== RELEASED) waiters.goOn(answer)
    return (answer & RELEASED) !== 0
  }

  tryUpgrade() {
    if (!isOfOne(this.#target) || !this.check()) return false
    if (this.#weight !== 0 && !calls.tryUpgrade(this.#slot, this.token)) return false
    this.#weight = 0
    LockGuard.#overtake(this)
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
    if (guard.#upgrades !== null) LockGuard.#endUpgrades(guard, givenBack(guards.words(guard), guard.token))
    if (guard.#controller !== null) waiters.unwatch(guard.token)
    const answer = calls.release(guard.#slot, guard.token, failed)
    if (answer !== RELEASED) waiters.goOn(answer)
    if (guard.#parts !== null) guard.#parts.ended(givenBack(guards.words(guard), guard.token))
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
    LockGuard.#endUpgrades(guard, error)
    guard.#parts?.ended(error)
    guard.#controller?.abort(error)
  }

  /** @param {LockGuard | undefined} guard @param {AbortController} controller @param {number} how */
  static #taken(guard, controller, how) {
    if (guard === undefined) controller.abort()
    else if (guard.#isOpen) LockGuard.#lose(guard, how)
  }

  /**
   * An upgrade is done before the answer to it is here.
   * @param {LockGuard} guard
   */
  static #weightNow(guard) {
    const target = guard.#target
    if (guard.#upgrades === null || guard.#upgrades.size === 0) return guard.#weight
    const isExclusive = calls.state(typeof target === 'string' ? target : target.ref) === -1
    return isExclusive && guard.check() ? 0 : guard.#weight
  }

  /** The hold is exclusive: so are the waits for that over. @param {LockGuard} guard */
  static #overtake(guard) {
    if (guard.#upgrades !== null) for (const upgrade of guard.#upgrades) upgrade.overtaken()
  }

  /** @param {LockGuard} guard @param {Error} error */
  static #endUpgrades(guard, error) {
    if (guard.#upgrades !== null) for (const upgrade of guard.#upgrades) upgrade.ended(error)
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
      facts: (guard) => ({ target: guard.#target, weight: LockGuard.#weightNow(guard), slot: guard.#slot }),
      setWeight(guard, weight) {
        guard.#weight = weight
      },
      upgrades: (guard) => (guard.#upgrades ??= new Set()),
      setParts(guard, parts) {
        guard.#parts = parts
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
