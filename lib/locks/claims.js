// Requests for named locks and semaphores, granted at once or later, and what runs while they are held. Whatever
// waits or runs comes through here; the faces (`manager.js`, `handle.js`, the classes) check what they are given.
//
// The uncontended path is one raw call, a guard and, for the callers that want one, a promise: no options are
// parsed, nothing is closed over, no async function is entered.
// @ts-check
'use strict'

const nesting = require('../nesting')
const aborts = require('./aborts')
const { native, face, calls, scratch, Answer } = require('./face')
const { wanted, timedOut, deadlock, refused } = require('./errors')
const frames = require('./frames')
const { guards, makeGuard } = require('./guard')
const joined = require('./joined')
const order = require('./order')
const { partsEnd } = require('./parts')
const { openTarget } = require('./targets')
const waiters = require('./waiters')

/**
 * @typedef {import('./targets').Target} Target
 * @typedef {import('./options').Wait} Wait
 * @typedef {import('./guard').LockGuard} LockGuard
 * @typedef {(argument: any) => any} Body
 */

/** Where a granted guard goes: to a call that gives it back itself, to the user, to nobody any more, or to a flow. */
const CALL = Symbol('a call')
const USER = Symbol('the user')
const NOBODY = Symbol('nobody')

/** @typedef {typeof CALL | typeof USER | typeof NOBODY | frames.Flow} Home */

/** @returns {Home} */
const userOrFlow = () => frames.currentFlow() ?? USER

/**
 * @param {Target} target
 * @param {number} weight
 * @param {string | undefined} label
 * @param {number} slot
 * @param {number} token
 * @param {number} at
 * @param {Home} home
 */
function hand(target, weight, label, slot, token, at, home) {
  const guard = makeGuard(target, weight, label, slot, token, at)
  if (home === CALL) return guard
  guards.track(guard)
  if (home !== USER) /** @type {frames.Flow} */ (home).keep(guard)
  return guard
}

/** A request that waits, and the promise that it settles. */
class Waiter {
  // Settled by this one function, failures too: another one would be a sixth of a waiter's memory.
  #resolve
  #target
  #weight
  /** @type {Home} */
  #home

  /**
   * @param {Target} target
   * @param {number} weight
   * @param {Wait} wait
   * @param {Home} home
   * @param {(value: any) => void} resolve
   */
  constructor(target, weight, wait, home, resolve) {
    this.wait = wait
    this.#target = target
    this.#weight = weight
    this.#home = home
    this.#resolve = resolve
  }

