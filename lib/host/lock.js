// `hostLock`: locks between processes. Its methods check what they are given; what happens then is in `claims.js` and,
// for those who stand still, in `sync.js`.
// @ts-check
'use strict'

const claims = require('./claims')
const { statusOf } = require('./errors')
const { openFile } = require('./file')
const options = require('./options')

/** @typedef {import('./file').HostFile} HostFile */

/** Of the host locks of every copy of this package. */
const BRAND = Symbol.for('chainlock.hostLock')

// Node 20.0–20.3 and older engines have it not; the name is then an ordinary symbol of our own.
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')

class HostLock {
  /** Null while it is closed. @type {HostFile | null} */
  #opened
  #reopen
  #path

  /** @param {HostFile} file @param {() => HostFile} reopen */
  constructor(file, reopen) {
    this.#opened = file
    this.#reopen = reopen
    this.name = file.name
    this.#path = file.path
  }

  get [BRAND]() {
    return true
  }

  get path() {
    return this.#path
  }

  get #file() {
    return this.#opened ?? (this.#opened = this.#reopen())
  }

  /** @param {unknown} [given] @returns {Promise<any>} */
  acquire(given) {
    try {
      const { weight, wait } = options.request('acquire', given, options.ACQUIRE)
      return Promise.resolve(claims.request(this.#file, weight, wait))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} [given] */
  tryAcquire(given) {
    if (given === undefined) return claims.attempt(this.#file, 0)
    const { weight, label } = options.tryRequest('tryAcquire', given)
    return claims.attempt(this.#file, weight, label)
  }

  /** @param {unknown} [given] */
  tryAcquireSync(given) {
    if (given === undefined) return claims.attempt(this.#file, 0)
    const { weight, label } = options.tryRequest('tryAcquireSync', given)
    return claims.attempt(this.#file, weight, label)
  }

  /** @param {unknown} [given] */
  acquireSync(given) {
    const { weight, wait } = options.request('acquireSync', given, options.SYNC)
    // Loaded when it is first asked for.
    return require('./sync').acquireSync(this.#file, weight, wait)
  }

  /** @param {unknown} given @param {unknown} [fn] @returns {Promise<any>} */
  withLock(given, fn) {
    try {
      const [asked, body] = options.withBody('withLock', given, fn)
      const { weight, wait } = options.request('withLock', asked, options.ACQUIRE)
      return claims.run(this.#file, weight, wait, body)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} given @param {unknown} [fn] */
  withLockSync(given, fn) {
    const [asked, body] = options.withBody('withLockSync', given, fn)
    const { weight, wait } = options.request('withLockSync', asked, options.SYNC)
    return require('./sync').runSync(this.#file, weight, wait, body)
  }

  status() {
    return statusOf(this.#file)
  }

  close() {
    this.#opened?.close()
    this.#opened = null
  }

  [DISPOSE]() {
    this.close()
  }
}

/** Also of another copy of this package. @param {any} value @returns {value is HostLock} */
const isHostLock = (value) => typeof value === 'object' && value !== null && value[BRAND] === true

/**
 * @param {unknown} nameOrPath
 * @param {unknown} [given]
 */
function hostLock(nameOrPath, given) {
  const { given: place, isPath } = options.place('hostLock', nameOrPath)
  const allowNetworkFs = options.allowsNetworkFs('hostLock', given)
  const file = openFile(place, place, isPath, allowNetworkFs)
  // The same file, whatever has become of the working directory since.
  const again = isPath ? file.path : place
  return new HostLock(file, () => openFile(place, again, isPath, allowNetworkFs))
}

module.exports = { HostLock, hostLock, isHostLock }
