// What the system refused, as errors.
// @ts-check
'use strict'

const { getSystemErrorName } = require('node:util')
const { ChainlockError, quote } = require('../errors')

/** What renameat2 answers where it cannot change two names. */
const NO_EXCHANGE = ['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV']

/** @param {number} number @returns {string} */
function nameOf(number) {
  try {
    return getSystemErrorName(-number)
  } catch {
    return `errno ${number}`
  }
}

/** @param {string} path */
const shown = (path) => (path.length > 120 ? `${quote(`…${path.slice(-120)}`)}` : quote(path))

/**
 * @param {string} call
 * @param {string} path
 * @param {any} cause An error of `node:fs`, or the system's number of one.
 */
function failed(call, path, cause) {
  if (cause instanceof ChainlockError) return cause
  const errno = typeof cause === 'number' ? nameOf(cause) : cause?.code
  if (typeof errno !== 'string' || !/^E[A-Z0-9]+$|^errno /.test(errno)) return cause
  const message = `${call}: the system refused ${shown(path)} with ${errno}; look at the rights on it and on its folder, and at the space left`
  return new ChainlockError('ERR_LOCK_FILE_IO', message, typeof cause === 'number' ? { path, errno } : { path, errno, cause })
}

/** @param {string} call @param {string} path @param {string} why */
function unsupported(call, path, why) {
  const message = `${call}: ${shown(path)} cannot be cleared safely: ${why}. Make sure that its holder is gone, then remove it by hand`
  return new ChainlockError('ERR_LOCK_UNSUPPORTED', message, { path })
}

/** @param {string} call @param {string} path @param {number} errno */
function exchangeFailed(call, path, errno) {
  if (process.platform !== 'linux' || NO_EXCHANGE.includes(nameOf(errno))) {
    return unsupported(call, path, 'its file system cannot change two names in one step')
  }
  return failed(call, path, errno)
}

module.exports = { failed, unsupported, exchangeFailed, nameOf }
