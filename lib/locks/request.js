// `locks.request()`: the Web Locks standard, of which this file knows the order of steps, and some more options.
// @ts-check
'use strict'

const diagnosticsChannel = require('node:diagnostics_channel')
const nesting = require('../nesting')
const aborts = require('./aborts')
const { Answer, Flag, calls, scratch } = require('./face')
const { wanted, timedOut, deadlock, refused } = require('./errors')
const frames = require('./frames')
const { guards, LockGuard } = require('./guard')
const options = require('./options')
const order = require('./order')
const { partsEnd } = require('./parts')
const waiters = require('./waiters')

const { DOMException } = globalThis

const channels = {
  start: diagnosticsChannel.channel('locks.request.start'),
  grant: diagnosticsChannel.channel('locks.request.grant'),
  miss: diagnosticsChannel.channel('locks.request.miss'),
  end: diagnosticsChannel.channel('locks.request.end'),
}

/** What a callback gets. */
class Lock {
  #name
  #mode

  /**
   * @param {unknown} key
   * @param {string} name
   * @param {import('../../index').LockMode} mode
   */
  constructor(key, name, mode) {
    if (key !== OURS) throw new TypeError('Illegal constructor')
    this.#name = name
    this.#mode = mode
  }

  get name() {
    return this.#name
  }

  get mode() {
    return this.#mode
  }
}
Object.defineProperty(Lock.prototype, Symbol.toStringTag, { value: 'Lock', configurable: true })
for (const name of /** @type {const} */ (['name', 'mode'])) {
  Object.defineProperty(Lock.prototype, name, { enumerable: true })
}

/** Who may make a lock or a manager. */
const OURS = Symbol('ours')

const resolved = Promise.resolve()

const nothing = () => {}
/** What settles the promise that is being made. @type {(value?: any) => void} */
let resolveMade = nothing
/** @type {(reason: unknown) => void} */
let rejectMade = nothing
/** Takes the two out without a closure a promise. @param {typeof resolveMade} resolve @param {typeof rejectMade} reject */
const takeSettlers = (resolve, reject) => {
  resolveMade = resolve
  rejectMade = reject
}

/** The states of a request: waiting; granted or missed, and its callback about to run; running; settled. */
const WAITING = 0
const GRANTED = 1
const RUNNING = 2
const SETTLED = 3

class Request {
  #state = WAITING
  /** @type {LockGuard | null} */
  #guard = null
  /** @type {frames.Frame | null} */
  #frame = null
  /** What a grant that comes later resolves. @type {((value?: any) => void) | null} */
  #gate = null
  #name
  #asked
  #callback
  #resolve
  #reject

  /**
   * @param {string} name
   * @param {Asked} asked
   * @param {(lock: Lock | null) => any} callback
   */
  constructor(name, asked, callback) {
    this.wait = asked.wait
    this.#name = name
    this.#asked = asked
    this.#callback = callback
    this.promise = new Promise(takeSettlers)
    this.#resolve = resolveMade
    this.#reject = rejectMade
  }

