// The only importer of the generated loader: finds the native code, and makes several copies of this
// package in one process share the copy that was loaded first.
// @ts-check
'use strict'

const { ChainlockError } = require('./errors')

/** @typedef {typeof import('./binding.cjs')} Native */

/** @returns {Native} */
function load() {
  try {
    return require('./binding.cjs')
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`
    throw new ChainlockError(
      'ERR_LOCK_NATIVE_MISSING',
      `chainlock has no native code for ${platform} (Node ${process.version}) here. ` +
        'Either the package for this platform was not installed (npm install --include=optional), or there ' +
        'is none: with a Rust toolchain, `npm ci && npm run build` in a checkout of chainlock builds it.',
      { cause },
    )
  }
}

/** @param {Native} own */
function adopt(own) {
  try {
    return own.adopt() ?? own
  } catch (cause) {
    throw new ChainlockError('ERR_LOCK_VERSION_MISMATCH', /** @type {Error} */ (cause).message, { cause })
  }
}

/** What a function says when the state that processes share could not be had. */
const UNAVAILABLE = 'chainlock: the shared state cannot be had'

/**
 * The functions off the hot path fail only by a bug, and say so with a code.
 * @param {Native} functions
 * @returns {Native}
 */
function guard(functions) {
  /** @param {Function} call */
  const guarded = (call) => (/** @type {unknown[]} */ ...given) => {
    try {
      return call(...given)
    } catch (cause) {
      const { message } = /** @type {Error} */ (cause)
      const fault = message === UNAVAILABLE ? functions.hostFault() : null
      const code = /** @type {import('../index').ChainlockErrorCode} */ (fault?.code ?? 'ERR_LOCK_INTERNAL')
      throw new ChainlockError(code, fault?.message ?? message, fault ? { path: fault.path, errno: fault.errno } : { cause })
    }
  }
  const entries = Object.entries(functions).map(([name, value]) => [
    name,
    typeof value === 'function' ? guarded(value) : value,
  ])
  return Object.fromEntries(entries)
}

/** Other programs stand in for libuv, or run its loop inside of one of their own: only Node's says what it does. */
const isNode = !['bun', 'deno', 'electron'].some((other) => other in process.versions)

const native = guard(adopt(load()))
if (isNode) native.followLoop()

module.exports = { native }
