// The send lock's rules as a caller meets them: the drop-in calls, trySend and its reasons, their order, the
// dedup window, the cooldown's beginning, and what the clock does to a hold.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock, chainlock, DEFAULTS } = require('./helpers/package')
const { block, until } = require('./helpers/waiting')

describe('the drop-in calls', () => {
  test('take a free lock once, and give it back once', () => {
    const lock = freshLock()
    assert.equal(lock.tryAcquireSendLock('e2e-executor'), true)
    assert.equal(lock.isSendLocked(), true)
    assert.equal(lock.tryAcquireSendLock('window-monitor'), false)
    assert.equal(lock.tryAcquireSendLock('e2e-executor'), false, 'not even the holder takes it twice')
    assert.equal(lock.releaseSendLock('e2e-executor'), true)
    assert.equal(lock.isSendLocked(), false)
    assert.equal(lock.releaseSendLock('e2e-executor'), false)
    assert.equal(lock.tryAcquireSendLock('window-monitor'), true)
  })

  test('refuse a release by another layer or with another token', () => {
    const lock = freshLock()
    lock.tryAcquireSendLock('e2e-executor')
    const { token } = lock.getLockStatus()
    assert.equal(lock.releaseSendLock('window-monitor'), false)
    assert.equal(lock.releaseSendLock('window-monitor', token), false)
    assert.equal(lock.releaseSendLock('e2e-executor', token + 1), false)
    assert.equal(lock.getLockStatus().sendingLayerId, 'e2e-executor')
    assert.equal(lock.releaseSendLock('e2e-executor', token), true)
  })

  test('refuse an old token of the same layer', () => {
    const lock = freshLock()
    lock.tryAcquireSendLock('e2e-executor')
    const old = lock.getLockStatus().token
    lock.forceReleaseLock()
    lock.tryAcquireSendLock('e2e-executor')
    assert.equal(lock.releaseSendLock('e2e-executor', old), false)
    assert.equal(lock.isSendLocked(), true)
    assert.equal(lock.getMetrics().lateReleases, 1)
  })

  test('are the same lock by every name of the package', async () => {
    const imported = await import('../index.js')
    assert.equal(imported.tryAcquireSendLock, chainlock.tryAcquireSendLock)
    chainlock.sharedLock.lastSendTime = 0
    assert.equal(chainlock.tryAcquireSendLock('test-layer'), true)
    assert.equal(imported.sharedLock.isSendingToClaude, true)
    assert.equal(imported.releaseSendLock('test-layer'), true)
  })

  test('a process begins with the documented settings', () => {
    assert.deepEqual(new chainlock.SharedLock().configure({}), DEFAULTS)
  })
})

describe('trySend', () => {
  test('answers a guard', () => {
    const lock = freshLock()
    const before = Date.now()
    const attempt = lock.trySend('e2e-executor')
    assert.equal(attempt.acquired, true)
    assert.deepEqual(Object.keys(attempt).sort(), ['acquired', 'guard'])
    assert.equal(attempt.guard.layerId, 'e2e-executor')
    assert.ok(attempt.guard.acquiredAt >= before && attempt.guard.acquiredAt <= Date.now())
    assert.ok(Number.isSafeInteger(attempt.guard.token) && attempt.guard.token > 0)
  })

  test('held: names the holder, how long it has held, and when it would lose the lock', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    block(5)
    const attempt = lock.trySend('window-monitor')
    assert.deepEqual(Object.keys(attempt).sort(), ['acquired', 'heldMs', 'holder', 'reason', 'retryAfterMs'])
    assert.equal(attempt.acquired, false)
    assert.equal(attempt.reason, 'held')
    assert.equal(attempt.holder.layerId, 'e2e-executor')
    assert.equal(attempt.holder.threadId, 0)
    assert.equal(attempt.holder.token, guard.token)
    // What the machine does between a reading of one clock and of the other only moves them apart.
    const apart = () => {
      const holder = freshLock()
      const { acquiredAt } = holder.trySend('e2e-executor').guard
      return Math.abs(holder.trySend('window-monitor').holder.acquiredAt - acquiredAt)
    }
    assert.ok(Math.min(...Array.from({ length: 20 }, apart)) <= 5, 'both clocks tell the same moment')
    assert.ok(attempt.heldMs >= 5)
    assert.ok(attempt.retryAfterMs > 0 && attempt.retryAfterMs <= 600_000)
  })

  test('cooldown: says how much of it is left, and has no holder when nobody holds', () => {
    const lock = freshLock({ cooldownMs: 60_000 })
    lock.trySend('e2e-executor').guard.release()
    const attempt = lock.trySend('window-monitor')
    assert.equal(attempt.reason, 'cooldown')
    assert.equal(attempt.holder, null)
    assert.equal(attempt.heldMs, null)
    assert.ok(attempt.retryAfterMs > 50_000 && attempt.retryAfterMs <= 60_000)
  })

  test('duplicate_message: says when the window ends', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    lock.trySend('e2e-executor', { message: 'do it' }).guard.release()
    const attempt = lock.trySend('window-monitor', { message: 'do it' })
    assert.equal(attempt.reason, 'duplicate_message')
    assert.equal(attempt.holder, null)
    assert.ok(attempt.retryAfterMs > 50_000 && attempt.retryAfterMs <= 60_000)
  })

  test('unknown_layer: waiting would not help', () => {
    const lock = freshLock()
    const attempt = lock.trySend('nobody')
    assert.equal(attempt.reason, 'unknown_layer')
    assert.equal(attempt.retryAfterMs, null)
    assert.equal(lock.getMetrics().refusedByReason.unknown_layer, 1)
    assert.equal(lock.getMetrics().duplicatesBlocked, 0, 'a stranger is not a duplicate')
  })

  test('decides as the drop-in call does', () => {
    for (const prepare of [() => {}, (lock) => lock.trySend('e2e-executor')]) {
      const [asked, explained] = [freshLock({ cooldownMs: 60_000 }), freshLock({ cooldownMs: 60_000 })]
      prepare(asked)
      prepare(explained)
      for (const layer of ['window-monitor', 'nobody', 'e2e-executor']) {
        assert.equal(asked.tryAcquireSendLock(layer), explained.trySend(layer).acquired)
      }
    }
  })
})

