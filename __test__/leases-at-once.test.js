// Leases over the embedded store that need no waiting, again and again: most of them are granted and given back on the
// thread that asks. What holds for every lease holds for these, and the event loop goes on turning.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { STEADY_MS, managerFor, pairFor, storeFor } = require('./helpers/leases')
const { startWorker, message } = require('./helpers/threads')
const { pause, turn, until } = require('./helpers/waiting')

const ROUNDS = 300

/** Whoever takes leases again and again does it the short way from some moment on. */
async function warm(leases) {
  for (let round = 0; round < 60; round += 1) {
    await (await leases.acquire('warm')).release()
    await turn()
  }
}

/** Counts the turns of the event loop until `over()` is called. */
function turns() {
  let count = 0
  let isOver = false
  const next = () => {
    count += 1
    if (!isOver) setImmediate(next)
  }
  setImmediate(next)
  return () => {
    isOver = true
    return count
  }
}

test('a loop over one lease: the token grows, every count is right, and the event loop turns', async (t) => {
  const [leases, other] = pairFor(t)
  await warm(leases)
  const before = leases.getMetrics()
  const over = turns()
  let last = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const lease = await leases.acquire('loop')
    assert.ok(lease.token > last && !lease.lost && lease.remainingMs > 0)
    last = lease.token
    assert.equal(leases.getMetrics().held, 1)
    assert.deepEqual(await lease.release(), { released: true, reason: null })
    assert.equal(lease.released, true)
  }
  assert.ok(over() >= 3, 'timers and sockets have their turn')
  const metrics = leases.getMetrics()
  assert.equal(last, ROUNDS)
  assert.equal(metrics.totalAcquisitions - before.totalAcquisitions, ROUNDS)
  assert.equal(metrics.totalReleases - before.totalReleases, ROUNDS)
  assert.equal(metrics.acquire.count, metrics.totalAcquisitions)
  assert.equal(metrics.hold.count, metrics.totalReleases)
  assert.deepEqual([metrics.held, metrics.lost, metrics.failedAcquisitions], [0, 0, 0])
  assert.equal((await other.acquire('loop')).token, ROUNDS + 1)
})

test('many leases asked for in one breath: the event loop turns before they are all there', async (t) => {
  const [leases, other] = pairFor(t)
  await warm(leases)
  let count = 0
  const asked = Array.from({ length: ROUNDS }, (_, i) => leases.acquire(`many:${i}`))
  for (const one of asked) void one.then(() => (count += 1))
  // Promises alone, however many are chained, do not let the loop turn.
  for (let step = 0; step < 50; step += 1) await null
  assert.ok(count < ROUNDS, `${count} in one turn`)
  const held = await Promise.all(asked)
  assert.equal(leases.getMetrics().held, ROUNDS)
  assert.equal(await other.tryAcquire(`many:${ROUNDS - 1}`), null)
  const given = await Promise.all(held.map((lease) => lease.release()))
  assert.ok(given.every(({ released }) => released))
  assert.equal(leases.getMetrics().held, 0)
})

test('keys of every length and alphabet are themselves', async (t) => {
  const [leases, other] = pairFor(t)
  await warm(leases)
  const ends = ['', 'a', 'b', 'é', '𝄞', '\n', '"']
  const keys = ends.flatMap((end) => ['k', 'x'.repeat(512 - Buffer.byteLength(end)), 'ü'.repeat(250)].map((start) => start + end))
  const held = await Promise.all([...new Set(keys)].map((key) => leases.acquire(key)))
  for (const { key } of held) assert.equal(await other.tryAcquire(key), null)
  await Promise.all(held.map((lease) => lease.release()))
  for (const { key } of held) assert.equal((await other.acquire(key)).token, 2, key)
  assert.equal((await other.list({ limit: 100 })).length, held.length + 1)
})

test('a lease that is stolen in its first moment is not given back, and one that is held on hears of it', async (t) => {
  const [leases, other] = pairFor(t, { ttlMs: STEADY_MS })
  await warm(leases)
  const short = await leases.acquire('short')
  const thief = await other.steal('short', { expectToken: short.token })
  assert.deepEqual(await short.release(), { released: false, reason: 'stolen' })
  assert.equal(thief.lost, false)
  assert.equal(await leases.tryAcquire('short'), null, 'it is the thief who holds it')

  const long = await leases.acquire('long')
  await other.steal('long', { expectToken: long.token })
  await until(() => long.signal.aborted)
  assert.equal(long.lost, true)
  assert.equal(leases.getMetrics().lost, 2)
})

test('a lease that is held on is renewed, and exclusive all the time', async (t) => {
  const [leases, other] = pairFor(t, { ttlMs: STEADY_MS })
  await warm(leases)
  const lease = await leases.acquire('long')
  await pause(1.2 * STEADY_MS)
  assert.equal(lease.lost, false)
  assert.equal(await other.tryAcquire('long'), null)
  assert.deepEqual(await lease.release(), { released: true, reason: null })
})

test('who waits is next, here and elsewhere', async (t) => {
  const [leases, other] = pairFor(t)
  await warm(leases)
  for (let round = 0; round < 20; round += 1) {
    const lease = await leases.acquire('turns')
    const next = [other.acquire('turns', { timeoutMs: 60_000 }), leases.acquire('turns', { timeoutMs: 60_000 })]
    while ((await leases.status('turns')).waiters < 2) await turn()
    await lease.release()
    const again = leases.acquire('turns', { timeoutMs: 60_000 })
    const tokens = []
    for (const waiting of [...next, again]) {
      const granted = await waiting
      tokens.push(granted.token)
      await granted.release()
    }
    assert.deepEqual(tokens, [1, 2, 3].map((place) => lease.token + place))
  }
})

test('a manager that is destroyed in the first moment of a lease gives it back', async (t) => {
  const store = storeFor(t)
  const leases = managerFor(t, { store })
  await warm(leases)
  const lease = await leases.acquire('short')
  await leases.destroy()
  assert.equal(lease.lost || lease.released, true)
  assert.deepEqual([leases.getMetrics().held, leases.getMetrics().lost], [0, 0])
  const next = await managerFor(t, { store }).tryAcquire('short')
  assert.equal(next?.token, lease.token + 1)
})

test('so does a worker thread that ends in it', async (t) => {
  const store = storeFor(t)
  const worker = startWorker(holding, { store })
  assert.equal(await message(worker), 'held')
  await worker.terminate()
  const next = await managerFor(t, { store }).acquire('theirs', { timeoutMs: 60_000 })
  assert.equal(next.token, 2)
})

async function holding({ port, data, require }) {
  const { LeaseManager } = require('chainlock/leases')
  const leases = new LeaseManager(data)
  for (let round = 0; round < 60; round += 1) {
    await (await leases.acquire('warm')).release()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await leases.acquire('theirs')
  port.postMessage('held')
}
