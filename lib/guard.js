// Guards: what a caller gets for a hold of its own (`SendGuard`), or for having joined the hold around it
// (`JoinedGuard`). Both are what index.d.ts calls a SendGuard.
// @ts-check
'use strict'

const { ChainlockError } = require('./errors')
const nesting = require('./nesting')

// Node 20.0–20.3 and older engines have neither; the names are then ordinary symbols of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/**
 * What a guard needs of its lock.
 * @typedef {{
 *   holds(token: number): boolean,
 *   releaseToken(token: number, sent: boolean): boolean,
 *   forget(token: number, message: string): void,
 *   watch(guard: Guard): void,
 *   unwatch(guard: Guard): void,
 * }} GuardLock
 */

class Guard {
  /** @type {GuardLock} */
  #lock
  #released = false
  /** Taken away, and this guard knows. */
  #lost = false
  /** @type {AbortController | undefined} */
  #controller

  /**
   * @param {GuardLock} lock
   * @param {number} token
   * @param {string} layerId
   * @param {number} [acquiredAt]
   */
  constructor(lock, token, layerId, acquiredAt = Date.now()) {
    this.#lock = lock
    this.token = token
    this.layerId = layerId
    this.acquiredAt = acquiredAt
    this.joined = false
  }

  get released() {
    return this.#released || !this.#lock.holds(this.token)
  }

  get signal() {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (!this.#released) this.#lock.watch(this)
      // Taken away before anybody watched.
      if (this.#lost || !(this.#released || this.#lock.holds(this.token))) this.lose()
    }
    return this.#controller.signal
  }

  check() {
    return !this.#released && this.#lock.holds(this.token)
  }

  assertHeld() {
    if (!this.check()) throw lost(this.token, this.layerId, this.assertHeld)
  }

  /** @param {{ sent?: boolean }} [options] */
  release(options) {
    if (this.#released) return false
    this.#released = true
    if (this.#controller) this.#lock.unwatch(this)
    const released = this.#lock.releaseToken(this.token, wasSent(options))
    // Taken away, and the word of it is still on its way, or nobody has asked for it yet.
    if (!released) this.lose()
    return released
  }

  /** The hold was taken away. */
  lose() {
    this.#lost = true
    this.#lock.unwatch(this)
    this.#controller?.abort(lost(this.token, this.layerId))
  }

  [DISPOSE]() {
    this.release()
  }

  async [ASYNC_DISPOSE]() {
    this.release()
  }
}

class JoinedGuard {
  #frame
  #lock
  #message

  /**
   * @param {GuardLock} lock
   * @param {import('./nesting').Frame} frame
   * @param {string | undefined} message
   */
  constructor(lock, frame, message) {
    this.#lock = lock
    this.#frame = frame
    this.#message = message
    this.token = frame.hold.token
    this.layerId = frame.layerId
    this.acquiredAt = frame.hold.acquiredAt
    this.joined = true
  }

  get released() {
    return !this.check()
  }

  get signal() {
    return this.#frame.hold.signal()
  }

  check() {
    return this.#frame.open && this.#frame.hold.open && this.#frame.hold.stands()
  }

  assertHeld() {
    if (!this.check()) throw lost(this.token, this.layerId, this.assertHeld)
  }

  /** Leaves the hold around it as it is. @param {{ sent?: boolean }} [options] */
  release(options) {
    const left = nesting.leave(this.#frame)
    if (left && this.#message !== undefined && !wasSent(options)) this.#lock.forget(this.token, this.#message)
    return left
  }

  [DISPOSE]() {
    this.release()
  }

  async [ASYNC_DISPOSE]() {
    this.release()
  }
}

/** A release never throws, whatever it is given. @param {unknown} options */
function wasSent(options) {
  try {
    return /** @type {any} */ (options)?.sent !== false
  } catch {
    return true
  }
}

/**
 * @param {number} token
 * @param {string} layerId
 * @param {Function} [above] Left out of the stack.
 */
function lost(token, layerId, above) {
  const error = new ChainlockError(
    'ERR_LOCK_LOST',
    `the send lock is no longer held by '${layerId}' with token ${token}`,
    { token },
  )
  if (above) Error.captureStackTrace(error, above)
  return error
}

module.exports = { Guard, JoinedGuard }
