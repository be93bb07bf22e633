// Re-entrant calls: with `reentrant: true`, a call inside of a hold of the same lock becomes a part of that hold
// (`parts.js`), at once or when its turn comes.
// @ts-check
'use strict'

const { threadId } = require('node:worker_threads')
const nesting = require('../nesting')
const aborts = require('./aborts')
const { timedOut, wanted } = require('./errors')
const { inForce } = require('./options')
const { KEY, Frame } = require('./frames')
const { modeHeld } = require('./guard')
const { mayEnter, push, leave } = require('./parts')
const { now, startTimer } = require('./timer')
const waiters = require('./waiters')

/** @typedef {(argument: any) => any} Body */

/** The frames of guards that are held by a flow: they have none of their own. @type {WeakMap<object, Frame>} */
const flowFrames = new WeakMap()

/** @param {any} guard */
function flowFrame(guard) {
  let frame = flowFrames.get(guard)
  if (!frame) flowFrames.set(guard, (frame = new Frame(guard, undefined)))
  return frame
}

/** @param {any} guard @param {string} name @param {number} weight */
function covers(guard, name, weight) {
  const mode = modeHeld(guard, name)
  return mode === 'exclusive' || (mode === 'shared' && weight !== 0)
}

/**
 * The innermost frame around the caller that holds that lock in a mode that will do.
 * @param {string} name
 * @param {number} weight
 * @returns {Frame | undefined}
 */
function holdingFrame(name, weight) {
  for (let at = /** @type {any} */ (nesting.context()); at !== undefined; at = at.outer) {
    if (at.hold.key !== KEY || !at.open) continue
    if (at.guard !== null) {
      if (at.base.open && covers(at.base.guard, name, weight)) return at
      continue
    }
    const guard = at.guards.find((/** @type {any} */ each) => covers(each, name, weight))
    if (guard) return flowFrame(guard)
  }
  return undefined
}

/**
 * Waits until the frame is on top again, or its hold is over.
 * @param {Frame} frame
 * @param {import('./options').Wait} wait
 * @param {() => string} words
 * @returns {Promise<Frame | null>} The part, entered before anybody else got the chance.
 */
function waitForTurn(frame, wait, words) {
  const { base } = frame
  const turns = /** @type {import('./parts').Turns} */ (base.turns)
  const context = nesting.context()
  const { signal } = wait
  const timeoutMs = inForce(wait.timeoutMs)
  const startedAt = now()
  return new Promise((resolve, reject) => {
    /** @type {(() => void) | undefined} */
    let stopTimer
    const end = () => {
      stopTimer?.()
      if (signal) aborts.unfollow(signal, joiner)
      if (wait.ref) waiters.letGo()
    }
    /** @param {unknown} reason */
    const giveUp = (reason) => {
      if (!turns.line.delete(joiner)) return
      end()
      reject(reason)
    }
    const joiner = {
      frame,
      turn() {
        end()
        const part = base.open && base.guard.check() ? push(frame, context) : null
        resolve(part)
        return part !== null
      },
      /** @param {number} _ticket @param {unknown} reason */
      aborted(_ticket, reason) {
        giveUp(reason)
      },
    }
    turns.line.add(joiner)
    if (wait.ref) waiters.keep()
    if (signal) aborts.follow(signal, joiner, 0)
    if (timeoutMs < 0) return
    const { name, mode, label, token, acquiredAt } = base.guard
    stopTimer = startTimer(timeoutMs, false, () => {
      const position = [...turns.line].indexOf(joiner) + 1
      const heldMs = Math.max(0, Date.now() - acquiredAt)
      const holder = { name, kind: /** @type {const} */ ('lock'), mode, weight: 1, label, threadId, token, heldMs }
      giveUp(timedOut(words(), now() - startedAt, position, { holders: [holder], holderCount: 1 }))
    })
  })
}

/**
 * Enters the hold around the caller, if there is one of that lock, and runs `fn` as a part of it.
 * @param {import('./targets').Target} target
 * @param {number} weight
 * @param {import('./options').Wait} wait
 * @param {Body} fn
 * @param {(rest: import('./options').Wait) => Promise<any>} otherwise Asks for the lock itself, with what is left
 *   of the wait.
 * @returns {Promise<any> | undefined} Undefined when there is no such hold.
 */
function enter(target, weight, wait, fn, otherwise) {
  const isNamed = typeof target === 'string' || (target.kind === 'lock' && target.isNamed && !target.modes)
  const frame = isNamed ? holdingFrame(typeof target === 'string' ? target : target.name, weight) : undefined
  if (frame === undefined) return undefined
  const { signal } = wait
  if (signal !== undefined && signal.aborted) return Promise.reject(signal.reason)
  if (mayEnter(frame)) return runPart(push(frame, nesting.context()), fn)
  const startedAt = now()
  return waitForTurn(frame, wait, () => wanted(target, weight)).then((part) => {
    if (part !== null && part.guard.check()) return runPart(part, fn)
    if (part !== null) leave(part)
    return otherwise(rest(wait, now() - startedAt))
  })
}

/**
 * @param {import('./options').Wait} wait
 * @param {number} waitedMs
 * @returns {import('./options').Wait}
 */
function rest(wait, waitedMs) {
  const timeoutMs = inForce(wait.timeoutMs)
  return timeoutMs < 0 ? wait : { ...wait, timeoutMs: Math.max(0, timeoutMs - waitedMs) }
}

/** @param {Frame} part @param {Body} fn */
async function runPart(part, fn) {
  try {
    return await nesting.enter(part, fn, part.guard)
  } finally {
    leave(part)
  }
}

module.exports = { enter }
