// A store of leases, for commands: which one is meant, how it is opened, and what its errors come to. No secret of its
// address is ever printed.
// @ts-check
'use strict'

const { existsSync } = require('node:fs')
const { duration, short, typed, withWord } = require('../snapshot/words')
const { word } = require('./args')
const { CommandError, EXIT, usageError } = require('./exit')
const { said } = require('./text')

/** @typedef {import('./commands').Context} Context */
/** @typedef {import('../../leases').LeaseManager} LeaseManager */
/** @typedef {import('../../leases').LeaseStatus} LeaseStatus */
/** @typedef {import('../../leases').LeaseHolder} LeaseHolder */

/**
 * @typedef {{ url: string | undefined, namespace: string | undefined, options: string }} Place Without a `url` it is
 *   the user's own SQLite store. `options`: how a command line says it again, without secrets.
 */

/** What the errors of leases come to. @type {Record<string, number>} */
const EXIT_OF = {
  ERR_LOCK_INVALID_ARGUMENT: EXIT.usage,
  ERR_LOCK_STORE_ADDRESS: EXIT.usage,
  ERR_LOCK_STORE_UNAVAILABLE: EXIT.notFound,
  ERR_LOCK_STORE_DENIED: EXIT.permission,
  ERR_LOCK_STORE_READ_ONLY: EXIT.permission,
  ERR_LOCK_STORE_FOREIGN: EXIT.refused,
  ERR_LOCK_STORE_VERSION: EXIT.refused,
  ERR_LOCK_STORE_UNSUPPORTED: EXIT.refused,
  ERR_LOCK_TOKEN_MOVED: EXIT.refused,
  ERR_LOCK_LEASE_HELD: EXIT.timedOut,
  ERR_LOCK_TIMEOUT: EXIT.timedOut,
  ERR_LOCK_LEASE_LOST: EXIT.lost,
}

/**
 * The store that a command line asks for; null when it is about this machine.
 * @param {Pick<Context, 'values' | 'env'>} context
 * @param {readonly string[]} [scopes]
 * @returns {Place | null}
 */
function placeOf({ values, env }, scopes = ['cluster']) {
  const { store, namespace } = values
  const scope = values.scope === undefined ? null : word('--scope', values.scope, scopes)
  if (scope !== 'cluster' && (scope !== null || store === undefined)) {
    const extra = store !== undefined ? '--store' : namespace !== undefined ? '--namespace' : null
    if (extra !== null) throw usageError(`${extra} is about leases; it goes with --scope cluster`)
    return null
  }
  const url = store ?? (env.CHAINLOCK_STORE || undefined)
  return { url, namespace, options: optionsOf(store, namespace) }
}

/** @param {string | undefined} store @param {string | undefined} namespace */
function optionsOf(store, namespace) {
  const isSecret = store !== undefined && said(store) !== store
  const where = store === undefined ? ' --scope cluster' : ` --store ${isSecret ? 'URL' : (typed(store) ?? 'URL')}`
  const name = namespace === undefined ? null : typed(namespace)
  return name === null ? where : `${where} --namespace ${name}`
}

/**
 * Opens the store for `use`, and lets go of it however that ends.
 * @template T
 * @param {Context} context
 * @param {Place} place
 * @param {(leases: LeaseManager) => Promise<T>} use
 * @param {import('../../leases').LeaseManagerOptions} [more]
 * @returns {Promise<T>} Rejects with a `CommandError`.
 */
async function withStore({ env }, place, use, more = {}) {
  /** @type {LeaseManager | undefined} */
  let leases
  try {
    leases = open(env, place, more)
    return await use(leases)
  } catch (error) {
    throw told(error, place)
  } finally {
    await leases?.destroy()
  }
}

/** @param {NodeJS.ProcessEnv} env @param {Place} place @param {import('../../leases').LeaseManagerOptions} more @returns {LeaseManager} */
function open(env, { url, namespace }, more) {
  // Whoever lists the processes of this machine does not read it from the command line.
  if (url?.includes('@')) process.title = 'chainlock'
  const { LeaseManager } = /** @type {any} */ (require('../leases'))
  const ofGitHub = { token: env.GITHUB_TOKEN || undefined, apiUrl: env.GITHUB_API_URL || undefined }
  return new LeaseManager({
    store: url,
    namespace,
    caFile: env.CHAINLOCK_CA_FILE || undefined,
    ...(url?.startsWith('github:') ? ofGitHub : {}),
    ...more,
  })
}

/** Nobody makes a database by looking whether it is there. @param {LeaseManager} leases */
function missingFile(leases) {
  if (leases.caps().engine !== 'sqlite') return null
  const file = leases.store.slice('sqlite:'.length)
  return existsSync(file) ? null : file
}

/** @param {LeaseManager} leases */
function checkThere(leases) {
  const file = missingFile(leases)
  if (file !== null) throw new CommandError(EXIT.notFound, `there is no store at ${short(file)}`)
}

/** @param {any} error @param {Place} place */
function told(error, { options }) {
  const exit = EXIT_OF[error?.code]
  if (error instanceof CommandError || exit === undefined) return error
  const text = said(String(error.message))
    .replace(/^LeaseManager: options\.(namespace|store) /, '--$1 ')
    .replace(/^LeaseManager: options\./, '')
    .replace(/^\w+: key /, '<key> ')
    .replace(/^\w+: options\.(reason|permits) /, '--$1 ')
    .replace(/^\w+: options\.ttlMs /, '--ttl ')
  const isAsked = exit === EXIT.notFound || exit === EXIT.permission
  const by = error.heldBy === undefined ? '' : `; held by ${holdWords(error.heldBy)}`
  return new CommandError(exit, text + by, isAsked ? `chainlock doctor${options}` : undefined)
}

// ── Words ────────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} key */
const keyName = (key) => `"${short(said(key))}"`

/** Who holds: 'worker ci-7 (web.example 4242, node eu-1)'. @param {Pick<LeaseHolder, 'workerId' | 'nodeId' | 'host' | 'pid'>} holder */
function whoHolds({ workerId, nodeId, host, pid }) {
  return `worker ${short(workerId)} (${short(host)} ${pid}${nodeId === null ? '' : `, node ${short(nodeId)}`})`
}

/** How long it has been held, by the holder's own clock. @param {Pick<LeaseHolder, 'acquiredAt'>} holder */
const heldMs = ({ acquiredAt }) => Math.max(0, Date.now() - acquiredAt)

/** @param {LeaseHolder} holder */
function holdWords(holder) {
  return `${whoHolds(holder)}, token ${holder.token}, for ${duration(heldMs(holder))}${holder.stale ? ', gone or its time is over' : ''}`
}

/**
 * A command about a key that can be typed, if the key can.
 * @param {string} command
 * @param {string} key
 * @param {string} options
 */
function commandFor(command, key, options) {
  const name = said(key) === key ? typed(key) : null
  return name === null ? undefined : withWord(command, name, options)
}

module.exports = { placeOf, withStore, checkThere, missingFile, keyName, whoHolds, heldMs, holdWords, commandFor }
