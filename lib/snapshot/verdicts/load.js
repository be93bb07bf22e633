// ORDER, STARVING, HOT, FULL: what is not wrong yet.
// @ts-check
'use strict'

const { duration, lockName, short, who } = require('../words')
const { onLock, recent } = require('./finding')

/** @typedef {import('./finding').Rule} Rule */

/** @type {Rule} */
const order = {
  id: 'ORDER',
  check: (seen) =>
    seen.locks.flatMap((lock) => {
      const event = recent(seen, lock, ['order'])
      if (!event) return []
      const other = event.other === null ? 'another lock' : `"${short(event.other)}"`
      const sentence =
        `${lockName(lock)} and ${other} are taken in both orders ` +
        `(seen ${duration(seen.takenAtMs - event.atMs)} ago): two flows can wait for each other for ever`
      return [
        onLock('ORDER', 'warn', lock, {
          sentence,
          evidence: ['take them in one order, or in one request: locks.acquireAll()'],
          since: event.at,
        }),
      ]
    }),
}

/** Percentiles of fewer waits than that say little. */
const ENOUGH_WAITS = 100
/** Shorter waits are nobody's worry. */
const LEAST_STARVED_MS = 1_000
const TIMES_P99 = 10

/** @type {Rule} */
const starving = {
  id: 'STARVING',
  check: ({ locks }) =>
    locks.flatMap((lock) => {
      const head = lock.waiters[0]
      const { count, p99Ms } = lock.wait
      const waited = head?.waitedMs ?? 0
      if (count < ENOUGH_WAITS || waited < LEAST_STARVED_MS || waited <= TIMES_P99 * p99Ms) return []
      const first = who({ ...head, command: null })
      const sentence = `${first} is first in line for ${lockName(lock)} and waits for ${duration(waited)}`
      const evidence = [
        `99 % of ${count} waits took at most ${duration(p99Ms)}`,
        ...lock.holders.slice(0, 3).map((holder) => `held for ${duration(holder.heldMs)} by ${who(holder)}`),
      ]
      return [onLock('STARVING', 'warn', lock, { sentence, evidence, since: head.since })]
    }),
}

const ENOUGH_ACQUISITIONS = 1_000
const HOT_SHARE = 0.5
/** A lock that is fought for, but handed over at once, hurts nobody. */
const LEAST_HOT_MS = 10

/** @type {Rule} */
const hot = {
  id: 'HOT',
  check: (seen) =>
    seen.locks.flatMap((lock) => {
      const { acquisitions, contended, wait } = lock
      const isHot =
        acquisitions >= ENOUGH_ACQUISITIONS && contended > HOT_SHARE * acquisitions && wait.p50Ms >= LEAST_HOT_MS
      if (!isHot || lock.waiterCount === 0) return []
      const share = Math.min(100, Math.round((100 * contended) / acquisitions))
      const sentence =
        `${lockName(lock)} is fought for: ${share} % of ${acquisitions} requests had to wait, ` +
        `half of them ${duration(wait.p50Ms)} or longer`
      const evidence = [
        `waited ${duration(wait.totalMs)} altogether; 99 % of the holds last ${duration(lock.hold.p99Ms)} at most`,
      ]
      return [onLock('HOT', 'warn', lock, { sentence, evidence, since: lock.waiters[0]?.since ?? null })]
    }),
}

const FULL_SHARE = 0.8
/** As many may wait for a send lock. The line of other locks is longer; so many in it are too many, too. */
const QUEUE = 10_000

/** @type {Rule} */
const full = {
  id: 'FULL',
  check: (seen) => [...seen.processes.flatMap(fullTables), ...seen.locks.flatMap(fullQueue)],
}

/** @param {import('../../../index').SnapshotProcess} process @returns {import('./finding').Verdict[]} */
function fullTables(process) {
  const { table, journal, pid, chainlockSince } = process
  const parts = /** @type {const} */ ([
    ['locks', table.used + table.unshown, table.slots, 'more are not shown here, but work'],
    ['requests and holds', table.claimsUsed + table.claimsUnshown, table.claims, 'more are not shown here, but work'],
    ['threads', table.rowsUsed, table.rows, 'no more threads can use chainlock then'],
  ])
  const tables = parts
    .filter(([, used, size]) => size > 0 && used >= FULL_SHARE * size)
    .map(([what, used, size, then]) => ({
      sentence: `process ${pid} has ${used} ${what} of ${size} that its table shows: ${then}`,
      next: `chainlock status --all --pid ${pid}`,
    }))
  const dropped =
    journal !== null && journal.dropped > 0
      ? [
          {
            sentence: `the journal of process ${pid} has dropped ${journal.dropped} events: its disk is too slow`,
            next: 'chainlock doctor',
          },
        ]
      : []
  return [...tables, ...dropped].map(({ sentence, next }) => ({
    ...{
      rule: 'FULL',
      level: 'warn',
      lock: null,
      lockId: null,
      pid,
      sentence,
      evidence: [],
      next,
      since: chainlockSince,
    },
  }))
}

/** @param {import('../../../index').SnapshotLock} lock @returns {import('./finding').Verdict[]} */
function fullQueue(lock) {
  if (lock.waiterCount < FULL_SHARE * QUEUE) return []
  const then = lock.kind === 'send' ? `; from ${QUEUE} on the next are refused` : ''
  const sentence = `${lock.waiterCount} requests wait for ${lockName(lock)}${then}`
  const evidence = lock.holders.slice(0, 3).map((holder) => `held for ${duration(holder.heldMs)} by ${who(holder)}`)
  return [onLock('FULL', 'warn', lock, { sentence, evidence, since: lock.waiters[0]?.since ?? null })]
}

module.exports = { order, starving, hot, full }
