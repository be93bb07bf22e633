// Events out of a snapshot, for a trace without a journal: what each lock remembers, and who holds and waits now.
// @ts-check
'use strict'

/**
 * @typedef {import('../../index').JournalEvent} JournalEvent
 * @typedef {import('../../index').Snapshot} Snapshot
 * @typedef {import('../../index').SnapshotLock} SnapshotLock
 * @typedef {Omit<JournalEvent, 'id' | 'at'>} Told
 */

/**
 * @param {Snapshot} snapshot
 * @param {number} sinceMs
 * @returns {JournalEvent[]} The oldest first.
 */
function eventsOfSnapshot(snapshot, sinceMs) {
  const told = snapshot.locks.flatMap((lock) => eventsOfLock(lock, snapshot.takenAtMs))
  const wanted = told.filter(({ atMs }) => atMs >= sinceMs).sort((a, b) => a.atMs - b.atMs)
  return wanted.map((event, id) => ({ id, at: new Date(event.atMs).toISOString(), ...event }))
}

/** @param {SnapshotLock} lock @param {number} nowMs @returns {Told[]} */
function eventsOfLock(lock, nowMs) {
  const pid = lock.pid ?? lock.holders[0]?.pid ?? lock.waiters[0]?.pid ?? 0
  const of = { lock: lock.name ?? lock.path ?? lock.kind, lockKind: lock.kind, mode: null }
  const past = lock.events.map(({ at, ...event }) => ({ ...of, ...event, pid }))
  return [...past, ...unseenEnds(past, lock), ...present(past, lock, of, pid), ...cooling(lock, of, pid, nowMs)]
}

/**
 * A lock remembers what was contended, and therefore not each release. What is held no longer ended at the latest
 * when the next one got it.
 * @param {readonly Told[]} past
 * @param {SnapshotLock} lock
 * @returns {Told[]}
 */
function unseenEnds(past, lock) {
  const held = new Set(lock.holders.map(({ token }) => token))
  const ended = new Set(past.filter(({ kind }) => kind !== 'acquired').map(({ token }) => token))
  const grants = past.filter(({ kind }) => kind === 'acquired')
  return grants.flatMap((grant, at) => {
    if (held.has(grant.token) || ended.has(grant.token)) return []
    return [{ ...grant, kind: /** @type {const} */ ('released'), atMs: grants[at + 1]?.atMs ?? grant.atMs }]
  })
}

/**
 * Who holds and who waits, unless the past says it already.
 * @param {readonly Told[]} past
 * @param {SnapshotLock} lock
 * @param {Pick<Told, 'lock' | 'lockKind' | 'mode'>} of
 * @param {number} usualPid
 * @returns {Told[]}
 */
function present(past, lock, of, usualPid) {
  const granted = new Set(past.filter(({ kind }) => kind === 'acquired').map(({ token }) => token))
  const newHolders = lock.holders.filter(({ token }) => token === null || !granted.has(token))
  const nextHolder = lock.holders[0]?.layer ?? lock.holders[0]?.label ?? null
  const begun = past.filter(({ kind }) => kind === 'waiting')
  const isTold = (/** @type {SnapshotLock['waiters'][number]} */ { layer, threadId }, /** @type {number} */ atMs) =>
    begun.some((event) => event.layer === layer && event.threadId === threadId && Math.abs(event.atMs - atMs) < 1)
  const holds = newHolders.map((holder) => ({ ...holder, kind: /** @type {const} */ ('acquired'), other: null }))
  const waits = lock.waiters
    .filter((waiter) => waiter.since !== null && !isTold(waiter, Date.parse(waiter.since)))
    .map((waiter) => ({ ...waiter, kind: /** @type {const} */ ('waiting'), token: null, other: nextHolder }))
  return [...holds, ...waits].flatMap(({ kind, pid, since, layer, label, threadId, token, other }) => {
    if (since === null) return []
    const who = { pid: pid ?? usualPid, layer, label, threadId, token }
    return [{ ...of, ...who, kind, atMs: Date.parse(since), spanMs: null, other }]
  })
}

/**
 * @param {SnapshotLock} lock
 * @param {Pick<Told, 'lock' | 'lockKind' | 'mode'>} of
 * @param {number} pid
 * @param {number} nowMs
 * @returns {Told[]}
 */
function cooling({ send }, of, pid, nowMs) {
  if (!send || send.cooldownLeftMs === 0) return []
  const nobody = { layer: null, label: null, threadId: null, token: null, spanMs: null }
  return [{ ...of, ...nobody, kind: 'blocked', other: 'cooldown', pid, atMs: nowMs }]
}

module.exports = { eventsOfSnapshot }
