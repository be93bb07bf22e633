// Leases and stores of a snapshot: what the lease pages of processes say of them.
// @ts-check
'use strict'

const { native } = require('../native')
const { classOf } = require('./classes')
const { isoOf } = require('./processes')

/** @typedef {import('../../index').SnapshotLease} SnapshotLease */
/** @typedef {import('../../index').SnapshotStore} SnapshotStore */

/** In the order in which the page counts them. @type {readonly import('../../leases').LostCause[]} */
const CAUSES = Object.freeze(/** @type {any} */ (native.leaseLayout().causes))

/**
 * @param {any[]} pages As the native code reads them.
 * @param {Map<number, { pid: number, command: string | null }>} processes
 * @param {number} nowMs
 * @param {boolean} all Also stores that nobody uses any more.
 * @returns {{ leases: SnapshotLease[], stores: SnapshotStore[] }}
 */
function leasesOf(pages, processes, nowMs, all) {
  const leases = []
  const stores = []
  for (const page of pages) {
    const views = new Map(page.stores.map((/** @type {any} */ store) => [store.place, storeView(store, page.pid)]))
    const command = processes.get(page.pid)?.command ?? null
    for (const store of views.values()) if (all || store.open) stores.push(store)
    for (const lease of page.leases) leases.push(leaseView(lease, page.pid, command, views.get(lease.store), nowMs))
  }
  return { leases, stores }
}

/**
 * @param {any} lease
 * @param {number} pid
 * @param {string | null} command
 * @param {SnapshotStore | undefined} store
 * @param {number} nowMs
 * @returns {SnapshotLease}
 */
function leaseView(lease, pid, command, store, nowMs) {
  const { key, state, renewedMsAgo } = lease
  const isWaiting = state === 'waiting'
  return {
    // A lease of several keys has a row for each of them.
    id: isWaiting ? `${pid}:request:${lease.place}:${key}` : `${pid}:lease:${lease.lease}:${key}`,
    key,
    keyCut: lease.keyCut,
    class: classOf(key),
    store: store?.store ?? '?',
    engine: store?.engine ?? '?',
    pid,
    command,
    state,
    cause: lease.cause,
    untold: lease.untold,
    mode: lease.mode,
    permits: lease.mode === 'permits' ? lease.permits : null,
    worker: lease.worker,
    other: lease.other,
    token: lease.token === 0 ? null : lease.token,
    ttlMs: lease.ttlMs,
    since: isoOf(lease.sinceAtMs),
    heldMs: isWaiting ? null : lease.heldMs,
    waitedMs: isWaiting ? lease.heldMs : null,
    leftMs: lease.leftMs,
    renewed: renewedMsAgo === null ? null : isoOf(nowMs - renewedMsAgo),
    renewedMsAgo,
    failures: lease.failures,
    waiterCount: lease.waiters,
    lostSince: lease.lostMsAgo === null ? null : isoOf(Math.floor(nowMs - lease.lostMsAgo)),
    lostMsAgo: lease.lostMsAgo,
  }
}

/** @param {any} store @param {number} pid @returns {SnapshotStore} */
function storeView(store, pid) {
  const { lost, ...counts } = store.counts
  return {
    id: `${pid}:store:${store.place}`,
    pid,
    engine: store.engine,
    store: store.shown,
    open: store.open,
    state: store.reach,
    since: isoOf(store.sinceAtMs),
    answeredAt: isoOf(store.answeredAtMs),
    failures: store.failures,
    error: store.error,
    skewMs: store.skewMs,
    skewErrorMs: store.skewErrorMs,
    skewSeen: isoOf(store.skewAtMs),
    ...counts,
    lost: /** @type {SnapshotStore['lost']} */ (Object.fromEntries(CAUSES.map((cause, at) => [cause, lost[at]]))),
    renew: store.renew,
  }
}

module.exports = { leasesOf, CAUSES }
