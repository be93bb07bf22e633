// The calls of the GitHub-issue design: results in place of rejections, the four strategies, status, metrics.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { ChainlockError } = require('chainlock')
const { ConflictStrategy, LeaseManager, LockManager } = require('chainlock/leases')
const { STEADY_MS, managerFor, pairFor, storeFor, failure } = require('./helpers/leases')
const { pause, until } = require('./helpers/waiting')

const QUICK = { retryDelayMs: 1, maxRetryDelayMs: 2 }

test('it is the same class under both names', () => {
  assert.equal(LockManager, LeaseManager)
  assert.deepEqual(Object.keys(ConflictStrategy), ['RETRY', 'FAIL_FAST', 'STEAL_STALE', 'FORCE_ACQUIRE'])
})

test('acquire, look, release, by the number of an issue', async (t) => {
  const [one, two] = pairFor(t)
  const taskInfo = { title: 'mend `the` build; $(touch x)', labels: ['a'] }
  const result = await one.acquireLock(17, { workerId: 'w-1', nodeId: 'n-1', taskInfo })
  assert.equal(result.success, true)
  assert.equal(result.lockId, `17#${result.token}`)
  assert.equal(result.retries, 0)
  const { metadata } = result
  assert.deepEqual(
    [metadata.lock_id, metadata.worker_id, metadata.node_id, metadata.pid, metadata.token, metadata.task_info],
    [result.lockId, 'w-1', 'n-1', process.pid, result.token, taskInfo],
  )
  assert.equal(new Date(metadata.claimed_at).toISOString(), metadata.claimed_at)

  const status = await two.getLockStatus('17')
  assert.deepEqual([status.key, status.isLocked, status.assignee, status.token, status.stale], ['17', true, 'w-1', result.token, false])
  assert.deepEqual(Object.keys(status.metadata), Object.keys(metadata))
  assert.deepEqual(status.metadata.task_info, taskInfo)
  assert.ok(status.expiresInMs > 0 && status.expiresInMs <= 300_100)
  assert.ok(status.updatedAt >= status.createdAt)
  assert.deepEqual((await two.listLocks()).map(({ key }) => key), ['17'])

  assert.equal((await two.releaseLock(17)).success, false, 'another manager has nothing to give back')
  const wrong = await one.releaseLock(17, 'w-2')
  assert.equal(wrong.success, false)
  assert.equal(wrong.error.code, 'ERR_LOCK_LEASE_HELD')
  assert.deepEqual(await one.releaseLock(17, 'w-1'), { success: true })
  assert.equal((await one.releaseLock(17, 'w-1')).error.code, 'ERR_LOCK_LEASE_LOST')
  assert.deepEqual(await two.listLocks(), [])
  const free = await two.getLockStatus(17)
  assert.deepEqual([free.isLocked, free.assignee, free.metadata, free.token], [false, null, null, null])
})

test('two workers of one name exclude each other', async (t) => {
  const [one, two] = pairFor(t)
  assert.equal((await one.acquireLock('x', { workerId: 'bot' })).success, true)
  const second = await two.acquireLock('x', { workerId: 'bot', conflictStrategy: ConflictStrategy.FAIL_FAST })
  assert.equal(second.success, false)
})

test('FAIL_FAST asks once', async (t) => {
  const [one, two] = pairFor(t, QUICK)
  const { token } = await one.acquireLock('k', { workerId: 'w-1' })
  const refused = await two.acquireLock('k', { conflictStrategy: ConflictStrategy.FAIL_FAST })
  assert.deepEqual([refused.success, refused.lockId, refused.token, refused.retries], [false, null, null, 0])
  assert.ok(refused.error instanceof ChainlockError)
  assert.equal(refused.error.code, 'ERR_LOCK_LEASE_HELD')
  assert.equal(refused.error.heldBy.token, token)
  assert.equal(refused.metadata.worker_id, 'w-1')
})

