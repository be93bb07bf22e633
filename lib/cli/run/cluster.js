// `chainlock run --scope cluster`: holds a lease while the command runs. A native thread renews it; when it is lost the
// command is ended, because somebody else may do the same by then.
// @ts-check
'use strict'

const path = require('node:path')
const { clean, duration } = require('../../snapshot/words')
const { CommandError, EXIT } = require('../exit')
const { commandFor, holdWords, keyName, withStore } = require('../store')
const { endTree, startChild } = require('./child')
const { sayAfter } = require('./say')

/**
 * @typedef {import('../commands').Context} Context
 * @typedef {import('../store').LeaseManager} LeaseManager
 * @typedef {import('../store').Place} Place
 * @typedef {import('../../../leases').Lease} Lease
 * @typedef {import('./child').Asked & { ttlMs: number | undefined, graceMs: number }} Asked
 */

/** @param {Context} context @param {Asked} asked @param {Place} place */
function underLease(context, asked, place) {
  return withStore(context, place, async (leases) => {
    leases.on('risk', riskTold(context))
    const lease = await take(context, leases, asked, place)
    const code = await runUnder(context, lease, asked)
    return giveBack(context, lease, asked, code)
  }, { ttlMs: asked.ttlMs })
}

/** Said once for each time that the store stops answering. @param {Context} context */
function riskTold({ err }) {
  let before = Infinity
  return (/** @type {Lease} */ { key }, /** @type {{ msLeft: number }} */ { msLeft }) => {
    if (msLeft > before || before === Infinity) err(`chainlock: ${keyName(key)} cannot be renewed; the lease ends in ${duration(msLeft)}`)
    before = msLeft
  }
}

/**
 * @param {Context} context
 * @param {LeaseManager} leases
 * @param {Asked} asked
 * @param {Place} place
 * @returns {Promise<Lease>}
 */
async function take(context, leases, { name, waitMs, isShared, words, label }, { options }) {
  // What stands behind the command may be a secret, and a store has other readers than this machine.
  const metadata = { label: label ?? path.basename(words[0] ?? 'sh') }
  const request = { shared: isShared, metadata }
  if (waitMs === 0) {
    const lease = await leases.tryAcquire(name, request)
    if (lease !== null) return lease
    throw new CommandError(EXIT.timedOut, `${keyName(name)} is taken: ${await holders(leases, name)}`, commandFor('chainlock status', name, options))
  }
  const say = async () => context.err(`chainlock: waiting for ${keyName(name)}: ${await holders(leases, name)}`)
  return sayAfter(context, say, leases.acquire(name, { ...request, timeoutMs: waitMs }))
}

/** @param {LeaseManager} leases @param {string} key */
async function holders(leases, key) {
  try {
    const { holders: all } = await leases.status(key)
    const living = all.filter(({ stale }) => !stale)
    return living.length === 0 ? 'those who wait go first' : living.map((holder) => `held by ${holdWords(holder)}`).join('; ')
  } catch {
    return 'the store does not say by whom'
  }
}

/**
 * The exit code of the command.
 * @param {Context} context
 * @param {Lease} lease
 * @param {Asked} asked
 */
async function runUnder(context, lease, asked) {
  const { pid, ended } = startChild(context, asked, { ...context.env, CHAINLOCK_TOKEN: String(lease.token) })
  /** @type {Promise<void> | null} */
  let ending = null
  const end = () => {
    context.err(`chainlock: ${clean(lease.signal.reason.message)}; the command is ended`)
    if (pid !== undefined) ending = endTree(pid, asked.graceMs)
  }
  if (lease.signal.aborted) end()
  else lease.signal.addEventListener('abort', end, { once: true })
  try {
    return await ended
  } finally {
    lease.signal.removeEventListener('abort', end)
    // What the command has started may outlive it.
    await ending
  }
}

/**
 * @param {Context} context
 * @param {Lease} lease
 * @param {Asked} asked
 * @param {number} code
 */
async function giveBack({ err }, lease, { name }, code) {
  if (lease.signal.aborted) return EXIT.lost
  const { released, reason } = await lease.release()
  if (released) return code
  if (reason === 'unavailable') {
    err(`chainlock: ${keyName(name)} could not be given back: the store does not answer; the lease ends with its time`)
    return code
  }
  err(`chainlock: the lease on ${keyName(name)} (token ${lease.token}) was lost while the command ran: ${reason}`)
  return EXIT.lost
}

module.exports = { underLease }
