// The tests' own GitHub: that it moves refs by git's rules, answers in GitHub's shapes, and notices what does not fit.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { clientOf } = require('./helpers/github/client')
const { operationIds } = require('./helpers/github/contract')
const { startGitHub } = require('./helpers/github')
const { REST } = require('./helpers/github/rest')

const ZERO = '0'.repeat(40)

/** A server and a client; that nothing broke GitHub's description is asserted at the end, unless it is the subject. */
async function serving(t, { violates = false, ...options } = {}) {
  const github = await startGitHub(options)
  t.after(async () => {
    await github.stop()
    if (!violates) assert.deepEqual(github.violations, [])
  })
  return { github, client: clientOf(github) }
}

const codes = (answers) => answers.map(({ status }) => status).sort()

test('every operation of the vendored description is served', () => {
  assert.deepEqual(Object.keys(REST).sort(), [...operationIds].sort())
})

// ── Refs ─────────────────────────────────────────────────────────────────────────────────────────────────

test('updateRefs compares and swaps: one of 16 at once wins', async (t) => {
  const { github, client } = await serving(t)
  const id = await client.repositoryId()
  let tip = ZERO
  for (let round = 0; round < 3; round++) {
    const parent = tip === ZERO ? undefined : tip
    const commits = await Promise.all(Array.from({ length: 16 }, (_, i) => client.commit(`${round} ${i}`, parent)))
    assert.equal(new Set(commits).size, 16)
    const move = (afterOid) => client.updateRefs([{ name: 'refs/locks/x', beforeOid: tip, afterOid, force: false }], id)
    const answers = await Promise.all(commits.map(move))
    const won = commits.filter((_, i) => answers[i].body.errors === undefined)
    assert.equal(won.length, 1)
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    tip = won[0]
    assert.equal(await client.tip('locks/x'), tip)
    assert.equal((await github.git('rev-parse', 'refs/locks/x')).trim(), tip)
  }
  assert.equal((await github.git('rev-list', '--count', 'refs/locks/x')).trim(), '3')
})

test('updateRefs moves all or nothing', async (t) => {
  const { client } = await serving(t)
  const [a, b, c] = [await client.commit('a'), await client.commit('b'), await client.commit('c')]
  const first = await client.updateRefs([
    { name: 'refs/locks/a', beforeOid: ZERO, afterOid: a },
    { name: 'refs/locks/b', beforeOid: ZERO, afterOid: b },
  ])
  assert.equal(first.body.errors, undefined)
  const next = await client.commit('next', a)
  const second = await client.updateRefs([
    { name: 'refs/locks/a', beforeOid: a, afterOid: next },
    { name: 'refs/locks/b', beforeOid: c, afterOid: c, force: true },
  ])
  assert.equal(second.status, 200)
  assert.equal(second.body.errors[0].type, 'UNPROCESSABLE')
  assert.deepEqual(second.body.data, { updateRefs: null })
  assert.deepEqual([await client.tip('locks/a'), await client.tip('locks/b')], [a, b])
})

test('updateRefs: the zero id is "must not exist" before and "delete" after', async (t) => {
  const { client } = await serving(t)
  const [a, b] = [await client.commit('a'), await client.commit('b')]
  await client.createRef('locks/x', a)
  const again = await client.updateRefs([{ name: 'refs/locks/x', beforeOid: ZERO, afterOid: b, force: true }])
  assert.equal(again.body.errors.length, 1)
  const elsewhere = await client.updateRefs([{ name: 'refs/locks/x', beforeOid: b, afterOid: ZERO }])
  assert.equal(elsewhere.body.errors.length, 1)
  assert.equal(await client.tip('locks/x'), a)
  const gone = await client.updateRefs([{ name: 'refs/locks/x', beforeOid: a, afterOid: ZERO }])
  assert.equal(gone.body.errors, undefined)
  assert.equal(await client.tip('locks/x'), null)
})

