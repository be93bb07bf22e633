// What a `Mutex` and a `Semaphore` stand on: units that are free, holds that took some, and those who only want
// to know when some are free.
//
// The units are the native side's permits. A hold is the native side's too; here is the list of those that this
// object was granted, because a unit may also come back by hand (`release()`), without the releaser that its
// holder got. Then the oldest hold that it is enough for ends. So what runs under a hold is not taken to be what the
// hold waits for: as in async-mutex, deadlocks are not looked for.
// @ts-check
'use strict'

const { ChainlockError } = require('../errors')
const aborts = require('./aborts')
const { Chain, Item } = require('./chain')
const { MOST_UNITS } = require('./class-options')
const { native, face, calls, FETCH } = require('./face')
const { whole } = require('./report')
const { now, startTimer } = require('./timer')
const { Line } = require('./unnamed')
const waiters = require('./waiters')

// Node 20.0–20.3 and older engines have neither; the name is then an ordinary symbol of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')

class Hold extends Item {
  /** Whether its holder has given it back. */
  isOver = false

  /**
   * @param {number} weight
   * @param {number} slot
   * @param {number} token
   * @param {number} value The free units before it took its own.
   */
  constructor(weight, slot, token, value) {
    super()
    this.weight = weight
    this.slot = slot
    this.token = token
    this.value = value
  }

  get released() {
    return !this.check()
  }

  check() {
    return calls.holds(this.slot, this.token)
  }
}

/** A wait for units to be free, which takes none. */
class Onlooker {
  #units
  #call
  #wait
  #resolve
  #reject
  #startedAt = now()
  /** @type {(() => void) | undefined} */
  #stopTimer

  /**
   * @param {Units} units
   * @param {string} call
   * @param {number} weight
   * @param {import('./class-options').SyncWait} wait
   * @param {() => void} resolve
   * @param {(error: unknown) => void} reject
   */
  constructor(units, call, weight, wait, resolve, reject) {
    this.#units = units
    this.#call = call
    this.weight = weight
    this.priority = wait.priority
    this.#wait = wait
    this.#resolve = resolve
    this.#reject = reject
    const { signal, timeoutMs } = wait
    if (signal) aborts.follow(signal, this, 0)
    if (timeoutMs >= 0) this.#stopTimer = startTimer(timeoutMs, true, () => this.#timeUp())
  }

  admit() {
    this.#end()
    this.#resolve()
  }

  /** @param {number} _ticket @param {unknown} reason */
  aborted(_ticket, reason) {
    this.#fail(reason)
  }

  #timeUp() {
    const waitedMs = now() - this.#startedAt
    const message = `${this.#call}: waited ${whole(waitedMs)} ms for ${this.#units.words(this.weight)} to be free`
    this.#fail(this.#wait.timeoutError ?? new ChainlockError('ERR_LOCK_TIMEOUT', message, { waitedMs }))
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#end()
    this.#units.forget(this)
    this.#reject(error)
  }

  #end() {
    this.#stopTimer?.()
    if (this.#wait.signal) aborts.unfollow(this.#wait.signal, this)
  }
}

/** What nobody can reach any more cannot be given back any more: it costs nothing, and nobody is to be told. */
const abandoned = new FinalizationRegistry((/** @type {Chain<Hold>} */ holds) => {
  for (const { slot, token } of holds) waiters.release(slot, token, 0)
})

/** @extends {Line<Hold>} */
class Units extends Line {
  #isExclusive
  /** All units there are; fewer than none when some are missing. */
  #all
  /** Those that are taken. */
  #taken = 0
  /** Those that came back by hand and were not enough for a hold yet. */
  #loose = 0
  /** @type {Chain<Hold>} */
  #holds = new Chain()
  /** @type {Onlooker[]} */
  #onlookers = []

