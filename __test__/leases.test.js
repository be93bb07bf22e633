// Leases as users have them, over the embedded store: what holds over every engine, and what else there is.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { CASES } = require('./helpers/lease-cases')
const { managerFor, pairFor, storeFor, failure } = require('./helpers/leases')
const { turn, until } = require('./helpers/waiting')

for (const [name, run] of Object.entries(CASES)) test(name, (t) => run(t, { store: storeFor(t) }))

test('`using` and `await using` release', async (t) => {
  const [one, two] = pairFor(t)
  const lease = await one.acquire('using')
  assert.equal(typeof lease[Symbol.dispose ?? Symbol.for('nodejs.dispose')], 'function')
  await lease[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]()
  assert.equal(lease.released, true)
  const next = await two.acquire('using', { timeoutMs: 30_000 })
  next[Symbol.dispose ?? Symbol.for('nodejs.dispose')]()
  assert.equal(next.released, true, 'from the first moment on')
  await (await one.acquire('using', { timeoutMs: 30_000 })).release()
})

test('the first come are the first served', async (t) => {
  const [one, two] = pairFor(t)
  const held = await one.acquire('line')
  const order = []
  const waits = []
  for (let place = 0; place < 6; place += 1) {
    waits.push((place % 2 ? one : two).acquire('line', { timeoutMs: 60_000 }).then(async (lease) => {
      order.push(place)
      await lease.release()
    }))
    await turn()
  }
  await held.release()
  await Promise.all(waits)
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5])
})

test('what the engine promises, and what has been done', async (t) => {
  const leases = managerFor(t)
  const caps = leases.caps()
  assert.deepEqual(
    { ...caps, minTtlMs: 0, recoveryMs: 0 },
    { engine: 'sqlite', fencing: true, clock: 'boot', minTtlMs: 0, recoveryMs: 0, atomicKeys: true, push: caps.push, fair: true, local: true, mayDoubleGrant: false },
  )
  await (await leases.acquire('counted')).release()
  const held = await leases.acquire('counted')
  assert.equal(await leases.tryAcquire('counted'), null)
  const metrics = leases.getMetrics()
  assert.equal(metrics.totalAcquisitions, 2)
  assert.equal(metrics.totalReleases, 1)
  assert.equal(metrics.totalConflicts, 1)
  assert.equal(metrics.failedAcquisitions, 1)
  assert.equal(metrics.held, 1)
  assert.equal(metrics.acquire.count, 2)
  assert.ok(metrics.averageAcquisitionTimeMs > 0)
  for (const [name, value] of Object.entries(metrics)) if (typeof value !== 'object') assert.equal(typeof value, 'number', name)
  await held.release()
})

test('what is abandoned is lost at once, and after its expiry the lock delay keeps the key closed', async (t) => {
  const [leases, other] = pairFor(t)
  const left = await leases.acquire('left', { ttlMs: 60_000 })
  await leases.acquire('delay', { ttlMs: 200, lockDelayMs: 60_000 })
  await leases.destroy({ release: false })
  assert.equal(left.lost, true)
  assert.equal((await left.release()).reason, 'closed')
  const holds = async () => (await other.status('delay')).holders.some(({ stale }) => !stale)
  await until(async () => !(await holds()), 'its expiry')
  assert.equal(await other.tryAcquire('delay'), null)
})

test('the destroyed manager says so', async (t) => {
  const [one, two] = pairFor(t)
  const held = await one.acquire('gone')
  const waiting = failure(two.acquire('gone'))
  await turn()
  await two.destroy()
  await two.destroy()
  assert.equal(two.destroyed, true)
  assert.equal((await waiting).code, 'ERR_LOCK_LEASE_CLOSED')
  assert.equal((await failure(two.acquire('gone'))).code, 'ERR_LOCK_LEASE_CLOSED')
  assert.equal((await failure(two.status('gone'))).code, 'ERR_LOCK_LEASE_CLOSED')
  held.assertHeld()
  const mine = await one.acquire('other')
  await one.destroy()
  assert.deepEqual([held.released, mine.released], [true, true])
  await until(() => held.remainingMs === 0)
})
