// `chainlock release <key> --store URL --force`: takes a lease away, by compare-and-swap from exactly the hold that was
// meant, and gives it back at once.
// @ts-check
'use strict'

const os = require('node:os')
const { duration, short, typed } = require('../snapshot/words')
const { wholeNumber } = require('./args')
const { confirm } = require('./confirm')
const { CommandError, EXIT, usageError } = require('./exit')
const { checkThere, commandFor, heldMs, holdWords, keyName, whoHolds, withStore } = require('./store')

/**
 * @typedef {import('./commands').Context} Context
 * @typedef {import('./store').LeaseManager} LeaseManager
 * @typedef {import('./store').LeaseStatus} LeaseStatus
 * @typedef {import('./store').LeaseHolder} LeaseHolder
 * @typedef {import('./store').Place} Place
 */

/** If this process dies between taking and giving back, the key is free after this. */
const TTL_MS = 10_000

/** @param {Context} context @param {Place} place @param {string} key */
function releaseLease(context, place, key) {
  const asked = readOptions(context)
  return withStore(context, place, async (leases) => {
    checkThere(leases)
    const status = await leases.status(key)
    const holder = oneHolder(status, asked.expect)
    for (const line of block(status, holder)) context.err(line)
    const next = commandFor('chainlock release', key, `${place.options} --force${reasonWord(asked)} --expect ${holder.token} --yes`)
    await confirm(context, { ...asked, name: keyName(key).slice(1, -1), next })
    await takeAndRelease(leases, key, holder, asked.reason)
    tell(context, leases, key, holder)
    return EXIT.ok
  }, { workerId: me(), ttlMs: TTL_MS })
}

/** @param {Context} context */
function readOptions({ values }) {
  if (!values.force) throw usageError('release takes a lease away from a holder that lives; say --force if that is meant')
  if (values.pid !== undefined) throw usageError('--pid is about processes of this machine; name the hold by --expect')
  return {
    reason: (values.reason ?? '').trim() || undefined,
    expect: values.expect === undefined ? null : wholeNumber('--expect', values.expect, { min: 1 }),
    isSure: values.yes === true,
  }
}

/** @param {{ reason: string | undefined }} asked */
function reasonWord({ reason }) {
  return reason === undefined ? '' : ` --reason ${typed(reason) ?? 'TEXT'}`
}

/** Who took it, for the former holder and for people. */
function me() {
  let user = 'somebody'
  try {
    user = os.userInfo().username
  } catch {
    // A container may have no name for its user.
  }
  return `chainlock release (${short(user)}@${short(os.hostname())})`
}

/** @param {LeaseStatus} status @param {number | null} expect @returns {LeaseHolder} */
function oneHolder({ key, holders }, expect) {
  const living = holders.filter(({ stale }) => !stale)
  if (living.length === 0) {
    if (expect === null) throw new CommandError(EXIT.notFound, `nobody holds ${keyName(key)}`)
    throw new CommandError(EXIT.refused, `token ${expect} is gone: nobody holds ${keyName(key)}`)
  }
  const meant = expect === null ? living : living.filter(({ token }) => token === expect)
  if (meant.length === 0) throw moved(key, Number(expect), living)
  if (meant.length > 1) {
    const lines = living.map((holder) => `--expect ${holder.token}  ${whoHolds(holder)}, for ${duration(heldMs(holder))}`)
    throw usageError([`${keyName(key)} has ${living.length} holders; say which`, ...lines].join('\n  '))
  }
  if (meant[0].mode === 'permit' && living.length > 1) {
    throw new CommandError(EXIT.refused, `${keyName(key)} is a semaphore with ${living.length} holders: one alone cannot be taken away`)
  }
  return meant[0]
}

/** @param {string} key @param {number} token @param {readonly LeaseHolder[]} holders Who has it now. */
function moved(key, token, holders) {
  const now = holders.length === 0 ? 'nobody holds it' : `it is now held by ${holders.map(holdWords).join('; ')}`
  return new CommandError(EXIT.refused, `token ${token} has moved: ${keyName(key)} was given on; ${now}`)
}

/** @param {LeaseStatus} status @param {LeaseHolder} holder */
function block({ key, waiters }, holder) {
  return [
    `${keyName(key)} (lease${holder.mode === 'exclusive' ? '' : `, ${holder.mode}`})`,
    `  held by  ${holdWords(holder)}`,
    `  queue    ${waiters === 0 ? 'nobody waits' : `${waiters} ${waiters === 1 ? 'waits' : 'wait'}`}`,
    '  breaks   what it guards may be half written: the old holder goes on until it hears, at its next renewal',
    '           at the latest; then its signal aborts (ERR_LOCK_LEASE_LOST). Only its token keeps it out until then',
  ]
}

/**
 * @param {LeaseManager} leases
 * @param {string} key
 * @param {LeaseHolder} holder
 * @param {string | undefined} reason
 */
async function takeAndRelease(leases, key, { token, mode }, reason) {
  let lease
  try {
    // Others that share it go on.
    lease = await leases.steal(key, { expectToken: token, reason, shared: mode === 'shared' })
  } catch (error) {
    if (/** @type {any} */ (error)?.code !== 'ERR_LOCK_TOKEN_MOVED') throw error
    const { holders } = await leases.status(key)
    throw moved(key, token, holders)
  }
  const { released, reason: why } = await lease.release()
  if (!released && why === 'unavailable') {
    throw new CommandError(EXIT.timedOut, `taken away, but the store does not answer; the key is free in ${duration(TTL_MS)}`)
  }
}

/** @param {Context} context @param {LeaseManager} leases @param {string} key @param {LeaseHolder} holder */
function tell({ json, out, colour, glyphs }, leases, key, holder) {
  const { workerId, token } = holder
  if (json) return out(JSON.stringify({ schema: 1, ok: true, released: true, store: leases.store, key, holder: { workerId, token } }))
  return out(`${colour.good(glyphs.good)} released ${keyName(key)}: it was held by ${holdWords(holder)}`)
}

module.exports = { releaseLease }
