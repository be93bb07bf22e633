// The faults that the tests' own GitHub injects: each does what its name says, once, to the request that it is told
// for, and chance is the same for the same seed. And the server as a process of its own.
'use strict'

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { startGitHub } = require('./helpers/github')
const { clientOf } = require('./helpers/github/client')
const { Faults } = require('./helpers/github/faults')
const { gate } = require('./helpers/waiting')

const ZERO = '0'.repeat(40)
const MOVE = { operation: 'graphql/updateRefs' }

/** A server, a client, a ref `locks/x` at `first` and a commit `second` on it, still to be moved to. */
async function prepared(t, options) {
  const github = await startGitHub(options)
  t.after(async () => {
    await github.stop()
    assert.deepEqual(github.violations, [])
  })
  const client = clientOf(github)
  const first = await client.commit('first')
  await client.createRef('locks/x', first)
  const second = await client.commit('second', first)
  const id = await client.repositoryId()
  const move = () => client.updateRefs([{ name: 'refs/locks/x', beforeOid: first, afterOid: second }], id)
  return { github, client, first, second, move, tip: () => client.tip('locks/x') }
}

test('lost-before: the connection is cut and nothing is done', async (t) => {
  const { github, move, tip, first, second } = await prepared(t)
  github.faults.next('lost-before', MOVE)
  await assert.rejects(move)
  await github.idle()
  assert.equal(await tip(), first)
  assert.equal(github.count({ ...MOVE, fault: 'lost-before', status: null }), 1)
  await move()
  assert.equal(await tip(), second)
})

test('lost-after: it is done and the connection cut', async (t) => {
  const { github, move, tip, second } = await prepared(t)
  github.faults.next('lost-after', MOVE)
  await assert.rejects(move)
  assert.equal(await tip(), second)
  assert.equal(github.count({ ...MOVE, fault: 'lost-after', status: null }), 1)
})

test('late: the connection is cut, and it is done later', async (t) => {
  const { github, move, tip, first, second } = await prepared(t)
  const { opened, open } = gate()
  github.faults.next('late', MOVE, { until: opened })
  await assert.rejects(move)
  assert.equal(await tip(), first)
  open()
  await github.idle()
  assert.equal(await tip(), second)
})

test('late: a move that has been overtaken is refused when it comes', async (t) => {
  const { github, client, move, tip, first } = await prepared(t)
  const { opened, open } = gate()
  github.faults.next('late', MOVE, { until: opened })
  await assert.rejects(move)
  const burn = await client.commit('burn', first)
  assert.equal((await client.moveRef('locks/x', burn, false)).status, 200)
  open()
  await github.idle()
  assert.equal(await tip(), burn)
})

test('502-after: it is done and answered 502', async (t) => {
  const { github, move, tip, second } = await prepared(t)
  github.faults.next('502-after', MOVE)
  const { status, body } = await move()
  assert.deepEqual([status, typeof body], [502, 'string'])
  assert.equal(await tip(), second)
})

test('delay: it is served later', async (t) => {
  const { github, move, tip, second } = await prepared(t)
  github.faults.next('delay', MOVE, { ms: 300 })
  const started = performance.now()
  assert.equal((await move()).status, 200)
  assert.ok(performance.now() - started >= 299)
  assert.equal(await tip(), second)
})

test('stale-read: a GET answers what was there, of refs, lists, commits and in GraphQL', async (t) => {
  const { github, client, move, tip, second } = await prepared(t)
  await move()
  const long = { ms: 3_600_000 }
  github.faults.next('stale-read', {}, long)
  assert.equal(await tip(), null)
  github.faults.next('stale-read', { path: '/matching-refs/' }, long)
  assert.deepEqual((await client.inRepo('GET', '/git/matching-refs/locks/')).body, [])
  github.faults.next('stale-read', { path: `/git/commits/${second}` }, long)
  assert.equal((await client.inRepo('GET', `/git/commits/${second}`)).status, 404)
  const query = '{ repository(owner: "octo", name: "locks") { ref(qualifiedName: "refs/locks/x") { target { oid } } } }'
  github.faults.next('stale-read', { path: '/graphql' }, long)
  assert.equal((await client.graphql(query)).body.data.repository.ref, null)
  assert.equal((await client.graphql(query)).body.data.repository.ref.target.oid, second)
  assert.equal(await tip(), second)
  const moved = performance.now()
  const third = await client.commit('third', second)
  await client.moveRef('locks/x', third)
  github.faults.next('stale-read', {}, { asOf: moved })
  assert.equal(await tip(), second)
})

