// Host locks of a snapshot: what their files and the kernel say, joined with what the processes' tables say.
// @ts-check
'use strict'

const { lockView } = require('./locks')

/** @typedef {import('./locks').OpenLock} OpenLock */
/** @typedef {import('../../index').SnapshotProcess} SnapshotProcess */

/**
 * One lock per file.
 * @param {any[]} files As the native code reads them.
 * @param {OpenLock[]} lines What tables know of host locks: one per process and file.
 * @param {Map<number, SnapshotProcess>} processes
 * @param {number} nowMs
 * @returns {OpenLock[]}
 */
function hostLocks(files, lines, processes, nowMs) {
  /** @type {Map<string, OpenLock>} */
  const locks = new Map()
  for (const file of files) {
    if (file.skipped) continue
    const lock = fileView(file, nowMs)
    locks.set(lock.id, lock)
  }
  for (const line of lines) {
    const lock = locks.get(line.id)
    if (lock) join(lock, line)
    else locks.set(line.id, line)
  }
  const found = [...locks.values()]
  for (const lock of found) {
    nameProcesses(lock, processes)
    lock.waiters.forEach((waiter, index) => (waiter.position = index + 1))
    if (lock.kind === 'host') settle(lock)
  }
  return found
}

/** @param {any} file @param {number} nowMs */
function fileView(file, nowMs) {
  const foreign = (file.foreign ?? []).map((/** @type {any} */ one) => ({ ...one, foreign: true }))
  const holding = foreign.filter((/** @type {any} */ one) => !one.waiting)
  const waiting = foreign.filter((/** @type {any} */ one) => one.waiting)
  const { foreign: _, ...rest } = file
  const given = {
    kind: 'host',
    ...rest,
    holders: [...(file.holders ?? []), ...holding],
    waiters: [...(file.waiters ?? []), ...waiting],
    lastToken: file.lastToken ?? file.token,
  }
  const lock = lockView(given, { pid: null, command: null }, nowMs, 0)
  lock.holders.forEach((holder, index) => {
    const waitsFor = given.holders[index].waitsFor
    if (waitsFor) holder.waitsFor = `host:${waitsFor}`
  })
  return lock
}

/**
 * The table of a process knows who in it holds and waits; the file knows which processes.
 * @param {OpenLock} lock
 * @param {OpenLock} line
 */
function join(lock, line) {
  for (const holder of line.holders) {
    const same = lock.holders.find(
      (one) => one.pid === holder.pid && (one.threadId ?? holder.threadId) === holder.threadId,
    )
    if (!same) {
      tellOfFirst(lock, holder)
      continue
    }
    for (const key of /** @type {const} */ (['threadId', 'thread', 'label', 'since', 'heldMs', 'waitsFor'])) {
      Object.assign(same, { [key]: same[key] ?? holder[key] })
    }
  }
  const pids = new Set(line.waiters.map((waiter) => waiter.pid))
  const others = lock.waiters.filter((waiter) => waiter.since !== null || !pids.has(waiter.pid))
  lock.waiterCount += line.waiterCount - (lock.waiters.length - others.length)
  lock.waiters = [...others, ...line.waiters].sort((a, b) => (b.waitedMs ?? 0) - (a.waitedMs ?? 0))
  for (const key of COUNTS) lock[key] += line[key]
  if (line.wait.count > lock.wait.count) lock.wait = line.wait
  if (line.hold.count > lock.hold.count) lock.hold = line.hold
  lock.events = [...lock.events, ...line.events].sort((a, b) => a.atMs - b.atMs).slice(-10)
}

/**
 * The first in a process's line asks the kernel, which knows of it no more than the pid.
 * @param {OpenLock} lock
 * @param {OpenLock['holders'][number]} first
 */
function tellOfFirst(lock, { pid, threadId, thread, label, since, heldMs }) {
  const waiter = lock.waiters.find((one) => one.pid === pid && one.since === null)
  if (waiter) Object.assign(waiter, { threadId, thread, label, since, waitedMs: heldMs })
}

const COUNTS = /** @type {const} */ ([
  'acquisitions',
  'contended',
  'timeouts',
  'aborts',
  'forced',
  'recoveries',
  'deadlocks',
])

/** @param {OpenLock} lock @param {Map<number, SnapshotProcess>} processes */
function nameProcesses(lock, processes) {
  for (const holder of lock.holders) {
    const process = holder.pid === null ? undefined : processes.get(holder.pid)
    // The pid of the dead may have gone to somebody else.
    if (!process || holder.alive === false) continue
    holder.command = process.command ?? holder.command
    if (process.state === 'zombie') holder.alive = false
  }
}

/** State, mode and counts follow from who is there. @param {OpenLock} lock */
function settle(lock) {
  const { holders, waiters } = lock
  lock.holderCount = Math.max(lock.holderCount, holders.length)
  lock.waiterCount = Math.max(lock.waiterCount, waiters.length)
  lock.used = lock.holderCount
  const isStale = holders.length > 0 && holders.every((holder) => holder.alive === false)
  lock.state = isStale ? 'stale' : holders.length > 0 ? 'held' : waiters.length > 0 ? 'waiting' : 'free'
  lock.mode =
    holders.length === 0 ? null : holders.some((holder) => holder.mode === 'exclusive') ? 'exclusive' : 'shared'
}

module.exports = { hostLocks }
