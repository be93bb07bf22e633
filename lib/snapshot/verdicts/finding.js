// What a rule is, and what it makes: one finding with everything that somebody needs to act on it.
// @ts-check
'use strict'

const { whyCommand } = require('../words')

/** @typedef {import('../../../index').Verdict} Verdict */
/** @typedef {import('../../../index').SnapshotLock} Lock */
/** @typedef {import('../../../index').SnapshotHolder} Holder */
/** @typedef {import('../../../index').SnapshotEvent} Event */
/** @typedef {Pick<import('../../../index').Snapshot, 'takenAtMs' | 'processes' | 'locks' | 'leases' | 'stores' | 'unseen'>} Seen */
/** @typedef {{ id: Verdict['rule'], check: (seen: Seen) => Verdict[] }} Rule */

/** How long something that is over is told: a hold that was taken away, a refused deadlock. */
const RECENT_MS = 300_000

/**
 * A finding about a lock.
 * @param {Verdict['rule']} rule
 * @param {'bad' | 'warn'} level
 * @param {Lock} lock
 * @param {{ sentence: string, evidence?: string[], next?: string, pid?: number | null, since: string | null }} about
 * @returns {Verdict}
 */
function onLock(rule, level, lock, { sentence, evidence = [], next, pid, since }) {
  const at = pid === undefined ? (lock.holders[0]?.pid ?? lock.pid) : pid
  const name = lock.name ?? lock.path
  return {
    rule,
    level,
    lock: name,
    lockId: lock.id,
    pid: at,
    sentence,
    evidence,
    next: next ?? whyCommand(lock),
    since,
  }
}

/**
 * The newest event of a lock, of certain kinds, that is not long ago.
 * @param {Seen} seen
 * @param {Lock} lock
 * @param {readonly Event['kind'][]} kinds
 */
function recent(seen, lock, kinds) {
  return lock.events.findLast(({ kind, atMs }) => kinds.includes(kind) && seen.takenAtMs - atMs < RECENT_MS)
}

/** Nobody's for the dead: their pid may have gone to somebody else. @param {Seen} seen @param {Holder} holder */
function processOf(seen, { pid, alive }) {
  return pid === null || alive === false ? undefined : seen.processes.find((process) => process.pid === pid)
}

/** The longest wait of those who wait, 0 for none. @param {Lock} lock */
function longestWait(lock) {
  return lock.waiters.reduce((most, { waitedMs }) => Math.max(most, waitedMs ?? 0), 0)
}

module.exports = { onLock, recent, processOf, longestWait, RECENT_MS }
