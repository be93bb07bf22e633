// How the life of a holder ends: its worker thread, its process by itself and by SIGKILL, its garbage. And what may not
// keep a process alive, or be left behind in it.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { STEADY_MS, storeFor, managerFor } = require('./helpers/leases')
const { startNode, runNode, said } = require('./helpers/processes')
const { startWorker, message, exited } = require('./helpers/threads')
const { until, turn } = require('./helpers/waiting')

/** For what a test hangs on when it is wrong. */
const LONG_MS = 600_000

test('the leases of a worker that ends are given back, and its waits given up', async (t) => {
  const store = storeFor(t)
  const leases = managerFor(t, { store })
  const mine = await leases.acquire('mine')
  const worker = startWorker(holding, { store, ttlMs: LONG_MS })
  assert.equal(await message(worker), 'held')
  assert.equal(await leases.tryAcquire('theirs'), null)
  await worker.terminate()
  const lease = await leases.acquire('theirs', { timeoutMs: 30_000 })
  await lease.release()
  while ((await leases.status('mine')).waiters > 0) await turn()
  await mine.release()
  await (await leases.acquire('mine', { timeoutMs: 30_000 })).release()
})

async function holding({ port, data, require }) {
  const { LeaseManager } = require('chainlock/leases')
  const leases = new LeaseManager(data)
  await leases.acquire('theirs')
  leases.acquire('mine').catch(() => {})
  while ((await leases.status('mine')).waiters === 0);
  port.postMessage('held')
}

test('a worker with a held lease ends by itself', async (t) => {
  const worker = startWorker(holdingOnly, { store: storeFor(t), ttlMs: LONG_MS })
  assert.equal(await exited(worker), 0)
})

async function holdingOnly({ data, require }) {
  const { LeaseManager } = require('chainlock/leases')
  await new LeaseManager(data).acquire('theirs')
}

test('the lease of a killed process is taken over at once', async (t) => {
  const store = storeFor(t)
  const leases = managerFor(t, { store })
  const holder = startNode(holdingProcess, { store, ttlMs: LONG_MS })
  await said(holder, 'held')
  const waiting = leases.acquire('theirs', { timeoutMs: 60_000 })
  await turn()
  const killedAt = performance.now()
  holder.child.kill('SIGKILL')
  const lease = await waiting
  t.diagnostic(`granted ${Math.round(performance.now() - killedAt)} ms after the kill`)
  assert.equal(lease.claimedStale, true)
  await holder.ended
  await lease.release()
})

