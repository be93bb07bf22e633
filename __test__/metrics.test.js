// What people read: getMetrics, getLockStatus and the history, with exactly the fields and formats of the
// contract.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock } = require('./helpers/package')
const { assertSince } = require('./helpers/moments')
const { block, until } = require('./helpers/waiting')

const METRIC_FIELDS = [
  'scope', 'totalAcquisitions', 'totalReleases', 'duplicatesBlocked', 'forceReleases', 'lockEfficiency', 'duplicateRate',
  'averageLockDuration', 'recentActivity', 'lockEfficiencyRatio', 'duplicateRateRatio', 'averageLockDurationMs',
  'layers', 'refusedByReason', 'forcedByReason', 'waitTimes', 'holdTimes', 'lateReleases', 'overdue', 'joins', 'waits',
  'waitTimeouts', 'waitAborts', 'queueFull',
]
const STATUS_FIELDS = [
  'pid', 'scope', 'isSendingToClaude', 'sendingLayerId', 'lockStartTime', 'lockAge', 'metrics', 'token', 'threadId', 'overdue',
  'cooldownRemaining', 'waiters', 'lastSendTime',
]
const SUMMARY_FIELDS = ['count', 'avgMs', 'p50Ms', 'p90Ms', 'p99Ms', 'maxMs']
const sorted = (names) => [...names].sort()

function sendOnce(lock, layer = 'e2e-executor', ms = 0) {
  lock.tryAcquireSendLock(layer)
  if (ms) block(ms)
  lock.releaseSendLock(layer)
}

