// Nested calls: inside a `withSendLock`, an acquiring call of another layer joins the hold around it. The frames
// of named locks (`locks/frames.js`) travel with the same contexts.
//
// Each hold has a stack of frames: the `withSendLock` itself, then each call that joined, innermost on
// top. A frame travels with its async context, so a call knows in which frame it runs. It may join only
// while its own frame is on top: a sibling that was started beside a joined call finds that call's frame on
// top of its own, and waits for its turn (or is refused). So the joined layers exclude each other, too.
//
// This is the one piece of state that belongs to the async context and so to JavaScript. Whether the hold
// still stands is asked of the native lock every time.
// @ts-check
'use strict'

const { AsyncLocalStorage } = require('node:async_hooks')

/**
 * @typedef {{
 *   hold: Hold, layerId: string, parent: Frame | null, outer: Frame | undefined, open: boolean
 * }} Frame
 * @typedef {{
 *   key: unknown, token: number, acquiredAt: number, joinable: boolean,
 *   stands: () => boolean, signal: () => AbortSignal, watch: () => void
 * }} About Of a hold, from the one who opens it: whether it still stands, its guard's signal, and a call that
 *   makes its end be told.
 * @typedef {About & {
 *   top: Frame | null, queue: Set<Joiner>, byLayer: Map<string, Frame>, open: boolean
 * }} Hold
 * @typedef {{ frame: Frame, turn: () => void }} Joiner A turn joins, or finds that the hold has ended.
 * @typedef {{ hold: { key: unknown, open: boolean, token?: number }, outer: Context | undefined }} Context What every
 *   frame is to the frames of other locks. Plain data, because copies of this package share the contexts.
 * @typedef {{ contexts: AsyncLocalStorage<any>, holds: Set<Hold>, flows: number }} Shared `flows`: how many flows
 *   of named locks are open.
 */

// One per thread, whatever copy of this module, module registry or vm context asks: Node's own class is
// the one object that they all have in common.
const KEY = Symbol.for('chainlock.nesting.2')

/** @returns {Shared} */
function shared() {
  const home = /** @type {any} */ (AsyncLocalStorage)
  if (!home[KEY]) {
    const value = { contexts: new AsyncLocalStorage(), holds: new Set(), flows: 0 }
    Object.defineProperty(home, KEY, { value })
  }
  return home[KEY]
}

const home = shared()
const { contexts, holds } = home

/**
 * The frame in which the caller runs, of the hold of this lock; undefined outside.
 * @param {unknown} key
 * @returns {Frame | undefined}
 */
function currentFrame(key) {
  if (holds.size === 0) return undefined
  let context = contexts.getStore()
  while (context && !(context.hold.key === key && context.hold.open)) context = context.outer
  /** @type {Frame | null | undefined} */
  let frame = context
  while (frame && !frame.open) frame = frame.parent
  return frame?.hold.stands() ? frame : undefined
}

/** @param {Frame} frame @param {string} layerId */
function isOwnLayer(frame, layerId) {
  for (let at = /** @type {Frame | null} */ (frame); at; at = at.parent) {
    if (at.open && at.layerId === layerId) return true
  }
  return false
}

/** @param {Frame} frame */
const isOnTop = (frame) => frame.hold.top === frame

/** Whether a call of that layer could join at all, now or when its turn comes. @param {Frame} frame @param {string} layerId */
const mayJoin = (frame, layerId) => frame.hold.joinable && !isOwnLayer(frame, layerId)

/**
 * @param {About & { layerId: string }} about
 * @returns {Frame} The hold's first frame.
 */
function openHold({ layerId, ...about }) {
  /** @type {Hold} */
  const hold = { ...about, top: null, queue: new Set(), byLayer: new Map(), open: true }
  holds.add(hold)
  return push(hold, layerId, null, contexts.getStore())
}

/** @param {Frame} frame */
function closeHold({ hold }) {
  hold.open = false
  holds.delete(hold)
  for (let at = hold.top; at; at = at.parent) at.open = false
  dismiss(hold)
}

/** Those who wait to join ask the lock itself now. @param {Hold} hold */
function dismiss(hold) {
  const waiting = [...hold.queue]
  hold.queue.clear()
  for (const joiner of waiting) joiner.turn()
}

/**
 * The hold with that token has ended while its `withSendLock` still runs: given back early, or taken away.
 * @param {unknown} key
 * @param {number} token
 */
function ended(key, token) {
  for (const hold of holds) {
    if (hold.key !== key || hold.token !== token) continue
    hold.byLayer.clear()
    dismiss(hold)
  }
}