test('updateRefs without force only goes forward', async (t) => {
  const { client } = await serving(t)
  const first = await client.commit('first')
  const second = await client.commit('second', first)
  const third = await client.commit('third', second)
  const strange = await client.commit('strange')
  await client.createRef('locks/x', first)
  const move = (beforeOid, afterOid, force) => client.updateRefs([{ name: 'refs/locks/x', beforeOid, afterOid, force }])
  assert.match((await move(first, strange, false)).body.errors[0].message, /fast forward/)
  assert.equal((await move(first, third, false)).body.errors, undefined)
  assert.match((await move(third, first, false)).body.errors[0].message, /fast forward/)
  assert.equal((await move(third, strange, true)).body.errors, undefined)
})

test('a ref is created once', async (t) => {
  const { client } = await serving(t)
  const commits = await Promise.all(Array.from({ length: 8 }, (_, i) => client.commit(`${i}`)))
  const answers = await Promise.all(commits.map((sha) => client.createRef('locks/x', sha)))
  assert.deepEqual(codes(answers), [201, ...Array(7).fill(422)])
  const won = answers.find(({ status }) => status === 201)
  assert.equal(won.body.ref, 'refs/locks/x')
  assert.equal(await client.tip('locks/x'), won.body.object.sha)
  assert.equal((await client.createRef('locks/x/below', commits[0])).status, 422)
  assert.equal((await client.createRef('locks/y', 'f'.repeat(40))).status, 422)
  assert.equal((await client.createRef('locks/bad..name', commits[0])).status, 422)
})

test('PATCH only goes forward, and only a ref that exists', async (t) => {
  const { client } = await serving(t)
  const first = await client.commit('first')
  await client.createRef('locks/x', first)
  const rivals = await Promise.all(Array.from({ length: 8 }, (_, i) => client.commit(`${i}`, first)))
  const answers = await Promise.all(rivals.map((sha) => client.moveRef('locks/x', sha, false)))
  assert.deepEqual(codes(answers), [200, ...Array(7).fill(422)])
  assert.equal((await client.moveRef('locks/x', first)).status, 422)
  assert.equal((await client.moveRef('locks/x', first, true)).status, 200)
  assert.equal((await client.moveRef('locks/nobody', first)).status, 422)
  assert.equal((await client.inRepo('DELETE', '/git/refs/locks/x')).status, 204)
  assert.equal(await client.tip('locks/x'), null)
})

test('refs are listed by what they begin with', async (t) => {
  const { client } = await serving(t)
  const oid = await client.commit('one')
  for (const name of ['locks/a', 'locks/ab', 'locks/b', 'locks/a-c/d']) await client.createRef(name, oid)
  const { body } = await client.inRepo('GET', '/git/matching-refs/locks/a')
  assert.deepEqual(body.map(({ ref }) => ref), ['refs/locks/a', 'refs/locks/a-c/d', 'refs/locks/ab'])
  assert.equal((await client.inRepo('GET', '/git/ref/locks/a-c')).status, 404)
})

test('a commit is dated by the clock of the server, and keeps its message to the byte', async (t) => {
  const { github, client } = await serving(t)
  github.clock.offsetMs = 3_600_000 * 24
  const message = '{"v":1,"state":"held","meta":"ä 🔒 \\n `x` $(y)"}\n\nlast\n'
  const oid = await client.commit(message)
  const { body, headers } = await client.inRepo('GET', `/git/commits/${oid}`)
  assert.equal(body.message, message)
  const served = Date.parse(headers.get('date'))
  const committed = Date.parse(body.committer.date)
  assert.ok(committed <= served && served - committed < 60_000, `${body.committer.date} and ${headers.get('date')}`)
  assert.ok(served - Date.now() > 3_600_000 * 23)
  assert.deepEqual(body.author.date, body.committer.date)
  assert.equal(await github.git('fsck', '--strict', '--no-dangling'), '')
  assert.equal((await github.git('cat-file', 'commit', oid)).split('\n\n').slice(1).join('\n\n'), message)
  const told = { name: 'n', email: 'n@example.com', date: '2020-02-02T02:02:02Z' }
  const dated = await client.commit('dated', oid, { author: told })
  assert.equal((await client.inRepo('GET', `/git/commits/${dated}`)).body.committer.date, told.date)
})

