// Locks of a snapshot: what a lock table says of them, with ids, ages and the process's name put in.
// @ts-check
'use strict'

const { classOf } = require('./classes')
const { isoOf, threadName } = require('./processes')
const { HOST } = require('../locks/report')

/** @typedef {import('../../index').SnapshotLock} SnapshotLock */
/** @typedef {import('../../index').SnapshotHolder} SnapshotHolder */
/** @typedef {import('../../index').SnapshotWaiter} SnapshotWaiter */
/** @typedef {import('../../index').SnapshotEvent} SnapshotEvent */
/** @template T @typedef {{ -readonly [K in keyof T]: T[K] }} Open A part of a snapshot that is being made. */

const MOST_EVENTS = 10
const NEVER_FORCED = Object.freeze({ manual: 0, timeout: 0, stale_timeout: 0, thread_exit: 0, process_exit: 0 })
const NO_TIMES = Object.freeze({ count: 0, totalMs: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 })

/**
 * The locks of one process, the host locks that it knows among them.
 * @param {any} process As the native code reads it.
 * @param {import('../../index').SnapshotProcess} view
 * @param {number} nowMs
 */
function locksOf(process, view, nowMs) {
  const found = [...(process.send ? [process.send] : []), ...(process.locks ?? [])]
  const locks = found.map((lock, index) => lockView(asHost(lock), view, nowMs, index))
  const byKey = new Map(locks.map((lock, index) => [keyOf(found[index].kind, found[index].name ?? null), lock]))
  for (const event of process.events ?? []) {
    const lock = byKey.get(keyOf(event.lockKind, event.lock ?? null))
    if (lock) lock.events.push(eventView(event))
  }
  for (const lock of locks) lock.events = lock.events.sort((a, b) => a.atMs - b.atMs).slice(-MOST_EVENTS)
  tellWhatHoldersWaitFor(locks)
  return locks
}

/** In front of each host lock stands a lock of the process, named by the path of the file. @param {any} lock */
function asHost(lock) {
  if (lock.kind !== 'lock' || !lock.name?.startsWith(HOST)) return lock
  return { ...lock, kind: 'host', path: lock.name.slice(HOST.length), name: null }
}

/** @param {string} kind @param {string | null} name */
const keyOf = (kind, name) => `${kind}:${name}`

/**
 * @typedef {Open<Omit<SnapshotLock, 'holders' | 'waiters' | 'events'>>
 *   & { holders: Open<SnapshotHolder>[], waiters: Open<SnapshotWaiter>[], events: SnapshotEvent[] }} OpenLock
 */

/**
 * @param {any} lock
 * @param {{ pid: number | null, command: string | null }} process
 * @param {number} nowMs
 * @param {number} index Tells locks without a name apart.
 * @returns {OpenLock}
 */
function lockView(lock, process, nowMs, index) {
  const holders = (lock.holders ?? []).map((/** @type {any} */ holder) => holderView(holder, process, nowMs))
  const waiters = (lock.waiters ?? []).map((/** @type {any} */ waiter, /** @type {number} */ at) =>
    waiterView(waiter, process, nowMs, at + 1),
  )
  const isHost = lock.kind === 'host' || process.pid === null
  const name = lock.name ?? null
  return {
    id: isHost ? `host:${lock.path ?? name}` : `${process.pid}:${lock.kind}:${name ?? `#${lock.slot ?? index}`}`,
    name,
    nameCut: lock.nameCut === true,
    kind: lock.kind,
    scope: isHost ? 'host' : 'process',
    pid: isHost ? null : process.pid,
    path: lock.path ?? null,
    state: lock.state ?? stateOf(holders.length, waiters.length),
    mode: lock.mode ?? null,
    permits: lock.permits ?? null,
    used: lock.used ?? holders.length,
    holders,
    holderCount: lock.holderCount ?? holders.length,
    waiters,
    waiterCount: lock.waiterCount ?? waiters.length,
    lastToken: lock.lastToken ?? 0,
    acquisitions: lock.acquisitions ?? 0,
    contended: lock.contended ?? 0,
    timeouts: lock.timeouts ?? 0,
    aborts: lock.aborts ?? 0,
    forced: lock.forced ?? 0,
    recoveries: lock.recoveries ?? 0,
    deadlocks: lock.deadlocks ?? 0,
    wait: lock.wait ?? NO_TIMES,
    hold: lock.hold ?? NO_TIMES,
    events: (lock.events ?? []).map(eventView),
    class: classOf(name),
    send: lock.kind === 'send' ? sendView(lock.send ?? {}) : null,
  }
}