async function holdingProcess({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  await new LeaseManager(data).acquire('theirs')
  console.log('held')
  setInterval(() => {}, 1_000)
}

test('a pending acquire keeps the process, a held lease does not; nothing is left behind', async (t) => {
  const store = storeFor(t)
  const leases = managerFor(t, { store })
  const held = await leases.acquire('first')
  const waiting = startNode(waitingProcess, { store, ttlMs: LONG_MS })
  while ((await leases.status('first')).waiters === 0) await turn()
  assert.equal(waiting.child.exitCode, null)
  await held.release()
  const { code, stdout, stderr } = await waiting.ended
  assert.deepEqual([code, stdout, stderr], [0, 'granted\n', ''])
})

async function waitingProcess({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  await new LeaseManager(data).acquire('first')
  console.log('granted')
}

test('destroy leaves no handler, no handle and no output', async (t) => {
  const { code, stdout, stderr, hung } = await runNode(destroying, { store: storeFor(t), requireLoopAliveMs: 10_000 })
  assert.equal(hung, false)
  assert.deepEqual([code, stderr], [0, ''])
  assert.deepEqual(JSON.parse(stdout), { handlers: [0, 0, 0, 0], same: true, free: true })
})

async function destroying({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  const count = () => ['SIGINT', 'SIGTERM', 'SIGHUP', 'exit'].map((name) => process.listenerCount(name))
  const before = count()
  const leases = new LeaseManager(data)
  await leases.acquire('a')
  await leases.acquireLock('b')
  const during = count()
  await leases.destroy()
  const other = new LeaseManager(data)
  const free = (await other.tryAcquire(['a', 'b'])) !== null
  console.log(JSON.stringify({ handlers: during.map((now, at) => now - before[at]), same: String(count()) === String(before), free }))
}

test('many requests with one signal warn of no leak, and all are given up', async (t) => {
  const { code, stdout, stderr, hung } = await runNode(crowding, { store: storeFor(t) })
  assert.equal(hung, false)
  assert.deepEqual([code, stderr], [0, ''])
  assert.deepEqual(JSON.parse(stdout), { reasons: ['over'], aborted: 50, listeners: 0 })
})

async function crowding({ data }) {
  const { getEventListeners } = require('node:events')
  const { LeaseManager } = require('chainlock/leases')
  const leases = new LeaseManager(data)
  const held = await leases.acquire('crowd')
  const controller = new AbortController()
  const { signal } = controller
  const waiting = Array.from({ length: 50 }, () => leases.acquire('crowd', { signal }).catch((reason) => reason))
  controller.abort('over')
  const reasons = [...new Set(await Promise.all(waiting))]
  await held.release()
  await leases.destroy()
  console.log(JSON.stringify({ reasons, aborted: leases.getMetrics().aborted, listeners: getEventListeners(signal, 'abort').length }))
}

test('a manager that nobody uses opens nothing', async (t) => {
  const { code, stdout, stderr } = await runNode(unused, { store: storeFor(t) })
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(stdout, 'false\n')
})

function unused({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  new LeaseManager(data)
  new LeaseManager({ store: 'redis://127.0.0.1:1' })
  console.log(require('node:fs').existsSync(data.store.slice('sqlite:'.length)))
}

test('a lease that is garbage is given back, with a warning', async (t) => {
  const { code, stdout, stderr } = await runNode(forgetting, { store: storeFor(t), ttlMs: LONG_MS }, { nodeArgs: ['--expose-gc'] })
  assert.equal(stdout, 'free\n', stderr)
  assert.equal(code, 0)
  assert.match(stderr, /CHAINLOCK_GUARD_COLLECTED.*lease on .*forgotten.*token 1/s)
})

async function forgetting({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  const leases = new LeaseManager(data)
  await (async () => (await leases.acquire('forgotten')).token)()
  for (let round = 0; ; round += 1) {
    global.gc()
    await new Promise(setImmediate)
    if (!(await leases.status('forgotten')).held) break
    if (round > 2_000) throw new Error('never collected')
  }
  console.log('free')
}

test('a lease of which somebody has but a listener is kept, and its loss is told', async (t) => {
  const { code, stdout, stderr } = await runNode(leading, { store: storeFor(t), ttlMs: STEADY_MS }, { nodeArgs: ['--expose-gc'] })
  assert.deepEqual([code, stdout, stderr], [0, 'stolen\n', ''])
})

async function leading({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  const alive = setInterval(() => {}, 1_000)
  const leases = new LeaseManager(data)
  const token = await (async () => {
    const { signal, token } = await leases.acquire('leader')
    signal.addEventListener('abort', () => {
      console.log('stolen')
      clearInterval(alive)
    })
    return token
  })()
  for (let round = 0; round < 20; round += 1) {
    global.gc()
    await new Promise(setImmediate)
  }
  const thief = new LeaseManager(data)
  const loot = await thief.steal('leader', { expectToken: token })
  await loot.release()
}

test('a request that is aborted while its answer comes leaves no hold', async (t) => {
  const leases = managerFor(t)
  for (let round = 0; round < 40; round += 1) {
    const controller = new AbortController()
    const asking = leases.acquire('race', { signal: controller.signal }).then((lease) => lease.release(), () => {})
    for (let turns = round % 8; turns > 0; turns -= 1) await turn()
    controller.abort()
    await asking
  }
  await (await leases.acquire('race', { timeoutMs: 30_000 })).release()
  await until(() => leases.getMetrics().held === 0)
})