test('commits of unknown trees and parents are refused, trees are made', async (t) => {
  const { github, client } = await serving(t)
  const post = (body) => client.inRepo('POST', '/git/commits', body)
  const tree = await client.inRepo('POST', '/git/trees', { tree: [{ path: 'a/b', mode: '100644', type: 'blob', content: 'hi' }] })
  assert.equal(tree.status, 201)
  assert.equal(await github.git('cat-file', 'blob', `${tree.body.sha}:a/b`), 'hi')
  assert.equal((await post({ message: 'm', tree: tree.body.sha })).status, 201)
  assert.equal((await post({ message: 'm', tree: 'f'.repeat(40) })).status, 422)
  assert.equal((await post({ message: 'm', tree: tree.body.sha, parents: [tree.body.sha] })).status, 422)
})

// ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────

test('an ETag that still holds is answered 304, which is free', async (t) => {
  const { client } = await serving(t, { rateLimit: 5000 })
  await client.createRef('locks/x', await client.commit('one'))
  const first = await client.inRepo('GET', '/git/ref/locks/x')
  const left = Number(first.headers.get('x-ratelimit-remaining'))
  const same = { 'if-none-match': first.headers.get('etag') }
  const second = await client.inRepo('GET', '/git/ref/locks/x', undefined, same)
  assert.equal(second.status, 304)
  assert.equal(second.body, '')
  assert.equal(Number(second.headers.get('x-ratelimit-remaining')), left)
  assert.ok(second.headers.get('date') && second.headers.get('x-github-request-id'))
  await client.moveRef('locks/x', await client.commit('two', first.body.object.sha))
  const third = await client.inRepo('GET', '/git/ref/locks/x', undefined, same)
  assert.equal(third.status, 200)
  assert.notEqual(third.headers.get('etag'), first.headers.get('etag'))
})

test('the rate limit counts down, refuses and is told', async (t) => {
  const { client } = await serving(t, { rateLimit: 3 })
  const left = []
  for (let i = 0; i < 3; i++) left.push((await client.api('GET', '/user')).headers.get('x-ratelimit-remaining'))
  assert.deepEqual(left, ['2', '1', '0'])
  const over = await client.api('GET', '/user')
  assert.equal(over.status, 403)
  assert.ok(Number(over.headers.get('x-ratelimit-reset')) > Date.now() / 1000)
  assert.equal((await client.api('GET', '/rate_limit')).body.resources.core.remaining, 0)
})

test('who is not known gets 401, what is not known 404, who may only read 403', async (t) => {
  const { github, client } = await serving(t, { access: 'read' })
  const stranger = clientOf({ ...github, token: 'wrong' })
  assert.equal((await stranger.api('GET', '/user')).status, 401)
  assert.equal((await stranger.graphql('{ viewer { login } }')).status, 401)
  assert.equal((await client.api('GET', '/user')).body.login, 'lock-bot')
  assert.equal((await clientOf({ ...github, repo: 'octo/none' }).inRepo('GET', '/git/ref/heads/main')).status, 404)
  const main = await client.tip('heads/main')
  assert.equal((await client.createRef('locks/x', main)).status, 403)
  const answer = await client.updateRefs([{ name: 'refs/locks/x', afterOid: main }])
  assert.equal(answer.body.errors[0].type, 'FORBIDDEN')
})

test('an archived repository is read only', async (t) => {
  const { client } = await serving(t, { access: 'archived' })
  assert.equal((await client.inRepo('GET', '')).body.archived, true)
  assert.equal((await client.createRef('locks/x', await client.tip('heads/main'))).status, 403)
})

