// The lock on disk: a directory beside the file, as proper-lockfile makes it. Whoever makes it holds the lock; its
// time of change says that the holder lives; it is empty, so that anybody's `rmdir` can remove it. Ours carry a
// mark in an attribute beside: who made it.
// @ts-check
'use strict'

const path = require('node:path')
const { native } = require('../native')
const { unless } = require('../stale/steps')
const { look, isSame, GONE } = require('../stale/entry')
const { clear } = require('../stale/clear')
const { nameOf, failed, unsupported } = require('../stale/errors')

/** @template T @typedef {import('../stale/steps').Steps<T>} Steps */
/** @typedef {import('./options').Settings} Settings */

/** Why a lock is lost, as the native side says it. */
const LOST = { gone: 1, taken: 2, systemFrom: 1_000 }

/** @param {string} code @param {string} message @param {object} [details] */
function coded(code, message, details) {
  return Object.assign(new Error(message), { code }, details)
}

/** @param {string} file */
const locked = (file) => coded('ELOCKED', 'Lock file is already being held', { file })

/**
 * @param {string} file Canonical.
 * @param {string | undefined} lockfilePath
 */
const directoryOf = (file, lockfilePath) => path.resolve(lockfilePath || `${file}.lock`)

/** @param {string} file @param {boolean} realpath @returns {Steps<string>} */
function* canonical(file, realpath) {
  return realpath ? yield ['realpath', file] : path.resolve(file)
}

/**
 * One attempt.
 * @param {string} file @param {string} directory @param {Settings} settings
 * @returns {Steps<number>} The number under which the native side keeps it.
 */
function* acquire(file, directory, settings) {
  if (!(yield* make(directory))) {
    if (!(yield* takeOver(directory, settings.staleMs)) || !(yield* make(directory))) throw locked(file)
  }
  const id = native.keeperKeep(directory, settings.updateMs, settings.staleMs)
  if (id > 0) return id
  yield* unless(['rmdir', directory])
  if (process.platform !== 'linux') throw unsupported('lock', directory, 'this platform has no native keeper of lock directories')
  throw failed('lock', directory, -id)
}

/** @param {string} directory @returns {Steps<boolean>} */
function* make(directory) {
  return (yield* unless(['mkdir', directory], 'EEXIST')) !== null
}

/**
 * Removes a lock whose holder is gone. Of all who try, one does.
 * @param {string} directory @param {number} staleMs
 * @returns {Steps<boolean>} Whether it is worth while to try again.
 */
function* takeOver(directory, staleMs) {
  const entry = yield* look(directory)
  if (entry === null) return true
  if (!isStale(entry, staleMs) || entry.kind !== 'directory' || entry.names?.length !== 0) return false
  try {
    return (yield* clear('lock', entry)) === null
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'ERR_LOCK_UNSUPPORTED') throw error
    // On such a file system (NFS) it goes as with proper-lockfile itself, but for one more look.
    if (!isSame(entry, yield* look(directory))) return false
    yield* unless(['rmdir', directory], ...GONE)
    return true
  }
}

/**
 * A holder of ours that is known to live keeps its lock, even when it is stopped; one known to be dead has lost it.
 * A directory that its maker has left behind goes by age, as everybody else's.
 * @param {import('../stale/entry').Entry} entry @param {number} staleMs
 */
function isStale(entry, staleMs) {
  const maker = native.makerOf(entry.path)
  if (maker === 'dead') return true
  const isOld = entry.touchedMs < native.wallMs() - staleMs
  return isOld && !(maker === 'alive' && native.isKeptByMaker(entry.path))
}

/** @param {string} directory @param {number} staleMs @returns {Steps<boolean>} */
function* isHeld(directory, staleMs) {
  const entry = yield* look(directory)
  return entry !== null && !isStale(entry, staleMs)
}

/**
 * Removes our own directory, if it is still ours: in one call, as this thread may end at every `await`, and would
 * leave it behind with the mark of a living process.
 * @param {string} call @param {string} file @param {string} directory @param {number} id
 */
function giveBack(call, file, directory, id) {
  const lost = native.keeperRelease(id)
  if (lost < 0) throw failed(call, directory, -lost)
  if (lost > 0) throw compromised(file, lost)
}

/** @param {string} file @param {number} lost */
function compromised(file, lost) {
  const why =
    lost === LOST.gone
      ? 'the lock directory is gone'
      : lost === LOST.taken
        ? 'somebody else has taken or touched the lock directory'
        : `the lock directory could not be touched within the stale threshold: ${nameOf(lost - LOST.systemFrom)}`
  return coded('ECOMPROMISED', `The lock of ${file} is lost: ${why}`, { file })
}

module.exports = { coded, locked, canonical, directoryOf, acquire, giveBack, isHeld, compromised }
