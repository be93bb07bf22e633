// `updateFile`: read, change and write under a lock that other processes respect.
// @ts-check
'use strict'

const fs = require('node:fs')
const { basename, dirname, join } = require('node:path')
const { native } = require('../native')
const { invalidArgument, quote, typeError } = require('../errors')
const { callback, copyOptions } = require('../options')
const { UPDATE, UPDATE_SYNC, settings, target } = require('./options')
const { readError } = require('./errors')
const { check, write, writeSync } = require('./write')

/** @typedef {import('./options').Target} Target */
/** @typedef {Record<string, unknown>} Given */

const CALL = 'updateFile'
const CALL_SYNC = 'updateFileSync'
const OF_WRITE = ['encoding', 'mode', 'durable', 'symlink', 'owner', 'signal']
const OF_LOCK = ['timeoutMs', 'signal', 'label']

/** @type {typeof import('../../index').updateFile} */
async function updateFile(/** @type {any} */ path, /** @type {any} */ fn, /** @type {any} */ options) {
  const { to, given, how, encoding } = asked(CALL, path, fn, options, UPDATE)
  const settle = async () => check(CALL, to, await native.settleFile(to.bytes, how))
  const file = await realPath(to.bytes, how.links)
  const lockPath = lockPathOf(CALL, to, file)
  // Also before the lock, so that for what cannot be written no lock file is made.
  await settle()
  const lock = lockOf(lockPath)
  try {
    await lock.withLock(pick(given, OF_LOCK), async () => {
      await settle()
      const content = await fn(await fs.promises.readFile(file, encoding).catch((error) => nullWhenMissing(CALL, to, error)))
      if (content !== undefined) await write(to, content, pick(given, OF_WRITE))
    })
  } finally {
    // Whoever updates thousands of files would run out of descriptors before any is collected.
    lock.close()
  }
}

/** @type {typeof import('../../index').updateFileSync} */
function updateFileSync(/** @type {any} */ path, /** @type {any} */ fn, /** @type {any} */ options) {
  const { to, given, how, encoding } = asked(CALL_SYNC, path, fn, options, UPDATE_SYNC)
  const settle = () => check(CALL_SYNC, to, native.settleFileSync(to.bytes, how))
  const file = realPathSync(to.bytes, how.links)
  const lockPath = lockPathOf(CALL_SYNC, to, file)
  settle()
  const lock = lockOf(lockPath)
  try {
    lock.withLockSync(pick(given, OF_LOCK), () => {
      settle()
      const content = fn(readSync(to, file, encoding))
      if (typeof content?.then === 'function') {
        // Nobody waits for it: what it fails with must not end the process.
        Promise.resolve(content).catch(() => {})
        throw invalidArgument(`${CALL_SYNC}: what fn returns`, 'the new content, or undefined', content)
      }
      if (content !== undefined) writeSync(to, content, pick(given, OF_WRITE))
    })
  } finally {
    lock.close()
  }
}

/**
 * @param {string} call
 * @param {unknown} path
 * @param {unknown} fn
 * @param {unknown} options
 * @param {readonly string[]} known
 */
function asked(call, path, fn, options, known) {
  const to = target(call, path)
  callback(call, fn)
  const given = copyOptions(call, typeof options === 'string' ? { encoding: options } : options, known)
  const { how } = settings(call, pick(given, known.filter((name) => name !== 'label')), known)
  // Without an encoding the content is a Buffer.
  return { to, given, how, encoding: /** @type {BufferEncoding | undefined} */ (given.encoding) }
}

/** @param {Given} given @param {readonly string[]} names @returns {any} */
function pick(given, names) {
  return Object.fromEntries(names.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]))
}

/** @param {string} path */
function lockOf(path) {
  // Loaded here, so that writing files does not load the locks between processes.
  const { hostLock } = require('../host')
  return hostLock(path)
}

/**
 * Not `<file>.lock`: that name is a directory with proper-lockfile, and others' with others. The name can be read and is
 * short enough whatever the file's own is like; its folder must be named in UTF-8, as host locks are told by text.
 * @param {string} call
 * @param {Target} to
 * @param {Buffer} file
 */
function lockPathOf(call, to, file) {
  const { folder, name } = parts(file)
  const text = folder.toString()
  if (!Buffer.from(text).equals(folder)) {
    throw typeError(
      'ERR_LOCK_INVALID_ARGUMENT',
      `${call}: path must lead to a folder whose name is UTF-8, as the lock beside the file is told by text, not ${quote(to.text)}; nothing was written`,
    )
  }
  return join(text, native.updateLockName(name))
}

/** Byte by byte: `node:path` takes strings alone. @param {Buffer} path */
function parts(path) {
  const text = path.toString('latin1')
  return { folder: Buffer.from(dirname(text), 'latin1'), name: Buffer.from(basename(text), 'latin1') }
}

/** @param {Buffer} folder @param {Buffer} name */
const joined = (folder, name) => Buffer.from(join(folder.toString('latin1'), name.toString('latin1')), 'latin1')

const FOLLOW = 0

/** One lock for one file, by whatever links it is reached. @param {Buffer} path @param {number} links */
async function realPath(path, links) {
  const real = (/** @type {Buffer} */ one) => fs.promises.realpath(one, 'buffer').catch(() => null)
  const followed = links === FOLLOW ? await real(path) : null
  if (followed !== null) return followed
  const { folder, name } = parts(path)
  return joined((await real(folder)) ?? folder, name)
}

/** @param {Buffer} path @param {number} links */
function realPathSync(path, links) {
  const real = (/** @type {Buffer} */ one) => {
    try {
      return fs.realpathSync.native(one, 'buffer')
    } catch {
      return null
    }
  }
  const followed = links === FOLLOW ? real(path) : null
  if (followed !== null) return followed
  const { folder, name } = parts(path)
  return joined(real(folder) ?? folder, name)
}

/** @param {Target} to @param {Buffer} file @param {BufferEncoding | undefined} encoding */
function readSync(to, file, encoding) {
  try {
    return fs.readFileSync(file, encoding)
  } catch (error) {
    return nullWhenMissing(CALL_SYNC, to, error)
  }
}

/** @param {string} call @param {Target} to @param {any} error */
function nullWhenMissing(call, to, error) {
  if (error.code === 'ENOENT') return null
  throw readError(call, to.text, error)
}

module.exports = { updateFile, updateFileSync }
