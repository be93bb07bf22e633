// Leases as others see them: in the snapshot, in the commands, and from outside of a process that stands still.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { channel } = require('node:diagnostics_channel')
const path = require('node:path')
const { test } = require('node:test')
const v8 = require('node:v8')
const vm = require('node:vm')
const { folder } = require('./helpers/folders')

// Before the package is loaded; children inherit it.
process.env.XDG_RUNTIME_DIR = folder()

const { chainlock, root } = require('./helpers/package')
const { runCli } = require('./helpers/cli')
const { STEADY_MS } = require('./helpers/leases')
const { startNode, said } = require('./helpers/processes')
const { faultsOf } = require('./helpers/schema')
const { pause } = require('./helpers/waiting')
const { LeaseManager, ConflictStrategy } = require('../lib/leases')
const schema = require('../docs/formats/snapshot.schema.json')

v8.setFlagsFromString('--expose-gc')
const gc = vm.runInNewContext('gc')
const LIMIT_MS = 60_000
const onLinux = { skip: process.platform !== 'linux' && 'only Linux shows processes from outside' }

function managerFor(t, options = {}) {
  const store = options.store ?? `sqlite:${path.join(folder(t), 'locks.db')}`
  const manager = new LeaseManager({ workerId: 'ci-7', ttlMs: 30_000, ...options, store })
  t.after(() => manager.destroy())
  return manager
}

/** What this process shows of that manager's store. */
function seenOf({ store }, options) {
  const snapshot = chainlock.snapshot({ pid: process.pid, ...options })
  assert.deepEqual(faultsOf(snapshot, schema), [])
  const its = (one) => one.store === store
  return { ...snapshot, leases: snapshot.leases.filter(its), stores: snapshot.stores.filter(its) }
}

/** Looks until it is so. */
async function until(look, isSo) {
  for (const end = Date.now() + LIMIT_MS; ; await pause(20)) {
    const seen = await look()
    if (isSo(seen)) return seen
    assert.ok(Date.now() < end, JSON.stringify(seen))
  }
}

test('a lease is in the snapshot from its grant to its release, with its store', async (t) => {
  const manager = managerFor(t)
  const before = Date.now()
  const lease = await manager.acquire('deploy', { shared: true })
  const { leases: [seen], stores: [store] } = seenOf(manager)
  assert.deepEqual(
    [seen.key, seen.state, seen.mode, seen.worker, seen.token, seen.ttlMs, seen.pid, seen.engine, seen.failures, seen.cause],
    ['deploy', 'held', 'shared', 'ci-7', lease.token, 30_000, process.pid, 'sqlite', 0, null],
  )
  assert.ok(Math.abs(seen.leftMs - lease.remainingMs) < 5_000 && seen.leftMs <= 30_000)
  assert.ok(Date.parse(seen.since) >= before - 100 && seen.heldMs >= 0 && seen.renewedMsAgo >= seen.heldMs - 1)
  assert.deepEqual([store.state, store.acquisitions, store.releases, store.skewMs], ['up', 1, 0, null])
  await lease.release()
  const after = seenOf(manager)
  assert.deepEqual([after.leases, after.stores[0].releases], [[], 1])
  await manager.destroy()
  assert.deepEqual(seenOf(manager).stores, [], 'nobody uses it any more')
  assert.deepEqual(seenOf(manager, { all: true }).stores.map(({ open, acquisitions }) => [open, acquisitions]), [[false, 1]])
})

test('who waits is shown with who is in the way, and every key of several has its row', async (t) => {
  const manager = managerFor(t)
  const lease = await manager.acquire(['b', 'a'])
  const waits = manager.acquire('a', { workerId: 'late', timeoutMs: LIMIT_MS })
  const { leases } = await until(() => seenOf(manager), (seen) => seen.leases.length === 3)
  const [waiting] = leases.filter(({ state }) => state === 'waiting')
  assert.deepEqual([waiting.key, waiting.worker, waiting.other, waiting.token], ['a', 'late', 'ci-7', lease.tokens[1]])
  assert.ok(waiting.waitedMs >= 0 && waiting.leftMs > 0 && waiting.heldMs === null && waiting.renewed === null)
  assert.deepEqual(leases.filter(({ state }) => state === 'held').map(({ key, token }) => [key, token]).sort(), [['a', lease.tokens[1]], ['b', lease.tokens[0]]])
  await lease.release()
  const next = await waits
  assert.deepEqual(seenOf(manager).leases.map(({ key, worker, state }) => [key, worker, state]), [['a', 'late', 'held']])
  await next.release()
})