test('an Enterprise Server answers below /api, without rate limits', async (t) => {
  const { github, client } = await serving(t, { ghes: true })
  assert.equal(github.apiUrl, `${github.url}/api/v3`)
  const { status, headers, body } = await client.inRepo('GET', '/git/ref/heads/main')
  assert.equal(status, 200)
  assert.ok(body.url.startsWith(github.apiUrl))
  assert.equal(headers.get('x-ratelimit-remaining'), null)
  assert.equal((await client.api('GET', '/rate_limit')).status, 404)
  assert.equal((await client.graphql('{ viewer { login } }')).body.data.viewer.login, 'lock-bot')
})

test('a namespace can be closed, a repository be empty, updateRefs be missing', async (t) => {
  const closed = await serving(t, { refuseRefs: 'refs/locks/' })
  const oid = await closed.client.commit('one')
  assert.equal((await closed.client.createRef('locks/x', oid)).status, 422)
  assert.equal((await closed.client.createRef('heads/locks/x', oid)).status, 201)
  const empty = await serving(t, { empty: true })
  assert.equal((await empty.client.inRepo('GET', '/git/ref/heads/main')).status, 409)
  assert.equal((await empty.client.createRef('locks/x', oid)).status, 409)
  const older = await serving(t, { older: true })
  const { status, body } = await older.client.updateRefs([{ name: 'refs/locks/x', afterOid: oid }])
  assert.equal(status, 200)
  assert.equal(body.errors[0].extensions.code, 'undefinedField')
})

test('GraphQL reads refs and commits', async (t) => {
  const { client } = await serving(t)
  const oids = []
  for (const name of ['a', 'b', 'c']) {
    oids.push(await client.commit(`record ${name}`))
    await client.createRef(`locks/${name}`, oids.at(-1))
  }
  const query = `query ($after: String, $oid: GitObjectID) { repository(owner: "Octo", name: "locks") {
    id
    ref(qualifiedName: "refs/locks/b") { name prefix target { oid ... on Commit { message committedDate tree { oid } } } }
    none: ref(qualifiedName: "refs/locks/none") { name }
    refs(refPrefix: "refs/locks/", first: 2, after: $after) {
      totalCount
      nodes { name target { oid } }
      pageInfo { endCursor hasNextPage }
    }
    object(oid: $oid) { ... on Commit { message } }
  } rateLimit { remaining } }`
  const { repository } = (await client.graphql(query, { oid: oids[2] })).body.data
  assert.equal(repository.id, await client.repositoryId())
  assert.equal(repository.ref.target.message, 'record b')
  assert.equal(repository.ref.name, 'b')
  assert.equal(repository.none, null)
  assert.equal(repository.object.message, 'record c')
  assert.deepEqual(repository.refs.nodes.map(({ target }) => target.oid), oids.slice(0, 2))
  assert.deepEqual([repository.refs.totalCount, repository.refs.pageInfo.hasNextPage], [3, true])
  const rest = await client.graphql(query, { after: repository.refs.pageInfo.endCursor })
  assert.deepEqual(rest.body.data.repository.refs.nodes.map(({ name }) => name), ['c'])
  const unknown = await client.graphql('{ repository(owner: "octo", name: "none") { id } }')
  assert.deepEqual([unknown.status, unknown.body.errors[0].type, unknown.body.data.repository], [200, 'NOT_FOUND', null])
})

