// The errors of writing files: what the native code tells, in words, with what to do about it.
// @ts-check
'use strict'

const { ChainlockError, quote } = require('../errors')

/** @typedef {import('../binding.cjs').FileTrouble} FileTrouble */

/** What to do about an error of the system. @type {Record<string, string>} */
const ADVICE = {
  EACCES: 'this user may not do that there: writing a file needs the right to read and to change its directory',
  EPERM: 'this user may not do that there; in a directory such as /tmp only its owner may replace a file',
  EROFS: 'the file system is read-only',
  ENOENT: 'its directory is not there: make it first',
  ENOTDIR: 'a part of the path is no directory',
  ENAMETOOLONG: 'the name or the path is too long',
  ENOSPC: 'the disk is full: make room and write again',
  EDQUOT: 'the quota is used up: make room and write again',
  EFBIG: 'the file would be larger than the system allows',
  EMFILE: 'this process has too many files open: close some, or raise its limit (ulimit -n)',
  ENFILE: 'the system has too many files open',
  EIO: 'the disk failed: do not rely on it before it was checked',
  ESTALE: 'the network file system has lost the directory: write again',
  EINVAL: 'the file system cannot do that; where it cannot sync a directory, durable: false is what is possible',
  EBUSY: 'the target is in use, such as a mount point: write into it, or elsewhere',
  ENOMEM: 'the system has no memory left',
}

/** @param {string} path */
const shown = (path) => (path.length > 300 ? `${quote(path.slice(0, 300))}…` : quote(path))

/**
 * @param {string} call
 * @param {string} path
 * @param {FileTrouble} trouble
 */
function fileError(call, path, trouble) {
  const { what, errno, step } = trouble
  const begin = `${call}: ${shown(path)}`
  const unsafe = (/** @type {string} */ text) =>
    new ChainlockError('ERR_LOCK_FILE_UNSAFE', `${begin} ${text}; nothing was written`, { path, errno })
  switch (what) {
    case 'directory':
    case 'FIFO':
    case 'socket':
    case 'device':
      return unsafe(`is a ${what}: only an ordinary file can be written as a whole; give the path of one`)
    case 'link':
      return unsafe("is a symbolic link, and symlink: 'refuse' was asked for: give the path that it leads to")
    case 'link to nothing':
      return unsafe("is a symbolic link to nothing: make what it leads to, or replace the link (symlink: 'replace')")
    case 'link loop':
      return unsafe("is a symbolic link that leads round in a circle: mend it, or replace it (symlink: 'replace')")
    case 'unsupported':
      return new ChainlockError(
        'ERR_LOCK_UNSUPPORTED',
        `${begin} cannot be appended to, as files cannot be locked there (${errno}): use writeFileAtomic; nothing was written`,
        { path, errno },
      )
    default:
      return refused(begin, path, trouble, step)
  }
}

/** @param {string} begin @param {string} path @param {FileTrouble} trouble @param {string} step */
function refused(begin, path, { what, errno, done }, step) {
  const advice =
    what === 'owner' ? "its owner and group cannot be kept, which owner: 'require' asks for" : ADVICE[errno] ?? 'see the system’s manual'
  const end = done
    ? 'the new content is in place and whole, but a loss of power may undo it'
    : 'the content is what it was'
  return new ChainlockError('ERR_LOCK_FILE_IO', `${begin} was refused: ${step} says ${errno}: ${advice}; ${end}`, {
    path,
    errno,
    syscall: step,
    replaced: done,
  })
}

/** @param {string} call @param {string} path @param {number} waitedMs */
function busyError(call, path, waitedMs) {
  const waited = Math.round(waitedMs)
  return new ChainlockError(
    'ERR_LOCK_TIMEOUT',
    `${call}: waited ${waited} ms for ${shown(path)}, which somebody else holds by flock (lslocks shows who); nothing was written`,
    { path, waitedMs: waited },
  )
}

/** @param {string} call @param {string} path @param {NodeJS.ErrnoException} cause */
function readError(call, path, cause) {
  const { code: errno = 'UNKNOWN', syscall = 'read' } = cause
  const advice = ADVICE[errno] ?? 'see the system’s manual'
  return new ChainlockError(
    'ERR_LOCK_FILE_IO',
    `${call}: ${shown(path)} cannot be read: ${syscall} says ${errno}: ${advice}; the content is what it was`,
    { path, errno, syscall, replaced: false, cause },
  )
}

module.exports = { fileError, busyError, readError }
