// `hostLocked`: a decorator of methods and a wrapper of functions, as `readLock` and `writeLock` are.
// @ts-check
'use strict'

const { makeDecorators } = require('../locks/decorators')
const { copyOptions } = require('../options')
const { hostLock } = require('./lock')
const options = require('./options')

const KNOWN = [...options.ACQUIRE, 'allowNetworkFs']

/** @param {unknown} given */
function split(given) {
  const { allowNetworkFs, ...wait } = copyOptions('hostLocked', given, KNOWN)
  return { lock: { allowNetworkFs }, wait }
}

/** @param {unknown} given */
function check(given) {
  const { lock, wait } = split(given)
  options.allowsNetworkFs('hostLocked', lock)
  options.request('hostLocked', wait, options.ACQUIRE)
}

/** @type {import('../../index').hostLocked} */
const hostLocked = /** @type {any} */ (
  makeDecorators('hostLocked', check, async (name, given, body) => {
    const { lock: how, wait } = split(given)
    const lock = hostLock(name, how)
    try {
      return await lock.withLock(wait, () => body())
    } finally {
      // The names may be very many.
      lock.close()
    }
  })
)

module.exports = { hostLocked }
