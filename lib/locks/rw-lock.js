// `RWLock`: a read/write lock without a name.
// @ts-check
'use strict'

const { E_CANCELED } = require('./class-errors')
const { onlookersWait, syncWait } = require('./class-options')
const { guards, makeGuard } = require('./guard')
const { callback } = require('./options')
const { Line } = require('./unnamed')

const READ = 1
const WRITE = 0

/** @extends {Line<import('./guard').LockGuard>} */
class ReadWriteLine extends Line {
  constructor() {
    super('lock', 0, true)
  }

  /**
   * @override
   * @param {number} weight
   * @param {string | undefined} label
   * @param {number} slot
   * @param {number} token
   * @param {number} at
   */
  hold(weight, label, slot, token, at) {
    return makeGuard(this.target, weight, label, slot, token, at)
  }

  /** @override @param {import('./guard').LockGuard} guard @param {0 | 1} failed */
  end(guard, failed) {
    guards.end(guard, failed)
  }
}

/** The user's guards are looked out for. @param {import('./guard').LockGuard} guard */
function toUser(guard) {
  guards.track(guard)
  return guard
}

class RWLock {
  #line = new ReadWriteLine()
  #cancelError

  /** @param {unknown} [cancelError] */
  constructor(cancelError = E_CANCELED) {
    this.#cancelError = cancelError
  }

  /** @param {number | import('../../index').SyncWaitOptions} [given] */
  async acquireRead(given) {
    return this.#line.askFor(READ, syncWait('acquireRead', given, undefined), toUser)
  }

  /** @param {number | import('../../index').SyncWaitOptions} [given] */
  async acquireWrite(given) {
    return this.#line.askFor(WRITE, syncWait('acquireWrite', given, undefined), toUser)
  }

  tryAcquireRead() {
    return this.#attempt(READ)
  }

  tryAcquireWrite() {
    return this.#attempt(WRITE)
  }

  /** @param {any} given @param {unknown} [fn] */
  async withRead(given, fn) {
    return this.#run('withRead', READ, given, fn)
  }

  /** @param {any} given @param {unknown} [fn] */
  async withWrite(given, fn) {
    return this.#run('withWrite', WRITE, given, fn)
  }

  isLocked() {
    return this.#line.state() !== 0
  }

  isWriteLocked() {
    return this.#line.state() < 0
  }

  get readers() {
    return Math.max(0, this.#line.state())
  }

  /** @param {number | import('../../index').SyncWaitOptions} [priority] */
  async waitForUnlock(priority) {
    const wait = onlookersWait('waitForUnlock', priority)
    return this.#line.ask(WRITE, wait, (guard) => void guard.release())
  }

  cancel() {
    this.#line.cancel(this.#cancelError)
  }

  /** @param {number} weight */
  #attempt(weight) {
    const guard = this.#line.attempt(weight)
    return guard === null ? null : toUser(guard)
  }

  /** @param {string} call @param {number} weight @param {unknown} given @param {unknown} fn */
  #run(call, weight, given, fn) {
    const [options, last] = fn === undefined && typeof given === 'function' ? [undefined, given] : [given, fn]
    const body = callback(call, last)
    return this.#line.run(weight, syncWait(call, options, undefined), body)
  }
}

module.exports = { RWLock }
