// Requests for host locks: first for the process's own lock of the file (`locks/claims.js`: its line, timeouts,
// signals and wait-for graph), then, with what is left of the time, for the kernel's.
//
// The uncontended path is one raw call for both, a guard and, for the callers that want one, a promise.
// @ts-check
'use strict'

const nesting = require('../nesting')
const aborts = require('../locks/aborts')
const named = require('../locks/claims')
const frames = require('../locks/frames')
const { guards: namedGuards } = require('../locks/guard')
const options = require('../locks/options')
const { now } = require('../locks/timer')
const { faultOf, ofLine, timedOut } = require('./errors')
const { calls, scratch, takeFault, Answer } = require('./face')
const { HostFile } = require('./file')
const { guards, HostGuard } = require('./guard')
const waiting = require('./waiting')

/**
 * @typedef {import('../locks/options').Wait} Wait
 * @typedef {import('../locks/guard').LockGuard} LockGuard
 * @typedef {(guard: HostGuard) => any} Body
 */

/** What a flow keeps: the hold of the process's own lock counts; the guard is not collected before the flow ends. */
class Kept {
  /** @param {HostGuard} host @param {string} name @param {number} token */
  constructor(host, name, token) {
    this.host = host
    this.names = [name]
    this.token = token
  }

  get mode() {
    return this.host.mode
  }

  get released() {
    return this.host.released
  }

  check() {
    return this.host.check()
  }
}

/**
 * A guard of the user's, or of the flow around the request.
 * @param {HostFile} file
 * @param {HostGuard} guard
 * @param {number} inner The token of the process's own lock.
 * @param {frames.Flow | null} flow
 */
function hand(file, guard, inner, flow) {
  guards.track(guard)
  if (flow !== null) flow.keep(new Kept(guard, file.target.name, inner))
  return guard
}

/**
 * Asks without waiting, for both at once.
 * @param {HostFile} file
 * @param {number} weight
 * @param {string} [label]
 * @returns {HostGuard | null}
 */
function attempt(file, weight, label) {
  const { target, number } = file
  const token =
    label === undefined
      ? calls.tryAcquire(target.ref, number, weight)
      : calls.tryAcquire(target.ref, number, weight, label)
  if (token < 0) {
    if (token === Answer.FAULT) throw faultOf(takeFault(scratch[0]), file.path)
    return null
  }
  const inner = scratch[1]
  const guard = new HostGuard(file, weight, label, scratch[0], inner, token, scratch[2], scratch[3], scratch[4])
  return hand(file, guard, inner, frames.currentFlow())
}

/**
 * Asks and, if need be, waits. The guard is the user's.
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @returns {HostGuard | Promise<HostGuard>}
 */
function request(file, weight, wait) {
  const { signal } = wait
  if (signal !== undefined && signal.aborted) return Promise.reject(signal.reason)
  // Inside of a hold or a flow the request takes part in the wait-for graph.
  if (nesting.context() === undefined) {
    const guard = attempt(file, weight, wait.label)
    if (guard !== null) return guard
  }
  const flow = frames.currentFlow()
  /** @param {LockGuard} inner @param {number} timeoutMs */
  const enter = (inner, timeoutMs) => {
    const guard = enterFile(file, weight, wait, timeoutMs, inner)
    if (guards.isOne(guard)) return hand(file, guard, inner.token, flow)
    return guard.then((granted) => hand(file, granted, inner.token, flow))
  }
  return afterLine(file, weight, wait, enter)
}

/**
 * Asks, runs `fn` in a frame and gives back. `fn` starts at once when the lock is free.
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @param {Body} fn
 * @returns {Promise<any>}
 */
function run(file, weight, wait, fn) {
  /** @param {LockGuard} held @param {number} timeoutMs */
  const enter = (held, timeoutMs) =>
    named.runIn(held, (inner) => {
      const frame = nesting.context()
      const guard = enterFile(file, weight, wait, timeoutMs, inner)
      return guards.isOne(guard) ? runHeld(frame, guard, fn) : guard.then((granted) => runHeld(frame, granted, fn))
    })
  return Promise.resolve(afterLine(file, weight, wait, enter))
}

