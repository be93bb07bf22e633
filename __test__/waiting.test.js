// Waiting for the lock: first come, first served, through the cooldown; leaving the line by timeout and by
// abort; withSendLock around a function.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { getEventListeners } = require('node:events')
const { freshLock, chainlock } = require('./helpers/package')
const { turn, until, stateOf, block } = require('./helpers/waiting')

describe('acquireSendLock', () => {
  test('gets a free lock', async () => {
    const lock = freshLock()
    const guard = await lock.acquireSendLock('e2e-executor')
    assert.equal(lock.getLockStatus().token, guard.token)
    assert.equal(lock.getMetrics().waits, 0, 'nobody had to wait')
    guard.release()
  })

  test('serves 1,000 requests of changing layers in the order in which they came', async () => {
    const lock = freshLock()
    const first = await lock.acquireSendLock('e2e-executor')
    const layers = ['window-monitor', 'chain-loop-monitor', 'test-layer']
    const served = []
    const requests = Array.from({ length: 1_000 }, async (_, number) => {
      const guard = await lock.acquireSendLock(layers[number % 3])
      served.push(number)
      if (number % 2) await turn()
      assert.equal(guard.release(), true)
    })
    await until(() => lock.getLockStatus().waiters === 1_000)
    first.release()
    await Promise.all(requests)
    assert.deepEqual(served, served.map((_, index) => index))
    assert.equal(lock.getMetrics().waits, 1_000)
  })

  test('waits through the cooldown', async () => {
    const lock = freshLock({ cooldownMs: 60 })
    const start = performance.now()
    lock.trySend('e2e-executor').guard.release()
    for (let round = 1; round <= 3; round++) {
      const guard = await lock.acquireSendLock('window-monitor')
      const passed = performance.now() - start
      // From the start, because a grant that is heard of late makes the next one look early.
      assert.ok(passed >= round * 60, `grant ${round} after ${passed} ms`)
      guard.release()
    }
  })

  test('those in line go before one who only tries', async () => {
    const lock = freshLock({ cooldownMs: 50 })
    lock.trySend('e2e-executor').guard.release()
    const waiting = lock.acquireSendLock('window-monitor')
    block(60)
    const attempt = lock.trySend('test-layer')
    assert.notEqual(attempt.acquired, true)
    const guard = await waiting
    assert.equal(guard.layerId, 'window-monitor')
  })

  test('goes on when the holder is forced away, and when a setting lets it', async () => {
    const lock = freshLock()
    lock.trySend('e2e-executor')
    const waiting = lock.acquireSendLock('window-monitor')
    lock.forceReleaseLock('test')
    ;(await waiting).release()
    lock.configure({ cooldownMs: 3_600_000 })
    const resting = lock.acquireSendLock('window-monitor')
    assert.equal(await stateOf(resting), 'pending')
    lock.configure({ cooldownMs: 0 })
    ;(await resting).release()
    lock.configure({ cooldownMs: 3_600_000 })
    const skipping = lock.acquireSendLock('window-monitor')
    lock.lastSendTime = 0
    assert.ok((await skipping).release())
  })

  test('refuses an unknown layer at once', async () => {
    const lock = freshLock()
    lock.trySend('e2e-executor')
    await assert.rejects(lock.acquireSendLock('nobody'), (error) => {
      assert.ok(error instanceof chainlock.ChainlockError)
      assert.equal(error.code, 'ERR_LOCK_UNKNOWN_LAYER')
      assert.match(error.message, /'nobody'/)
      return true
    })
  })
})

describe('a timeout', () => {
  test('says who holds, the place in line and the wait, and leaves the line', async () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const patient = lock.acquireSendLock('test-layer')
    const started = performance.now()
    await assert.rejects(lock.acquireSendLock('window-monitor', { timeoutMs: 30 }), (error) => {
      assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
      assert.equal(error.holder.layerId, 'e2e-executor')
      assert.equal(error.holder.token, guard.token)
      assert.equal(error.holder.threadId, 0)
      assert.equal(error.position, 2)
      assert.ok(error.waitedMs >= 29)
      assert.match(error.message, /'window-monitor'.*'e2e-executor'/)
      return true
    })
    assert.ok(performance.now() - started >= 29)
    assert.equal(lock.getLockStatus().waiters, 1)
    assert.equal(lock.getMetrics().waitTimeouts, 1)
    guard.release()
    ;(await patient).release()
  })

  test('of 0 does not wait, and gets a free lock', async () => {
    const lock = freshLock()
    const guard = await lock.acquireSendLock('e2e-executor', { timeoutMs: 0 })
    await assert.rejects(lock.acquireSendLock('window-monitor', { timeoutMs: 0 }), { code: 'ERR_LOCK_TIMEOUT' })
    guard.release()
  })

  test('runs in a cooldown that nobody holds, too', async () => {
    const lock = freshLock({ cooldownMs: 3_600_000 })
    lock.trySend('e2e-executor').guard.release()
    const error = await lock.acquireSendLock('window-monitor', { timeoutMs: 20 }).catch((reason) => reason)
    assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
    assert.equal(error.holder, null)
  })

  test('of Infinity, or the largest number, waits', async () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const waits = [Infinity, Number.MAX_SAFE_INTEGER].map((timeoutMs) =>
      lock.withSendLock('window-monitor', { timeoutMs }, () => timeoutMs))
    await turn()
    guard.release()
    assert.deepEqual(await Promise.all(waits), [Infinity, Number.MAX_SAFE_INTEGER])
  })
})