  /** @param {number} all @param {boolean} isExclusive One unit, which is a whole lock. */
  constructor(all, isExclusive) {
    super(isExclusive ? 'lock' : 'semaphore', permits(all), false)
    this.#all = all
    this.#isExclusive = isExclusive
    abandoned.register(this, this.#holds)
  }

  get value() {
    return this.#all - this.#taken
  }

  /** @override @param {number} weight */
  nativeWeight(weight) {
    return this.#isExclusive ? 0 : weight
  }

  /**
   * @override
   * @param {number} weight
   * @param {string | undefined} _label
   * @param {number} slot
   * @param {number} token
   */
  hold(weight, _label, slot, token) {
    const hold = new Hold(weight, slot, token, this.value)
    this.#taken += weight
    this.#holds.add(hold)
    this.changed()
    return hold
  }

  /** @override @param {Hold} hold @param {0 | 1} [failed] */
  end(hold, failed = 0) {
    if (hold.isOver) return
    hold.isOver = true
    if (this.#holds.delete(hold)) {
      this.#taken -= hold.weight
      this.changed()
      waiters.release(hold.slot, hold.token, failed)
    } else {
      // A release by hand has ended this hold; it was another holder's, and this is that one's.
      this.giveBack(hold.weight)
    }
  }

  /**
   * What a caller gets that gives back itself. Bound, as it is handed on.
   * @param {Hold} hold
   * @returns {import('../../index').Releaser}
   */
  releaser = (hold) => {
    const release = /** @type {any} */ (() => this.end(hold))
    release[DISPOSE] = release
    return release
  }

  /** The same with the free units before. @param {Hold} hold @returns {[number, import('../../index').Releaser]} */
  withValue = (hold) => [hold.value, this.releaser(hold)]

  /** Gives back by hand, whoever took it. @param {number} weight */
  giveBack(weight) {
    this.#loose += weight
    /** @type {Hold[]} */
    const ended = []
    let all = this.#all + weight
    for (const hold of this.#holds) {
      if (this.#loose === 0) break
      if (hold.weight > this.#loose) continue
      this.#loose -= hold.weight
      this.#taken -= hold.weight
      all -= hold.weight
      ended.push(hold)
    }
    for (const hold of ended) this.#holds.delete(hold)
    const before = this.#all
    this.#all = all
    this.changed()
    // More units than there are in the end are free at no moment.
    if (all < before) this.#resize()
    for (const { slot, token } of ended) waiters.release(slot, token, 0)
    if (all > before) this.#resize()
  }

  /** Ends the hold of a lock that has but one, if there is one. */
  endAny() {
    const { first } = this.#holds
    if (first !== null) this.end(first)
  }

  /** @param {number} value */
  setValue(value) {
    this.#loose = 0
    this.#all = value + this.#taken
    this.changed()
    this.#resize()
  }

  #resize() {
    const answer = native.resizeSemaphore(face, this.target.ref, permits(this.#all))
    if ((answer & FETCH) !== 0) waiters.fetch()
  }

  /**
   * Resolves when somebody of that priority could have so many units.
   * @param {string} call
   * @param {number} weight
   * @param {import('./class-options').SyncWait} wait
   * @returns {Promise<void>}
   */
  whenFree(call, weight, wait) {
    if (wait.signal?.aborted) return Promise.reject(wait.signal.reason)
    if (this.#isFree(weight, wait.priority)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#onlookers.push(new Onlooker(this, call, weight, wait, resolve, reject))
    })
  }

  /** @param {number} weight @param {number} priority */
  #isFree(weight, priority) {
    return weight <= this.value && priority > this.firstPriority()
  }

  /** @override */
  changed() {
    if (this.#onlookers.length === 0) return
    const admitted = this.#onlookers.filter(({ weight, priority }) => this.#isFree(weight, priority))
    if (admitted.length === 0) return
    this.#onlookers = this.#onlookers.filter((onlooker) => !admitted.includes(onlooker))
    for (const onlooker of admitted) onlooker.admit()
  }

  /** @param {Onlooker} onlooker */
  forget(onlooker) {
    this.#onlookers = this.#onlookers.filter((each) => each !== onlooker)
  }
}

/** @param {number} all */
function permits(all) {
  return Math.min(Math.max(all, 0), MOST_UNITS)
}

module.exports = { Units }
