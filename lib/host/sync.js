// Host locks for those who stand still until they have them: scripts, and whatever must not be asynchronous. The main
// thread may, too: whoever holds the lock is another process or thread and goes on meanwhile, and a hold of the very
// thread that asks is found at once.
// @ts-check
'use strict'

const nesting = require('../nesting')
const { typeError } = require('../errors')
const frames = require('../locks/frames')
const { guards: namedGuards } = require('../locks/guard')
const { takeSync, sleepUntil } = require('../locks/sync')
const { now } = require('../locks/timer')
const claims = require('./claims')
const { faultOf, ofLine, timedOut } = require('./errors')
const { calls, scratch, takeFault, Answer, Told } = require('./face')
const { HostFile } = require('./file')
const { guards } = require('./guard')
const waiting = require('./waiting')

/**
 * @typedef {import('../locks/options').Wait} Wait
 */

/**
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 */
function acquireSync(file, weight, wait) {
  // Inside of a hold or a flow the request takes part in the wait-for graph.
  if (nesting.context() === undefined) {
    const guard = claims.attempt(file, weight, wait.label)
    if (guard !== null) return guard
  }
  const inner = takeInLine(file, weight, wait)
  return claims.hand(file, enterFile(file, weight, wait, inner), inner.guard.token, frames.currentFlow())
}

/**
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @param {(guard: import('./guard').HostGuard) => any} fn
 */
function runSync(file, weight, wait, fn) {
  const inner = takeInLine(file, weight, wait)
  const guard = enterFile(file, weight, wait, inner)
  const frame = frames.openFrame(inner.guard)
  frame.host = guard
  /** @type {0 | 1} */
  let failed = 1
  try {
    const result = nesting.enter(frame, fn, guard)
    if (typeof result?.then === 'function') {
      // Nobody else listens to it: its failure would end the process.
      Promise.resolve(result).catch(() => {})
      throw typeError(
        'ERR_LOCK_INVALID_ARGUMENT',
        'withLockSync: fn must not be asynchronous: it returned a promise, and the lock is free again; use withLock()',
      )
    }
    failed = 0
    return result
  } finally {
    frame.open = false
    guards.end(guard, failed)
  }
}

const HELD = 'this very thread holds it, and would stand still'
const ASKED =
  'this very thread has asked for it already, by acquire() or withLock(); that request is before this one, and does ' +
  'not go on while the thread stands still'

/**
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 */
function takeInLine(file, weight, wait) {
  const askedAt = wait.timeoutMs < 0 ? 0 : now()
  const watch = new LineWatch(file, claims.labelOf(wait))
  try {
    return { guard: takeSync(file.target, weight, wait, watch), askedAt }
  } catch (error) {
    throw ofLine(file, weight, error, HostFile.isHeldHere(file.path) ? HELD : ASKED)
  }
}

/** Whether a wait in the process's own line is part of a circle over several processes. */
class LineWatch {
  #file
  #label
  /** @type {number | null} */
  #ticket = null
  /** @type {Error | null} */
  #error = null

  /** @param {HostFile} file @param {string | undefined} label */
  constructor(file, label) {
    this.#file = file
    this.#label = label
  }

  begin() {
    // Nothing that this thread holds is given back while it stands still.
    const around = HostFile.allHolds()
    if (around.length === 0) return
    this.#ticket = claims.watchLine(this.#file, around, this.#label, (error) => {
      this.#error = error
    })
  }

  /** Why the wait is to end. */
  look() {
    if (this.#ticket !== null) waiting.look(this.#ticket)
    return this.#error
  }

  end() {
    if (this.#ticket !== null) waiting.cancel(this.#ticket)
  }
}

/**
 * @param {HostFile} file
 * @param {number} weight
 * @param {Wait} wait
 * @param {{ guard: import('../locks/guard').LockGuard, askedAt: number }} inner
 */
function enterFile(file, weight, wait, { guard: inner, askedAt }) {
  const { timeoutMs } = wait
  const leftMs = timeoutMs < 0 ? timeoutMs : Math.max(0, timeoutMs - (now() - askedAt))
  try {
    const answer = claims.askFile(file, weight, wait, leftMs)
    if (answer >= 0) return claims.makeGuard(file, weight, wait, inner, answer, scratch[2], scratch[3], scratch[4])
    if (answer !== Answer.WAITING) throw faultOf(takeFault(scratch[0]), file.path)
    const ticket = scratch[0]
    // Nothing that this thread holds is given back while it stands still.
    for (const hold of HostFile.allHolds()) calls.within(ticket, hold)
    sleepUntil(() => calls.poll(ticket) !== 0)
    const [kind, , second, token, at, died] = scratch
    if (kind === Told.GRANTED) return claims.makeGuard(file, weight, wait, inner, token, at, second, died)
    throw kind === Told.TIMED_OUT
      ? timedOut(file, weight, timeoutMs - leftMs + second, 0)
      : claims.failure(takeFault(second), file, claims.labelOf(wait))
  } catch (error) {
    namedGuards.end(inner, 0)
    throw error
  }
}

module.exports = { acquireSync, runSync }