test('an issue is assigned, labelled and commented for people', async (t) => {
  const { client } = await serving(t)
  const issue = (method, path, body) => client.inRepo(method, `/issues/3${path}`, body)
  assert.equal((await issue('POST', '/assignees', { assignees: ['lock-bot', 'nobody'] })).status, 201)
  const labels = await issue('POST', '/labels', { labels: ['locked', 'in use ä/b'] })
  assert.deepEqual(labels.body.map(({ name }) => name), ['locked', 'in use ä/b'])
  const without = await issue('DELETE', `/labels/${encodeURIComponent('in use ä/b')}`)
  assert.deepEqual(without.body.map(({ name }) => name), ['locked'])
  assert.equal((await issue('DELETE', '/labels/nothing')).status, 404)
  const made = await issue('POST', '/comments', { body: '<!-- lock:3 -->' })
  assert.equal(made.status, 201)
  await client.inRepo('PATCH', `/issues/comments/${made.body.id}`, { body: '<!-- lock:3 --> again' })
  const listed = await issue('GET', '/comments?per_page=100&page=1')
  assert.deepEqual(listed.body.map(({ body }) => body), ['<!-- lock:3 --> again'])
  const seen = (await issue('GET', '')).body
  assert.deepEqual([seen.assignee.login, seen.labels[0].name, seen.comments], ['lock-bot', 'locked', 1])
  await issue('DELETE', '/assignees', { assignees: ['lock-bot'] })
  const cleared = (await issue('PATCH', '', { labels: [] })).body
  assert.deepEqual([cleared.assignee, cleared.labels], [null, []])
  for (let i = 0; i < 31; i++) await issue('POST', '/comments', { body: `${i}` })
  const page = await issue('GET', '/comments')
  assert.equal(page.body.length, 30)
  assert.match(page.headers.get('link'), /page=2>; rel="next"/)
  assert.equal((await client.inRepo('GET', '/issues/99')).status, 404)
})

// ── The validator ────────────────────────────────────────────────────────────────────────────────────────

const BAD_REQUESTS = {
  'a body of the wrong type': (client) => client.inRepo('POST', '/git/refs', { ref: 'refs/locks/x', sha: 7 }),
  'a body that lacks something': (client) => client.inRepo('POST', '/git/commits', { message: 'm' }),
  'a misspelt member': (client) => client.inRepo('PATCH', '/git/refs/locks/x', { sha: ZERO, forced: true }),
  'an unknown query': (client) => client.inRepo('GET', '/issues/1/comments?perpage=100'),
  'a path that is no number': (client) => client.inRepo('GET', '/issues/one'),
  'an operation that GitHub does not have': (client) => client.inRepo('PUT', '/git/refs/locks/x', { sha: ZERO }),
}

for (const [what, send] of Object.entries(BAD_REQUESTS)) {
  test(`${what} is a violation`, async (t) => {
    const { github, client } = await serving(t, { violates: true })
    assert.equal((await send(client)).status, 500)
    assert.deepEqual(github.violations.map(({ part }) => part), ['request'])
  })
}

test('a GraphQL request that the schema does not have is a violation', async (t) => {
  const { github, client } = await serving(t, { violates: true })
  const wrong = [
    ['{ repository(owner: "octo", name: "locks") { locks } }'],
    ['mutation { updateRefs(input: { repositoryId: "x", refUpdates: [], forced: true }) { clientMutationId } }'],
    ['query ($oid: GitObjectID) { repository(owner: "octo", name: "locks") { object(oid: $oid) { oid } } }', { oid: 'main' }],
    ['{ repository('],
  ]
  for (const [query, variables] of wrong) {
    const { status, body } = await client.graphql(query, variables)
    assert.deepEqual([status, body.errors.length > 0, body.data], [200, true, undefined])
  }
  assert.equal(github.violations.length, wrong.length)
})

test('an answer that GitHub would not give is a violation', async (t) => {
  const wrong = {
    'git/get-ref': () => ({ status: 200, body: { ref: 'refs/locks/x' } }),
    'users/get-authenticated': () => ({ status: 418, body: {} }),
  }
  const { github, client } = await serving(t, { violates: true, handlers: wrong })
  assert.equal((await client.inRepo('GET', '/git/ref/locks/x')).status, 500)
  assert.equal((await client.api('GET', '/user')).status, 500)
  assert.deepEqual(github.violations.map(({ operation, part }) => [operation, part]), [
    ['git/get-ref', 'answer'],
    ['users/get-authenticated', 'answer'],
  ])
})