/**
 * A context as far as it still means something, for a frame that is opened in it: a chain of calls that each
 * start the next would otherwise keep the frames of all of them.
 * @param {Context | undefined} [innermost]
 */
function living(innermost = contexts.getStore()) {
  while (innermost !== undefined && !innermost.hold.open) innermost = innermost.outer
  for (let at = innermost; at !== undefined; at = at.outer) {
    while (at.outer !== undefined && !at.outer.hold.open) at.outer = at.outer.outer
  }
  return innermost
}

/**
 * The same without the frames of this hold itself.
 * @param {Frame | undefined} context
 * @param {Hold} hold
 */
function around(context, hold) {
  let at = /** @type {Frame | undefined} */ (living(context))
  while (at && at.hold === hold) at = at.outer
  return at
}

/**
 * @param {Hold} hold
 * @param {string} layerId
 * @param {Frame | null} parent
 * @param {Frame | undefined} outer
 */
function push(hold, layerId, parent, outer) {
  hold.top = { hold, layerId, parent, outer: around(outer, hold), open: true }
  return hold.top
}

/**
 * Joins.
 * @param {Frame} parent
 * @param {string} layerId
 * @param {Frame | undefined} [outer] The context of the call, where that is not the present one.
 */
function join(parent, layerId, outer = contexts.getStore()) {
  return push(parent.hold, layerId, parent, outer)
}

/** Joins until a release names the layer, as the drop-in calls do. @param {Frame} parent @param {string} layerId */
function joinByLayer(parent, layerId) {
  parent.hold.byLayer.set(layerId, join(parent, layerId))
}

/** @param {Frame} frame @returns {boolean} Whether it was open, and its hold still stood. */
function leave(frame) {
  if (!frame.open || !frame.hold.open) return false
  frame.open = false
  const { hold } = frame
  const stood = hold.stands()
  if (hold.byLayer.get(frame.layerId) === frame) hold.byLayer.delete(frame.layerId)
  while (hold.top && !hold.top.open) hold.top = hold.top.parent
  for (const joiner of [...hold.queue]) {
    // Whoever joins takes the top; the others go on waiting, in their order.
    if (isOnTop(joiner.frame) && hold.queue.delete(joiner)) joiner.turn()
  }
  return stood
}

/**
 * A drop-in release: the joined frame of that layer, if there is one.
 * @param {unknown} key
 * @param {string} layerId
 * @param {number | undefined} token
 */
function leaveByLayer(key, layerId, token) {
  for (const hold of holds) {
    if (hold.key !== key || (token !== undefined && token !== hold.token) || !hold.stands()) continue
    const frame = hold.byLayer.get(layerId)
    if (frame) return leave(frame)
  }
  return false
}

/**
 * Waits in line for the frame to come on top again, or for its hold to end.
 * @param {Frame} frame
 * @param {(context: Frame | undefined) => void} turn Is told the context of this call.
 * @returns {() => boolean} Leaves the line; whether it was still in it.
 */
function queue(frame, turn) {
  const context = contexts.getStore()
  const joiner = { frame, turn: () => turn(context) }
  frame.hold.queue.add(joiner)
  return () => frame.hold.queue.delete(joiner)
}

/**
 * @template T
 * @param {Frame} frame
 * @param {() => T} fn
 */
const runIn = (frame, fn) => contexts.run(frame, fn)

/**
 * The innermost frame around the caller whose hold is not over, of whatever lock. The call sits on the fastest
 * paths: before anybody has entered a frame it is next to nothing.
 * @returns {Context | undefined}
 */
function context() {
  let at = contexts.getStore()
  while (at !== undefined && !at.hold.open) at = at.outer
  return at
}

/**
 * Calls `fn` inside of a frame.
 * @param {Context} frame
 * @param {(argument: any) => any} fn
 * @param {unknown} [argument]
 */
const enter = (frame, fn, argument) => contexts.run(frame, fn, argument)

/**
 * Calls `fn` outside of all frames and flows.
 * @template T
 * @param {() => T} fn
 * @returns {T}
 */
const detached = (fn) => contexts.run(undefined, fn)

/** Whether any `withSendLock` is open in this thread. */
const anyOpen = () => holds.size !== 0

module.exports = {
  home,
  anyOpen,
  context,
  living,
  enter,
  detached,
  currentFrame,
  isOnTop,
  mayJoin,
  openHold,
  closeHold,
  ended,
  join,
  joinByLayer,
  leave,
  leaveByLayer,
  queue,
  runIn,
}
