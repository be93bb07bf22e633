// What `chainlock status` and `chainlock why` print of leases.
// @ts-check
'use strict'

const { clean, cut, duration, pad } = require('../text')
const { leaseName } = require('../../snapshot/words')
const { table } = require('./table')
const { verdictLines } = require('./verdict')

/** @typedef {import('../../../index').SnapshotLease} Lease */
/** @typedef {import('../../../index').SnapshotStore} Store */
/** @typedef {import('../../../index').Snapshot} Snapshot */
/** @typedef {import('./verdict').Look} Look */

const LONGEST = 40
// What matters most stands left: a narrow terminal cuts the right.
const HEADS = ['LEASE', 'STATE', 'HELD', 'HOLDER', 'TOKEN', 'LEFT', 'TTL', 'RENEWED', 'WAIT', 'PROCESS', 'STORE']
const NUMBERS = [4, 8]
const STATES = ['lost', 'waiting', 'held']

/** What is lost first, then who waits, then by name. @param {readonly Lease[]} leases @returns {Lease[]} */
function sortedLeases(leases) {
  return [...leases].sort(
    (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0),
  )
}

/**
 * @param {readonly Lease[]} leases
 * @param {Look} look
 * @returns {string[]} A heading and the rows; nothing without leases.
 */
function leaseTable(leases, look) {
  if (leases.length === 0) return []
  const columns = look.isTty ? look.columns : Infinity
  const rows = sortedLeases(leases).map((lease) => rowOf(lease, look))
  const [heads, ...lines] = table(HEADS, rows, { right: NUMBERS, columns, more: look.glyphs.more })
  return [look.colour.dim(heads), ...lines]
}

/** @param {Lease} lease @param {Look} look */
function rowOf(lease, { glyphs }) {
  const { key, state, heldMs, waitedMs, worker, token, leftMs, ttlMs, renewedMsAgo, waiterCount } = lease
  const { pid, command, engine, store, other } = lease
  const short = (/** @type {string} */ text) => cut(clean(text), LONGEST, glyphs.more)
  const holder = state === 'waiting' ? other : worker
  return [
    short(key),
    stateWords(lease),
    duration(heldMs ?? waitedMs),
    holder === null ? glyphs.dash : short(holder),
    token === null ? glyphs.dash : String(token),
    leftMs === null ? glyphs.dash : duration(leftMs),
    duration(ttlMs),
    renewedMsAgo === null ? glyphs.dash : `${duration(renewedMsAgo)} ago`,
    state === 'held' ? String(waiterCount) : glyphs.dash,
    `${short(command ?? 'process')} ${pid}`,
    // The address begins with the engine's name, as a rule.
    short(store.startsWith(engine) ? store : `${engine} ${store}`),
  ]
}

/** @param {Lease} lease */
function stateWords({ state, cause, mode, permits }) {
  if (state === 'lost') return `lost, ${cause}`
  if (state === 'waiting') return 'waiting'
  return mode === 'exclusive' ? 'held' : mode === 'shared' ? 'held shared' : `held 1/${permits}`
}

/**
 * One lease in full.
 * @param {Lease} lease
 * @param {Snapshot} snapshot
 * @param {Look} look
 * @returns {string[]}
 */
function whyLeaseLines(lease, { verdict, stores }, look) {
  const { colour } = look
  // Whoever reads this has typed that command.
  const about = verdict
    .filter(({ lockId }) => lockId === lease.id)
    .map((one) => (one.next?.startsWith('chainlock why') ? { ...one, next: null } : one))
  const store = stores.find((one) => one.pid === lease.pid && one.store === lease.store)
  const part = (/** @type {string} */ head, /** @type {string} */ text) => `${colour.dim(pad(head, 10))}${clean(text)}`
  return [
    `${colour.strong(clean(leaseName(lease)))}  of ${clean(lease.command ?? 'process')} ${lease.pid}: ${stateWords(lease)}`,
    ...verdictLines(about, look),
    '',
    part('held by', holderWords(lease)),
    ...(lease.state === 'waiting' ? [part('waiting', waitingWords(lease))] : [part('term', termWords(lease))]),
    ...(lease.state === 'held' ? [part('waiting', `${lease.waiterCount || 'nobody'} in line at the last renewal`)] : []),
    ...(store === undefined ? [] : [part('store', storeWords(store)), part('renewals', renewalWords(store))]),
  ]
}

/** @param {Lease} lease */
function holderWords({ state, worker, other, pid, token, heldMs, lostMsAgo }) {
  const numbered = token === null ? '' : `, token ${token}`
  if (state === 'waiting') return `${other ?? 'somebody'}${numbered}`
  if (state === 'lost') {
    return `${other ?? 'nobody that is known here'}; ${worker} (${pid})${numbered} lost it ${duration(lostMsAgo)} ago`
  }
  return `${worker ?? 'process'} (${pid})${numbered}, for ${duration(heldMs)}`
}

/** @param {Lease} lease */
function waitingWords({ worker, pid, waitedMs, leftMs }) {
  const limit = leftMs === null ? 'without a limit' : `gives up in ${duration(leftMs)}`
  return `${worker ?? 'process'} (${pid}) for ${duration(waitedMs)}, ${limit}`
}

/** @param {Lease} lease */
function termWords({ ttlMs, leftMs, renewedMsAgo, failures }) {
  const left = leftMs === null ? 'over' : `${duration(leftMs)} left`
  const failed = failures === 0 ? '' : `, ${failures} ${failures === 1 ? 'try' : 'tries'} failed since`
  return `ttl ${duration(ttlMs)}, ${left}, renewed ${duration(renewedMsAgo)} ago${failed}`
}

/** @param {Store} store */
function storeWords({ store, state, error, failures, skewMs, skewErrorMs }) {
  const down = state === 'down' ? `: ${failures} requests without an answer, ${error}` : ''
  const skew = skewMs === null ? '' : `; its clock ${duration(skewMs)} (±${duration(skewErrorMs)}) beside this one's`
  return `${store} ${state}${down}${skew}`
}

/** @param {Store} store */
function renewalWords({ renewals, failedRenewals, renew }) {
  const times = renew.count === 0 ? '' : `: half within ${duration(renew.p50Ms)}, 99 % in ${duration(renew.p99Ms)}`
  return `${renewals} by this process${times}${failedRenewals === 0 ? '' : `; ${failedRenewals} failed`}`
}

module.exports = { leaseTable, whyLeaseLines, sortedLeases }
