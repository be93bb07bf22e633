// Staged failures: leases that are lost while their code runs, and stores that do not do what is asked of them. On real
// servers; GitHub is the one of the tests.
'use strict'

const path = require('node:path')
const { folder } = require('../folders')
const { startGitHub } = require('../github')
const { startRedis, whyNot } = require('../servers')

/** Holds "deploy" and asks for its renewal all the time; never lets go, and does not listen. */
async function holdsLease({ data }) {
  const { LeaseManager } = require(`${process.env.ROOT}/lib/leases`)
  const manager = new LeaseManager({ workerId: 'ci-7', ...data })
  const lease = (globalThis.kept = await manager.acquire('deploy'))
  const again = () => lease.renew().catch(() => {}).then(() => setTimeout(again, 200))
  again()
  console.log('ready')
  setInterval(() => {}, 1_000)
}

/** A file of its own for each. */
const inAFile = (ttlMs) => ({ t }) => ({ given: { store: `sqlite:${path.join(folder(t), 'locks.db')}`, ttlMs } })

async function onRedis({ t }) {
  const redis = await startRedis()
  t.after(() => redis.stop())
  return { redis, given: { store: redis.url, ttlMs: 60_000, requestTimeoutMs: 1_000 } }
}

async function onGitHub({ t }) {
  const github = await startGitHub()
  t.after(() => github.stop())
  github.clock.offsetMs = 3_600_000
  const { repo, token, apiUrl } = github
  return { given: { store: `github:${repo}`, token, apiUrl, showOnIssue: false, ttlMs: 60_000 } }
}

const withoutRedis = whyNot('redis') ?? false

module.exports = {
  'lease lost': {
    before: inAFile(30_000),
    program: holdsLease,
    then: async (_started, _start, { t, before }) => {
      const { LeaseManager, ConflictStrategy } = require('../../../lib/leases')
      const thief = new LeaseManager({ ...before.given, workerId: 'ops' })
      t.after(() => thief.destroy())
      const { success } = await thief.acquireLock('deploy', { conflictStrategy: ConflictStrategy.FORCE_ACQUIRE })
      if (!success) throw new Error('it could not be taken')
    },
    tells: {
      rule: 'LOST',
      level: 'bad',
      lock: 'deploy',
      says: /lease "deploy" of "ci-7" .* was stolen .* ago; its code still runs\n.*token 1[^]*now held by "ops"/,
    },
  },
  'lease of a stopped process': {
    // Long enough not to be over before it is stopped, wherever the machine stands still.
    before: inAFile(6_000),
    program: holdsLease,
    then: ({ child }) => void child.kill('SIGSTOP'),
    tells: {
      rule: 'LOST',
      level: 'bad',
      lock: 'deploy',
      says: /lease "deploy" of "ci-7" .* has expired .* ago[^]*stands still, and does not know it yet/,
    },
  },
  'store down': {
    skip: withoutRedis,
    before: onRedis,
    program: holdsLease,
    then: (_started, _start, { before }) => before.redis.kill(),
    tells: {
      rule: 'STORE-DOWN',
      level: 'bad',
      lock: 'deploy',
      says: /^redis:.* has not answered for .*; lease "deploy" of "ci-7" .* is lost in \S+\nit was tried \d+ times: /,
    },
  },
  'renewals failing': {
    skip: withoutRedis,
    before: onRedis,
    program: holdsLease,
    // From now on it only reads.
    then: (_started, _start, { before }) => before.redis.command('REPLICAOF', '127.0.0.1', '1'),
    tells: {
      rule: 'RENEW-FAILING',
      level: 'bad',
      lock: 'deploy',
      says: /^lease "deploy" of "ci-7" .* is not renewed: \d+ tries have failed; it is lost in \S+\n[^]* says: .*replica/,
    },
  },
  'clock skew': {
    before: onGitHub,
    program: holdsLease,
    tells: {
      rule: 'SKEW',
      level: 'warn',
      lock: null,
      says: /^the clock of github:.* is (1h|59m\d+s) ahead of this machine's/,
      next: () => 'chainlock doctor',
    },
  },
}