describe('getMetrics', () => {
  test('has exactly the documented fields', () => {
    const metrics = freshLock().getMetrics()
    assert.deepEqual(sorted(Object.keys(metrics)), sorted(METRIC_FIELDS))
    assert.deepEqual(sorted(Object.keys(metrics.refusedByReason)), ['cooldown', 'duplicate_message', 'held', 'unknown_layer'])
    assert.deepEqual(sorted(Object.keys(metrics.forcedByReason)), ['manual', 'process_exit', 'stale_timeout', 'thread_exit', 'timeout'])
    for (const summary of [metrics.waitTimes, metrics.holdTimes]) assert.deepEqual(Object.keys(summary), SUMMARY_FIELDS)
  })

  test("says 'N/A' before the first acquisition, though something was blocked", () => {
    const lock = freshLock()
    for (const refuse of [() => {}, () => lock.tryAcquireSendLock('nobody')]) {
      refuse()
      const metrics = lock.getMetrics()
      assert.equal(metrics.lockEfficiency, 'N/A')
      assert.equal(metrics.duplicateRate, 'N/A')
      assert.equal(metrics.averageLockDuration, 'N/A')
      assert.equal(metrics.lockEfficiencyRatio, null)
      assert.equal(metrics.duplicateRateRatio, null)
      assert.equal(metrics.averageLockDurationMs, null)
      assert.deepEqual(metrics.recentActivity, [])
    }
  })

  test('formats the rates with two decimals, and has them as numbers beside', () => {
    const lock = freshLock()
    sendOnce(lock)
    assert.equal(lock.getMetrics().lockEfficiency, '100.00%')
    assert.equal(lock.getMetrics().duplicateRate, '0.00%')
    sendOnce(lock)
    lock.tryAcquireSendLock('e2e-executor')
    lock.tryAcquireSendLock('window-monitor')
    const metrics = lock.getMetrics()
    assert.equal(metrics.lockEfficiency, '66.67%')
    assert.equal(metrics.lockEfficiencyRatio, 2 / 3)
    assert.equal(metrics.duplicateRate, '25.00%')
    assert.equal(metrics.duplicateRateRatio, 0.25)
  })

  test('takes the mean of the holds that lasted at least 1 ms', () => {
    let lock
    // On a busy machine even this hold may last a millisecond: then it is no case of ours.
    do {
      lock = freshLock()
      sendOnce(lock)
    } while (lock.lockHistory.at(-1).duration > 0)
    assert.equal(lock.getMetrics().averageLockDuration, 'N/A')
    sendOnce(lock, 'e2e-executor', 20)
    sendOnce(lock, 'e2e-executor', 40)
    const { averageLockDuration, averageLockDurationMs } = lock.getMetrics()
    const durations = lock.lockHistory.map((entry) => entry.duration).filter((duration) => duration > 0)
    const mean = durations.reduce((sum, duration) => sum + duration, 0) / durations.length
    assert.equal(averageLockDurationMs, mean)
    assert.match(averageLockDuration, /^\d+ms$/)
    assert.equal(averageLockDuration, `${mean.toFixed(0)}ms`)
    assert.ok(mean >= 30)
  })

  test('shows the last 10 of the history', () => {
    const lock = freshLock()
    for (let round = 0; round < 12; round++) sendOnce(lock, round % 2 ? 'window-monitor' : 'e2e-executor')
    assert.deepEqual(lock.getMetrics().recentActivity, lock.lockHistory.slice(-10))
    assert.equal(lock.lockHistory.length, 24)
  })

  test('counts per layer and per reason', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    sendOnce(lock)
    lock.tryAcquireSendLock('window-monitor', { message: 'x' })
    lock.tryAcquireSendLock('test-layer')
    lock.forceReleaseLock('why not')
    lock.tryAcquireSendLock('test-layer', { message: 'x' })
    lock.tryAcquireSendLock('stranger')
    const metrics = lock.getMetrics()
    const none = { acquisitions: 0, releases: 0, blocked: 0, forced: 0 }
    assert.deepEqual({ ...metrics.layers }, {
      'e2e-executor': { ...none, acquisitions: 1, releases: 1 },
      'window-monitor': { ...none, acquisitions: 1, forced: 1 },
      'chain-loop-monitor': none,
      'chain-keyword-monitor': none,
      'test-layer': { ...none, blocked: 2 },
    })
    assert.deepEqual(metrics.refusedByReason, { held: 1, cooldown: 0, duplicate_message: 1, unknown_layer: 1 })
    assert.deepEqual(metrics.forcedByReason, { manual: 1, timeout: 0, stale_timeout: 0, thread_exit: 0, process_exit: 0 })
    assert.equal(metrics.duplicatesBlocked, 2)
  })

  test('acquisitions are releases plus force releases plus the present hold', () => {
    const lock = freshLock()
    for (let round = 0; round < 50; round++) {
      lock.tryAcquireSendLock('e2e-executor')
      if (round % 3 === 0) lock.forceReleaseLock('test')
      else if (round % 3 === 1) lock.releaseSendLock('e2e-executor')
      const { totalAcquisitions, totalReleases, forceReleases } = lock.getMetrics()
      assert.equal(totalAcquisitions, totalReleases + forceReleases + Number(lock.isSendLocked()))
    }
  })

  test('measures waits and holds: the percentiles are in order and at most 6.25 % too high', async () => {
    const lock = freshLock()
    for (const ms of [10, 20, 40]) {
      const { guard } = lock.trySend('e2e-executor')
      const waiting = lock.acquireSendLock('window-monitor')
      block(ms)
      guard.release()
      ;(await waiting).release()
    }
    const { waitTimes, holdTimes, waits } = lock.getMetrics()
    assert.equal(waits, 3)
    assert.equal(waitTimes.count, 3)
    assert.equal(holdTimes.count, 6)
    for (const { avgMs, p50Ms, p90Ms, p99Ms, maxMs } of [waitTimes, holdTimes]) {
      assert.ok(avgMs > 0 && p50Ms > 0)
      assert.ok(p50Ms <= p90Ms && p90Ms <= p99Ms && p99Ms <= maxMs * 1.0625)
    }
    assert.ok(waitTimes.p50Ms >= 20 && waitTimes.maxMs >= 40)
  })

  test('a layer called like a property of objects is just a layer', () => {
    const lock = freshLock({ layers: ['__proto__', 'constructor', 'toString'] })
    for (const layer of ['__proto__', 'constructor', 'toString']) sendOnce(lock, layer)
    const { layers } = lock.getMetrics()
    for (const layer of ['__proto__', 'constructor', 'toString']) assert.equal(layers[layer].releases, 1, layer)
    assert.equal(Object.prototype.acquisitions, undefined)
  })
})

describe('getLockStatus', () => {
  test('of a free lock that was never taken', () => {
    assert.deepEqual(freshLock().getLockStatus(), {
      isSendingToClaude: false,
      sendingLayerId: null,
      lockStartTime: null,
      lockAge: null,
      metrics: { totalAcquisitions: 0, totalReleases: 0, duplicatesBlocked: 0, forceReleases: 0 },
      token: null,
      threadId: null,
      pid: null,
      scope: 'process',
      overdue: false,
      cooldownRemaining: 0,
      waiters: 0,
      lastSendTime: 0,
    })
  })

  test('of a held lock with somebody in line', async () => {
    const lock = freshLock({ cooldownMs: 60_000 })
    const before = Date.now()
    const { guard } = lock.trySend('e2e-executor')
    const waiting = lock.acquireSendLock('window-monitor')
    block(3)
    const status = lock.getLockStatus()
    assert.deepEqual(sorted(Object.keys(status)), sorted(STATUS_FIELDS))
    assert.equal(status.isSendingToClaude, true)
    assert.equal(status.sendingLayerId, 'e2e-executor')
    assert.equal(status.token, guard.token)
    assert.equal(status.threadId, 0)
    assert.deepEqual([status.pid, status.scope], [process.pid, 'process'])
    assert.equal(status.waiters, 1)
    assert.ok(Number.isInteger(status.lockAge) && status.lockAge >= 3)
    assert.ok(Number.isInteger(status.cooldownRemaining) && status.cooldownRemaining > 0 && status.cooldownRemaining <= 60_000)
    assertSince(status.lockStartTime, before)
    assert.equal(status.lastSendTime, status.lockStartTime)
    assert.equal(status.metrics.totalAcquisitions, 1)
    lock.configure({ cooldownMs: 0 })
    guard.release()
    ;(await waiting).release()
  })

  test('the rest of the cooldown counts down to 0', async () => {
    const COOLDOWN_MS = 500
    const lock = freshLock({ cooldownMs: COOLDOWN_MS })
    const before = performance.now()
    lock.trySend('e2e-executor').guard.release()
    const after = performance.now()
    let last = COOLDOWN_MS
    await until(() => {
      const asked = performance.now()
      const now = lock.getLockStatus().cooldownRemaining
      // Between two readings of the clock around each call, however long the machine takes for it; told in whole ms.
      const [least, most] = [COOLDOWN_MS - (performance.now() - before), COOLDOWN_MS - (asked - after)]
      assert.ok(now >= Math.max(0, least - 1) && now <= Math.max(0, most + 1) && now <= last, `${now} ms, of ${least} to ${most}`)
      last = now
      return now === 0
    })
    assert.equal(lock.trySend('e2e-executor').acquired, true)
  })
})