describe('the order of the rules', () => {
  test('unknown layer, before anything else', () => {
    const lock = freshLock({ cooldownMs: 60_000 })
    lock.trySend('e2e-executor')
    assert.equal(lock.trySend('nobody').reason, 'unknown_layer')
  })

  test('cooldown before held', () => {
    const lock = freshLock({ cooldownMs: 60_000 })
    lock.trySend('e2e-executor')
    assert.equal(lock.trySend('window-monitor').reason, 'cooldown')
    assert.equal(lock.trySend('window-monitor').holder.layerId, 'e2e-executor')
  })

  test('held before duplicate_message', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    lock.trySend('e2e-executor', { message: 'x' })
    assert.equal(lock.trySend('window-monitor', { message: 'x' }).reason, 'held')
  })

  test('a hold past its force-release age is ended before the request is judged', () => {
    const lock = freshLock({ forceReleaseMs: 20 })
    const { guard } = lock.trySend('e2e-executor')
    block(25)
    const attempt = lock.trySend('window-monitor')
    assert.equal(attempt.acquired, true)
    assert.ok(attempt.guard.token > guard.token)
    assert.equal(lock.getMetrics().forcedByReason.stale_timeout, 1)
  })

  test('cooldown counts as a blocked duplicate and stays out of the history; held is recorded there', () => {
    const lock = freshLock({ cooldownMs: 60_000 })
    lock.tryAcquireSendLock('e2e-executor')
    lock.tryAcquireSendLock('window-monitor')
    assert.equal(lock.duplicatesBlocked, 1)
    assert.deepEqual(lock.lockHistory.map((entry) => entry.action), ['acquired'])
    lock.lastSendTime = 0
    lock.tryAcquireSendLock('window-monitor')
    assert.equal(lock.duplicatesBlocked, 2)
    assert.deepEqual(lock.lockHistory.map((entry) => entry.action), ['acquired', 'duplicate_blocked'])
  })
})

describe('the cooldown', () => {
  test('counts from the last acquisition', () => {
    const lock = freshLock({ cooldownMs: 100 })
    const { guard } = lock.trySend('e2e-executor')
    block(110)
    guard.release()
    assert.equal(lock.trySend('window-monitor').acquired, true, 'the hold lasted longer than the cooldown')
  })

  test('or from the release', () => {
    const COOLDOWN_MS = 60_000
    const lock = freshLock({ cooldownMs: COOLDOWN_MS, cooldownFrom: 'release' })
    const { guard } = lock.trySend('e2e-executor')
    assert.equal(lock.trySend('window-monitor').reason, 'held', 'it has not begun yet')
    block(100)
    const before = performance.now()
    guard.release()
    const attempt = lock.trySend('window-monitor')
    const took = performance.now() - before
    assert.equal(attempt.reason, 'cooldown')
    assert.ok(attempt.retryAfterMs <= COOLDOWN_MS && attempt.retryAfterMs >= COOLDOWN_MS - took - 1, `${attempt.retryAfterMs} ms after ${took} ms`)
    lock.configure({ cooldownMs: 20 })
    block(20)
    assert.equal(lock.trySend('window-monitor').acquired, true)
  })
})