test('a lost lease is LOST until its code lets go, and the channel is told once', async (t) => {
  const manager = managerFor(t, { ttlMs: STEADY_MS })
  const told = []
  const hear = (loss) => told.push(loss)
  channel('chainlock:lost').subscribe(hear)
  t.after(() => channel('chainlock:lost').unsubscribe(hear))
  const lease = await manager.acquire('deploy')
  const thief = managerFor(t, { store: manager.store, workerId: 'ops' })
  await thief.acquireLock('deploy', { conflictStrategy: ConflictStrategy.FORCE_ACQUIRE })
  const { verdict } = await until(() => seenOf(manager), ({ leases }) => leases.some(({ state }) => state === 'lost'))
  const [{ rule, lock, sentence, evidence }] = verdict
  assert.deepEqual([rule, lock], ['LOST', 'deploy'])
  assert.match(sentence, /^lease "deploy" of "ci-7" .* was stolen/)
  assert.match(evidence.join('\n'), /now held by "ops"/)
  await until(() => lease.lost, (lost) => lost)
  assert.equal(seenOf(manager).verdict[0].rule, 'LOST', 'it was told, and has not let go')
  assert.deepEqual(await lease.release(), { released: false, reason: 'stolen' })
  const { leases } = await until(() => seenOf(manager), (seen) => seen.verdict[0].rule === 'OK')
  assert.deepEqual(leases.map(({ worker, state }) => [worker, state]), [['ops', 'held']])
  assert.deepEqual(told.map(({ key, token, cause, by }) => [key, token, cause, by.workerId]), [['deploy', lease.token, 'stolen', 'ops']])
})

test('a lost lease that nobody has any more is not LOST', async (t) => {
  const manager = managerFor(t, { ttlMs: STEADY_MS })
  let lease = await manager.acquire('deploy')
  const thief = managerFor(t, { store: manager.store, workerId: 'ops' })
  await thief.acquireLock('deploy', { conflictStrategy: ConflictStrategy.FORCE_ACQUIRE })
  await until(() => lease.lost, (lost) => lost)
  lease = null
  await until(() => (gc(), seenOf(manager)), ({ leases }) => leases.length === 1)
})

async function holds({ data }) {
  const { LeaseManager } = require(`${data.root}/lib/leases`)
  const manager = new LeaseManager({ store: data.store, workerId: 'ci-7', ttlMs: data.ttlMs })
  globalThis.kept = await manager.acquire('deploy\u001b[2J')
  console.log('ready')
  if (data.blocks) process.stdout.write('blocked\n', () => { for (;;); })
  setInterval(() => {}, 1_000)
}

