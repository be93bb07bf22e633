// Guards of host locks. A hold is two: the one of the process's own lock, which keeps its other threads and
// requests away, and the kernel's. It ends the other way round, the kernel's first.
// @ts-check
'use strict'

const { epochMs } = require('../locks/clock')
const { createTracker } = require('../locks/collected')
const { modeOf } = require('../locks/errors')
const { lost, wanted } = require('./errors')
const { native, face, calls } = require('./face')

// Node 20.0–20.3 and older engines have neither; the names are then ordinary symbols of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/** Of `#tracking`. */
const UNTRACKED = 0
const TRACKED = 1
const REGISTERED = 2

/**
 * What other modules do with a guard, and users do not.
 * @type {{
 *   isOne(value: any): value is HostGuard,
 *   hold(guard: HostGuard): number,
 *   track(guard: HostGuard): void,
 *   leaveFile(guard: HostGuard): void,
 *   end(guard: HostGuard, failed: 0 | 1): boolean,
 * }}
 */
let guards
/** @type {import('../locks/collected').Tracker<HostGuard>} */
let tracker

// One class without a parent, whose methods are not private ones: both would make a guard three times as expensive.
class HostGuard {
  /** @type {import('./file').HostFile} */
  #file
  /** @type {number} */
  #weight
  /** The hold of the process's own lock: its place and its token. @type {number} */
  #slot
  /** @type {number} */
  #inner
  /** The kernel's. @type {number} */
  #hold
  /** When it was granted, on the native clock. @type {number} */
  #at
  /** Not released. */
  #isOpen = true
  /** Whether its being garbage-collected is looked out for. @type {0 | 1 | 2} */
  #tracking = UNTRACKED
  /** @type {AbortController | null} */
  #controller = null

  /**
   * @param {import('./file').HostFile} file
   * @param {number} weight
   * @param {string | undefined} label
   * @param {number} slot
   * @param {number} inner
   * @param {number} token
   * @param {number} at
   * @param {number} hold
   * @param {number} died Whether whoever held it before died with it.
   */
  constructor(file, weight, label, slot, inner, token, at, hold, died) {
    this.#file = file
    this.#weight = weight
    this.#slot = slot
    this.#inner = inner
    this.#hold = hold
    this.#at = at
    file.holdBegins(hold)
    this.name = file.name
    this.token = token
    this.label = label === undefined ? null : label
    this.previousHolderDied = died === 0 ? null : whoDied(hold)
  }

  get path() {
    return this.#file.path
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
      this.#controller = new AbortController()
      // What was released stays quiet.
      if (this.#isOpen && !this.check()) {
        this.#controller.abort(lost(wanted(this.#file, this.#weight), this.token, false))
      }
    }
    return this.#controller.signal
  }

  check() {
    return this.#isOpen && calls.holds(this.#hold)
  }

  assertHeld() {
    if (!this.check()) throw lost(wanted(this.#file, this.#weight), this.token, !this.#isOpen, this.assertHeld)
  }

  release() {
    return this.#isOpen && HostGuard.#end(this, 0)
  }

  [DISPOSE]() {
    this.release()
  }

  async [ASYNC_DISPOSE]() {
    this.release()
  }

  /** @param {HostGuard} guard @param {0 | 1} failed Whether its callback threw. */
  static #end(guard, failed) {
    HostGuard.#close(guard)
    // Both in one call: the kernel's first.
    return HostGuard.#ended(guard, calls.release(guard.#hold, guard.#slot, guard.#inner, failed))
  }

  /** @param {HostGuard} guard */
  static #close(guard) {
    guard.#isOpen = false
    if (guard.#tracking !== UNTRACKED) tracker.forget(guard, guard.#tracking === REGISTERED)
  }

  /** @param {HostGuard} guard @param {boolean} released */
  static #ended(guard, released) {
    guard.#file.holdEnds(guard.#hold)
    if (!released) guard.#controller?.abort(lost(wanted(guard.#file, guard.#weight), guard.token, false))
    return released
  }

  static {
    guards = {
      isOne: (value) => typeof value === 'object' && value !== null && #hold in value,
      hold: (guard) => guard.#hold,
      track(guard) {
        guard.#tracking = TRACKED
        tracker.track(guard)
      },
      // Of a call that holds the process's own lock itself.
      leaveFile(guard) {
        if (!guard.#isOpen) return
        HostGuard.#close(guard)
        HostGuard.#ended(guard, calls.release(guard.#hold))
      },
      end: (guard, failed) => guard.#isOpen && HostGuard.#end(guard, failed),
    }
    tracker = createTracker({
      isHeld: (guard) => guard.#isOpen,
      register(guard) {
        guard.#tracking = REGISTERED
        const what = wanted(guard.#file, guard.#weight)
        const { label, token: shownToken } = guard
        const hold = kernelHold(guard.#file, guard.#hold)
        return { what, label, shownToken, slot: guard.#slot, token: guard.#inner, ...hold }
      },
    })
  }
}

/**
 * What is to be given back before the process's own hold. It keeps the file open until then.
 * @param {import('./file').HostFile} file
 * @param {number} hold
 */
const kernelHold = (file, hold) => ({
  before() {
    calls.release(hold)
    file.holdEnds(hold)
  },
})

/** @param {number} hold @returns {import('../../index').PreviousHolder | null} */
function whoDied(hold) {
  const text = native.hostDied(face, hold)
  return text === '' ? null : JSON.parse(text)
}

module.exports = { guards, HostGuard }
