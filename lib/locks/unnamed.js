// A lock without a name as the classes stand on it: an ordinary lock of the native side that nobody else can
// reach, and the requests of its one object that wait.
// @ts-check
'use strict'

const aborts = require('./aborts')
const { Chain, Item } = require('./chain')
const { Answer, calls, scratch } = require('./face')
const { deadlock, refused, timedOut, wanted } = require('./errors')
const { currentFlow, flowLabel, openFrame, putAncestors } = require('./frames')
const nesting = require('../nesting')
const { openTarget } = require('./targets')
const waiters = require('./waiters')

/** @typedef {import('./class-options').SyncWait} SyncWait */

/** @type {(value: any) => void} */
let resolving
/** @type {(error: unknown) => void} */
let rejecting
/**
 * Takes out what settles a promise, without a closure a promise.
 * @param {(value: any) => void} resolve
 * @param {(error: unknown) => void} reject
 */
const takeSettlers = (resolve, reject) => {
  resolving = resolve
  rejecting = reject
}

/** @param {any} hold */
const itself = (hold) => hold

/**
 * A request that waits.
 * @template H, T
 */
class Request extends Item {
  #line
  #weight
  #label
  #hand
  #ticket
  #resolve
  #reject

  /**
   * @param {Line<H>} line
   * @param {number} weight
   * @param {SyncWait} wait
   * @param {string | undefined} label
   * @param {(hold: H) => T} hand Makes of the hold what the caller gets.
   * @param {number} ticket
   * @param {(value: T) => void} resolve
   * @param {(error: unknown) => void} reject
   */
  constructor(line, weight, wait, label, hand, ticket, resolve, reject) {
    super()
    this.#line = line
    this.#weight = weight
    this.wait = wait
    this.#label = label
    this.#hand = hand
    this.#ticket = ticket
    this.#resolve = resolve
    this.#reject = reject
  }

