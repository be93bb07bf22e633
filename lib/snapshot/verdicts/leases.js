// RENEW-FAILING, STORE-DOWN, SKEW, and what LOST says of leases: what goes wrong between a process and its stores.
// @ts-check
'use strict'

const { duration, leaseName, place, short, whyLease } = require('../words')
const { RECENT_MS } = require('./finding')

/** @typedef {import('./finding').Rule} Rule */
/** @typedef {import('./finding').Seen} Seen */
/** @typedef {import('./finding').Verdict} Verdict */
/** @typedef {import('../../../index').SnapshotLease} Lease */
/** @typedef {import('../../../index').SnapshotStore} Store */

/** One request may fail; so may the renewal after it, and the next one sets it right. */
const ENOUGH_FAILURES = 2
/** Clocks of machines that are kept differ by less. */
const LEAST_SKEW_MS = 2_000
const MOST_NAMED = 3

/**
 * A finding about a lease.
 * @param {Verdict['rule']} rule
 * @param {'bad' | 'warn'} level
 * @param {Lease} lease
 * @param {{ sentence: string, evidence: string[], since: string | null }} about
 * @returns {Verdict}
 */
function onLease(rule, level, lease, about) {
  return { rule, level, lock: lease.key, lockId: lease.id, pid: lease.pid, next: whyLease(lease), ...about }
}

/** @param {Lease} lease */
function holderOf({ worker, pid, command }) {
  const where = place({ pid, command, thread: null, foreign: false })
  return worker === null ? where : `"${short(worker)}" (${where})`
}

/** @type {Record<NonNullable<Lease['cause']>, string>} */
const HOW = {
  expired: 'has expired',
  stolen: 'was stolen',
  gone: 'is gone from the store',
  session: 'has lost its session',
  maxHold: 'was held for longer than it may be',
  loop: 'was given up for a silent event loop',
  closed: 'was abandoned',
}

/** @param {Seen} seen @returns {Verdict[]} */
function lostLeases({ leases }) {
  return leases
    .filter(({ state }) => state === 'lost')
    .map((lease) => {
      const ago = duration(lease.lostMsAgo)
      const sentence = `${leaseName(lease)} of ${holderOf(lease)} ${HOW[lease.cause ?? 'expired']} ${ago} ago; its code still runs`
      const evidence = [
        `held for ${duration(lease.heldMs)} until then, token ${lease.token ?? '?'}, in ${short(lease.store)}`,
        ...(lease.other === null ? [] : [`now held by "${short(lease.other)}"`]),
        ...(lease.untold ? ['its process stands still, and does not know it yet'] : []),
        'what it writes now must be refused by its token',
      ]
      return onLease('LOST', 'bad', lease, { sentence, evidence, since: lease.lostSince })
    })
}

/** @param {Seen} seen @param {Lease} lease */
function storeOf({ stores }, lease) {
  return stores.find(({ pid, store }) => pid === lease.pid && store === lease.store)
}

/** @type {Rule} */
const renewFailing = {
  id: 'RENEW-FAILING',
  check: (seen) =>
    seen.leases.flatMap((lease) => {
      const store = storeOf(seen, lease)
      // Where the store does not answer at all, that is what is told.
      if (lease.state !== 'held' || lease.failures < ENOUGH_FAILURES || store?.state === 'down') return []
      const sentence =
        `${leaseName(lease)} of ${holderOf(lease)} is not renewed: ` +
        `${lease.failures} tries have failed; it is lost in ${duration(lease.leftMs)}`
      const evidence = [
        `renewed ${duration(lease.renewedMsAgo)} ago, ttl ${duration(lease.ttlMs)}, token ${lease.token ?? '?'}`,
        ...(store?.error == null ? [] : [`${short(lease.store)} says: ${short(store.error)}`]),
      ]
      return [onLease('RENEW-FAILING', 'bad', lease, { sentence, evidence, since: lease.renewed })]
    }),
}

/** @type {Rule} */
const storeDown = {
  id: 'STORE-DOWN',
  check: (seen) => {
    /** @type {Map<string, Store[]>} */
    const down = new Map()
    for (const store of seen.stores) {
      if (!store.open || store.state !== 'down' || store.failures < ENOUGH_FAILURES) continue
      down.set(store.store, [...(down.get(store.store) ?? []), store])
    }
    return [...down.values()].flatMap((stores) => unreachable(seen, stores))
  },
}

/**
 * One store, which some processes do not reach.
 * @param {Seen} seen
 * @param {Store[]} stores
 * @returns {Verdict[]}
 */
function unreachable({ leases, takenAtMs }, stores) {
  const pids = new Set(stores.map(({ pid }) => pid))
  const name = stores[0].store
  const its = leases.filter(({ pid, store, state }) => pids.has(pid) && store === name && state !== 'lost')
  const since = stores.reduce((first, { since }) => (since !== null && since < first ? since : first), MUCH_LATER)
  const agoMs = takenAtMs - Date.parse(since)
  if (its.length === 0 && !(agoMs < RECENT_MS)) return []
  const held = its.filter(({ state }) => state === 'held').sort((a, b) => (a.leftMs ?? 0) - (b.leftMs ?? 0))
  const [first] = [...held, ...its]
  const error = stores.find((store) => store.error !== null)?.error
  const sentence =
    `${short(name)} has not answered for ${duration(agoMs)}` +
    (held.length > 0 ? `; ${leaseName(held[0])} of ${holderOf(held[0])} is lost in ${duration(held[0].leftMs)}` : '')
  const more = held.length - 1 - MOST_NAMED
  const evidence = [
    ...(error == null ? [] : [`it was tried ${stores[0].failures} times: ${short(error)}`]),
    ...held.slice(1, 1 + MOST_NAMED).map((lease) => `${leaseName(lease)} is lost in ${duration(lease.leftMs)}`),
    ...(more > 0 ? [`and ${more} more`] : []),
  ]
  const about = { sentence, evidence, since }
  if (first) return [onLease('STORE-DOWN', 'bad', first, about)]
  const [{ pid }] = stores
  return [{ rule: 'STORE-DOWN', level: 'warn', lock: null, lockId: null, pid, next: `chainlock status --pid ${pid}`, ...about }]
}

/** After every instant that is written so. */
const MUCH_LATER = '~'

/** @type {Rule} */
const skew = {
  id: 'SKEW',
  check: ({ stores }) => {
    /** @type {Map<string, Store>} */
    const worst = new Map()
    for (const store of stores) {
      const known = worst.get(store.store)
      if (store.open && isOff(store) && off(store) > (known ? off(known) : 0)) worst.set(store.store, store)
    }
    return [...worst.values()].map((store) => {
      const { skewMs, skewErrorMs, pid, skewSeen } = store
      const way = Number(skewMs) > 0 ? 'ahead of' : 'behind'
      return {
        rule: 'SKEW',
        level: 'warn',
        lock: null,
        lockId: null,
        pid,
        sentence: `the clock of ${short(store.store)} is ${duration(off(store))} ${way} this machine's`,
        evidence: [
          `seen with an error of ${duration(skewErrorMs)} at most`,
          'leases run by durations, and hold; times that people compare, and limits of tokens and certificates, do not',
        ],
        next: 'chainlock doctor',
        since: skewSeen,
      }
    })
  },
}

/** @param {Store} store */
const off = ({ skewMs }) => Math.abs(skewMs ?? 0)

/** @param {Store} store */
const isOff = (store) => off(store) > LEAST_SKEW_MS + (store.skewErrorMs ?? 0)

module.exports = { lostLeases, renewFailing, storeDown, skew }