describe('the history', () => {
  test('has exactly the documented entries', () => {
    const lock = freshLock()
    const before = Date.now()
    lock.tryAcquireSendLock('e2e-executor')
    lock.tryAcquireSendLock('window-monitor')
    block(2)
    lock.releaseSendLock('e2e-executor')
    lock.tryAcquireSendLock('window-monitor')
    lock.forceReleaseLock('by hand')
    const entries = lock.lockHistory.map(({ timestamp, duration, ...entry }) => {
      assertSince(timestamp, before)
      assert.ok(duration === null || Number.isInteger(duration))
      return { ...entry, ended: duration !== null }
    })
    const free = { isSending: false, currentLayer: null }
    const heldBy = (currentLayer) => ({ isSending: true, currentLayer })
    assert.deepEqual(entries, [
      { layerId: 'e2e-executor', success: true, action: 'acquired', lockState: heldBy('e2e-executor'), ended: false },
      { layerId: 'window-monitor', success: false, action: 'duplicate_blocked', lockState: heldBy('e2e-executor'), ended: false },
      { layerId: 'e2e-executor', success: true, action: 'released', lockState: free, ended: true },
      { layerId: 'window-monitor', success: true, action: 'acquired', lockState: heldBy('window-monitor'), ended: false },
      { layerId: 'window-monitor', success: true, action: 'force_released_by hand', lockState: free, ended: true },
    ])
    assert.ok(lock.lockHistory[2].duration >= 2)
    assert.deepEqual(Object.keys(lock.lockHistory[0]).sort(), ['action', 'duration', 'layerId', 'lockState', 'success', 'timestamp'])
  })

  test('keeps the last 100 by default, and as many as it is told', () => {
    const lock = freshLock()
    for (let round = 0; round < 600; round++) sendOnce(lock)
    assert.equal(lock.lockHistory.length, 100)
    lock.configure({ historyLimit: 1_000 })
    assert.equal(lock.lockHistory.length, 1_000, 'what is still there comes back')
    lock.configure({ historyLimit: 3 })
    assert.deepEqual(lock.lockHistory.map((entry) => entry.action), ['released', 'acquired', 'released'])
    assert.equal(lock.getMetrics().recentActivity.length, 3)
    lock.configure({ historyLimit: 0 })
    sendOnce(lock)
    assert.deepEqual(lock.lockHistory, [])
    assert.deepEqual(lock.getMetrics().recentActivity, [])
  })
})

describe('resetMetrics', () => {
  test('empties counts and history; the hold, the cooldown and the tokens stay', () => {
    const lock = freshLock({ cooldownMs: 60_000 })
    const { guard } = lock.trySend('e2e-executor')
    lock.tryAcquireSendLock('window-monitor')
    lock.resetMetrics()
    const metrics = lock.getMetrics()
    assert.equal(metrics.totalAcquisitions, 0)
    assert.equal(metrics.duplicatesBlocked, 0)
    assert.equal(metrics.refusedByReason.cooldown, 0)
    assert.deepEqual(metrics.layers['e2e-executor'], { acquisitions: 0, releases: 0, blocked: 0, forced: 0 })
    assert.deepEqual(lock.lockHistory, [])
    assert.equal(guard.check(), true)
    guard.release()
    assert.equal(lock.trySend('window-monitor').reason, 'cooldown')
    lock.lastSendTime = 0
    assert.ok(lock.trySend('window-monitor').guard.token > guard.token)
    assert.equal(lock.getMetrics().holdTimes.count, 1)
  })
})
