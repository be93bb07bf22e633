// The verdicts: every rule asked, the worst first. A rule looks at a snapshot and says what it finds; none decides what
// another says.
// @ts-check
'use strict'

const { duration, lockName } = require('../words')
const deadlock = require('./deadlock')
const { lost, stale } = require('./taken')
const { stuck, stopped, silent } = require('./holder')
const { order, starving, hot, full } = require('./load')
const { renewFailing, skew, storeDown } = require('./leases')
const unseen = require('./unseen')

/** @typedef {import('./finding').Rule} Rule */
/** @typedef {import('./finding').Seen} Seen */
/** @typedef {import('./finding').Verdict} Verdict */

/** The worst first. @type {readonly Rule[]} */
const RULES = [
  deadlock,
  lost,
  storeDown,
  renewFailing,
  stuck,
  stale,
  stopped,
  silent,
  order,
  starving,
  hot,
  full,
  skew,
  unseen,
]
/** What they say of a lock goes without saying when something worse is found there. */
const LOAD = ['STARVING', 'HOT']
/** What counts as a problem when nothing is wrong now. */
const PROBLEMS = ['forced', 'recovered', 'stolen', 'deadlock', 'order', 'timed_out', 'overdue', 'lost']

/** @param {Seen} seen @returns {Verdict[]} At least one. */
function judge(seen) {
  const found = RULES.flatMap(({ check }) => check(seen))
  const withBad = new Set(found.filter(({ level }) => level === 'bad').map(({ lockId }) => lockId))
  const told = found.filter(({ rule, lockId }) => !(LOAD.includes(rule) && withBad.has(lockId)))
  if (told.length === 0) return [ok(seen)]
  return [...told.filter(({ level }) => level === 'bad'), ...told.filter(({ level }) => level === 'warn')]
}

/** @param {Seen} seen @returns {Verdict} */
function ok(seen) {
  const waiting = seen.locks.reduce((sum, { waiterCount }) => sum + waiterCount, 0)
  const held = seen.locks.filter(({ holderCount }) => holderCount > 0).length
  const leases = seen.leases.filter(({ state }) => state === 'held').length
  const problems = seen.locks.flatMap(({ events }) => events.filter(({ kind }) => PROBLEMS.includes(kind)))
  const last = Math.max(-Infinity, ...problems.map(({ atMs }) => atMs))
  const cooling = seen.locks.filter(({ state }) => state === 'cooldown').map(coolsDown)
  const sentence = [
    waiting === 0 ? 'nothing waits' : `${waiting} ${waiting === 1 ? 'waits' : 'wait'}, none for long`,
    held === 0 ? 'nothing is held' : `${held} ${held === 1 ? 'lock is' : 'locks are'} held`,
    ...(leases > 0 ? [`${leases} ${leases === 1 ? 'lease is' : 'leases are'} held`] : []),
    ...cooling,
    ...(Number.isFinite(last) ? [`last problem ${duration(seen.takenAtMs - last)} ago`] : []),
  ].join('; ')
  return {
    rule: 'OK',
    level: 'good',
    lock: null,
    lockId: null,
    pid: null,
    sentence,
    evidence: [],
    next: null,
    since: null,
  }
}

/** @param {import('./finding').Lock} lock */
function coolsDown(lock) {
  return `${lockName(lock)} cools down for another ${duration(lock.send?.cooldownLeftMs ?? null)}`
}

module.exports = { judge, RULES }
