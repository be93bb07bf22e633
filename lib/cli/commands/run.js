// `chainlock run <lock> -- command…`: flock(1) for host locks, and for leases. Holds the lock while a command runs, and
// ends as it ends.
// @ts-check
'use strict'

const { span, STORE_OPTIONS } = require('../args')
const { EXIT, usageError } = require('../exit')
const { placeOf } = require('../store')

/** @typedef {import('../commands').Context} Context */

const USUAL_GRACE_MS = 10_000
/** As the manager of leases has it. */
const MOST_TTL_MS = 7 * 24 * 60 * 60 * 1_000

/** @param {Context} context */
async function run(context) {
  const { values } = context
  const place = placeOf(context, ['host', 'process', 'cluster'])
  if (values.scope === 'process') {
    throw usageError('a lock of scope process lives inside of one process, and a command is another; use --scope host')
  }
  const asked = readOptions(context)
  if (place !== null) return require('../run/cluster').underLease(context, { ...asked, ...leaseOptions(context) }, place)
  const extra = ['ttl', 'grace'].find((name) => values[name] !== undefined)
  if (extra !== undefined) throw usageError(`--${extra} is about leases; it goes with --scope cluster`)
  return require('../run/host').underHostLock(context, asked)
}

/** @param {Context} context */
function readOptions({ args, values }) {
  const [name, ...words] = args
  const line = values.command
  if (line !== undefined && words.length > 0) throw usageError('give either -c or a command behind --, not both')
  if (line === undefined && words.length === 0) throw usageError('<command> is missing: chainlock run <lock> -- command…')
  const waitMs = values.wait === undefined ? Infinity : span('--wait', values.wait)
  return { name, words, line, waitMs, isShared: values.shared === true, label: values.label }
}

/** @param {Context} context */
function leaseOptions({ values: { ttl, grace } }) {
  const ttlMs = ttl === undefined ? undefined : Math.round(span('--ttl', ttl))
  if (ttlMs !== undefined && (ttlMs < 1 || ttlMs > MOST_TTL_MS)) throw usageError('--ttl is at least 1ms and at most 7d')
  return { ttlMs, graceMs: grace === undefined ? USUAL_GRACE_MS : span('--grace', grace) }
}

module.exports = {
  summary: 'run a command under a host lock or a lease, as flock(1) does',
  usage: '<lock> [options] -- [command…]',
  locks: true,
  options: {
    wait: { type: 'string', value: 'TIME', help: 'give up after it (30s, 5m); 0 tries once' },
    shared: { type: 'boolean', help: 'together with other shared holders' },
    label: { type: 'string', value: 'TEXT', help: 'who this is, for those who wait. Default: the command' },
    command: { type: 'string', short: 'c', value: 'LINE', help: 'a line for /bin/sh in place of a command' },
    scope: { type: 'string', value: 'SCOPE', help: "host: this user's processes here. cluster: a lease" },
    store: { ...STORE_OPTIONS.store, help: 'of leases: redis://…; default: CHAINLOCK_STORE' },
    namespace: STORE_OPTIONS.namespace,
    ttl: { type: 'string', value: 'TIME', help: 'how long a lease outlives its holder (5m)' },
    grace: { type: 'string', value: 'TIME', help: 'from SIGTERM to SIGKILL, if it is lost (10s)' },
  },
  details: [
    'A host <lock> is a name, or a path with / that flock(1) knows, too. A lease renews itself; CHAINLOCK_TOKEN is its ' +
      'fencing token; when it is lost the command is ended.',
    "Ends with the command's code, or 128 + a signal (which are passed on); 127: no such command; 126: it cannot be run; 1, 76: the lock was lost.",
  ],
  examples: ['chainlock run deploy --wait 30s -- ./deploy.sh'],
  exits: [EXIT.bad, EXIT.notFound, EXIT.refused, EXIT.permission, EXIT.timedOut, EXIT.lost],
  run,
}
