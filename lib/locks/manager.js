// `locks`: the one LockManager of a thread's copy of the package. Its methods check what they are given; what
// happens then is in `request.js` (Web Locks), `claims.js` and `status.js`.
// @ts-check
'use strict'

const claims = require('./claims')
const { LockHandle } = require('./handle')
const options = require('./options')
const { OURS, request } = require('./request')
const { openSemaphore } = require('./semaphore')
const status = require('./status')
const { Several } = require('./targets')

/** @type {(value: any) => boolean} */
let isManager

class LockManager {
  #isOne = true

  /** @param {unknown} key */
  constructor(key) {
    if (key !== OURS) throw new TypeError('Illegal constructor')
  }

  // The standard's two look at what they are called on, as the standard says.

  /** @param {unknown[]} given @returns {Promise<any>} */
  request(...given) {
    try {
      if (!isManager(this)) throw new TypeError('Illegal invocation')
      return request(given)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} [given] @returns {Promise<any>} */
  query(given) {
    return isManager(this) ? status.query(given) : Promise.reject(new TypeError('Illegal invocation'))
  }

  /** @param {unknown} name @param {unknown} [given] @returns {Promise<any>} */
  acquire(name, given) {
    try {
      const checked = options.lockName('acquire', name)
      const { weight, wait } = options.request('acquire', given, options.ACQUIRE)
      return Promise.resolve(claims.request(checked, weight, wait))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} name @param {unknown} [given] */
  tryAcquire(name, given) {
    const checked = options.lockName('tryAcquire', name)
    if (given === undefined) return claims.attempt(checked, 0)
    const { weight, label } = options.tryRequest('tryAcquire', given)
    return claims.attempt(checked, weight, label)
  }

  /** @param {unknown} name @param {unknown} [given] */
  acquireSync(name, given) {
    const checked = options.lockName('acquireSync', name)
    const { weight, wait } = options.request('acquireSync', given, options.SYNC)
    // Loaded when it is first asked for.
    return require('./sync').acquireSync(checked, weight, wait)
  }

  /** @param {unknown} names @param {unknown} [given] @returns {Promise<any>} */
  acquireAll(names, given) {
    try {
      const { target, weight, wait } = several('acquireAll', names, given)
      return Promise.resolve(claims.request(target, weight, wait))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} name @param {unknown} given @param {unknown} [fn] */
  withLock(name, given, fn) {
    return runNamed('withLock', name, given, fn, options.RUN, 0)
  }

  /** @param {unknown} name @param {unknown} given @param {unknown} [fn] */
  withRead(name, given, fn) {
    return runNamed('withRead', name, given, fn, options.MODELESS, 1)
  }

  /** @param {unknown} name @param {unknown} given @param {unknown} [fn] */
  withWrite(name, given, fn) {
    return runNamed('withWrite', name, given, fn, options.MODELESS, 0)
  }

  /** @param {unknown} names @param {unknown} given @param {unknown} [fn] @returns {Promise<any>} */
  withAll(names, given, fn) {
    try {
      const [asked, body] = withBody('withAll', given, fn)
      const { target, weight, wait } = several('withAll', names, asked)
      return claims.run(target, weight, wait, body)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} name @param {unknown} [given] */
  lock(name, given) {
    const checked = options.lockName('lock', name)
    const { weight, label } = options.tryRequest('lock', given)
    const target = /** @type {import('./targets').Opened} */ (claims.openTarget('lock', checked, 0))
    return new LockHandle(target, weight, label)
  }

  /** @param {unknown} name @param {unknown} [permits] */
  semaphore(name, permits) {
    return openSemaphore(options.lockName('semaphore', name), permits)
  }

  /** @param {unknown} given @param {unknown} [fn] @returns {Promise<any>} */
  flow(given, fn) {
    try {
      const [label, body] = withBody('flow', given, fn)
      return claims.flow(options.cleanLabel('flow', label, 'label'), /** @type {() => any} */ (body))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {unknown} fn */
  detached(fn) {
    return claims.detached(options.callback('detached', fn))
  }

  /** @param {unknown} settings */
  configure(settings) {
    return status.configure(settings)
  }

  /** @param {unknown} [given] */
  detectDeadlocks(given) {
    return status.detectDeadlocks(given)
  }

  /** @param {unknown} [name] */
  getStatistics(name) {
    return status.getStatistics(name)
  }

  /** @param {unknown} [name] */
  getLockStatus(name) {
    return status.getLockStatus(name)
  }

  /** @param {unknown} [name] */
  resetStatistics(name) {
    status.resetStatistics(name)
  }

  /** @param {unknown} name @param {unknown} [reason] */
  forceRelease(name, reason) {
    return status.forceRelease(name, reason)
  }

  static {
    isManager = (value) => typeof value === 'object' && value !== null && #isOne in value
  }
}
Object.defineProperty(LockManager.prototype, Symbol.toStringTag, { value: 'LockManager', configurable: true })
for (const name of /** @type {const} */ (['request', 'query'])) {
  Object.defineProperty(LockManager.prototype, name, { enumerable: true })
}
// As the standard says: how many arguments a call must have.
Object.defineProperty(LockManager.prototype.request, 'length', { value: 2, configurable: true })
Object.defineProperty(LockManager.prototype.query, 'length', { value: 0, configurable: true })

/**
 * `(options, fn)` or `(fn)`.
 * @param {string} call
 * @param {unknown} given
 * @param {unknown} fn
 * @returns {[asked: unknown, body: (guard: any) => any]}
 */
function withBody(call, given, fn) {
  return fn === undefined && typeof given === 'function'
    ? [undefined, options.callback(call, given)]
    : [given, options.callback(call, fn)]
}

/**
 * @param {string} call
 * @param {unknown} name
 * @param {unknown} given
 * @param {unknown} fn
 * @param {readonly string[]} known
 * @param {0 | 1} usual
 * @returns {Promise<any>}
 */
function runNamed(call, name, given, fn, known, usual) {
  try {
    const checked = options.lockName(call, name)
    const [asked, body] = withBody(call, given, fn)
    const { weight, wait } = options.request(call, asked, known, usual)
    return claims.run(checked, weight, wait, body)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** @param {string} call @param {unknown} names @param {unknown} given */
function several(call, names, given) {
  const { modes, wait } = options.severalRequest(call, names, given)
  const isShared = [...modes.values()].every((mode) => mode === 'shared')
  return { target: new Several(modes), weight: isShared ? 1 : 0, wait }
}

const locks = new LockManager(OURS)

module.exports = { LockManager, locks }
