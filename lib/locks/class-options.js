// What callers of the locks without a name may pass.
// @ts-check
'use strict'

const { invalidArgument } = require('../errors')
const { copyOptions } = require('../options')
const { Wait, timeout, priority, abortSignal, cleanLabel } = require('./options')

const KNOWN = ['timeoutMs', 'signal', 'priority', 'label']
/** Below every priority that users can give. */
const LAST = -(2 ** 31) + 1
/** A whole read/write lock is one unit more. */
const MOST_UNITS = 2 ** 32 - 2

/**
 * How long the waits of a lock last at the most, and what they reject with then.
 * @typedef {{ timeoutMs: number, error: Error }} Limit
 */

class SyncWait extends Wait {
  /** What to reject with when time runs out, where somebody has said so. @type {Error | undefined} */
  timeoutError = undefined
  /** Wants to see that the lock is free, and gives it back at once: nobody need cancel that. */
  isOnlooker = false

  /** @param {number} timeoutMs −1 is none. */
  constructor(timeoutMs) {
    super(timeoutMs)
    // Only this thread can give such a lock back: when nothing else is left for it to do, a wait that does not
    // end by itself never will, and must not keep the process.
    this.ref = timeoutMs >= 0
  }
}

const FOREVER = new SyncWait(-1)

/**
 * @param {string} call
 * @param {unknown} given Options, or the priority.
 * @param {Limit | undefined} limit
 */
function syncWait(call, given, limit) {
  if (limit === undefined && (given === undefined || given === 0)) return FOREVER
  const isNumber = typeof given !== 'object' || given === null
  const copy = isNumber ? { priority: given } : copyOptions(call, given, KNOWN)
  const ownMs = timeout(call, copy.timeoutMs, Infinity)
  const isLimited = limit !== undefined && (ownMs < 0 || limit.timeoutMs <= ownMs)
  const wait = new SyncWait(isLimited ? limit.timeoutMs : ownMs)
  if (isLimited) wait.timeoutError = limit.error
  wait.priority = priority(call, copy.priority, isNumber ? 'priority' : 'options.priority')
  wait.signal = abortSignal(call, copy.signal)
  wait.label = cleanLabel(call, copy.label)
  return wait
}

/**
 * The same for somebody who only wants to know when the lock is free: whoever wants to have it goes first.
 * @param {string} call
 * @param {unknown} given
 */
function onlookersWait(call, given) {
  const wait = Object.assign(new SyncWait(-1), syncWait(call, given, undefined))
  wait.isOnlooker = true
  wait.priority = LAST
  return wait
}

/**
 * How many units are taken or given back.
 * @param {string} call
 * @param {unknown} weight
 */
function units(call, weight) {
  if (Number.isInteger(weight) && Number(weight) > 0 && Number(weight) <= MOST_UNITS) return Number(weight)
  throw invalidArgument(`${call}: weight`, `an integer from 1 to ${MOST_UNITS.toLocaleString('en-US')}`, weight)
}

/**
 * How many units are free: fewer than none when more are missing than there will be.
 * @param {string} call
 * @param {unknown} value
 */
function freeUnits(call, value) {
  if (Number.isSafeInteger(value) || value === Infinity) return Number(value)
  throw invalidArgument(`${call}: value`, 'an integer, or Infinity', value)
}

/**
 * @param {string} call
 * @param {unknown} timeoutMs
 * @param {Error} error
 * @param {Limit | undefined} inner What limits the waits already: the earlier end counts.
 * @returns {Limit | undefined}
 */
function narrower(call, timeoutMs, error, inner) {
  const ownMs = timeout(call, timeoutMs ?? null, Infinity, 'timeoutMs')
  if (ownMs < 0) return inner
  return inner !== undefined && inner.timeoutMs < ownMs ? inner : { timeoutMs: ownMs, error }
}

module.exports = { MOST_UNITS, SyncWait, syncWait, onlookersWait, units, freeUnits, narrower }