test('RETRY asks so often, and says how often', async (t) => {
  // So many times that last for many seconds.
  const [one, two] = pairFor(t, { retryDelayMs: 20, maxRetryDelayMs: 40 })
  await one.acquireLock('k')
  const refused = await two.acquireLock('k', { maxRetries: 3 })
  assert.equal(refused.success, false)
  assert.equal(refused.error.code, 'ERR_LOCK_LEASE_HELD')
  assert.equal(refused.retries, 3)
  assert.equal(two.getMetrics().totalRetries, 3)

  const asking = two.acquireLock('k', { maxRetries: 1_000 })
  await until(() => two.getMetrics().totalRetries > 4)
  await one.releaseLock('k')
  const granted = await asking
  assert.equal(granted.success, true)
  assert.ok(granted.retries >= 1)
})

test('RETRY obeys timeout and signal', async (t) => {
  const [one, two] = pairFor(t, { retryDelayMs: 60_000, maxRetryDelayMs: 60_000 })
  await one.acquireLock('k')
  const late = await two.acquireLock('k', { timeoutMs: 50 })
  assert.equal(late.success, false)
  assert.equal(late.error.code, 'ERR_LOCK_TIMEOUT')
  const controller = new AbortController()
  const asking = two.acquireLock('k', { signal: controller.signal })
  setImmediate(() => controller.abort('enough'))
  assert.equal(await failure(asking), 'enough')
})

test('an abort rejects with its reason, even if that is the loss of another lease', async (t) => {
  const [one, two] = pairFor(t)
  await one.acquireLock('k')
  const leader = await two.acquire('leader')
  // The loss may be told before the renewal is answered.
  const asking = failure(two.acquireLock('k', { signal: leader.signal }))
  await one.steal('leader', { expectToken: leader.token })
  await failure(leader.renew())
  assert.equal(await asking, leader.signal.reason)
  assert.equal(leader.signal.reason.code, 'ERR_LOCK_LEASE_LOST')
})

test('STEAL_STALE takes what is over, leaves what is not, and counts it', async (t) => {
  const store = storeFor(t)
  const dead = managerFor(t, { store })
  const two = managerFor(t, { store })
  const held = await dead.acquireLock('k', { ttlMs: STEADY_MS })
  const refused = await two.acquireLock('k', { conflictStrategy: ConflictStrategy.STEAL_STALE })
  assert.equal(refused.success, false, 'it lives')
  await dead.destroy({ release: false })
  let result
  await until(async () => {
    result = await two.acquireLock('k', { conflictStrategy: ConflictStrategy.STEAL_STALE })
    return result.success || pause(20)
  }, 'it is stale')
  assert.ok(result.token > held.token)
  assert.equal(result.lease.claimedStale, true)
  assert.equal(two.getMetrics().staleLocksClaimed, 1)
})

test('FORCE_ACQUIRE takes it, and the holder hears', async (t) => {
  const [one, two] = pairFor(t)
  const first = await one.acquireLock('k', { ttlMs: STEADY_MS })
  const told = new Promise((resolve) => one.once('lost', (lease, { cause, by }) => resolve([lease, cause, by.workerId])))
  const second = await two.acquireLock('k', { conflictStrategy: ConflictStrategy.FORCE_ACQUIRE })
  assert.equal(second.success, true)
  assert.ok(second.token > first.token)
  assert.deepEqual(await told, [first.lease, 'stolen', 'two'])
  assert.equal(two.getMetrics().forced, 1)
  const release = await one.releaseLock('k')
  assert.deepEqual([release.success, release.error.code], [false, 'ERR_LOCK_LEASE_LOST'])
  assert.equal((await two.getLockStatus('k')).token, second.token)
})

test('destroy releases what acquireLock holds', async (t) => {
  const [one, two] = pairFor(t)
  await one.acquireLock('a')
  await one.acquireLock('b')
  await one.destroy()
  assert.deepEqual(await two.listLocks(), [])
  const closed = await one.acquireLock('a')
  assert.equal(closed.success, false)
  assert.equal(closed.error.code, 'ERR_LOCK_LEASE_CLOSED')
})