/**
 * Waits for the process's own lock, and goes on with what is left of the time.
 * @template T
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @param {(inner: LockGuard, timeoutMs: number) => T | Promise<T>} next
 * @returns {T | Promise<T>}
 */
function afterLine(file, weight, wait, next) {
  const { timeoutMs } = wait
  const watch = nesting.context() === undefined ? null : watched(file, wait)
  const inner = named.take(file.target, weight, watch === null ? wait : watch.wait, named.CALL)
  if (namedGuards.isOne(inner)) {
    watch?.end()
    return next(inner, timeoutMs)
  }
  const askedAt = now()
  // Who closes the lock meanwhile does not take the file's number away: the kernel is still to be asked by it.
  file.waitBegins()
  if (watch !== null) inner.then(watch.end, watch.end)
  return inner.then(
    (granted) => {
      try {
        return next(granted, timeoutMs < 0 ? timeoutMs : Math.max(0, timeoutMs - (now() - askedAt)))
      } finally {
        file.waitEnds()
      }
    },
    (error) => {
      const told = ofLine(file, weight, error)
      file.waitEnds()
      throw told
    },
  )
}

/**
 * The process's own line is part of circles over several processes, too: somebody before us in it may wait for the
 * kernel's lock, whose holder waits for what is held around us.
 * @param {HostFile} file
 * @param {readonly number[]} around The holds around the request.
 * @param {string | undefined} label Of the request.
 * @param {(error: Error) => void} refuse Is told the circle.
 * @returns {number} The ticket of the watch.
 */
function watchLine(file, around, label, refuse) {
  // An answer to a mailbox that is not open would be lost.
  waiting.open()
  const ticket = calls.wants(file.number)
  for (const hold of around) calls.within(ticket, hold)
  waiting.add(ticket, {
    file,
    granted() {},
    timedOut() {},
    failed: (fault) => refuse(failure(fault, file, label)),
  })
  return ticket
}

/**
 * A wait in the process's own line that also ends when it is part of a circle.
 * @param {HostFile} file
 * @param {Wait} wait
 * @returns {{ wait: Wait, end(): void } | null} Null when no host lock is held around the request.
 */
function watched(file, wait) {
  const around = [...holdsAround()]
  if (around.length === 0) return null
  const controller = new AbortController()
  const ticket = watchLine(file, around, labelOf(wait), (error) => controller.abort(error))
  const signal = wait.signal === undefined ? controller.signal : AbortSignal.any([wait.signal, controller.signal])
  return { wait: Object.assign(new options.Wait(wait.timeoutMs), wait, { signal }), end: () => waiting.cancel(ticket) }
}

/** Waits for the kernel's lock. When it is not granted, it gives back the process's own. */
class Entering {
  #weight
  #label
  #wait
  #inLineMs
  #inner
  #resolve

  /**
   * @param {HostFile} file
   * @param {number} weight
   * @param {Wait} wait
   * @param {number} inLineMs How long it has waited in the line of the process.
   * @param {LockGuard} inner
   * @param {(value: any) => void} resolve
   */
  constructor(file, weight, wait, inLineMs, inner, resolve) {
    this.file = file
    this.#weight = weight
    this.#label = labelOf(wait)
    this.#wait = wait
    this.#inLineMs = inLineMs
    this.#inner = inner
    this.#resolve = resolve
  }

  /** @param {waiting.Grant} grant */
  granted({ token, at, hold, died }) {
    this.#unfollow()
    this.#resolve(makeGuard(this.file, this.#weight, this.#wait, this.#inner, token, at, hold, died))
  }

  /** @param {number} waitedMs */
  timedOut(waitedMs) {
    this.#fail(timedOut(this.file, this.#weight, this.#inLineMs + waitedMs, 0))
  }

  /** @param {import('./errors').Fault} fault */
  failed(fault) {
    this.#fail(failure(fault, this.file, this.#label))
  }

  /** @param {number} ticket @param {unknown} reason */
  aborted(ticket, reason) {
    waiting.cancel(ticket)
    this.#fail(reason)
  }

