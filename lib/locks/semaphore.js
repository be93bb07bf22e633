// `locks.semaphore(name, permits)`: a semaphore that has a name, and so is one for all threads.
// @ts-check
'use strict'

const { typeError, invalidArgument } = require('../errors')
const { copyOptions } = require('../options')
const claims = require('./claims')
const { native, face, FETCH } = require('./face')
const options = require('./options')
const { shown } = require('./report')
const { statisticsOf } = require('./status')
const waiters = require('./waiters')

const TRY = ['weight', 'label']
const ACQUIRE = [...TRY, 'timeoutMs', 'priority', 'signal', 'class', 'ref']
/** A whole read/write lock is one unit more. */
const MOST_PERMITS = 2 ** 32 - 2

class NamedSemaphore {
  /** @type {import('./targets').Opened} */
  #target

  /** @param {import('./targets').Opened} target */
  constructor(target) {
    this.#target = target
  }

  get name() {
    return this.#target.name
  }

  get permits() {
    return this.#state().permits
  }

  get available() {
    const { permits, used } = this.#state()
    return Math.max(0, permits - used)
  }

  get waiting() {
    return this.#state().waiting
  }

  /** @param {unknown} [given] @returns {Promise<any>} */
  acquire(given) {
    try {
      const { weight, wait } = asked('acquire', given)
      return Promise.resolve(claims.request(this.#target, weight, wait))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} [given] @returns {any} */
  tryAcquire(given) {
    const { weight, label } = copyOptions('tryAcquire', given, TRY)
    return claims.attempt(this.#target, permitsTaken('tryAcquire', weight), options.cleanLabel('tryAcquire', label))
  }

  /** @param {unknown} given @param {unknown} [fn] @returns {Promise<any>} */
  run(given, fn) {
    try {
      const [asking, last] = fn === undefined && typeof given === 'function' ? [undefined, given] : [given, fn]
      const body = options.callback('run', last)
      const { weight, wait } = asked('run', asking)
      return claims.run(this.#target, weight, wait, body)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} permits */
  resize(permits) {
    const answer = native.resizeSemaphore(face, this.#target.ref, numberOfPermits('resize', permits, 0))
    if ((answer & FETCH) !== 0) waiters.fetch()
  }

  /** @returns {import('../../index').LockStatistics} */
  getStatistics() {
    return statisticsOf(this.#target)
  }

  #state() {
    return native.semaphoreState(face, this.#target.ref)
  }
}

/**
 * @param {string} call
 * @param {unknown} given
 */
function asked(call, given) {
  const { weight, ...rest } = copyOptions(call, given, ACQUIRE)
  const taken = permitsTaken(call, weight)
  const { wait } = options.request(call, given === undefined ? undefined : rest, ACQUIRE)
  return { weight: taken, wait }
}

/** @param {string} call @param {unknown} weight */
function permitsTaken(call, weight) {
  if (weight === undefined) return 1
  if (Number.isInteger(weight) && Number(weight) > 0 && Number(weight) <= MOST_PERMITS) return Number(weight)
  throw invalidArgument(`${call}: options.weight`, integer(1), weight)
}

/** @param {string} call @param {unknown} permits @param {number} least */
function numberOfPermits(call, permits, least) {
  if (Number.isInteger(permits) && Number(permits) >= least && Number(permits) <= MOST_PERMITS) return Number(permits)
  throw invalidArgument(`${call}: permits`, integer(least), permits)
}

/** @param {number} least */
const integer = (least) => `an integer from ${least} to ${MOST_PERMITS.toLocaleString('en-US')}`

/**
 * @param {string} name
 * @param {unknown} permits
 */
function openSemaphore(name, permits) {
  if (permits === undefined) return new NamedSemaphore(openAsItIs(name))
  const wanted = numberOfPermits('semaphore', permits, 1)
  const target = claims.openTarget('semaphore', name, wanted)
  if (target !== null) return new NamedSemaphore(target)
  throw typeError(
    'ERR_LOCK_INVALID_ARGUMENT',
    `semaphore: the semaphore ${shown(name)} has other permits than ${wanted.toLocaleString('en-US')} already: ` +
      'leave them out to use it as it is, or change them for everybody with resize()',
  )
}

/** @param {string} name */
function openAsItIs(name) {
  for (;;) {
    /** @type {{ kind: string, permits: number }[]} */
    const known = JSON.parse(native.lockStatus(face, name))
    const permits = known.find(({ kind }) => kind === 'semaphore')?.permits ?? 1
    const target = claims.openTarget('semaphore', name, permits)
    // Another thread has changed them between the look and the opening.
    if (target !== null) return target
  }
}

module.exports = { openSemaphore }
