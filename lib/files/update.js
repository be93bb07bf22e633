// `updateFile`: read, change and write under a lock that other processes respect.
// @ts-check
'use strict'

const fs = require('node:fs')
const { basename, dirname, join, resolve } = require('node:path')
const { native } = require('../native')
const { invalidArgument } = require('../errors')
const { callback, copyOptions } = require('../options')
const { UPDATE, UPDATE_SYNC, settings, target } = require('./options')
const { readError } = require('./errors')
const { check, writeFileAtomic, writeFileAtomicSync } = require('./write')

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
  // Also before the lock, so that for what cannot be written no lock file is made.
  await settle()
  const file = await realPath(to.text, how.links)
  const lock = lockOf(file)
  try {
    await lock.withLock(pick(given, OF_LOCK), async () => {
      await settle()
      const content = await fn(await fs.promises.readFile(file, encoding).catch((error) => nullWhenMissing(CALL, to, error)))
      if (content !== undefined) await writeFileAtomic(path, content, pick(given, OF_WRITE))
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
  settle()
  const file = realPathSync(to.text, how.links)
  const lock = lockOf(file)
  try {
    lock.withLockSync(pick(given, OF_LOCK), () => {
      settle()
      const content = fn(readSync(to, file, encoding))
      if (typeof content?.then === 'function') {
        throw invalidArgument(`${CALL_SYNC}: what fn returns`, 'the new content, or undefined', content)
      }
      if (content !== undefined) writeFileAtomicSync(path, content, pick(given, OF_WRITE))
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

/** @param {string} file */
function lockOf(file) {
  // Loaded here, so that writing files does not load the locks between processes.
  const { hostLock } = require('../host')
  return hostLock(`${file}.lock`)
}

const FOLLOW = 0

/** One lock for one file, by whatever links it is reached. @param {string} path @param {number} links */
async function realPath(path, links) {
  const whole = resolve(path)
  const followed = links === FOLLOW ? await fs.promises.realpath(whole).catch(() => null) : null
  if (followed !== null) return followed
  return join(await fs.promises.realpath(dirname(whole)).catch(() => dirname(whole)), basename(whole))
}

/** @param {string} path @param {number} links */
function realPathSync(path, links) {
  const real = (/** @type {string} */ one) => {
    try {
      return fs.realpathSync(one)
    } catch {
      return null
    }
  }
  const whole = resolve(path)
  const followed = links === FOLLOW ? real(whole) : null
  return followed ?? join(real(dirname(whole)) ?? dirname(whole), basename(whole))
}

/** @param {Target} to @param {string} file @param {BufferEncoding | undefined} encoding */
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