describe('the dedup window', () => {
  test('is off by default', () => {
    const lock = freshLock()
    lock.trySend('e2e-executor', { message: 'x' }).guard.release()
    assert.equal(lock.trySend('e2e-executor', { message: 'x' }).acquired, true)
  })

  test('refuses the same message by any layer, and lets another through', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    lock.trySend('e2e-executor', { message: 'x' }).guard.release()
    assert.equal(lock.tryAcquireSendLock('window-monitor', { message: 'x' }), false)
    assert.equal(lock.trySend('window-monitor', { message: 'y' }).acquired, true)
  })

  test('a key and a text of the same characters are two messages', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    lock.trySend('e2e-executor', { message: 'x' }).guard.release()
    lock.trySend('e2e-executor', { messageKey: 'x' }).guard.release()
    assert.equal(lock.trySend('e2e-executor', { messageKey: 'x' }).reason, 'duplicate_message')
  })

  test('texts that differ in a lone surrogate only are two messages', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    lock.trySend('e2e-executor', { message: 'x\ud800' }).guard.release()
    assert.equal(lock.trySend('e2e-executor', { message: 'x\ud801' }).acquired, true)
  })

  test('ends', () => {
    const lock = freshLock({ dedupWindowMs: 30 })
    lock.trySend('e2e-executor', { message: 'x' }).guard.release()
    block(35)
    assert.equal(lock.trySend('e2e-executor', { message: 'x' }).acquired, true)
  })

  test('a message that was not sent after all may be tried again', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    lock.trySend('e2e-executor', { message: 'x' }).guard.release({ sent: false })
    assert.equal(lock.trySend('window-monitor', { message: 'x' }).acquired, true)
  })

  test('a waiting request is refused when its message was sent while it waited', async () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    const { guard } = lock.trySend('e2e-executor', { message: 'x' })
    const waiting = lock.acquireSendLock('window-monitor', { message: 'x' })
    guard.release()
    await assert.rejects(waiting, { code: 'ERR_LOCK_DUPLICATE_MESSAGE', name: 'ChainlockError' })
    assert.equal(lock.isSendLocked(), false)
  })
})

describe('what the clock does to a hold', () => {
  test('past the timeout it is overdue, and still held', async () => {
    const lock = freshLock({ timeoutMs: 60_000 })
    const { guard } = lock.trySend('e2e-executor')
    assert.equal(lock.getLockStatus().overdue, false)
    lock.configure({ timeoutMs: 20 })
    await until(() => lock.getLockStatus().overdue)
    assert.equal(guard.check(), true)
    assert.equal(lock.getMetrics().overdue, 1)
    assert.equal(guard.release(), true)
    assert.equal(lock.getLockStatus().overdue, false)
  })

  test("with onTimeout 'release' it is released", async () => {
    const lock = freshLock({ timeoutMs: 20, onTimeout: 'release' })
    const { guard } = lock.trySend('e2e-executor')
    await until(() => !lock.isSendLocked())
    assert.equal(guard.check(), false)
    assert.equal(lock.getMetrics().forcedByReason.timeout, 1)
    assert.deepEqual(lock.lockHistory.map((entry) => entry.action), ['acquired', 'force_released_timeout'])
  })

  test('past the force-release age it is taken away, though nobody calls anything', async (t) => {
    const lock = freshLock({ forceReleaseMs: 30 })
    const { signal } = lock.trySend('e2e-executor').guard
    // A hold does not keep the process alive.
    const keepAlive = setInterval(() => {}, 1_000)
    t.after(() => clearInterval(keepAlive))
    await new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', resolve)))
    assert.deepEqual(lock.lockHistory.map((entry) => entry.action), ['acquired', 'force_released_stale_timeout'])
    assert.equal(signal.reason.code, 'ERR_LOCK_LOST')
  })

  test('checkAndForceRelease answers whether it ended a hold', async () => {
    const lock = freshLock({ forceReleaseMs: 60_000 })
    assert.equal(lock.checkAndForceRelease(), false)
    lock.trySend('e2e-executor')
    assert.equal(lock.checkAndForceRelease(), false)
    assert.equal(lock.isSendLocked(), true)
    lock.configure({ forceReleaseMs: 0 })
    await until(() => !lock.isSendLocked(), 'a shorter age applies to the present hold, too')
    assert.equal(lock.checkAndForceRelease(), false)
  })

  test('checkAndForceRelease ends a hold that is due, if it comes before the native timer', () => {
    const lock = freshLock({ forceReleaseMs: 1 })
    let [ended, rounds] = [0, 0]
    // Which of them comes first is the machine's affair; sooner or later it is the call.
    for (const limit = Date.now() + 60_000; (ended === 0 || rounds < 200) && Date.now() < limit; rounds++) {
      assert.equal(lock.trySend('e2e-executor').acquired, true)
      while (lock.isSendLocked()) ended += Number(lock.checkAndForceRelease())
    }
    assert.ok(ended > 0)
    assert.equal(lock.getMetrics().forcedByReason.stale_timeout, rounds)
  })

  test('forceReleaseLock ends the hold for the reason it is given', () => {
    const lock = freshLock()
    assert.equal(lock.forceReleaseLock('nothing there'), false)
    lock.trySend('e2e-executor')
    assert.equal(lock.forceReleaseLock('operator said so'), true)
    lock.trySend('e2e-executor')
    assert.equal(lock.forceReleaseLock(), true)
    const actions = lock.lockHistory.map((entry) => entry.action).filter((action) => action !== 'acquired')
    assert.deepEqual(actions, ['force_released_operator said so', 'force_released_timeout'])
    assert.equal(lock.getMetrics().forcedByReason.manual, 2)
  })
})
