// Doctor: a store of leases. Is it reached, may it be written, does its clock run as ours, are waiters told? It takes
// and gives back one key, whose record stays.
// @ts-check
'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { duration } = require('../../snapshot/words')
const { CommandError } = require('../exit')
const { missingFile, withStore } = require('../store')

/**
 * @typedef {import('./index').Check} Check
 * @typedef {import('./index').Finding} Finding
 * @typedef {import('../store').LeaseManager} LeaseManager
 */

const PROBE = 'chainlock-doctor'
const PROBE_TTL_MS = 15_000
const PROBE_WAIT_MS = 5_000
const LOOKS = 5
/** What a request takes at most before it is worth a word; GitHub is far away and slow. */
const SLOW_MS = 100
const SLOW_GITHUB_MS = 3_000
const WATCHED_MS = 500
/** What two clocks may differ in that time, besides what the requests took. */
const MOST_DRIFT_MS = 50
const MOST_HANDOFF_MS = 1_000

/** By code, when the store is asked for the first time. @type {Record<string, string>} */
const FIX = {
  ERR_LOCK_STORE_ADDRESS: 'write it as docs/leases.md has it',
  ERR_LOCK_STORE_UNAVAILABLE: 'start the server, or correct host and port; is a firewall in between?',
  ERR_LOCK_STORE_DENIED: 'correct user and password, or the token (GITHUB_TOKEN)',
  ERR_LOCK_STORE_FOREIGN: 'use another --namespace, or remove what lies there',
  ERR_LOCK_STORE_VERSION: 'update this chainlock: a newer one uses the store',
  ERR_LOCK_STORE_READ_ONLY: 'give this user the right to write, or name the primary',
  ERR_LOCK_STORE_UNSUPPORTED: 'choose another store: docs/leases.md',
}

/** How waiters come to be told. @type {Record<string, string>} */
const PUSH_FIX = {
  redis: 'allow SUBSCRIBE and PUBLISH (ACL channels), and see to it that no proxy keeps them back',
  postgres: 'LISTEN needs a session of its own: no pooler in transaction mode',
  etcd: 'let watches through the proxy in front of it',
  sqlite: 'several processes need a disk of this machine',
}

/**
 * @param {import('../commands').Context} context
 * @param {import('../store').Place} place
 * @returns {Promise<import('./index').Told[]>}
 */
async function examineStore(context, place) {
  /** @type {import('./index').Told[]} */
  const told = []
  const add = (/** @type {string} */ id, /** @type {Finding} */ { level, sentence, fix }) =>
    told.push({ id, level, sentence, fix: fix ?? null, fixed: false })
  try {
    await withStore(context, place, async (leases) => {
      for (const [id, check] of Object.entries(CHECKS)) {
        const found = await outcome(leases, check, place, context)
        add(id, found)
        if (found.level === 'bad' || found.isEnd) return
      }
    }, { ttlMs: PROBE_TTL_MS, workerId: `chainlock doctor (${process.pid})` })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    add('store', { level: 'bad', sentence: error.message, fix: FIX.ERR_LOCK_STORE_ADDRESS })
  }
  return told
}

/** @typedef {(leases: LeaseManager, place: import('../store').Place, context: import('../commands').Context) => Promise<Finding & { isEnd?: boolean }>} StoreCheck */

/** @param {LeaseManager} leases @param {StoreCheck} check @param {import('../store').Place} place @param {import('../commands').Context} context */
async function outcome(leases, check, place, context) {
  try {
    return await check(leases, place, context)
  } catch (error) {
    const { code, message } = /** @type {any} */ (error)
    return { level: /** @type {const} */ ('bad'), sentence: message, fix: FIX[code] }
  }
}

// ── The checks, in their order; what is bad ends them ────────────────────────────────────────────────

