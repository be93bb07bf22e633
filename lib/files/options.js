// What callers may pass to the calls that write files: every check is here, and names the argument.
// @ts-check
'use strict'

const { isAbsolute, resolve } = require('node:path')
const { fileURLToPath } = require('node:url')
const { copyOptions, oneOf, isAbortSignal, milliseconds } = require('../options')
const { invalidArgument, typeError } = require('../errors')
const { native } = require('../native')

/** @typedef {import('../binding.cjs').FileHow} FileHow */
/**
 * Where to write: `bytes` is absolute, so that a change of the working directory changes nothing; `text` is for people,
 * as it was given; `key` is the same for the same path.
 * @typedef {{ bytes: Buffer, text: string, key: string }} Target
 */
/** @typedef {{ how: FileHow, encoding: BufferEncoding, signal: AbortSignal | undefined, timeoutMs: number }} Settings */

const WRITE = ['encoding', 'mode', 'durable', 'symlink', 'owner', 'signal']
const WRITE_SYNC = WRITE.filter((name) => name !== 'signal')
const APPEND = ['encoding', 'mode', 'durable', 'symlink', 'signal', 'timeoutMs']
const APPEND_SYNC = APPEND.filter((name) => name !== 'signal')
const UPDATE = ['encoding', 'mode', 'durable', 'symlink', 'owner', 'signal', 'timeoutMs', 'label']
const UPDATE_SYNC = UPDATE.filter((name) => name !== 'signal')

const SYMLINK = /** @type {const} */ (['follow', 'refuse', 'replace'])
const OWNER = /** @type {const} */ (['try', 'require', 'ignore'])
const PATH = 'a path: a string, a Buffer or a file: URL'
const LONGEST_MODE = 0o7777
/** As for a lock between processes. */
const USUAL_TIMEOUT_MS = 60_000

/**
 * @param {string} call
 * @param {unknown} path
 * @returns {Target}
 */
function target(call, path) {
  const given = path instanceof URL ? pathOfUrl(call, path) : path
  if (typeof given !== 'string' && !(given instanceof Uint8Array)) throw invalidArgument(`${call}: path`, PATH, path)
  // A copy: what is checked now is what is used later.
  const bytes = typeof given === 'string' ? Buffer.from(given) : Buffer.from(given)
  if (bytes.length === 0) throw invalidArgument(`${call}: path`, PATH, typeof given === 'string' ? given : path)
  if (bytes.includes(0)) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: path must not have a NUL in it: the system would cut it there`)
  }
  const text = bytes.toString()
  if (isAbsolute(text)) return { bytes, text, key: keyOf(bytes) }
  const whole = native.absolutePath(bytes)
  // Where the working directory is gone, the system will say so.
  return whole ? { bytes: whole, text, key: resolve(keyOf(whole)) } : { bytes, text, key: keyOf(bytes) }
}

/** In bytes, as two paths that are no UTF-8 may read the same. @param {Buffer} bytes */
const keyOf = (bytes) => bytes.toString('latin1')

/** @param {string} call @param {URL} url */
function pathOfUrl(call, url) {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: path must be ${PATH}; ${/** @type {Error} */ (cause).message}`)
  }
}

/**
 * @param {string} call
 * @param {unknown} given
 * @param {readonly string[]} known
 * @returns {Settings}
 */
function settings(call, given, known) {
  // As node:fs takes it.
  const options = typeof given === 'string' ? { encoding: given } : given
  const { encoding, mode, durable, symlink, owner, signal, timeoutMs } = copyOptions(call, options, known)
  const isAppend = !known.includes('owner')
  const links = isAppend ? SYMLINK.slice(0, 2) : SYMLINK
  if (signal !== undefined && !isAbortSignal(signal)) throw invalidArgument(`${call}: options.signal`, 'an AbortSignal', signal)
  return {
    how: {
      durable: flag(call, durable),
      links: symlink === undefined ? 0 : SYMLINK.indexOf(oneOf(call, 'options.symlink', symlink, links)),
      owner: owner === undefined ? 0 : OWNER.indexOf(oneOf(call, 'options.owner', owner, OWNER)),
      ...(mode === undefined ? {} : { mode: permissions(call, mode) }),
    },
    encoding: encodingOf(call, encoding),
    signal: /** @type {AbortSignal | undefined} */ (signal),
    timeoutMs: timeout(call, timeoutMs),
  }
}

/** @param {string} call @param {unknown} durable */
function flag(call, durable) {
  if (durable === undefined) return true
  if (typeof durable !== 'boolean') throw invalidArgument(`${call}: options.durable`, 'true or false', durable)
  return durable
}

/** @param {string} call @param {unknown} mode */
function permissions(call, mode) {
  if (!Number.isInteger(mode) || Number(mode) < 0 || Number(mode) > LONGEST_MODE) {
    throw invalidArgument(`${call}: options.mode`, 'permissions, a whole number from 0 to 0o7777', mode)
  }
  return Number(mode)
}

/** @param {string} call @param {unknown} encoding @returns {BufferEncoding} */
function encodingOf(call, encoding) {
  if (encoding === undefined || encoding === null) return 'utf8'
  if (typeof encoding !== 'string' || !Buffer.isEncoding(encoding)) {
    throw invalidArgument(`${call}: options.encoding`, 'an encoding of Node.js, such as \'utf8\'', encoding)
  }
  return encoding
}

/** @param {string} call @param {unknown} timeoutMs */
function timeout(call, timeoutMs) {
  if (timeoutMs === undefined) return USUAL_TIMEOUT_MS
  return timeoutMs === Infinity ? Infinity : milliseconds(call, 'options.timeoutMs', timeoutMs)
}

module.exports = { WRITE, WRITE_SYNC, APPEND, APPEND_SYNC, UPDATE, UPDATE_SYNC, target, settings }
