// `chainlock status --store`: what a store says of its leases, and what is wrong with them.
// @ts-check
'use strict'

const { duration } = require('../snapshot/words')
const { CommandError, EXIT, usageError } = require('./exit')
const { checkThere, commandFor, heldMs, keyName, whoHolds, withStore } = require('./store')
const { clean } = require('./text')

/**
 * @typedef {import('./store').LeaseStatus} LeaseStatus
 * @typedef {import('./store').LeaseHolder} LeaseHolder
 * @typedef {{ rule: 'STALE' | 'LATE' | 'OK', level: 'good' | 'warn', key: string | null, sentence: string, evidence: string[], next: string | null }} Verdict
 * @typedef {{ engine: string, address: string, verdict: Verdict[], leases: LeaseStatus[], more: boolean }} Look
 *   `more`: the store has more keys than were read.
 */

/** As many keys are read. */
const MOST_KEYS = 10_000
/** A renewal is due after a third of the ttl; at half of it one has failed or did not come. */
const LATE = 1 / 2

/**
 * One look, printed; the exit code.
 * @param {import('./commands').Context} context
 * @param {import('./store').Place} place
 * @param {string | undefined} key
 */
function lookOnce(context, place, key) {
  return withStore(context, place, async (leases) => print(context, place, key, await look(leases, place, key, context.values.all)))
}

/** @param {import('./commands').Context} context */
function checkOptions({ values }) {
  const local = ['pid', 'sort'].find((name) => values[name] !== undefined)
  if (local !== undefined) throw usageError(`--${local} is about processes of this machine; it does not go with a store`)
}

/**
 * @param {import('./store').LeaseManager} leases
 * @param {import('./store').Place} place
 * @param {string | undefined} key
 * @param {boolean | undefined} all Also keys that nobody holds.
 * @returns {Promise<Look>}
 */
async function look(leases, place, key, all) {
  checkThere(leases)
  const found = key === undefined ? await leases.list({ limit: MOST_KEYS }) : [await leases.status(key)]
  const shown = found.filter(({ holders, waiters }) => all || key !== undefined || holders.length > 0 || waiters > 0)
  return {
    engine: leases.caps().engine,
    address: leases.store,
    verdict: verdictOf(shown, place),
    leases: shown,
    more: found.length === MOST_KEYS,
  }
}

/** @param {LeaseStatus[]} leases @param {import('./store').Place} place @returns {Verdict[]} */
function verdictOf(leases, { options }) {
  const found = leases.flatMap(({ key, holders, waiters }) => {
    const say = (/** @type {'STALE' | 'LATE'} */ rule, /** @type {LeaseHolder} */ holder, /** @type {string} */ what) => ({
      rule,
      level: /** @type {const} */ ('warn'),
      key,
      sentence: clean(`${keyName(key)} is held by ${whoHolds(holder)}, ${what}`),
      evidence: [waiters === 0 ? 'nobody waits' : `${waiters} ${waiters === 1 ? 'waits' : 'wait'}`],
      next: commandFor('chainlock status', key, options) ?? null,
    })
    return holders.flatMap((holder) => {
      if (holder.stale) return [say('STALE', holder, 'which is gone or whose time is over; the next who asks gets it')]
      if (!isLate(holder)) return []
      return [say('LATE', holder, `who has not renewed it in time; it ends in ${duration(holder.expiresInMs)}`)]
    })
  })
  return found.length > 0 ? found : [{ rule: 'OK', level: 'good', key: null, sentence: healthy(leases), evidence: [], next: null }]
}

/** @param {LeaseHolder} holder */
const isLate = ({ expiresInMs, ttlMs }) => expiresInMs !== null && ttlMs !== null && expiresInMs < ttlMs * LATE

/** @param {LeaseStatus[]} leases */
function healthy(leases) {
  const held = leases.filter((one) => one.held).length
  const waiting = leases.reduce((sum, { waiters }) => sum + waiters, 0)
  const keys = held === 0 ? 'no key is held' : held === 1 ? '1 key is held' : `${held} keys are held`
  return `${keys}; ${waiting === 0 ? 'nobody waits' : waiting === 1 ? '1 waits' : `${waiting} wait`}`
}

/**
 * @param {import('./commands').Context} context
 * @param {import('./store').Place} place
 * @param {string | undefined} key
 * @param {Look} found
 */
function print(context, place, key, found) {
  const { json, out } = context
  if (json) out(JSON.stringify(asJson(found)))
  const [one] = found.leases
  if (key !== undefined && one.lastToken === 0 && one.waiters === 0) {
    throw new CommandError(EXIT.notFound, `nobody has ever held ${keyName(key)} in ${found.address}`, `chainlock status${place.options} --all`)
  }
  if (json) return EXIT.ok
  const { keyLines, storeLines } = require('./views/store')
  out((key === undefined ? storeLines(found, context) : keyLines(one, found, place, context)).join('\n'))
  return EXIT.ok
}

/** @param {Look} found */
function asJson({ engine, address, verdict, leases, more }) {
  const time = (/** @type {LeaseHolder} */ holder) => ({ acquiredAt: new Date(holder.acquiredAt).toISOString(), heldMs: heldMs(holder) })
  const whole = leases.map((lease) => ({ ...lease, holders: lease.holders.map((holder) => ({ ...holder, ...time(holder) })) }))
  const now = Date.now()
  return {
    schema: 1,
    takenAt: new Date(now).toISOString(),
    ok: verdict.every(({ level }) => level === 'good'),
    store: { engine, address },
    verdict,
    leases: whole,
    more,
  }
}

module.exports = { look, lookOnce, checkOptions }
