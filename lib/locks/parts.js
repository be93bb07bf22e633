// The parts of a hold: re-entrant calls that have entered it (`joined.js`).
//
// An exclusive hold has a stack of frames: the hold's own, then each call that entered, innermost on top. A call
// enters only while its own frame is on top: a sibling that was started beside a call that has entered finds that
// call's frame on top of its own and waits for its turn. So parts of one exclusive hold exclude each other, too.
// Parts of a shared hold go side by side, as readers do, unless one of them waits to become exclusive.
//
// A hold stands until its last part has ended, so that a part which nobody awaits is not left without it. Who
// releases the guard of the hold by hand takes it from the parts as well: their signals abort.
// @ts-check
'use strict'

const { ChainlockError } = require('../errors')
const nesting = require('../nesting')
const aborts = require('./aborts')
const { lost, givenBack } = require('./errors')
const { Frame } = require('./frames')
const { guards } = require('./guard')
const { shown } = require('./report')

// Node 20.0–20.3 and older engines have neither; the names are then ordinary symbols of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/**
 * @typedef {{ frame: Frame, turn(): boolean }} Joiner A turn enters, or finds that the hold is over.
 * @typedef {{
 *   parts: Map<Frame, (error: Error) => void>, line: Set<Joiner>, upgrading: number, idle: (() => void)[]
 * }} Turns The open parts of a hold, and what tells one that the hold is over; those who wait to enter; the parts
 *   that wait to be exclusive; and who waits for the last part's end.
 */

/**
 * Tells an open part that its hold is over; the end of a part, after which it is told no more.
 * @type {{ lose(guard: PartGuard, error: unknown): void, end(guard: PartGuard): void }}
 */
let inside

/** The guard of a part: it says what the whole says, and its release ends the part alone. */
class PartGuard {
  #frame
  #whole
  /** @type {AbortController | null} */
  #controller = null
  /** @type {import('./aborts').Abortable} */
  #follower = { aborted: (_ticket, reason) => this.#controller?.abort(reason) }

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
    if (this.#controller === null) {
      const controller = (this.#controller = new AbortController())
      // A hold that is taken away is told to its own signal; who releases it tells its open parts.
      const { signal } = this.#whole
      if (signal.aborted) controller.abort(signal.reason)
      else if (this.check()) aborts.follow(signal, this.#follower, 0)
      else if (this.#frame.open) controller.abort(this.#lost())
    }
    return this.#controller.signal
  }

  check() {
    return this.#frame.open && this.#frame.base.open && this.#whole.check()
  }

  assertHeld() {
    if (!this.check()) throw lost(this.#words(), this.token, 0, this.assertHeld)
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
    return this.check() && (this.mode === 'exclusive' || isOnTop(this.#frame)) && this.#whole.tryUpgrade()
  }

  /** @param {any} [options] */
  async upgrade(options) {
    if (!this.check()) throw this.#lost()
    if (this.mode === 'shared' && !isOnTop(this.#frame)) {
      const message = `${this.#words()} cannot become exclusive while other parts of that hold run beside it`
      throw new ChainlockError('ERR_LOCK_UNAVAILABLE', message)
    }
    const { base } = this.#frame
    const turns = turnsOf(base)
    turns.upgrading += 1
    try {
      await this.#whole.upgrade(options)
    } finally {
      turns.upgrading -= 1
      wake(base)
    }
  }

  #words() {
    return `a part of the hold of ${shown(this.name)}`
  }

  #lost() {
    return givenBack(this.#words(), this.token)
  }

  static {
    inside = {
      lose(guard, error) {
        guard.#controller?.abort(error)
      },
      end(guard) {
        if (guard.#controller !== null) aborts.unfollow(guard.#whole.signal, guard.#follower)
      },
    }
  }

  [DISPOSE]() {
    this.release()
  }

  async [ASYNC_DISPOSE]() {
    this.release()
  }
}

/** The frame, or what it stood on when it was left. @param {Frame} frame @returns {Frame} */
function standing(frame) {
  let at = frame
  while (!at.open && at.parent !== null) at = at.parent
  return at
}

/** Whether nothing runs in that hold but what is around the caller. @param {Frame} frame */
function isOnTop(frame) {
  const { base } = frame
  if (base.turns === null) return true
  let around = 0
  for (let at = standing(frame); at !== base && at.parent !== null; at = at.parent) {
    around += 1
    // A chain of parts that each start the next would keep them all.
    at.parent = standing(at.parent)
  }
  return around === base.turns.parts.size
}

/** @param {Frame} frame */
function mayEnter(frame) {
  const { guard, turns } = frame.base
  return (guard.mode === 'shared' && (turns === null || turns.upgrading === 0)) || isOnTop(frame)
}

/** @param {Frame} base @returns {Turns} */
function turnsOf(base) {
  if (base.turns === null) {
    base.turns = { parts: new Map(), line: new Set(), upgrading: 0, idle: [] }
    // A guard of another copy of this package tells that copy.
    if (guards.isOne(base.guard)) guards.setParts(base.guard, { ended: (error) => dismiss(base, error) })
  }
  return base.turns
}

/**
 * @param {Frame} frame The caller's.
 * @param {import('../nesting').Context | undefined} context The caller's.
 */
function push(frame, context) {
  const { base } = frame
  const part = new Frame(null, nesting.living(context))
  const guard = new PartGuard(part, base.guard)
  part.base = base
  part.parent = standing(frame)
  part.guard = guard
  turnsOf(base).parts.set(part, (error) => inside.lose(guard, error))
  return part
}

/** @param {Frame} part */
function leave(part) {
  if (!part.open) return
  part.open = false
  part.base.turns?.parts.delete(part)
  inside.end(part.guard)
  wake(part.base)
}

/** Lets in those whose turn it is. @param {Frame} base */
function wake(base) {
  const turns = turnsOf(base)
  for (const joiner of turns.line) {
    if (!mayEnter(joiner.frame)) continue
    turns.line.delete(joiner)
    // Whoever enters an exclusive hold takes the top; the others go on waiting, in their order.
    if (joiner.turn() && base.guard.mode === 'exclusive') break
  }
  if (turns.parts.size === 0) settle(turns)
}

/** @param {Turns} turns */
function settle({ idle }) {
  for (const resolve of idle.splice(0)) resolve()
}

/**
 * The hold is over: its parts are told, and those who wait to enter ask for the lock itself now.
 * @param {Frame} base
 * @param {Error} error
 */
function dismiss({ turns }, error) {
  if (turns === null) return
  const [parts, waiting] = [[...turns.parts.values()], [...turns.line]]
  turns.line.clear()
  for (const joiner of waiting) joiner.turn()
  settle(turns)
  for (const tell of parts) tell(error)
}

/**
 * The end of all parts of a hold that stands; null when none is open.
 * @param {Frame} base
 * @returns {Promise<void> | null}
 */
function partsEnd({ turns, guard }) {
  if (turns === null || turns.parts.size === 0 || !guard.check()) return null
  return new Promise((resolve) => void turns.idle.push(resolve))
}

module.exports = { mayEnter, push, leave, partsEnd }
