// What runs inside of which hold of a named lock: frames travel with the async context, in one chain with those
// of the send lock (`nesting.js`). A request passes on the tokens of all frames around it; by these the native
// side sees who waits for whom.
// @ts-check
'use strict'

const nesting = require('../nesting')
const { scratch, ANCESTORS_AT, MOST_ANCESTORS } = require('./face')

/** Of the frames of named locks, in every copy of this package. */
const KEY = 'locks'
/** Of the frames of the process's send lock. */
const SEND = 'process'

/**
 * @typedef {{ readonly token: number, readonly released: boolean }} Held
 */

class Frame {
  /** To the send lock's frames it looks like a hold of its own, which they walk past. */
  hold = this
  key = KEY
  open = true

  /**
   * @param {any} guard The hold, or its part, inside of which it runs.
   * @param {import('../nesting').Context | undefined} outer
   */
  constructor(guard, outer) {
    this.guard = guard
    this.outer = outer
    /** Re-entrant frames: the frame of the hold itself, and the one that they stand on. @type {Frame} */
    this.base = this
    /** @type {Frame | null} */
    this.parent = null
    /** Of a host lock: its guard. @type {any} */
    this.host = null
    /** Of a base: who has its turn and who waits for one; see `parts.js`. @type {import('./parts').Turns | null} */
    this.turns = null
  }
}

/** A flow: the guards that are acquired in it count as held by it. */
class Flow {
  hold = this
  key = KEY
  open = true
  guard = null
  /** @type {Held[]} */
  guards = []
  #most = 32

  /**
   * @param {string | undefined} label
   * @param {import('../nesting').Context | undefined} outer
   */
  constructor(label, outer) {
    this.label = label
    this.outer = outer
  }

  /** @param {Held} guard */
  keep(guard) {
    if (this.guards.length >= this.#most) {
      this.guards = this.guards.filter((each) => !each.released)
      this.#most = Math.max(32, 2 * this.guards.length)
    }
    this.guards.push(guard)
  }
}

/**
 * The innermost flow around the caller, as far as guards acquired now belong to it.
 * @returns {Flow | null}
 */
function currentFlow() {
  if (nesting.home.flows === 0) return null
  for (let at = /** @type {any} */ (nesting.context()); at !== undefined; at = at.outer) {
    // By its shape: it may be of another copy of this package.
    if (at.hold.key === KEY && at.guard === null && at.hold.open) return at
  }
  return null
}

/** @param {any} guard */
const openFrame = (guard) => new Frame(guard, nesting.living())

/** @param {string | undefined} label */
function openFlow(label) {
  nesting.home.flows += 1
  return new Flow(label, nesting.living())
}

/** @param {Flow} flow */
function closeFlow(flow) {
  flow.open = false
  flow.guards = []
  nesting.home.flows -= 1
}

/**
 * Writes the tokens of all holds around the caller into the scratch array, innermost first; those of the send
 * lock are negative. Nothing that might run code of users comes between this and the request.
 * @returns {number} How many.
 */
function putAncestors() {
  const count = put(false)
  // To ask each whether it is over takes its time, and does no good as long as there is room for all.
  return count <= MOST_ANCESTORS ? count : Math.min(put(true), MOST_ANCESTORS)
}

/** @param {boolean} isPicky Whether guards that are over are left out. @returns {number} How many, or too many. */
function put(isPicky) {
  let count = 0
  for (let at = /** @type {any} */ (nesting.context()); at !== undefined; at = at.outer) {
    if (!at.hold.open) continue
    if (at.hold.key === SEND) scratch[ANCESTORS_AT + count++] = -at.hold.token
    else if (at.hold.key !== KEY) continue
    else if (at.guard === null) count = putAll(at.guards, count, isPicky)
    else if (!isPicky || !at.guard.released) scratch[ANCESTORS_AT + count++] = at.guard.token
    if (count > MOST_ANCESTORS) break
  }
  return count
}

/**
 * @param {Held[]} held
 * @param {number} count
 * @param {boolean} isPicky
 */
function putAll(held, count, isPicky) {
  for (let index = held.length - 1; index >= 0 && count <= MOST_ANCESTORS; index -= 1) {
    const guard = held[index]
    if (!isPicky || !guard.released) scratch[ANCESTORS_AT + count++] = guard.token
  }
  return count
}

/** The label of the flow around the caller, for requests without one. */
function flowLabel() {
  return nesting.home.flows === 0 ? undefined : currentFlow()?.label
}

module.exports = { KEY, Frame, Flow, currentFlow, openFrame, openFlow, closeFlow, putAncestors, flowLabel }
