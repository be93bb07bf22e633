// `acquireSync`: a worker thread stands still until it has the lock. It sleeps on a cell of its own that nobody
// wakes, in slices that grow, and looks for its answer in between: a thread that sleeps so can be terminated.
// @ts-check
'use strict'

const { isMainThread } = require('node:worker_threads')
const { ChainlockError } = require('../errors')
const { Answer, Flag, calls, scratch, takeText } = require('./face')
const { wanted, timedOut, deadlock, refused } = require('./errors')
const { currentFlow, flowLabel, putAncestors } = require('./frames')
const { guards, makeGuard } = require('./guard')
const waiters = require('./waiters')

/** The first slice and the longest. */
const SHORTEST_MS = 0.05
const LONGEST_MS = 2
/** The kinds of the answer; see `waiters.js`. */
const GRANTED = 1
const TIMED_OUT = 2

/** @type {Int32Array | undefined} */
let cell

/**
 * @param {string} name
 * @param {number} weight
 * @param {import('./options').Wait} wait
 * @returns {import('./guard').LockGuard}
 */
function acquireSync(name, weight, wait) {
  if (isMainThread) {
    throw new ChainlockError(
      'ERR_LOCK_MAIN_THREAD',
      'acquireSync: the main thread must not stand still; use acquire(), or tryAcquire()',
    )
  }
  const guard = takeSync(name, weight, wait)
  guards.track(guard)
  currentFlow()?.keep(guard)
  return guard
}

/**
 * Stands still until it has the lock. The guard is the caller's to give back.
 * @param {Exclude<import('./targets').Target, import('./targets').Several>} target
 * @param {number} weight
 * @param {import('./options').Wait} wait
 * @param {{ begin(): void, look(): Error | null, end(): void }} [watch] Of the wait, if there is one: its error ends it.
 */
function takeSync(target, weight, wait, watch) {
  waiters.open()
  const label = wait.label ?? flowLabel()
  const { timeoutMs, priority } = wait
  const which = typeof target === 'string' ? target : target.ref
  const answer = calls.request(which, weight, timeoutMs, priority, Flag.SYNC, putAncestors(), label)
  if (answer > 0) return makeGuard(target, weight, label, scratch[0], answer, scratch[1])
  if (answer !== Answer.WAITING) throw refused(answer, () => wanted(target, weight))
  const ticket = scratch[0]
  watch?.begin()
  try {
    sleepUntil(() => calls.poll(ticket) !== 0 || isEnded(ticket, watch))
  } finally {
    watch?.end()
  }
  const [kind, , second, third, fourth, at] = scratch
  if (kind === GRANTED) return makeGuard(target, weight, label, third, second, at)
  const words = wanted(target, weight)
  throw kind === TIMED_OUT
    ? timedOut(words, fourth, second, takeText(third))
    : deadlock(words, takeText(second))
}

/**
 * Throws where the watch ends the wait. An answer that is on its way already is waited for all the same.
 * @param {number} ticket
 * @param {{ look(): Error | null }} [watch]
 */
function isEnded(ticket, watch) {
  const error = watch?.look() ?? null
  if (error !== null && waiters.cancel(ticket)) throw error
  return false
}

/** @param {() => boolean} isTold Whether the answer is in the scratch array. */
function sleepUntil(isTold) {
  cell ??= new Int32Array(new SharedArrayBuffer(4))
  for (let slice = SHORTEST_MS; !isTold(); slice = Math.min(2 * slice, LONGEST_MS)) {
    Atomics.wait(cell, 0, 0, slice)
  }
}

module.exports = { acquireSync, takeSync, sleepUntil }
