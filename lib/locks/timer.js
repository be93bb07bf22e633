// Timers of any length, and their clock. The timers are taken when this is loaded: test frameworks replace the
// globals by clocks of their own.
// @ts-check
'use strict'

const { native } = require('./face')

const { setTimeout, clearTimeout } = globalThis

/** Monotonic, in ms. Not `performance.now()`, whose first use costs a millisecond. */
const now = () => native.clockMs()

/** What a timer of Node.js can count to; a longer one would fire at once. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * Calls `fn` after so many milliseconds.
 * @param {number} ms
 * @param {boolean} isRef Whether it keeps the event loop alive.
 * @param {() => void} fn
 * @returns {() => void} Stops it.
 */
function startTimer(ms, isRef, fn) {
  let leftMs = ms
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const arm = () => {
    const stepMs = Math.min(leftMs, LONGEST_MS)
    leftMs -= stepMs
    timer = setTimeout(leftMs > 0 ? arm : fn, stepMs)
    if (!isRef) timer.unref()
  }
  arm()
  return () => clearTimeout(timer)
}

module.exports = { now, startTimer }
