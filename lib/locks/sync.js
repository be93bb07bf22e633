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
  waiters.open()
  const label = wait.label ?? flowLabel()
  const { timeoutMs, priority } = wait
  const answer = calls.request(name, weight, timeoutMs, priority, Flag.SYNC, putAncestors(), label)
  if (answer > 0) return held(name, weight, label, scratch[0], answer, scratch[1])
  if (answer !== Answer.WAITING) throw refused(answer, () => wanted(name, weight))
  sleepUntilTold(scratch[0])
  const [kind, , second, third, fourth, at] = scratch
  if (kind === GRANTED) return held(name, weight, label, third, second, at)
  const words = wanted(name, weight)
  throw kind === TIMED_OUT
    ? timedOut(words, fourth, second, takeText(third))
    : deadlock(words, takeText(second))
}

/** @param {number} ticket The answer is in the scratch array then. */
function sleepUntilTold(ticket) {
  cell ??= new Int32Array(new SharedArrayBuffer(4))
  for (let slice = SHORTEST_MS; calls.poll(ticket) === 0; slice = Math.min(2 * slice, LONGEST_MS)) {
    Atomics.wait(cell, 0, 0, slice)
  }
}

/**
 * @param {string} name
 * @param {number} weight
 * @param {string | undefined} label
 * @param {number} slot
 * @param {number} token
 * @param {number} at
 */
function held(name, weight, label, slot, token, at) {
  const guard = makeGuard(name, weight, label, slot, token, at)
  guards.track(guard)
  currentFlow()?.keep(guard)
  return guard
}

module.exports = { acquireSync }