test('stale-read waits for a read, late for a write', async (t) => {
  const { github, move, tip, second } = await prepared(t)
  github.faults.next('stale-read', {}, { ms: 3_600_000 })
  await move()
  assert.equal(github.faults.waiting, 1)
  assert.equal(await tip(), null)
  github.faults.next('late', {}, { ms: 1 })
  assert.equal(await tip(), second)
  assert.equal(github.faults.waiting, 1)
})

test('secondary-limit: 403 that says when to come again, and nothing is done', async (t) => {
  const { github, client, move, tip, first } = await prepared(t)
  github.faults.next('secondary-limit', {}, { seconds: 7, times: 2 })
  for (const answer of [await move(), await client.api('GET', '/user')]) {
    assert.equal(answer.status, 403)
    assert.equal(answer.headers.get('retry-after'), '7')
    assert.notEqual(answer.headers.get('x-ratelimit-remaining'), '0')
    assert.match(answer.body.message, /secondary rate limit/)
    assert.match(answer.body.documentation_url, /secondary-rate-limits$/)
  }
  assert.equal(await tip(), first)
})

for (const ghes of [false, true]) {
  test(`rate-limit: nothing is left until the reset${ghes ? ', on an Enterprise Server too' : ''}`, async (t) => {
    const { github, client, move, tip, first, second } = await prepared(t, { ghes })
    github.faults.next('rate-limit', { operation: 'users/get-authenticated' }, { seconds: 600 })
    const refused = await client.api('GET', '/user')
    assert.equal(refused.status, 403)
    assert.equal(refused.headers.get('x-ratelimit-remaining'), '0')
    const resetMs = Number(refused.headers.get('x-ratelimit-reset')) * 1000
    assert.ok(resetMs > Date.now() + 500_000 && resetMs < Date.now() + 602_000)
    assert.equal((await client.inRepo('GET', '/git/ref/locks/x')).status, 403)
    github.clock.offsetMs = 601_000
    assert.equal(await tip(), first)
    // The other interface has a budget of its own, and tells it in another way.
    github.faults.next('rate-limit', MOVE, { seconds: 600 })
    const answer = await move()
    assert.deepEqual([answer.status, answer.body.errors[0].type, answer.body.data], [200, 'RATE_LIMITED', undefined])
    assert.equal(answer.headers.get('x-ratelimit-remaining'), '0')
    assert.equal(await tip(), first)
    github.clock.offsetMs = 1_300_000
    await move()
    assert.equal(await tip(), second)
  })
}

test('skew: the server has another time', async (t) => {
  const { github, client, first } = await prepared(t)
  github.clock.offsetMs = -7_200_000
  const { headers } = await client.inRepo('GET', '/git/ref/locks/x')
  assert.ok(Date.parse(headers.get('date')) < Date.now() - 7_000_000)
  const oid = await client.commit('earlier', first)
  const { body } = await client.inRepo('GET', `/git/commits/${oid}`)
  assert.ok(Date.parse(body.committer.date) < Date.now() - 7_000_000)
})

test('a fault is told by method, path, operation or a function, and wrong ones are refused', async (t) => {
  const { github, client } = await prepared(t)
  github.faults.next('502-after', { method: 'POST' })
  github.faults.next('502-after', { path: /ref\/locks\/y$/ })
  github.faults.next('502-after', ({ path: asked }) => asked === '/rate_limit')
  assert.equal((await client.inRepo('GET', '/git/ref/locks/x')).status, 200)
  assert.equal((await client.inRepo('GET', '/git/ref/locks/y')).status, 502)
  assert.equal((await client.api('GET', '/rate_limit')).status, 502)
  assert.equal((await client.graphql('{ viewer { login } }')).status, 502)
  assert.equal(github.faults.waiting, 0)
  assert.throws(() => github.faults.next('typo'), /no such fault: typo/)
})

test('chance is the same for the same seed', () => {
  const drawn = (seed) => {
    const faults = new Faults(seed)
    faults.rate = { delay: 0.2, 'stale-read': 0.2, late: 0.2 }
    return Array.from({ length: 2000 }, (_, i) => faults.pick({ isWrite: i % 2 === 0 }))
  }
  assert.deepEqual(drawn(7), drawn(7))
  assert.notDeepEqual(drawn(7), drawn(8))
  const kinds = drawn(7).map((fault) => fault?.kind)
  for (const [kind, share] of [['delay', 0.2], ['stale-read', 0.08], ['late', 0.08], [undefined, 0.64]]) {
    const seen = kinds.filter((one) => one === kind).length / kinds.length
    assert.ok(Math.abs(seen - share) < 0.05, `${kind}: ${seen}`)
  }
  for (const fault of drawn(7)) {
    if (fault?.kind === 'late') assert.ok(fault.ms >= 200 && fault.ms <= 3000)
  }
})

