// Leases over GitHub, as far as it is another place than the rest: what it refuses, what it asks to wait for, what a
// request costs there, and what people see.
'use strict'

const assert = require('node:assert/strict')
const { inspect } = require('node:util')
const { ChainlockError } = require('chainlock')
const { startGitHub } = require('./helpers/github')
const { onGitHub } = require('./helpers/lease-places')
const { managerFor, pairFor, failure } = require('./helpers/leases')
const { engineTest } = require('./helpers/servers')
const { until } = require('./helpers/waiting')

const KEY = 'the-key'
const HOUR_S = 3_600

/** @param {import('node:test').TestContext} t @param {object} [options] */
async function serving(t, options) {
  const github = await startGitHub(options)
  t.after(() => github.stop())
  return github
}

/** What each says is asked for by hand: the requests that were not a free answer. */
const counted = ({ log }) => log.filter(({ status }) => status !== 304).map(({ operation }) => operation)

/** What does not work: the server's options, the manager's, the code, and a word of advice. */
const REFUSALS = [
  ['a wrong token', {}, { token: 'ghp_hidden' }, 'ERR_LOCK_STORE_DENIED', /401.*check user, password or token/],
  ['no such repository', {}, { store: 'github:octo/other' }, 'ERR_LOCK_STORE_DENIED', /no such repository, or the token may not see it/],
  ['a token that may only read', { access: 'read' }, {}, 'ERR_LOCK_STORE_DENIED', /contents: write/],
  ['an archived repository', { access: 'archived' }, {}, 'ERR_LOCK_STORE_READ_ONLY', /archived.*must be able to write/],
  ['an empty repository', { empty: true }, {}, 'ERR_LOCK_STORE_UNSUPPORTED', /empty/],
  ['no refs may be made', { refuseRefs: 'refs/' }, {}, 'ERR_LOCK_STORE_UNSUPPORTED', /no ref may be made/],
  ['a server without updateRefs', { ghes: true, older: true }, {}, 'ERR_LOCK_STORE_UNSUPPORTED', /\?refs=rest/],
]

for (const [name, server, options, code, advice] of /** @type {any[]} */ (REFUSALS)) {
  engineTest(`${name}: a typed error with advice, at once, and without the token`, 'github', async (t) => {
    const github = await serving(t, server)
    const leases = managerFor(t, { ...onGitHub(github), ...options })
    const { store } = { ...onGitHub(github), ...options }
    const calls = [() => leases.acquire(KEY), () => leases.tryAcquire(KEY), () => leases.steal(KEY, { expectToken: 1 })]
    for (const call of calls) {
      const error = await failure(call())
      assert.ok(error instanceof ChainlockError, inspect(error))
      assert.equal(error.code, code, error.message)
      assert.match(error.message, advice)
      assert.ok(error.message.startsWith(store) && error.message.includes(KEY), error.message)
      assert.ok(!inspect(error).includes('hidden') && !inspect(error).includes(github.token))
    }
    const { success, error } = await leases.acquireLock(KEY)
    assert.deepEqual([success, error.code], [false, code])
  })
}

engineTest('while GitHub asks for silence nothing goes out, and who would not wait hears how long', 'github', async (t) => {
  const github = await serving(t)
  const leases = managerFor(t, { ...onGitHub(github), requestTimeoutMs: 20_000 })
  await (await leases.acquire(KEY)).release()
  github.faults.next('secondary-limit', {}, { seconds: HOUR_S })
  const told = await failure(leases.tryAcquire('other'))
  assert.equal(told.code, 'ERR_LOCK_STORE_UNAVAILABLE')
  assert.match(told.message, /rate limit.*ask again after that/)
  assert.ok(told.retryAfterMs > 0 && told.retryAfterMs <= HOUR_S * 1_000, inspect(told))
  const before = github.log.length
  const late = await failure(leases.acquire('other', { timeoutMs: 300 }))
  assert.match(late.code, /^ERR_LOCK_(TIMEOUT|STORE_UNAVAILABLE)$/)
  assert.ok(late.retryAfterMs > HOUR_S * 500, inspect(late))
  assert.equal((await failure(leases.status(KEY))).code, 'ERR_LOCK_STORE_UNAVAILABLE')
  const { success, error } = await leases.acquireLock('other', { conflictStrategy: 'fail_fast' })
  assert.deepEqual([success, error.code], [false, 'ERR_LOCK_STORE_UNAVAILABLE'])
  assert.equal(github.log.length, before, 'nothing was asked')
})

