// From what was read to a snapshot. Nothing is read here, so that tests can put in what they like.
// @ts-check
'use strict'

const { hostLocks } = require('./hosts')
const { leasesOf } = require('./leases')
const { locksOf } = require('./locks')
const { isoOf, processView } = require('./processes')
const { judge } = require('./verdicts')

/** What helps when a process cannot be looked at. @type {Record<string, string>} */
const ADVICE = {
  permission: 'it belongs to another user, or forbids being read: run chainlock as that user, or as root',
  other_pid_namespace: 'it runs in another container: run chainlock inside of it',
  version:
    'it runs another version of chainlock, whose table this one cannot read: use the chainlock of that project',
  no_table: 'there is no chainlock in it, or its system cannot show its table to others',
  gone: 'it has ended',
  torn: 'it changed all the time while it was read: look again',
}

/**
 * @param {{
 *   look: { processes: any[], unseen: any[] },
 *   files: any[],
 *   facts: any[],
 *   pages?: any[],
 *   onlyPid: number | null,
 *   all: boolean,
 *   takenAtMs: number,
 *   tookMs: () => number,
 * }} read `look`, `files`, `facts` and `pages` (of leases) as the native code tells them.
 * @returns {import('../../index').Snapshot}
 */
function assemble({ look, files, facts, pages = [], onlyPid, all, takenAtMs, tookMs }) {
  const factsOf = new Map(facts.map((fact) => [fact.pid, fact]))
  const processes = look.processes.map((process) => processView(process, factsOf.get(process.pid), takenAtMs))
  const views = new Map(processes.map((process) => [process.pid, process]))
  const known = look.processes.flatMap((process, index) => locksOf(process, processes[index], takenAtMs))
  const ofHost = hostLocks(
    files,
    known.filter((lock) => lock.scope === 'host'),
    views,
    takenAtMs,
  )
  const locks = [...known.filter((lock) => lock.scope !== 'host'), ...ofHost]
  // Who shares a send lock is about it also while nobody holds it.
  const membersOf = new Map(files.map(({ path, members }) => [`host:${path}`, members ?? []]))
  const about = locks.filter((lock) => isAbout(lock, onlyPid, membersOf))
  const unseen = look.unseen.map(unseenView)
  // Also of free locks: what went wrong with them a moment ago.
  const { leases, stores } = leasesOf(pages, views, takenAtMs, all)
  const verdict = judge({ processes, locks: about, leases, stores, unseen, takenAtMs })
  const told = new Set(verdict.map(({ lockId }) => lockId))
  const takenAt = /** @type {string} */ (isoOf(takenAtMs))
  return {
    schema: 1,
    takenAt,
    takenAtMs,
    tookMs: tookMs(),
    ok: verdict.every(({ level }) => level !== 'bad'),
    verdict,
    processes,
    locks: about.filter((lock) => all || isShown(lock) || told.has(lock.id)),
    leases,
    stores,
    unseen,
  }
}

/**
 * @param {import('./locks').OpenLock} lock
 * @param {number | null} pid
 * @param {Map<string, number[]>} membersOf The processes that share a host lock, by its id.
 */
function isAbout(lock, pid, membersOf) {
  if (pid === null || lock.pid === pid || membersOf.get(lock.id)?.includes(pid)) return true
  return [...lock.holders, ...lock.waiters].some((one) => one.pid === pid)
}

/**
 * A send lock is always shown; of others only where something goes on or a verdict speaks.
 * @param {import('./locks').OpenLock} lock
 */
function isShown(lock) {
  return (
    lock.state !== 'free' ||
    lock.holderCount > 0 ||
    lock.waiterCount > 0 ||
    (lock.kind === 'send' && lock.scope === 'process')
  )
}

/** @param {any} one @returns {import('../../index').SnapshotUnseen} */
function unseenView({ pid, command, reason }) {
  return { pid, command: command ?? null, reason, advice: ADVICE[reason] ?? 'chainlock doctor looks further' }
}

module.exports = { assemble }