  /** @param {number} token @param {number} slot @param {number} at */
  granted(token, slot, at) {
    if (this.#home === NOBODY) return false
    const { signal, label } = this.wait
    if (signal !== undefined) aborts.unfollow(signal, this)
    this.#resolve(hand(this.#target, this.#weight, label, slot, token, at, this.#home))
    return true
  }

  /** @param {number} position @param {any} report @param {number} waitedMs */
  timedOut(position, report, waitedMs) {
    Waiter.#fail(this, timedOut(Waiter.#words(this), waitedMs, position, report))
  }

  /** @param {any} report */
  deadlocked(report) {
    Waiter.#fail(this, deadlock(Waiter.#words(this), report))
  }

  /** @param {number} ticket @param {unknown} reason */
  aborted(ticket, reason) {
    const home = this.#home
    // The answer may be on its way; nobody wants it any more.
    this.#home = NOBODY
    waiters.cancel(ticket)
    if (home !== NOBODY) this.#resolve(Promise.reject(reason))
  }

  // Static, because an object is more expensive to make when it has private methods.

  /** @param {Waiter} waiter */
  static #words(waiter) {
    return wanted(waiter.#target, waiter.#weight)
  }

  /** @param {Waiter} waiter @param {Error} error */
  static #fail(waiter, error) {
    const { signal } = waiter.wait
    if (signal !== undefined) aborts.unfollow(signal, waiter)
    if (waiter.#home !== NOBODY) waiter.#resolve(Promise.reject(error))
  }
}

const nothing = () => {}
/** What settles the promise that is being made. @type {(value: any) => void} */
let taken = nothing
/** Takes it out without a closure a promise. @param {(value: any) => void} resolve */
const takeResolve = (resolve) => {
  taken = resolve
}

/**
 * Asks natively. The answer, and what the scratch array says about it, is read before anything else is called.
 * @param {Target} target
 * @param {number} weight
 * @param {Wait} wait
 */
function ask(target, weight, wait) {
  // An answer to a mailbox that is not open would be lost.
  waiters.open()
  if (nesting.context() !== undefined) order.tellSite()
  const count = frames.putAncestors()
  const label = wait.label ?? frames.flowLabel()
  const { timeoutMs, priority, flags, className } = wait
  if (typeof target === 'string' || target.modes === undefined) {
    const which = typeof target === 'string' ? target : target.ref
    // Each argument of a raw call takes its time.
    const answer =
      label === undefined && className === undefined
        ? calls.request(which, weight, timeoutMs, priority, flags, count)
        : calls.request(which, weight, timeoutMs, priority, flags, count, label, className)
    if (count > 0) order.hear()
    return answer
  }
  const names = [...target.modes.keys()]
  const weights = Array.from(target.modes.values(), (mode) => (mode === 'exclusive' ? 0 : 1))
  const answer = native.requestAll(face, names, weights, timeoutMs, priority, flags, count, label, className)
  if (count > 0) order.hear()
  return answer
}

/**
 * Whether there is nothing to say but how long it waits: no hold or flow is around it, either.
 * @param {Target} target
 * @param {Wait} wait
 * @returns {target is Exclude<Target, import('./targets').Several>}
 */
function isPlain(target, wait) {
  return (
    wait.priority === 0 &&
    wait.flags === 0 &&
    wait.label === undefined &&
    wait.className === undefined &&
    (typeof target === 'string' || target.modes === undefined) &&
    nesting.context() === undefined
  )
}

/**
 * @param {Exclude<Target, import('./targets').Several>} target
 * @param {number} weight
 * @param {Wait} wait
 */
function askPlainly(target, weight, wait) {
  // An answer to a mailbox that is not open would be lost.
  waiters.open()
  const answer = calls.request(typeof target === 'string' ? target : target.ref, weight, wait.timeoutMs)
  if (answer < 0) order.hear()
  return answer
}

/**
 * @param {Target} target
 * @param {number} weight
 * @param {Wait} wait
 * @param {Home} home
 * @returns {LockGuard | Promise<LockGuard>} A guard that was granted at once; a promise in all other cases.
 */
function take(target, weight, wait, home) {
  const { signal, label } = wait
  if (signal !== undefined && signal.aborted) return Promise.reject(signal.reason)
  const answer = isPlain(target, wait) ? askPlainly(target, weight, wait) : ask(target, weight, wait)
  if (answer > 0) return hand(target, weight, label, scratch[0], answer, scratch[1], home)
  if (answer !== Answer.WAITING) return Promise.reject(refused(answer, () => wanted(target, weight)))
  const ticket = scratch[0]
  const isAnswered = scratch[1] === 1
  /** @type {Promise<LockGuard>} */
  const promise = new Promise(takeResolve)
  const waiter = new Waiter(target, weight, wait, home, taken)
  // It would keep the guard from being collected.
  taken = nothing
  waiters.add(ticket, waiter)
  if (signal !== undefined) aborts.follow(signal, waiter, ticket)
  if (isAnswered) waiters.fetch()
  return promise
}

/**
 * @param {Target} target
 * @param {number} weight
 * @param {string | undefined} label
 */
function attemptRaw(target, weight, label) {
  const which = typeof target === 'string' ? target : target.ref
  return label === undefined ? calls.tryAcquire(which, weight) : calls.tryAcquire(which, weight, label)
}

/**
 * Asks without waiting.
 * @param {Target} target
 * @param {number} weight
 * @param {string} [label]
 * @returns {LockGuard | null}
 */
function attempt(target, weight, label) {
  const token = attemptRaw(target, weight, label)
  if (token < 0) return null
  return hand(target, weight, label, scratch[0], token, scratch[1], userOrFlow())
}

/**
 * Asks and, if need be, waits. The guard is the user's.
 * @param {Target} target
 * @param {number} weight
 * @param {Wait} wait
 */
function request(target, weight, wait) {
  return take(target, weight, wait, userOrFlow())
}

/**
 * Asks, runs `fn` in a frame and gives back. `fn` starts at once when the lock is free.
 * @param {Target} target
 * @param {number} weight
 * @param {Wait} wait
 * @param {Body} fn
 * @returns {Promise<any>}
 */
function run(target, weight, wait, fn) {
  if (wait.reentrant) {
    const entered = joined.enter(target, weight, wait, fn, (rest) => run(target, weight, rest, fn))
    if (entered !== undefined) return entered
  }
  const held = take(target, weight, wait, CALL)
  return guards.isOne(held) ? runHeld(held, fn) : held.then((guard) => runHeld(guard, fn))
}

/**
 * Runs `fn(guard)` in a frame of that hold and gives the hold back, however `fn` ends.
 * @param {LockGuard} guard
 * @param {Body} fn
 * @returns {Promise<any>}
 */
function runIn(guard, fn) {
  guards.untrack(guard)
  return runHeld(guard, fn)
}

/**
 * @param {LockGuard} guard
 * @param {Body} fn
 * @returns {Promise<any>}
 */
function runHeld(guard, fn) {
  const frame = frames.openFrame(guard)
  let result
  try {
    result = nesting.enter(frame, fn, guard)
  } catch (error) {
    const parts = end(frame, guard, 1)
    return parts === null ? Promise.reject(error) : parts.then(() => Promise.reject(error))
  }
  if (result === null || (typeof result !== 'object' && typeof result !== 'function')) {
    const parts = end(frame, guard, 0)
    return parts === null ? Promise.resolve(result) : parts.then(() => result)
  }
  // Any thenable is waited for. What is no promise is made one, which also reads its `then` no more than once.
  return Promise.resolve(result).then(
    (value) => {
      const parts = end(frame, guard, 0)
      return parts === null ? value : parts.then(() => value)
    },
    (error) => {
      const parts = end(frame, guard, 1)
      if (parts === null) throw error
      return parts.then(() => Promise.reject(error))
    },
  )
}

/**
 * Gives the hold back; where re-entrant parts of it are still open, when they have ended.
 * @param {frames.Frame} frame
 * @param {LockGuard} guard
 * @param {0 | 1} failed
 * @returns {Promise<void> | null} Null when it has been given back.
 */
function end(frame, guard, failed) {
  const parts = partsEnd(frame)
  if (parts !== null) return parts.then(() => end(frame, guard, failed) ?? undefined)
  frame.open = false
  guards.end(guard, failed)
  return null
}

/**
 * Runs `fn` as a flow: the guards acquired in it count as held by it.
 * @param {string | undefined} label
 * @param {() => any} fn
 * @returns {Promise<any>}
 */
function flow(label, fn) {
  const around = frames.openFlow(label)
  let result
  try {
    result = Promise.resolve(nesting.enter(around, fn))
  } catch (error) {
    result = Promise.reject(error)
  }
  return result.finally(() => frames.closeFlow(around))
}

/** Runs `fn` as if nothing was held around it. @param {(argument?: any) => any} fn */
const detached = (fn) => nesting.detached(fn)

module.exports = { CALL, openTarget, attempt, request, take, run, runIn, flow, detached }