for (const limit of ['secondary-limit', 'rate-limit']) {
  engineTest(`who waits goes on after a ${limit}`, 'github', async (t) => {
    const github = await serving(t)
    const leases = managerFor(t, onGitHub(github))
    await (await leases.acquire(KEY)).release()
    github.faults.next(limit, { operation: 'graphql/updateRefs' }, { seconds: 2 })
    const lease = await leases.acquire(KEY, { timeoutMs: 120_000 })
    assert.equal(github.faults.waiting, 0, 'it was asked to be silent')
    assert.equal((await lease.release()).released, true)
  })
}

engineTest('what a lease costs: four requests, two to renew, two to release; to look again is free', 'github', async (t) => {
  const github = await serving(t)
  const leases = managerFor(t, { ...onGitHub(github), showOnIssue: false })
  const first = await leases.acquire('first')
  const cost = async (work) => {
    const before = counted(github).length
    await work()
    await github.idle()
    return counted(github).slice(before)
  }
  let lease
  assert.ok((await cost(async () => { lease = await leases.acquire(KEY) })).length <= 4)
  // The first look at what was just written is one that counts.
  await lease.renew()
  assert.deepEqual(await cost(() => lease.renew()), ['git/create-commit', 'graphql/updateRefs'])
  assert.deepEqual(await cost(() => lease.release()), ['git/create-commit', 'graphql/updateRefs'])
  await first.release()
})

const ODD = ['$(touch pwned)', '`id`', 'a;b', '../../heads/main', 'refs/heads/main', 'a\n\n{"chainlock":1}', '-x', '@', 'a..b', 'x.lock', '🔒'.repeat(128), 'k'.repeat(512), '%2e%2e']

engineTest('odd keys and workers stay what they are, in a name that git takes', 'github', async (t) => {
  const github = await serving(t)
  const main = await github.git('rev-parse', 'refs/heads/main')
  const leases = managerFor(t, { ...onGitHub(github), workerId: '$(touch pwned) `id` "\n--' })
  const held = []
  for (const key of ODD) held.push(await leases.acquire(key))
  assert.deepEqual((await leases.list()).map(({ key }) => key).sort(), [...ODD].sort())
  assert.equal((await leases.status(ODD[0])).holders[0].workerId, '$(touch pwned) `id` "\n--')
  const names = (await github.git('for-each-ref', '--format=%(refname)', 'refs/locks/')).trim().split('\n')
  for (const name of names) assert.match(name, /^refs\/locks\/chainlock(=home|(=sessions)?\/[\w=-]{1,220})$/)
  for (const lease of held) assert.equal((await lease.release()).released, true)
  assert.equal(await github.git('rev-parse', 'refs/heads/main'), main, 'no branch has moved')
  assert.deepEqual(github.violations, [])
})

engineTest('two workers of one account exclude each other, and the issue shows who holds it', 'github', async (t) => {
  const github = await serving(t)
  const [one, two] = pairFor(t, onGitHub(github))
  const { success, token } = await one.acquireLock(7, { workerId: 'worker-1' })
  assert.equal(success, true)
  const refused = await two.acquireLock(7, { workerId: 'worker-2', conflictStrategy: 'fail_fast' })
  assert.deepEqual([refused.success, refused.error.code], [false, 'ERR_LOCK_LEASE_HELD'])
  const count = (operation) => github.log.filter((line) => line.operation === operation && line.status < 300).length
  await until(() => count('issues/add-assignees') === 1)
  assert.equal((await two.releaseLock(7, 'worker-2')).success, false)
  assert.equal((await one.releaseLock(7, 'worker-1')).success, true)
  await until(() => count('issues/remove-assignees') === 1)
  const next = await two.acquireLock(7, { workerId: 'worker-2' })
  assert.ok(next.success && next.token > token)
  assert.equal((await two.releaseLock(7, 'worker-2')).success, true)
  await Promise.all([one.destroy(), two.destroy()])
  assert.equal(count('issues/create-comment'), 1, 'one comment, edited')
  assert.equal(count('issues/remove-assignees'), 2, 'that it is free is shown before the manager has gone')
  assert.deepEqual(github.violations, [])
})

engineTest('what is no issue’s number, or is not to be shown, is not', 'github', async (t) => {
  const github = await serving(t)
  const [loud, quiet] = [managerFor(t, onGitHub(github)), managerFor(t, { ...onGitHub(github), showOnIssue: false })]
  for (const [leases, key] of /** @type {const} */ ([[loud, 'seven'], [quiet, 7]])) await (await leases.acquire(key)).release()
  await Promise.all([loud.destroy(), quiet.destroy()])
  assert.equal(github.count({ path: '/issues/' }), 0)
})