  /** Asks; the callback runs later, in the context of this call. */
  begin() {
    const { ifAvailable, steal, weight, wait } = this.#asked
    if (channels.start.hasSubscribers) channels.start.publish(this.#event())
    // Losing the lock is told through the mailbox, too.
    waiters.open()
    if (ifAvailable) {
      const token = calls.tryAcquire(this.#name, weight, wait.label)
      if (token > 0) this.#hold(token, scratch[0], scratch[1])
      else this.#state = GRANTED
      resolved.then(() => this.#run())
      return
    }
    const answer = ask(this.#name, weight, wait, steal)
    if (answer > 0) {
      this.#hold(answer, scratch[0], scratch[1])
      resolved.then(() => this.#run())
      if (wait.signal) aborts.follow(wait.signal, this, 0)
      // Those who have lost it to this request hear of it at once, if they are of this thread.
      if (steal) waiters.fetch()
    } else if (answer === Answer.WAITING) {
      this.#queue(scratch[0], scratch[1] === 1)
    } else {
      this.#settle(refused(answer, () => this.#words()))
    }
  }

  /** @param {number} ticket @param {boolean} isAnswered */
  #queue(ticket, isAnswered) {
    const gate = new Promise(takeSettlers)
    this.#gate = resolveMade
    gate.then(() => this.#run())
    waiters.add(ticket, this)
    if (this.wait.signal) aborts.follow(this.wait.signal, this, ticket)
    if (isAnswered) waiters.fetch()
  }

  /** @param {number} token @param {number} slot @param {number} at */
  granted(token, slot, at) {
    if (this.#state !== WAITING) return false
    this.#hold(token, slot, at)
    this.#gate?.()
    return true
  }

  /** @param {number} position @param {any} report @param {number} waitedMs */
  timedOut(position, report, waitedMs) {
    this.#settle(timedOut(this.#words(), waitedMs, position, report))
  }

  /** @param {any} report */
  deadlocked(report) {
    this.#settle(deadlock(this.#words(), report))
  }

  /** Until the callback runs, an abort counts. @param {number} ticket @param {unknown} reason */
  aborted(ticket, reason) {
    if (this.#state === WAITING) waiters.cancel(ticket)
    this.#settle(reason)
  }

  /** @param {number} token @param {number} slot @param {number} at */
  #hold(token, slot, at) {
    this.#state = GRANTED
    this.#guard = new LockGuard(this.#name, this.#asked.weight, this.wait.label, slot, token, at)
    waiters.watch(token, this)
  }

  /** Stolen, or force-released. */
  taken() {
    this.#settle(new DOMException('The lock was taken away from this request', 'AbortError'))
  }

  #run() {
    // Given up before it began.
    if (this.#state !== GRANTED) return
    this.#state = RUNNING
    const { signal } = this.wait
    if (signal) aborts.unfollow(signal, this)
    const guard = this.#guard
    const channel = guard === null ? channels.miss : channels.grant
    if (channel.hasSubscribers) channel.publish(this.#event())
    let result
    try {
      if (guard === null) result = this.#callback.call(undefined, null)
      else {
        this.#frame = frames.openFrame(guard)
        result = nesting.enter(this.#frame, this.#callback, new Lock(OURS, this.#name, guard.mode))
      }
    } catch (error) {
      this.#failWith(error)
      return
    }
    if (result === null || (typeof result !== 'object' && typeof result !== 'function')) {
      this.#settleWith(result)
      return
    }
    Promise.resolve(result).then(
      (value) => this.#settleWith(value),
      (error) => this.#failWith(error),
    )
  }

  /** The callback has failed: the lock is given back when the re-entrant parts of the hold have ended. @param {unknown} error */
  #failWith(error) {
    const parts = this.#parts()
    if (parts !== null) parts.then(() => this.#failWith(error))
    else this.#settle(error)
  }

  #parts() {
    return this.#frame === null || this.#state === SETTLED ? null : partsEnd(this.#frame)
  }

  /** The callback has ended; as above. @param {unknown} value */
  #settleWith(value) {
    const parts = this.#parts()
    if (parts !== null) {
      parts.then(() => this.#settleWith(value))
      return
    }
    if (this.#state === SETTLED) return
    this.#giveBack(0)
    this.#publishEnd(undefined)
    this.#resolve(value)
  }

  /** @param {unknown} error */
  #settle(error) {
    if (this.#state === SETTLED) return
    if (this.#state !== RUNNING && this.wait.signal) aborts.unfollow(this.wait.signal, this)
    this.#giveBack(1)
    this.#publishEnd(error)
    this.#reject(error)
  }

  /** First the lock, then the promise. @param {0 | 1} failed */
  #giveBack(failed) {
    const wasRunning = this.#state === RUNNING
    this.#state = SETTLED
    if (this.#frame !== null) this.#frame.open = false
    if (this.#guard === null) return
    waiters.unwatch(this.#guard.token)
    guards.end(this.#guard, wasRunning ? failed : 0)
  }

  #words() {
    return wanted(this.#name, this.#asked.weight)
  }

  #event() {
    return { name: this.#name, mode: this.#asked.mode }
  }

  /** @param {unknown} error */
  #publishEnd(error) {
    if (!channels.end.hasSubscribers) return
    const { steal, ifAvailable } = this.#asked
    channels.end.publish({ ...this.#event(), steal, ifAvailable, error })
  }
}

/**
 * @param {string} name
 * @param {number} weight
 * @param {import('./options').Wait} wait
 * @param {boolean} steal
 */
function ask(name, weight, wait, steal) {
  if (!steal && wait.label === undefined && nesting.context() === undefined) {
    const token = calls.tryAcquire(name, weight)
    if (token > 0) return token
  }
  if (nesting.context() !== undefined) order.tellSite()
  const count = frames.putAncestors()
  const { timeoutMs, priority, flags, label } = wait
  const all = steal ? flags | Flag.STEAL : flags
  const answer = calls.request(name, weight, timeoutMs, priority, all, count, label ?? frames.flowLabel())
  if (count > 0) order.hear()
  return answer
}

/**
 * @typedef {{
 *   mode: import('../../index').LockMode, weight: 0 | 1, ifAvailable: boolean, steal: boolean,
 *   wait: import('./options').Wait,
 * }} Asked
 */

const PLAIN_WAIT = new options.Wait(-1)
PLAIN_WAIT.flags = Flag.WEB
/** @type {Asked} */
const PLAIN = { mode: 'exclusive', weight: 0, ifAvailable: false, steal: false, wait: PLAIN_WAIT }

/**
 * A dictionary as the standard's language reads one: members in the order of their names, each once.
 * @param {unknown} given
 * @returns {Asked}
 */
function readOptions(given) {
  if (given === undefined || given === null) return PLAIN
  if (typeof given !== 'object' && typeof given !== 'function') {
    throw new TypeError(`Failed to execute 'request' on 'LockManager': options is not an object`)
  }
  const from = /** @type {any} */ (given)
  const ifAvailable = Boolean(from.ifAvailable)
  const mode = readWord(from.mode, 'mode', ['exclusive', 'shared'])
  const { signal } = from
  if (signal !== undefined && !isSignal(signal)) {
    throw new TypeError(`Failed to execute 'request' on 'LockManager': options.signal is not an AbortSignal`)
  }
  const steal = Boolean(from.steal)
  // The standard's end here; the rest are this package's.
  const wait = new options.Wait(options.timeout('request', from.timeoutMs, Infinity))
  wait.signal = signal
  wait.priority = options.priority('request', from.priority)
  wait.label = options.cleanLabel('request', from.label)
  wait.flags = readWord(from.deadlock, 'deadlock', ['hang', 'error']) === 'hang' ? Flag.WEB : 0
  wait.ref = from.ref === undefined || Boolean(from.ref)
  return { mode, weight: mode === 'exclusive' ? 0 : 1, ifAvailable, steal, wait }
}

/**
 * @template {string} T
 * @param {unknown} value
 * @param {string} name
 * @param {readonly [T, T]} words The first is the default.
 * @returns {T}
 */
function readWord(value, name, words) {
  if (value === undefined) return words[0]
  const word = /** @type {T} */ (`${/** @type {any} */ (value)}`)
  if (words.includes(word)) return word
  throw new TypeError(
    `Failed to execute 'request' on 'LockManager': options.${name} must be '${words[0]}' or '${words[1]}'`,
  )
}

/** @param {unknown} value */
function isSignal(value) {
  return value instanceof AbortSignal || options.looksLikeSignal(value)
}

/** @param {string} message */
const notSupported = (message) => new DOMException(message, 'NotSupportedError')

/**
 * @param {unknown[]} given As `request` got them.
 * @returns {Promise<any>}
 */
function request(given) {
  if (given.length < 2) {
    throw new TypeError(`Failed to execute 'request' on 'LockManager': 2 arguments required, but only ${given.length} present`)
  }
  const name = `${/** @type {any} */ (given[0])}`
  const asked = given.length === 2 ? PLAIN : readOptions(given[1])
  const callback = given[given.length === 2 ? 1 : 2]
  if (typeof callback !== 'function') {
    throw new TypeError(`Failed to execute 'request' on 'LockManager': the callback is not a function`)
  }
  if (name.charCodeAt(0) === 0x2d) throw notSupported(`Names that begin with '-' are reserved`)
  const { ifAvailable, steal, mode, wait } = asked
  if (steal && ifAvailable) throw notSupported('steal and ifAvailable exclude each other')
  if (steal && mode !== 'exclusive') throw notSupported('steal is for exclusive locks')
  if (wait.signal && (steal || ifAvailable)) throw notSupported('signal excludes steal and ifAvailable')
  if (wait.signal?.aborted) throw wait.signal.reason
  const made = new Request(name, asked, /** @type {(lock: Lock | null) => any} */ (callback))
  made.begin()
  // They would keep what the callback answers.
  resolveMade = rejectMade = nothing
  return made.promise
}

module.exports = { Lock, OURS, request }
