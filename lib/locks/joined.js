// Re-entrant calls: with `reentrant: true`, a call inside of a hold of the same lock becomes a part of that hold.
//
// An exclusive hold has a stack of frames: the hold's own, then each call that entered, innermost on top. A call
// enters only while its own frame is on top: a sibling that was started beside a call that has entered finds that
// call's frame on top of its own and waits for its turn. So parts of one exclusive hold exclude each other, too.
// Parts of a shared hold go side by side, as readers do.
// @ts-check
'use strict'

const { threadId } = require('node:worker_threads')
const nesting = require('../nesting')
const { timedOut, wanted, lost } = require('./errors')
const { inForce } = require('./options')
const { KEY, Frame } = require('./frames')
const { modeHeld } = require('./guard')
const waiters = require('./waiters')

// Taken now: test frameworks replace the globals by clocks of their own.
const { setTimeout, clearTimeout } = globalThis

// Node 20.0–20.3 and older engines have neither; the names are then ordinary symbols of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/**
 * @typedef {{ top: Frame, line: Set<{ frame: Frame, turn: () => void }> }} Turns Of an exclusive hold.
 * @typedef {(argument: any) => any} Body
 */

/** The guard of a part: it says what the whole says, and its release ends the part alone. */
class PartGuard {
  #frame
  #whole

  /** @param {Frame} frame @param {import('./guard').LockGuard} whole */
  constructor(frame, whole) {
    this.#frame = frame
    this.#whole = whole
    this.name = whole.name
    this.token = whole.token
    this.label = whole.label
  }

  get names() {
    return this.#whole.names
  }

  get mode() {
    return this.#whole.mode
  }

  get acquiredAt() {
    return this.#whole.acquiredAt
  }

  get released() {
    return !this.check()
  }

  get signal() {
    return this.#whole.signal
  }

  check() {
    return this.#frame.open && this.#frame.base.open && this.#whole.check()
  }

  assertHeld() {
    if (!this.check()) throw lost(`a part of the hold of '${this.name}'`, this.token, 0, this.assertHeld)
  }

  release() {
    const stood = this.check()
    leave(this.#frame)
    return stood
  }

  /** The part is not the hold: others may count on its mode. */
  downgrade() {
    return false
  }

  tryUpgrade() {
    return this.check() && this.#whole.tryUpgrade()
  }

  /** @param {any} [options] */
  upgrade(options) {
    return this.#whole.upgrade(options)
  }

  [DISPOSE]() {
    this.release()
  }

  async [ASYNC_DISPOSE]() {
    this.release()
  }
}

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

/** The frame, or what it stood on when it was left. @param {Frame} frame @returns {Frame} */
function standing(frame) {
  let at = frame
  while (!at.open && at.parent !== null) at = at.parent
  return at
}

/** @param {Frame} frame */
function isOnTop(frame) {
  const { turns } = frame.base
  return turns === null || turns.top === standing(frame)
}

/**
 * @param {Frame} frame The caller's.
 * @param {import('../nesting').Context | undefined} context The caller's.
 */
function push(frame, context) {
  const { base } = frame
  let outer = context
  while (outer !== undefined && !outer.hold.open) outer = outer.outer
  const part = new Frame(null, outer)
  part.base = base
  part.parent = standing(frame)
  part.guard = new PartGuard(part, base.guard)
  if (base.guard.mode === 'exclusive') {
    base.turns ??= { top: base, line: new Set() }
    base.turns.top = part
  }
  return part
}

/** @param {Frame} part */
function leave(part) {
  if (!part.open) return
  part.open = false
  const { base } = part
  const { turns } = base
  if (turns === null) return
  while (turns.top !== base && !turns.top.open) turns.top = turns.top.parent ?? base
  for (const joiner of [...turns.line]) {
    // Whoever enters takes the top; the others go on waiting, in their order.
    if (isOnTop(joiner.frame) && turns.line.delete(joiner)) joiner.turn()
  }
}

/** The hold is over: those who wait to enter ask for the lock itself now. @param {Frame} base */
function dismiss({ turns }) {
  if (turns === null) return
  const waiting = [...turns.line]
  turns.line.clear()
  for (const joiner of waiting) joiner.turn()
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
  const turns = /** @type {Turns} */ (base.turns)
  const context = nesting.context()
  const { signal } = wait
  const timeoutMs = inForce(wait.timeoutMs)
  return new Promise((resolve, reject) => {
    /** @type {NodeJS.Timeout | undefined} */
    let timer
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      if (wait.ref) waiters.letGo()
    }
    const joiner = {
      frame,
      turn() {
        end()
        resolve(base.open && base.guard.check() ? push(frame, context) : null)
      },
    }
    /** @param {unknown} reason */
    const giveUp = (reason) => {
      if (!turns.line.delete(joiner)) return
      end()
      reject(reason)
    }
    const abort = () => giveUp(signal?.reason)
    turns.line.add(joiner)
    if (wait.ref) waiters.keep()
    signal?.addEventListener('abort', abort, { once: true })
    if (timeoutMs < 0) return
    const { name, mode, label, token, acquiredAt } = base.guard
    const timeUp = () => {
      const position = [...turns.line].indexOf(joiner) + 1
      const heldMs = Math.max(0, Date.now() - acquiredAt)
      const holder = { name, kind: /** @type {const} */ ('lock'), mode, weight: 1, label, threadId, token, heldMs }
      giveUp(timedOut(words(), timeoutMs, position, { holders: [holder], holderCount: 1 }))
    }
    timer = setTimeout(timeUp, Math.min(timeoutMs, 2 ** 31 - 1)).unref()
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
  if (frame.base.guard.mode === 'shared' || isOnTop(frame)) return runPart(push(frame, nesting.context()), fn)
  const startedAt = performance.now()
  return waitForTurn(frame, wait, () => wanted(target, weight)).then((part) => {
    if (part !== null && part.guard.check()) return runPart(part, fn)
    if (part !== null) leave(part)
    return otherwise(rest(wait, performance.now() - startedAt))
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

module.exports = { enter, dismiss }