/** @param {number} holders @param {number} waiters */
function stateOf(holders, waiters) {
  return holders > 0 ? 'held' : waiters > 0 ? 'waiting' : 'free'
}

/**
 * @param {any} holder
 * @param {{ pid: number | null, command: string | null }} process
 * @param {number} nowMs
 * @returns {Open<SnapshotHolder>}
 */
function holderView(holder, process, nowMs) {
  const threadId = holder.threadId ?? null
  return {
    pid: holder.pid ?? process.pid,
    threadId,
    thread: threadName(threadId),
    layer: holder.layer ?? null,
    label: holder.label ?? null,
    token: holder.token ?? null,
    mode: holder.mode ?? 'exclusive',
    weight: holder.weight ?? 1,
    since: isoOf(holder.sinceAtMs),
    heldMs: ageOf(holder.sinceAtMs, nowMs),
    command: holder.command ?? process.command,
    // A process whose table could be read was there.
    alive: holder.alive ?? (process.pid === null ? null : true),
    foreign: holder.foreign === true,
    waitsFor: null,
  }
}

/**
 * @param {any} waiter
 * @param {{ pid: number | null }} process
 * @param {number} nowMs
 * @param {number} position
 * @returns {Open<SnapshotWaiter>}
 */
function waiterView(waiter, process, nowMs, position) {
  const threadId = waiter.threadId ?? null
  return {
    position: waiter.position ?? position,
    pid: waiter.pid ?? process.pid,
    threadId,
    thread: threadName(threadId),
    layer: waiter.layer ?? null,
    label: waiter.label ?? null,
    mode: waiter.mode ?? 'exclusive',
    weight: waiter.weight ?? 1,
    since: isoOf(waiter.sinceAtMs),
    waitedMs: ageOf(waiter.sinceAtMs, nowMs),
    deadlineMs: typeof waiter.deadlineAtMs === 'number' ? waiter.deadlineAtMs - nowMs : null,
    priority: waiter.priority ?? 0,
    foreign: waiter.foreign === true,
    insideOf: waiter.insideOf ?? [],
  }
}

/** @param {number | null | undefined} sinceAtMs @param {number} nowMs */
function ageOf(sinceAtMs, nowMs) {
  return typeof sinceAtMs === 'number' ? Math.max(0, nowMs - sinceAtMs) : null
}

/** @param {any} event @returns {SnapshotEvent} */
function eventView(event) {
  return {
    at: isoOf(event.atMs) ?? isoOf(0) ?? '',
    atMs: event.atMs ?? 0,
    kind: event.kind,
    layer: event.layer ?? null,
    label: event.label ?? null,
    threadId: event.threadId ?? null,
    token: event.token ?? null,
    spanMs: event.spanMs ?? null,
    other: event.other ?? null,
  }
}

/** @param {any} send @returns {import('../../index').SnapshotSend} */
function sendView(send) {
  return {
    cooldownMs: send.cooldownMs ?? 0,
    cooldownLeftMs: send.cooldownLeftMs ?? 0,
    timeoutMs: send.timeoutMs ?? 0,
    forceAfterMs: send.forceAfterMs ?? 0,
    dueTimeoutMs: send.dueTimeoutMs ?? null,
    dueForceMs: send.dueForceMs ?? null,
    duplicatesSuppressed: send.duplicatesSuppressed ?? 0,
    blockedHeld: send.blockedHeld ?? 0,
    blockedCooldown: send.blockedCooldown ?? 0,
    refusedUnknownLayer: send.refusedUnknownLayer ?? 0,
    queueFull: send.queueFull ?? 0,
    forcedByReason: { ...NEVER_FORCED, ...send.forcedByReason },
    layers: send.layers ?? [],
    overdue: send.overdue ?? 0,
    lateReleases: send.lateReleases ?? 0,
  }
}

/**
 * A hold waits for a lock when a request for it was made inside of the hold. The send lock's tokens are its own.
 * @param {OpenLock[]} locks Of one process.
 */
function tellWhatHoldersWaitFor(locks) {
  const named = locks.filter((lock) => lock.kind !== 'send')
  const waits = new Map(
    named.flatMap((lock) => lock.waiters.flatMap((waiter) => waiter.insideOf.map((token) => [token, lock.id]))),
  )
  if (waits.size === 0) return
  for (const { holders } of named) {
    for (const holder of holders) {
      if (holder.token !== null) holder.waitsFor = waits.get(holder.token) ?? null
    }
  }
}

module.exports = { locksOf, lockView, asHost }