/** @type {Record<string, StoreCheck>} */
const CHECKS = {
  async store(leases) {
    const file = missingFile(leases)
    if (file !== null) {
      return { level: 'warn', sentence: `there is no ${file} yet; the first lease makes it`, fix: 'is the path right?', isEnd: true }
    }
    const took = []
    for (let look = 0; look < LOOKS; look += 1) {
      const began = performance.now()
      await leases.status(PROBE)
      took.push(performance.now() - began)
    }
    // The first one connects.
    const [first] = took
    const usual = took.slice(1).sort((a, b) => a - b)[Math.floor((LOOKS - 1) / 2)]
    const { engine } = leases.caps()
    const sentence = `${leases.store} lets us in, and answers in ${duration(usual)} (the first time ${duration(first)})`
    if (usual <= (engine === 'github' ? SLOW_GITHUB_MS : SLOW_MS)) return { level: 'good', sentence }
    return { level: 'warn', sentence: `${sentence}: slow`, fix: 'a store that is nearer, or a longer ttl' }
  },

  async promises(leases) {
    const { minTtlMs, mayDoubleGrant, fair, clock } = leases.caps()
    const line = fair ? 'waiters stand in line' : 'waiters have no order'
    const fail = mayDoubleGrant ? '; a failover can grant twice: write with the token' : ''
    const ends = { server: "the server's clock", boot: "this machine's clock since its boot", session: 'sessions of the server' }[clock]
    return { level: 'good', sentence: `leases of ${duration(minTtlMs)} or longer, ended by ${ends}; ${line}${fail}` }
  },

  async records(leases, place) {
    const { look } = require('../store-status')
    const { verdict, leases: all, more } = await look(leases, place, undefined, true)
    const [worst] = verdict
    const count = `${all.length}${more ? ' or more' : ''} ${all.length === 1 ? 'key' : 'keys'} in a format that this version reads`
    if (worst.level === 'good') return { level: 'good', sentence: `${count}: ${worst.sentence}` }
    return { level: 'warn', sentence: `${count}: ${worst.sentence}`, fix: worst.next ?? undefined }
  },

  async write(leases) {
    const began = performance.now()
    const lease = await leases.acquire(PROBE, { timeoutMs: PROBE_WAIT_MS })
    await lease.renew()
    const { released, reason } = await lease.release()
    if (!released) return { level: 'bad', sentence: `the key ${PROBE} could not be given back: ${reason}`, fix: 'chainlock doctor again' }
    const took = duration(performance.now() - began)
    return { level: 'good', sentence: `the key ${PROBE} was acquired, renewed and released in ${took}, token ${lease.token}` }
  },

  async clock(leases) {
    const lease = await leases.acquire(PROBE, { timeoutMs: PROBE_WAIT_MS })
    try {
      const first = await leftOf(leases)
      if (first === null) return { level: 'good', sentence: 'the server keeps the time; no clock of this machine is compared with it' }
      await sleep(WATCHED_MS)
      const second = await leftOf(leases)
      if (second === null) return { level: 'warn', sentence: `the key ${PROBE} was taken away meanwhile` }
      const drift = first.leftMs - second.leftMs - (second.at - first.at)
      const most = MOST_DRIFT_MS + first.tookMs + second.tookMs
      const over = `${duration(Math.abs(drift))} in ${duration(second.at - first.at)}`
      if (Math.abs(drift) <= most) return { level: 'good', sentence: `the store's clock runs as this machine's (${over} apart)` }
      return { level: 'warn', sentence: `the store's clock runs off: ${over}; leases end early or late`, fix: 'a time service on both machines, which slews and does not step' }
    } finally {
      await lease.release()
    }
  },

  async push(leases, place, context) {
    const { push, engine } = leases.caps()
    if (!push) return { level: 'good', sentence: 'this store cannot tell waiters; they ask from time to time' }
    const tookMs = await handOver(leases, place, context)
    const sentence = `a waiter had the key ${duration(tookMs)} after its release`
    if (tookMs <= MOST_HANDOFF_MS) return { level: 'good', sentence }
    return { level: 'warn', sentence: `${sentence}: it was not told`, fix: PUSH_FIX[engine] }
  },
}

/** How much time the store gives the probe. @param {LeaseManager} leases */
async function leftOf(leases) {
  const began = performance.now()
  const { holders } = await leases.status(PROBE)
  const at = performance.now()
  const left = holders[0]?.expiresInMs ?? null
  return left === null ? null : { leftMs: left, at, tookMs: at - began }
}

/**
 * From a release to the grant of one who waits, over another connection.
 * @param {LeaseManager} leases
 * @param {import('../store').Place} place
 * @param {import('../commands').Context} context
 */
async function handOver(leases, place, context) {
  const lease = await leases.acquire(PROBE, { timeoutMs: PROBE_WAIT_MS })
  // Other settings are another connection.
  const apart = { ttlMs: PROBE_TTL_MS, requestTimeoutMs: 4_999, workerId: `chainlock doctor (${process.pid}, waiting)` }
  return withStore(context, place, async (others) => {
    const grant = others.acquire(PROBE, { timeoutMs: PROBE_TTL_MS })
    const end = performance.now() + PROBE_WAIT_MS
    while ((await leases.status(PROBE)).waiters === 0 && performance.now() < end) await sleep(10)
    const began = performance.now()
    await lease.release()
    const theirs = await grant
    const tookMs = performance.now() - began
    await theirs.release()
    return tookMs
  }, apart).finally(() => lease.release())
}

module.exports = { examineStore }