  start() {
    this.#line.enlist(this)
    waiters.add(this.#ticket, this)
    if (this.wait.signal) aborts.follow(this.wait.signal, this, this.#ticket)
  }

  /** @param {number} token @param {number} slot @param {number} at */
  granted(token, slot, at) {
    this.#leave()
    this.#resolve(this.#hand(this.#line.hold(this.#weight, this.#label, slot, token, at)))
    return true
  }

  /** @param {number} position @param {any} report @param {number} waitedMs */
  timedOut(position, report, waitedMs) {
    this.fail(this.wait.timeoutError ?? timedOut(this.#words(), waitedMs, position, report))
  }

  /** @param {any} report */
  deadlocked(report) {
    this.fail(deadlock(this.#words(), report))
  }

  /** @param {number} ticket @param {unknown} reason */
  aborted(ticket, reason) {
    if (waiters.cancel(ticket)) this.fail(reason)
  }

  /** Takes it out of the line; it still has to be told. False when its answer is on the way. */
  withdraw() {
    return waiters.cancel(this.#ticket)
  }

  /** @param {unknown} error */
  fail(error) {
    this.#leave()
    this.#reject(error)
    this.#line.changed()
  }

  #leave() {
    this.#line.delist(this)
    if (this.wait.signal) aborts.unfollow(this.wait.signal, this)
  }

  #words() {
    return this.#line.words(this.#weight)
  }
}

/**
 * @template H What a hold is to the class that stands on this.
 */
class Line {
  /** @type {Chain<Request<H, any>>} */
  #waiting = new Chain()
  /** How many wait with the usual priority, 0, and with each other one. */
  #usual = 0
  /** @type {Map<number, number>} */
  #unusual = new Map()
  /** Whether it is known what its holders wait for, so that deadlocks are found. */
  #isInGraph

  /**
   * @param {'lock' | 'semaphore'} kind
   * @param {number} permits Of a semaphore.
   * @param {boolean} isInGraph Not where others than the holder may release: no wait is known to be for ever then.
   */
  constructor(kind, permits, isInGraph) {
    this.#isInGraph = isInGraph
    // A lock without a name is a new one: it has no other permits.
    this.target = /** @type {import('./targets').Opened} */ (openTarget(kind, null, permits))
  }

  // What the classes say.

  /** What the native side is asked for. @param {number} weight */
  nativeWeight(weight) {
    return weight
  }

  /**
   * Made of a grant.
   * @param {number} _weight
   * @param {string | undefined} _label
   * @param {number} _slot
   * @param {number} _token
   * @param {number} _at
   * @returns {H}
   */
  hold(_weight, _label, _slot, _token, _at) {
    throw new TypeError('a line makes its own holds')
  }

  /** Gives a hold back. @param {H} _hold @param {0 | 1} _failed Whether its callback threw. */
  end(_hold, _failed) {}

  /** Somebody left the line, or units came back. */
  changed() {}

  // What the classes use.

  /**
   * Takes what can be had at once.
   * @param {number} weight
   * @returns {H | null}
   */
  attempt(weight) {
    const label = flowLabel()
    const token = calls.tryAcquire(this.target.ref, this.nativeWeight(weight), label)
    return token > 0 ? this.hold(weight, label, scratch[0], token, scratch[1]) : null
  }

  /**
   * Asks natively: the hold, or the answer, which the scratch array says more about.
   * @param {number} weight
   * @param {SyncWait} wait
   * @returns {H | number}
   */
  #take(weight, wait) {
    const asked = this.nativeWeight(weight)
    const label = wait.label ?? flowLabel()
    // An answer to a mailbox that is not open would be lost.
    waiters.open()
    const { timeoutMs, priority, flags } = wait
    // Inside of a hold there is more to say than the short call can.
    const isInside = this.#isInGraph && nesting.context() !== undefined
    const isPlain = label === undefined && priority === 0 && flags === 0 && !isInside
    const answer = isPlain
      ? calls.request(this.target.ref, asked, timeoutMs)
      : calls.request(this.target.ref, asked, timeoutMs, priority, flags, isInside ? putAncestors() : 0, label)
    return answer > 0 ? this.hold(weight, label, scratch[0], answer, scratch[1]) : answer
  }

  /**
   * @template T
   * @param {number} answer
   * @param {number} weight
   * @param {SyncWait} wait
   * @param {(hold: H) => T} hand
   * @returns {Promise<T>}
   */
  #wait(answer, weight, wait, hand) {
    if (answer !== Answer.WAITING) return Promise.reject(refused(answer, () => this.words(weight)))
    const ticket = scratch[0]
    const isAnswered = scratch[1] === 1
    const promise = new Promise(takeSettlers)
    const label = wait.label ?? flowLabel()
    new Request(this, weight, wait, label, hand, ticket, resolving, rejecting).start()
    if (isAnswered) waiters.fetch()
    return promise
  }

  /**
   * @template T
   * @param {number} weight
   * @param {SyncWait} wait
   * @param {(hold: H) => T} hand Makes of the hold what the caller gets.
   * @returns {Promise<T>}
   */
  ask(weight, wait, hand) {
    const { signal } = wait
    if (signal !== undefined && signal.aborted) return Promise.reject(signal.reason)
    const held = this.#take(weight, wait)
    return typeof held === 'number' ? this.#wait(held, weight, wait, hand) : Promise.resolve(hand(held))
  }

  /**
   * The same for a caller that gives back itself: in a flow the hold counts as held by it.
   * @template T
   * @param {number} weight
   * @param {SyncWait} wait
   * @param {(hold: H) => T} hand
   */
  askFor(weight, wait, hand) {
    const flow = this.#isInGraph ? currentFlow() : null
    if (flow === null) return this.ask(weight, wait, hand)
    return this.ask(weight, wait, (hold) => {
      flow.keep(/** @type {any} */ (hold))
      return hand(hold)
    })
  }

  /**
   * Waits, runs, gives back. As in async-mutex the body never runs before this call has returned.
   * @template T
   * @param {number} weight
   * @param {SyncWait} wait
   * @param {(hold: H) => T} body
   * @returns {Promise<Awaited<T>>}
   */
  async run(weight, wait, body) {
    const hold = /** @type {H} */ (await this.ask(weight, wait, itself))
    const frame = this.#isInGraph ? openFrame(hold) : null
    /** @type {0 | 1} */
    let failed = 1
    try {
      const result = await (frame === null ? body(hold) : nesting.enter(frame, body, hold))
      failed = 0
      return result
    } finally {
      if (frame !== null) frame.open = false
      this.end(hold, failed)
    }
  }

  /** Ends all waits. @param {unknown} error */
  cancel(error) {
    const inLine = [...this.#waiting].sort((one, other) => other.wait.priority - one.wait.priority)
    // From the back: nobody comes to the front while others leave, and so is granted after all.
    const withdrawn = inLine.reverse().filter((request) => request.withdraw())
    for (const request of withdrawn.reverse()) request.fail(error)
  }

  /** @param {Request<H, any>} request */
  enlist(request) {
    const { priority, isOnlooker } = request.wait
    if (isOnlooker) return
    this.#waiting.add(request)
    this.#count(priority, 1)
  }

  /** @param {Request<H, any>} request */
  delist(request) {
    if (this.#waiting.delete(request)) this.#count(request.wait.priority, -1)
  }

  /** @param {number} priority @param {number} change */
  #count(priority, change) {
    if (priority === 0) {
      this.#usual += change
      return
    }
    const left = (this.#unusual.get(priority) ?? 0) + change
    if (left > 0) this.#unusual.set(priority, left)
    else this.#unusual.delete(priority)
  }

  /** The priority of the first in line; below all when nobody waits. */
  firstPriority() {
    return Math.max(this.#usual > 0 ? 0 : -Infinity, ...this.#unusual.keys())
  }

  /** Units in use; −1 when it is held exclusively. */
  state() {
    return calls.state(this.target.ref)
  }

  /** @param {number} weight */
  words(weight) {
    return wanted(this.target, this.nativeWeight(weight))
  }
}

module.exports = { Line }
