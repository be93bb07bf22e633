// Removing a stale lock, with one winner among all who try. Many may have judged one lock; what is removed is
// what was judged, or nothing:
//
//  1. The lock is opened, and the kernel's lock on it taken: of all who clear it, one goes on.
//  2. A placeholder, made beside it, changes names with it in one step. At no moment is the name free, so that
//     nobody can take the lock while it is being looked at.
//  3. What came out is compared with what was judged. If it is another, the names are changed back.
//  4. The old lock is removed, then the placeholder. That sets the name free. The placeholder is a directory where
//     the lock is none, and a file where it is one: the call that removes the one cannot remove the other, so that
//     even who removes locks blindly and makes his own in the midst of this keeps it.
// @ts-check
'use strict'

const path = require('node:path')
const { constants } = require('node:fs')
const { randomBytes } = require('node:crypto')
const { native } = require('../native')
const { look, isSame, OPEN, GONE } = require('./entry')
const { unless } = require('./steps')
const { failed, unsupported, exchangeFailed } = require('./errors')

/** @template T @typedef {import('./steps').Steps<T>} Steps */
/** @typedef {import('./entry').Entry} Entry */

const CHANGED = 'it has changed since it was judged'
const BUSY = 'another process is clearing it, or holds it'
const ENOENT = 2

/**
 * @param {string} call
 * @param {Entry} judged
 * @returns {Steps<string | null>} Null when it was removed by this call, otherwise why it was not.
 */
function* clear(call, judged) {
  if (process.platform !== 'linux') throw unsupported(call, judged.path, 'this platform cannot change two names in one step')
  /** @type {number[]} */
  const open = []
  try {
    return yield* clearOpen(call, judged, open)
  } catch (error) {
    throw failed(call, judged.path, error)
  } finally {
    for (const fd of open) yield ['close', fd]
  }
}

/** @param {string} call @param {Entry} judged @param {number[]} open @returns {Steps<string | null>} */
function* clearOpen(call, judged, open) {
  const folder = yield ['open', path.dirname(judged.path), constants.O_RDONLY | constants.O_DIRECTORY]
  open.push(folder)
  // From here on the folder is this one, whatever becomes of its path.
  const at = (/** @type {string} */ name) => `/proc/self/fd/${folder}/${name}`
  const name = path.basename(judged.path)
  const lock = at(name)
  const aside = at(`.chainlock-${randomBytes(8).toString('hex')}`)
  if (judged.kind !== 'symlink') {
    const refusal = yield* takeAlone(lock, open)
    if (refusal) return refusal
  }
  if (!isSame(judged, yield* look(lock))) return CHANGED
  const placeholder = yield* makePlaceholder(judged, aside, open)
  const errno = native.exchangeEntries(aside, lock)
  if (errno !== 0) {
    yield* remove(placeholder.kind, aside)
    if (errno === ENOENT) return CHANGED
    throw exchangeFailed(call, judged.path, errno)
  }
  if (!isSame(judged, yield* look(aside)) || !(yield* removeOld(judged, aside))) {
    yield* putBack(placeholder, aside, lock)
    return CHANGED
  }
  yield* remove(placeholder.kind, lock)
  return null
}

/** @param {string} lock @param {number[]} open @returns {Steps<string | null>} */
function* takeAlone(lock, open) {
  const fd = yield* unless(['open', lock, OPEN], ...GONE, 'ELOOP')
  if (fd === null) return CHANGED
  open.push(fd)
  return native.tryFlock(fd) === -1 ? BUSY : null
}

/**
 * What stands in the lock's place meanwhile. Nobody who asks here takes it for stale: the kernel's lock on it is
 * ours.
 * @param {Entry} judged @param {string} aside @param {number[]} open
 * @returns {Steps<Entry>}
 */
function* makePlaceholder(judged, aside, open) {
  if (judged.kind === 'directory') yield ['writeFile', aside, `${process.pid}\n`, { flag: 'wx', mode: 0o600 }]
  else yield ['mkdir', aside, 0o700]
  yield* takeAlone(aside, open)
  return /** @type {Entry} */ (yield* look(aside))
}

/**
 * Removes what was judged; never more than that.
 * @param {Entry} judged @param {string} aside
 * @returns {Steps<boolean>} False when somebody has put something into it meanwhile.
 */
function* removeOld(judged, aside) {
  for (const name of judged.names ?? []) yield* unless(['unlink', path.join(aside, name)], 'ENOENT')
  return yield* remove(judged.kind, aside)
}

/** @param {Entry['kind']} kind @param {string} at @returns {Steps<boolean>} */
function* remove(kind, at) {
  try {
    yield [kind === 'directory' ? 'rmdir' : 'unlink', at]
    return true
  } catch (error) {
    const { code } = /** @type {any} */ (error)
    if (code === 'ENOENT') return true
    // Somebody has put something into it, or something of another kind into its place.
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EISDIR', 'EPERM'].includes(code)) return false
    throw error
  }
}

/** How often names are changed back: each time somebody else has changed them in between. */
const MOST_TURNS = 100

/** @param {Entry} placeholder @param {string} aside @param {string} lock @returns {Steps<void>} */
function* putBack(placeholder, aside, lock) {
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    if (native.exchangeEntries(aside, lock) !== 0) break
    if (isSame(placeholder, yield* look(aside))) break
  }
  // If its holder gave the other lock back meanwhile, this is what is left of it.
  const left = yield* look(aside)
  if (left) yield* remove(left.kind, aside)
}

module.exports = { clear }
