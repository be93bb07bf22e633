// Which hold `chainlock release` means: exactly one, or the sentence that says why not.
// @ts-check
'use strict'

const { clean, duration, lockName, short, typed, who } = require('../snapshot/words')
const { CommandError, EXIT } = require('./exit')
const { isMeant } = require('./look')
const { said } = require('./text')

/** @typedef {import('../../index').Snapshot} Snapshot */
/** @typedef {import('../../index').SnapshotLock} Lock */
/** @typedef {import('../../index').SnapshotHolder} Holder */
/** @typedef {{ lock: Lock, holder: Holder & { pid: number, token: number } }} Target */

/**
 * @param {Snapshot} snapshot
 * @param {string} wanted A lock's name, path or id.
 * @param {{ pid: number | null, expect: number | null }} asked
 * @returns {Target} Throws a `CommandError`.
 */
function findTarget(snapshot, wanted, { pid, expect }) {
  const lock = oneLock(snapshot, wanted, pid, expect)
  if (lock.kind === 'host') throw hostLock(lock)
  const holder = oneHolder(lock, pid, expect)
  if (holder.pid === null || holder.token === null) {
    throw new CommandError(EXIT.refused, `nothing is known of who holds ${lockName(lock)} but that somebody does`)
  }
  return { lock, holder: /** @type {Target['holder']} */ (holder) }
}

/** @param {Snapshot} snapshot @param {string} wanted @param {number | null} pid @param {number | null} expect */
function oneLock(snapshot, wanted, pid, expect) {
  const isThere = (/** @type {Lock} */ lock) => pid === null || lock.pid === pid || lock.holders.some((one) => one.pid === pid)
  const known = snapshot.locks.filter((lock) => isMeant(lock, wanted) && isThere(lock))
  const held = known.filter(({ holders }) => holders.length > 0)
  if (held.length === 1) return held[0]
  if (held.length > 1) throw tooMany(held, wanted)
  if (expect !== null && known.length > 0) {
    throw new CommandError(EXIT.refused, `token ${expect} is gone: nobody holds ${lockName(known[0])}`)
  }
  if (known.length > 0) throw new CommandError(EXIT.notFound, `nobody holds ${lockName(known[0])}`)
  throw notFound(snapshot, wanted, pid)
}

/** @param {Lock[]} held @param {string} wanted */
function tooMany(held, wanted) {
  const pids = new Set(held.map(({ pid }) => pid))
  const lines = held.map((lock) => `${lock.pid === null ? short(lock.id) : `process ${lock.pid}`}: ${held1(lock)}`)
  const name = typed(wanted)
  const hint = name !== null && pids.size === held.length && !pids.has(null)
    ? held.map(({ pid }) => `--pid ${pid}`).join(' or ')
    : `name one by its id: ${held.map(({ id }) => typed(id) ?? short(id)).join(' or ')}`
  const message = `"${short(wanted)}" is ${held.length} locks; say which: ${hint}`
  return new CommandError(EXIT.usage, [message, ...lines].join('\n  '))
}

/** @param {Lock} lock */
function held1(lock) {
  const [holder] = lock.holders
  return `${lock.kind}, held by ${who(holder)} for ${duration(holder.heldMs)}`
}

/** @param {Snapshot} snapshot @param {string} wanted @param {number | null} pid */
function notFound(snapshot, wanted, pid) {
  const hidden = snapshot.unseen.find((one) => one.pid === pid)
  if (hidden !== undefined) {
    const exit = hidden.reason === 'permission' ? EXIT.permission : EXIT.notFound
    return new CommandError(exit, `process ${pid} cannot be looked at (${hidden.reason}): ${clean(hidden.advice)}`)
  }
  if (pid !== null && !snapshot.processes.some((one) => one.pid === pid)) {
    return new CommandError(EXIT.notFound, `there is no process ${pid} with chainlock`, 'chainlock status')
  }
  const where = pid === null ? '' : ` in process ${pid}`
  return new CommandError(EXIT.notFound, `nobody holds a lock "${short(said(wanted))}"${where}`, 'chainlock status --all')
}

/** @param {Lock} lock @param {number | null} pid @param {number | null} expect @returns {Holder} */
function oneHolder(lock, pid, expect) {
  if (expect !== null) {
    const found = lock.holders.find(({ token }) => token === expect)
    if (found !== undefined) return found
    const now = lock.holders.map((holder) => `${who(holder)}, token ${holder.token}`).join('; ')
    throw new CommandError(EXIT.refused, `token ${expect} has moved: ${lockName(lock)} is now held by ${now}`)
  }
  const here = lock.holders.filter((holder) => pid === null || holder.pid === pid || lock.pid === pid)
  if (here.length === 1 && lock.holderCount <= 1) return here[0]
  const lines = lock.holders.map((holder) => `--expect ${holder.token}  ${who(holder)}, for ${duration(holder.heldMs)}`)
  const message = `${lockName(lock)} has ${lock.holderCount} holders; say which`
  throw new CommandError(EXIT.usage, [message, ...lines].join('\n  '))
}

/** @param {Lock} lock */
function hostLock(lock) {
  const holders = lock.holders.map((holder) => `${who(holder)} for ${duration(holder.heldMs)}`).join('; ')
  const message =
    `${lockName(lock)} is a host lock: the kernel frees it when its process ends, and not before; it is held by ${holders}`
  const [{ pid }] = lock.holders
  return new CommandError(EXIT.refused, message, pid === null ? undefined : `kill ${pid}`)
}

module.exports = { findTarget }