for (const [what, blocks] of Object.entries({ 'whose loop is blocked': true, 'that is stopped': false })) {
  test(`the leases of a process ${what} are seen from outside, in every command`, onLinux, async (t) => {
    const data = { root, store: `sqlite:${path.join(folder(t), 'locks.db')}`, ttlMs: STEADY_MS, blocks }
    const started = startNode(holds, data)
    t.after(() => started.child.kill('SIGKILL'))
    await said(started, blocks ? 'blocked' : 'ready')
    const { pid } = started.child
    if (!blocks) process.kill(pid, 'SIGSTOP')
    // Renewed, or over.
    const { leases: [lease], verdict } = await until(() => chainlock.snapshot({ pid }), ({ leases: [seen] }) => seen.state === 'lost' || seen.heldMs > data.ttlMs)
    // Renewals need no event loop; but a process that is stopped renews nothing, and cannot know that.
    assert.deepEqual([lease.state, lease.untold], blocks ? ['held', false] : ['lost', true])
    assert.equal(verdict[0].rule, blocks ? 'OK' : 'LOST')
    const status = await runCli(['status', '--pid', `${pid}`])
    assert.equal(status.code, blocks ? 0 : 1, status.stderr)
    assert.match(status.stdout, /^LEASE +STATE +HELD +HOLDER +TOKEN/m)
    assert.match(status.stdout, blocks ? /^deploy\ufffd\[2J +held .*ci-7 +1 .*6s .*sqlite:/m : /^deploy\ufffd\[2J +lost, expired .*ci-7/m)
    assert.match(status.stdout, /1 lease$/m)
    const why = await runCli(['why', lease.id, '--pid', `${pid}`])
    assert.equal(why.code, blocks ? 0 : 1, why.stderr)
    assert.match(why.stdout, /store +sqlite:\S+ up/)
    const json = JSON.parse((await runCli(['why', lease.id, '--pid', `${pid}`, '--json'])).stdout)
    assert.deepEqual([json.leases.length, json.stores.length, json.locks.length], [1, 1, 0])
    const frame = await runCli(['monitor', '--once', '--pid', `${pid}`])
    assert.match(frame.stdout, /^LEASE .*\n.*sqlite/m)
    for (const { stdout } of [status, why, frame]) assert.doesNotMatch(stdout, /\u001b/)
    const metrics = await runCli(['metrics', '--pid', `${pid}`])
    assert.match(metrics.stdout, /chainlock_lease_acquisitions_total\{store="sqlite",outcome="granted"\} 1/)
    assert.match(metrics.stdout, new RegExp(`chainlock_lease_held\\{.*store="sqlite"\\} ${blocks ? 1 : 0}`))
  })
}

test('the journal has what becomes of leases, and a trace shows them', async (t) => {
  const file = path.join(folder(t), 'locks.journal')
  const journal = chainlock.openJournal({ path: file })
  const manager = managerFor(t, { ttlMs: STEADY_MS })
  await (await manager.acquire('build')).release()
  const lease = await manager.acquire('deploy')
  const thief = managerFor(t, { store: manager.store, workerId: 'ops' })
  await thief.acquireLock('deploy', { conflictStrategy: ConflictStrategy.FORCE_ACQUIRE })
  await until(() => lease.lost, (lost) => lost)
  await journal.flush()
  const events = (await journal.query({ limit: 100 })).filter(({ lockKind }) => lockKind === 'lease')
  const told = events.map(({ kind, lock, layer, token, other, label }) => [kind, lock, layer, token, other, label])
  const at = `${manager.store}`
  assert.deepEqual(told.filter(([, lock]) => lock === 'build'), [
    ['acquired', 'build', 'ci-7', 1, null, at],
    ['released', 'build', 'ci-7', 1, null, at],
  ])
  assert.deepEqual(told.filter(([, lock, layer]) => lock === 'deploy' && layer === 'ci-7'), [
    ['acquired', 'deploy', 'ci-7', 1, null, at],
    ['stolen', 'deploy', 'ci-7', 1, 'stolen', at],
  ])
  await journal.close()
  const trace = path.join(folder(t), 'trace.json')
  const { code, stderr } = await runCli(['trace', '--since', '10m', '--journal', file, '-o', trace])
  assert.equal(code, 0, stderr)
  const { traceEvents } = JSON.parse(fs.readFileSync(trace, 'utf8'))
  assert.ok(traceEvents.some(({ name, ph }) => name === 'hold build' && ph === 'B'), 'a lease is a hold')
})

test('leases of a moment are counted, and each is written down where there is a journal', async (t) => {
  const ROUNDS = 200
  const manager = managerFor(t)
  const pairs = async () => {
    for (let round = 0; round < ROUNDS; round += 1) await (await manager.acquire('moment')).release()
  }
  const counted = () => seenOf(manager).stores[0]
  await pairs()
  const { releases } = await until(counted, ({ acquisitions }) => acquisitions === ROUNDS)
  assert.equal(releases, ROUNDS)

  const journal = chainlock.openJournal({ path: path.join(folder(t), 'locks.journal') })
  await pairs()
  await journal.flush()
  for (const kind of ['acquired', 'released']) {
    const told = (await journal.query({ kind, limit: 10 * ROUNDS })).filter(({ lock }) => lock === 'moment')
    assert.deepEqual(told.map(({ token }) => token), Array.from({ length: ROUNDS }, (_, at) => ROUNDS + 1 + at), kind)
  }
  await journal.close()
  await until(counted, ({ acquisitions }) => acquisitions === 2 * ROUNDS)
})

test('no secret of a store is on the page', async (t) => {
  const manager = managerFor(t, { store: 'redis://user:s3cret@127.0.0.1:1/0' })
  await assert.rejects(manager.acquire('deploy', { timeoutMs: 5_000 }))
  const { stores: [store] } = seenOf({ store: manager.store })
  assert.deepEqual([store.state, store.failed + store.timeouts], ['down', 1])
  assert.ok(store.error !== null && !JSON.stringify(chainlock.snapshot({ pid: process.pid, all: true })).includes('s3cret'))
})