describe('an abort', () => {
  test('before the call: nothing is asked', async () => {
    const lock = freshLock()
    const reason = new Error('never mind')
    await assert.rejects(lock.acquireSendLock('e2e-executor', { signal: AbortSignal.abort(reason) }), reason)
    assert.equal(lock.isSendLocked(), false)
    assert.equal(lock.getMetrics().totalAcquisitions, 0)
  })

  test('in the same tick leaves the line at once', async () => {
    const lock = freshLock()
    lock.trySend('e2e-executor')
    const controller = new AbortController()
    const waiting = lock.acquireSendLock('window-monitor', { signal: controller.signal })
    controller.abort('changed my mind')
    assert.equal(lock.getLockStatus().waiters, 0)
    assert.equal(await waiting.catch((reason) => reason), 'changed my mind')
    assert.equal(lock.getMetrics().waitAborts, 1)
  })

  test('later leaves the line; the next in line is served', async () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const controller = new AbortController()
    const leaves = lock.acquireSendLock('window-monitor', { signal: controller.signal })
    const stays = lock.acquireSendLock('test-layer')
    await turn()
    controller.abort()
    await assert.rejects(leaves, { name: 'AbortError' })
    guard.release()
    assert.equal((await stays).layerId, 'test-layer')
  })

  test('after the grant is too late: the guard counts, and no listener is left', async () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const controller = new AbortController()
    const waiting = lock.acquireSendLock('window-monitor', { signal: controller.signal })
    await turn()
    guard.release()
    controller.abort()
    const granted = await waiting
    assert.equal(granted.check(), true)
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    granted.release()
  })

  test('AbortSignal.timeout ends the wait with a TimeoutError', async (t) => {
    const lock = freshLock()
    lock.trySend('e2e-executor')
    const keepAlive = setInterval(() => {}, 1_000)
    t.after(() => clearInterval(keepAlive))
    await assert.rejects(lock.acquireSendLock('window-monitor', { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
    assert.equal(lock.getLockStatus().waiters, 0)
  })

  test('of one signal ends 1,000 requests', async () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const controller = new AbortController()
    require('node:events').setMaxListeners(0, controller.signal)
    const requests = Array.from({ length: 1_000 }, () =>
      lock.acquireSendLock('window-monitor', { signal: controller.signal }))
    assert.equal(lock.getLockStatus().waiters, 1_000)
    controller.abort()
    assert.equal(lock.getLockStatus().waiters, 0)
    const settled = await Promise.allSettled(requests)
    assert.ok(settled.every(({ status, reason }) => status === 'rejected' && reason === controller.signal.reason))
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    guard.release()
    assert.equal(lock.trySend('test-layer').acquired, true)
  })

  test('of a listener that aborts others, releases and asks again, leaves the line whole', async () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const [one, two] = [new AbortController(), new AbortController()]
    one.signal.addEventListener('abort', () => {
      two.abort()
      guard.release()
    })
    const requests = [one, two].map(({ signal }) => lock.acquireSendLock('window-monitor', { signal }))
    const third = lock.acquireSendLock('test-layer')
    one.abort()
    const settled = await Promise.allSettled(requests)
    for (const { value } of settled) value?.release()
    assert.equal((await third).check(), true)
  })
})

describe('withSendLock', () => {
  test('answers what the function answers, and gives the lock back', async () => {
    const lock = freshLock()
    assert.equal(await lock.withSendLock('e2e-executor', (guard) => guard.layerId), 'e2e-executor')
    assert.equal(await lock.withSendLock('e2e-executor', {}, async () => 7), 7)
    assert.equal(await lock.withSendLock('e2e-executor', undefined, () => undefined), undefined)
    assert.equal(lock.isSendLocked(), false)
    assert.equal(lock.getMetrics().totalReleases, 3)
  })

  test('gives the lock back when the function throws or rejects, and passes the error on', async () => {
    const lock = freshLock()
    const error = new Error('of the user')
    await assert.rejects(lock.withSendLock('e2e-executor', () => { throw error }), error)
    await assert.rejects(lock.withSendLock('e2e-executor', async () => { throw error }), error)
    assert.equal(lock.isSendLocked(), false)
  })

  test('a release inside is the release', async () => {
    const lock = freshLock()
    await lock.withSendLock('e2e-executor', async (guard) => {
      assert.equal(guard.release(), true)
      assert.equal(lock.isSendLocked(), false)
    })
    assert.equal(lock.getMetrics().totalReleases, 1)
    assert.equal(lock.getMetrics().lateReleases, 0)
  })

  test('a message of a function that failed counts as not sent, of one that succeeded as sent', async () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    const options = { messageKey: 'task-1' }
    await assert.rejects(lock.withSendLock('e2e-executor', options, () => { throw new Error('pane gone') }))
    assert.equal(await lock.withSendLock('e2e-executor', options, () => 'sent'), 'sent')
    await assert.rejects(lock.withSendLock('e2e-executor', options, () => 'again'), (error) => {
      assert.equal(error.code, 'ERR_LOCK_DUPLICATE_MESSAGE')
      assert.ok(error.retryAfterMs > 50_000)
      return true
    })
  })

  test('excludes: an unprotected counter is exact after 2,000 read-wait-write turns', async () => {
    const lock = freshLock()
    let counter = 0
    let inside = 0
    await Promise.all(Array.from({ length: 2_000 }, () => lock.withSendLock('e2e-executor', async () => {
      assert.equal(++inside, 1)
      const read = counter
      await turn()
      counter = read + 1
      inside--
    })))
    assert.equal(counter, 2_000)
  })
})
