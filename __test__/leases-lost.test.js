// What a holder knows of its lease: a blocked event loop loses nothing, and what is lost is known in the first
// instruction after it.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { STEADY_MS, managerFor, pairFor, storeFor, failure } = require('./helpers/leases')
const { startNode, said } = require('./helpers/processes')
const { block, pause, until } = require('./helpers/waiting')

/** Nothing that is waited for takes so long. */
const HANGS_MS = 60_000

test('a blocked event loop keeps its lease', async (t) => {
  const [one, two] = pairFor(t, { ttlMs: STEADY_MS })
  const lease = await one.acquire('busy')
  block(1.2 * STEADY_MS)
  assert.equal(lease.lost, false)
  assert.ok(lease.remainingMs > 0)
  lease.assertHeld()
  assert.equal(await two.tryAcquire('busy'), null)
  assert.ok(one.getMetrics().renewals >= 2)
  assert.equal((await lease.release()).released, true)
})

test('with requireLoopAliveMs it loses it, and knows at once', async (t) => {
  const [one, two] = pairFor(t, { ttlMs: 300, requireLoopAliveMs: 100 })
  const lease = await one.acquire('hung')
  const events = []
  one.on('lost', (which, { cause }) => events.push([which, cause]))
  const { signal } = lease
  block(1_500)
  assert.equal(lease.lost, true, 'in the first instruction')
  assert.equal(signal.aborted, true, 'and so does the signal, once somebody has looked')
  assert.equal(lease.remainingMs, 0)
  assert.throws(() => lease.assertHeld(), { code: 'ERR_LOCK_LEASE_LOST' })
  assert.ok(['loop', 'expired'].includes(signal.reason.cause), signal.reason.cause)
  await until(() => events.length > 0)
  assert.equal(events[0][0], lease)
  const next = await two.acquire('hung', { timeoutMs: 30_000 })
  assert.ok(next.token > lease.token)
  const { held } = one.getMetrics()
  assert.deepEqual(await lease.release(), { released: false, reason: signal.reason.cause })
  assert.equal(one.getMetrics().held, held)
})

test('a loop that turns keeps it, though it must', async (t) => {
  const leases = managerFor(t, { ttlMs: STEADY_MS, requireLoopAliveMs: STEADY_MS })
  const lease = await leases.acquire('turning')
  await pause(1.2 * STEADY_MS)
  assert.equal(lease.lost, false)
  await lease.release()
})

test('taken away while the loop was blocked: known in the first instruction after the next renewal', async (t) => {
  const store = storeFor(t)
  const leases = managerFor(t, { store, ttlMs: STEADY_MS })
  const lease = await leases.acquire('robbed')
  const { signal } = lease
  const thief = startNode(robbing, { store, token: lease.token })
  // The thief's word cannot be heard here while the loop is blocked. The next renewal comes in a third of the ttl.
  const hangs = performance.now() + HANGS_MS
  while (!lease.lost && performance.now() < hangs) block(10)
  assert.equal(lease.lost, true)
  assert.equal(signal.reason.cause, 'stolen')
  assert.equal(signal.reason.by.workerId, 'thief')
  await said(thief, 'robbed')
  thief.child.stdin.end()
  assert.deepEqual(await lease.release(), { released: false, reason: 'stolen' })
  await thief.ended
})

async function robbing({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  const leases = new LeaseManager({ store: data.store, workerId: 'thief' })
  await leases.steal('robbed', { expectToken: data.token, reason: 'test' })
  console.log('robbed')
  process.stdin.on('end', () => process.exit(0)).resume()
}

test('renew says why a lease is lost, and by whom', async (t) => {
  const [one, two] = pairFor(t)
  const lease = await one.acquire('taken')
  const thief = await two.steal('taken', { expectToken: lease.token })
  for (const error of [await failure(lease.renew()), await failure(lease.renew())]) {
    const { code, key, token, cause, by } = error
    assert.deepEqual([code, key, token, cause, by.token], ['ERR_LOCK_LEASE_LOST', 'taken', lease.token, 'stolen', thief.token])
  }
})

test('what is released while it is renewed is not renewed', async (t) => {
  const leases = managerFor(t)
  const lease = await leases.acquire('over')
  const renewing = failure(lease.renew())
  await lease.release()
  assert.equal((await renewing).code, 'ERR_LOCK_LEASE_LOST')
  assert.equal((await leases.status('over')).held, false)
})

test('maxHoldMs ends a lease at its age, though it is renewed', async (t) => {
  const leases = managerFor(t, { ttlMs: STEADY_MS, maxHoldMs: 1.2 * STEADY_MS })
  const lease = await leases.acquire('old')
  await new Promise((resolve) => lease.signal.addEventListener('abort', resolve))
  assert.equal(lease.signal.reason.cause, 'maxHold')
  assert.equal(lease.lost, true)
})

test('a listener that throws stops nothing', async (t) => {
  const [one, two] = pairFor(t, { ttlMs: STEADY_MS })
  const lease = await one.acquire('loud')
  const mine = new Error('of the listener')
  const thrown = new Promise((resolve) => {
    process.setUncaughtExceptionCaptureCallback((error) => {
      process.setUncaughtExceptionCaptureCallback(null)
      resolve(error)
    })
  })
  one.on('lost', () => {
    throw mine
  })
  await two.steal('loud', { expectToken: lease.token })
  assert.equal(await thrown, mine)
  assert.equal(lease.lost, true)
  assert.equal((await one.status('loud')).held, true, 'it goes on')
})

test('a lease that was lost is asked about no more', async (t) => {
  const [one, two] = pairFor(t, { ttlMs: 60_000 })
  const lease = await one.acquire('asked')
  await two.steal('asked', { expectToken: lease.token })
  assert.equal((await failure(lease.renew())).code, 'ERR_LOCK_LEASE_LOST')
  const again = await failure(lease.renew())
  assert.deepEqual([again.code, again.cause], ['ERR_LOCK_LEASE_LOST', 'stolen'])
})