test('under all faults at once nothing breaks GitHub’s description and the ref only goes forward', async (t) => {
  const { github, client } = await prepared(t, { seed: 42 })
  const id = await client.repositoryId()
  const kinds = ['lost-before', 'lost-after', 'late', '502-after', 'stale-read', 'secondary-limit']
  github.faults.rate = Object.fromEntries(kinds.map((kind) => [kind, 0.05]))
  let told = 0
  const worker = async (name) => {
    for (let i = 0; i < 15; i++) {
      try {
        const tip = (await client.tip(`locks/${name}`)) ?? ZERO
        const afterOid = await client.commit(`${name} ${i}`, tip === ZERO ? undefined : tip)
        const { status, body } = await client.updateRefs([{ name: `refs/locks/${name}`, beforeOid: tip, afterOid }], id)
        if (status === 200 && body.errors === undefined) told += 1
      } catch {
        // Cut, refused or stale: the next round looks again.
      }
    }
  }
  const names = ['a', 'b', 'c', 'd']
  await Promise.all([...names, ...names].map(worker))
  github.faults.clear()
  await github.idle()
  const counts = names.map((name) => github.git('rev-list', '--count', `refs/locks/${name}`))
  const landed = (await Promise.all(counts)).reduce((sum, count) => sum + Number(count), 0)
  const faulted = github.log.filter(({ fault }) => fault !== null).length
  t.diagnostic(`${github.log.length} requests, ${faulted} with a fault, ${landed} moves, ${told} of them told`)
  // A move may be done and not told; none is told and not done.
  assert.ok(faulted > 0 && told > 0 && landed >= told)
})

// ── As a process ─────────────────────────────────────────────────────────────────────────────────────────

/** The served line and the process, stopped at the end of the test. */
async function served(t, ...args) {
  const program = path.join(__dirname, 'helpers', 'github', 'serve.js')
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('close', (code) => resolve(code)))
  t.after(() => (child.kill('SIGKILL'), ended))
  let text = ''
  for await (const chunk of child.stdout) {
    text += chunk
    if (text.includes('\n')) break
  }
  const github = JSON.parse(text)
  const control = async (method, name, body) => {
    const response = await fetch(`${github.url}/_test/${name}`, { method, body: body && JSON.stringify(body) })
    return { status: response.status, body: await response.json() }
  }
  return { child, ended, github, client: clientOf(github), control }
}

test('as a process: served, controlled over HTTP, ended with its input', async (t) => {
  const { child, ended, client, github, control } = await served(t, '--options', '{"ghes":true,"repo":"a/b"}')
  assert.ok(github.apiUrl.endsWith('/api/v3') && github.repo === 'a/b')
  const oid = await client.commit('one')
  await control('POST', 'faults', { next: [{ kind: '502-after', matcher: { operation: 'git/create-ref' } }], offsetMs: 90_000_000 })
  const created = await client.createRef('locks/x', oid)
  assert.equal(created.status, 502)
  assert.ok(Date.parse(created.headers.get('date')) > Date.now() + 80_000_000)
  assert.equal((await control('POST', 'git', { args: ['rev-parse', 'refs/locks/x'] })).body.stdout.trim(), oid)
  await control('GET', 'idle')
  const { body: log } = await control('GET', 'log')
  assert.deepEqual(log.map(({ operation }) => operation).slice(-2), ['git/create-commit', 'git/create-ref'])
  assert.deepEqual((await control('GET', 'violations')).body, [])
  await client.inRepo('GET', '/issues/one')
  assert.equal((await control('GET', 'violations')).body.length, 1)
  assert.equal((await control('POST', 'faults', { next: [{ kind: 'typo' }] })).status, 400)
  child.stdin.end()
  assert.equal(await ended, 0)
})

test('as a process: SIGTERM removes the repository', async (t) => {
  const { child, ended, control } = await served(t)
  const folder = (await control('POST', 'git', { args: ['rev-parse', '--absolute-git-dir'] })).body.stdout.trim()
  assert.ok(fs.existsSync(folder))
  child.kill('SIGTERM')
  assert.equal(await ended, 0)
  assert.ok(!fs.existsSync(folder))
})