  #unfollow() {
    const { signal } = this.#wait
    if (signal !== undefined) aborts.unfollow(signal, this)
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#unfollow()
    namedGuards.end(this.#inner, 0)
    this.#resolve(Promise.reject(error))
  }
}

/**
 * Asks the kernel, for who has the process's own lock.
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @param {number} timeoutMs
 * @param {LockGuard} inner
 * @returns {HostGuard | Promise<HostGuard>}
 */
function enterFile(file, weight, wait, timeoutMs, inner) {
  const { signal } = wait
  if (signal !== undefined && signal.aborted) return refuse(inner, signal.reason)
  const answer = askFile(file, weight, wait, timeoutMs)
  if (answer >= 0) return makeGuard(file, weight, wait, inner, answer, scratch[2], scratch[3], scratch[4])
  if (answer !== Answer.WAITING) return refuse(inner, faultOf(takeFault(scratch[0]), file.path))
  const ticket = scratch[0]
  return new Promise((resolve) => {
    const entering = new Entering(file, weight, wait, wait.timeoutMs - timeoutMs, inner, resolve)
    waiting.add(ticket, entering)
    if (signal !== undefined) aborts.follow(signal, entering, ticket)
  })
}

/**
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @param {number} timeoutMs
 */
function askFile({ number }, weight, wait, timeoutMs) {
  // An answer to a mailbox that is not open would be lost.
  waiting.open()
  const label = labelOf(wait)
  const answer =
    label === undefined ? calls.wait(number, weight, timeoutMs) : calls.wait(number, weight, timeoutMs, label)
  if (answer === Answer.WAITING) tellAround(scratch[0])
  return answer
}

/**
 * Why a wait failed.
 * @param {import('./errors').Fault} fault
 * @param {HostFile} file
 * @param {string | undefined} label Of the request.
 */
function failure(fault, file, label) {
  const ours = { request: label ?? null, hold: fault.cycle ? HostFile.labelHere(fault.cycle[0].holds) : null }
  return faultOf(fault, file.path, ours)
}

/** @param {Wait} wait */
const labelOf = (wait) => wait.label ?? frames.flowLabel()

/**
 * Says inside of which host locks the request waits: by that, circles over several processes are found.
 * @param {number} ticket
 */
function tellAround(ticket) {
  for (const hold of holdsAround()) calls.within(ticket, hold)
}

/**
 * The holds of host locks around this call, of frames and flows; those of another copy have other numbers. Those that
 * are over stand in nobody's way: their lock may be somebody else's by now.
 */
function* holdsAround() {
  for (let at = /** @type {any} */ (nesting.context()); at !== undefined; at = at.outer) {
    if (at.hold.key !== frames.KEY || !at.hold.open) continue
    const around = at.guard === null ? Array.from(at.guards, (kept) => kept.host) : [at.host]
    for (const guard of around) if (guards.isOne(guard) && guard.check()) yield guards.hold(guard)
  }
}

/** @param {LockGuard} inner @param {unknown} reason @returns {Promise<never>} */
function refuse(inner, reason) {
  namedGuards.end(inner, 0)
  return Promise.reject(reason)
}

/**
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @param {LockGuard} inner
 * @param {number} token
 * @param {number} at
 * @param {number} hold
 * @param {number} died
 */
function makeGuard(file, weight, { label }, inner, token, at, hold, died) {
  const { slot } = namedGuards.facts(inner)
  return new HostGuard(file, weight, label, slot, inner.token, token, at, hold, died)
}

/**
 * Runs `fn(guard)` and gives the kernel's lock back, however `fn` ends; who called gives back the process's own.
 * @param {any} frame Of the process's own lock; what is asked for inside is asked for inside of this hold.
 * @param {HostGuard} guard
 * @param {Body} fn
 */
function runHeld(frame, guard, fn) {
  frame.host = guard
  let result
  try {
    result = fn(guard)
  } catch (error) {
    guards.leaveFile(guard)
    throw error
  }
  if (result === null || (typeof result !== 'object' && typeof result !== 'function')) {
    guards.leaveFile(guard)
    return result
  }
  return Promise.resolve(result).finally(() => guards.leaveFile(guard))
}

module.exports = { hand, attempt, request, run, watchLine, labelOf, askFile, failure, makeGuard }
