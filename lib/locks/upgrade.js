// A shared hold that waits to become exclusive.
// @ts-check
'use strict'

const { ChainlockError } = require('../errors')
const aborts = require('./aborts')
const { Answer, calls, scratch } = require('./face')
const { timedOut, deadlock, refused, lost, givenBack } = require('./errors')
const { putAncestors } = require('./frames')
const options = require('./options')
const waiters = require('./waiters')

/** One wait; settles its promise once. */
class Upgrade {
  /** @type {(value?: any) => void} */
  #resolve
  #words
  #gone
  #done
  /** @type {number} */
  #ticket
  #isOver = false

  /**
   * @param {import('./options').Wait} wait
   * @param {number} ticket
   * @param {string} words
   * @param {() => Error} gone What to say when the hold was taken away.
   * @param {(isExclusive: boolean) => void} done
   * @param {(value?: any) => void} resolve
   */
  constructor(wait, ticket, words, gone, done, resolve) {
    this.wait = wait
    this.#ticket = ticket
    this.#words = words
    this.#gone = gone
    this.#done = done
    this.#resolve = resolve
  }

  begin() {
    waiters.add(this.#ticket, this)
    if (this.wait.signal) aborts.follow(this.wait.signal, this, this.#ticket)
  }

  /** @param {number} token The hold's own; 0 when the hold was taken away. */
  granted(token) {
    if (token > 0) this.#settle(true, undefined)
    else this.#settle(false, this.#gone())
    // What is held is its guard's to release.
    return true
  }

  /** @param {number} position @param {any} report @param {number} waitedMs */
  timedOut(position, report, waitedMs) {
    this.#settle(false, timedOut(this.#words, waitedMs, position, report))
  }

  /** @param {any} report */
  deadlocked(report) {
    this.#settle(false, deadlock(this.#words, report))
  }

  /** @param {number} ticket @param {unknown} reason */
  aborted(ticket, reason) {
    if (waiters.cancel(ticket)) this.#settle(false, reason)
  }

  /** The hold is over. @param {Error} error */
  ended(error) {
    waiters.cancel(this.#ticket)
    waiters.remove(this.#ticket)
    this.#settle(false, error)
  }

  /** The hold is exclusive already. An answer that is on the way changes nothing any more. */
  overtaken() {
    waiters.cancel(this.#ticket)
    this.#settle(true, undefined)
  }

  /** @param {boolean} isExclusive @param {unknown} error */
  #settle(isExclusive, error) {
    if (this.#isOver) return
    this.#isOver = true
    if (this.wait.signal) aborts.unfollow(this.wait.signal, this)
    this.#done(isExclusive)
    this.#resolve(isExclusive ? undefined : Promise.reject(error))
  }
}

/**
 * @param {import('./guard').LockGuard} guard
 * @param {typeof import('./guard').guards} inside What may look into a guard.
 * @param {unknown} given
 * @returns {Promise<void>}
 */
function waitToUpgrade(guard, inside, given) {
  const wait = options.upgradeWait('upgrade', given)
  const { target, weight, slot } = inside.facts(guard)
  if (wait.signal?.aborted) return Promise.reject(wait.signal.reason)
  if (!guard.check()) return Promise.reject(givenBack(inside.words(guard), guard.token))
  if (weight === 0) return Promise.resolve()
  if (typeof target === 'object' && target.modes) {
    const message = 'upgrade: a hold of several locks cannot become exclusive; acquire them so from the start'
    return Promise.reject(new ChainlockError('ERR_LOCK_INVALID_ARGUMENT', message))
  }
  waiters.open()
  const answer = calls.upgrade(slot, guard.token, wait.timeoutMs, putAncestors())
  if (answer > 0) {
    inside.setWeight(guard, 0)
    return Promise.resolve()
  }
  const words = `${inside.words(guard)}, to become exclusive,`
  if (answer !== Answer.WAITING) return Promise.reject(refused(answer, () => words))
  const ticket = scratch[0]
  const isAnswered = scratch[1] === 1
  return new Promise((resolve) => {
    const upgrade = new Upgrade(
      wait,
      ticket,
      words,
      () => lost(inside.words(guard), guard.token, 0),
      (isExclusive) => {
        inside.upgrades(guard).delete(upgrade)
        if (isExclusive) inside.setWeight(guard, 0)
      },
      resolve,
    )
    inside.upgrades(guard).add(upgrade)
    upgrade.begin()
    if (isAnswered) waiters.fetch()
  })
}

module.exports = { Upgrade, waitToUpgrade }
