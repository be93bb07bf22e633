// A lock's handle: its name is looked up once, and what its calls ask for is known before they are called.
// @ts-check
'use strict'

const claims = require('./claims')
const { calls } = require('./face')
const { modeOf } = require('./errors')
const options = require('./options')
const { statisticsOf } = require('./status')

class LockHandle {
  /** @type {import('./targets').Opened} */
  #target
  /** @type {0 | 1} */
  #weight
  #label

  /**
   * @param {import('./targets').Opened} target
   * @param {0 | 1} weight
   * @param {string | undefined} label
   */
  constructor(target, weight, label) {
    this.#target = target
    this.#weight = weight
    this.#label = label
  }

  get name() {
    return this.#target.name
  }

  get mode() {
    return modeOf(this.#weight)
  }

  get isLocked() {
    return calls.state(this.#target.ref) !== 0
  }

  /** @param {import('../../index').LockModeName} [mode] */
  tryAcquire(mode) {
    const weight = mode === undefined ? this.#weight : options.modeWeight('tryAcquire', mode, 'mode')
    return claims.attempt(this.#target, weight, this.#label)
  }

  /** @param {unknown} [given] */
  acquire(given) {
    if (given === undefined && this.#label === undefined) {
      return Promise.resolve(claims.request(this.#target, this.#weight, options.defaultWait(this.#weight)))
    }
    try {
      const { weight, wait } = this.#asked('acquire', given, options.ACQUIRE)
      return Promise.resolve(claims.request(this.#target, weight, wait))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {unknown} given
   * @param {unknown} [fn]
   * @returns {Promise<any>}
   */
  run(given, fn) {
    if (fn === undefined && typeof given === 'function' && this.#label === undefined) {
      const body = /** @type {(guard: any) => any} */ (given)
      return claims.run(this.#target, this.#weight, options.defaultWait(this.#weight), body)
    }
    try {
      const [asked, last] = fn === undefined && typeof given === 'function' ? [undefined, given] : [given, fn]
      const body = options.callback('run', last)
      const { weight, wait } = this.#asked('run', asked, options.RUN)
      return claims.run(this.#target, weight, wait, body)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @returns {import('../../index').LockStatistics} */
  getStatistics() {
    return statisticsOf(this.#target)
  }

  /**
   * @param {string} call
   * @param {unknown} given
   * @param {readonly string[]} known
   */
  #asked(call, given, known) {
    const asked = typeof given === 'string' ? { mode: given } : given
    const { weight, wait } = options.request(call, asked, known, this.#weight)
    if (this.#label === undefined || wait.label !== undefined) return { weight, wait }
    return { weight, wait: options.labelled(wait, this.#label) }
  }
}

module.exports = { LockHandle }
