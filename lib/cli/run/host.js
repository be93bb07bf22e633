// `chainlock run` under a host lock: takes it, watches that its file stays, and ends as the command ends.
// @ts-check
'use strict'

const { clean, duration, short, typed, withWord } = require('../../snapshot/words')
const { CommandError, EXIT } = require('../exit')
const { startChild } = require('./child')
const { sayAfter } = require('./say')

/** @typedef {import('../commands').Context} Context */
/** @typedef {import('./child').Asked} Asked */
/** @typedef {import('../../host/lock').HostLock} HostLock */
/** @typedef {import('../../host/guard').HostGuard} HostGuard */

/** How often the file is looked at while the command runs. */
const LOOK_EVERY_MS = 1_000

/** What the errors of host locks come to. @type {Record<string, number>} */
const EXIT_OF = {
  ERR_LOCK_INVALID_ARGUMENT: EXIT.usage,
  ERR_LOCK_TIMEOUT: EXIT.timedOut,
  ERR_LOCK_BUSY: EXIT.timedOut,
  ERR_LOCK_QUEUE_FULL: EXIT.timedOut,
  ERR_LOCK_FILE_UNSAFE: EXIT.refused,
  ERR_LOCK_FILE_FOREIGN: EXIT.refused,
  ERR_LOCK_NETWORK_FS: EXIT.refused,
  ERR_LOCK_UNSUPPORTED: EXIT.refused,
  ERR_LOCK_FILE_IO: EXIT.notFound,
}

/** @param {Context} context @param {Asked} asked */
async function underHostLock(context, asked) {
  try {
    const { hostLock } = require('../../host')
    const lock = hostLock(placeOf(asked.name))
    const guard = await take(context, lock, asked)
    try {
      return await underLock(context, lock, guard, asked)
    } finally {
      guard.release()
    }
  } catch (error) {
    throw told(error)
  }
}

/** For a command line 'locks/x' is a path as good as './locks/x'. @param {string} name */
function placeOf(name) {
  return name.includes('/') && !/^\.{0,2}\//.test(name) ? `./${name}` : name
}

/**
 * @param {Context} context
 * @param {HostLock} lock
 * @param {Asked} asked
 * @returns {Promise<HostGuard>}
 */
async function take(context, lock, { waitMs, isShared, words, line, label }) {
  /** @type {{ mode: 'shared' | 'exclusive', label: string }} */
  const request = { mode: isShared ? 'shared' : 'exclusive', label: label ?? line ?? words.join(' ') }
  if (waitMs === 0) {
    const guard = lock.tryAcquire(request)
    if (guard !== null) return guard
    const word = typed(lock.name)
    const next = word === null ? 'chainlock status' : withWord('chainlock why', word, '')
    throw new CommandError(EXIT.timedOut, `"${short(lock.name)}" is taken: ${holders(lock)}`, next)
  }
  const say = () => context.err(`chainlock: waiting for "${short(lock.name)}": ${holders(lock)}`)
  return sayAfter(context, say, lock.acquire({ ...request, timeoutMs: waitMs }))
}

/** @param {HostLock} lock */
function holders(lock) {
  const all = lock.status().holders
  if (all.length === 0) return 'who holds it has left no word'
  return all.map(({ pid, label, command, heldMs }) => {
    const what = [label, command].filter(Boolean).map((text) => short(String(text)))
    return `held by process ${pid}${what.length > 0 ? ` (${what.join(', ')})` : ''} for ${duration(heldMs)}`
  }).join('; ')
}

/**
 * Runs the command; its exit code, or a worse one when the lock was lost under it.
 * @param {Context} context
 * @param {HostLock} lock
 * @param {HostGuard} guard
 * @param {Asked} asked
 */
async function underLock(context, lock, guard, asked) {
  const { err } = context
  if (guard.previousHolderDied !== null) {
    const { pid } = guard.previousHolderDied
    err(`chainlock: process ${pid} died with "${short(lock.name)}": what it guards may be half written`)
  }
  const isHeld = watchFile(lock, guard)
  let isLost = false
  const look = () => {
    if (isLost || isHeld()) return
    isLost = true
    err(`chainlock: "${short(lock.name)}" is lost: ${clean(lock.path)} was removed or replaced, and others may have the lock`)
  }
  const timer = setInterval(look, LOOK_EVERY_MS)
  const code = await startChild(context, asked, context.env).ended.finally(() => clearInterval(timer))
  look()
  return isLost && code === 0 ? EXIT.bad : code
}

/** Whether the hold still keeps others out: of those who open the path now. @param {HostLock} lock @param {HostGuard} guard */
function watchFile({ path }, guard) {
  const { statSync } = require('node:fs')
  const inode = () => {
    const found = statSync(path, { throwIfNoEntry: false })
    return found === undefined ? null : `${found.dev}:${found.ino}`
  }
  const first = inode()
  return () => guard.check() && first !== null && inode() === first
}

/** @param {any} error */
function told(error) {
  const exit = EXIT_OF[error?.code]
  if (exit === undefined) return error
  const isForbidden = ['EACCES', 'EPERM', 'EROFS'].includes(error.errno)
  const message = clean(error.message).replace(/^hostLock: nameOrPath /, '<lock> ')
  return new CommandError(isForbidden ? EXIT.permission : exit, message)
}

module.exports = { underHostLock }
