// Nesting: a call of another layer inside withSendLock joins that hold; siblings take turns; what would wait
// for itself is refused; and everything ends well when the outer hold ends first.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock, chainlock } = require('./helpers/package')
const { turn, stateOf, until } = require('./helpers/waiting')

/** A lock with a cooldown that nobody could wait for: whoever gets through it joined. */
const restless = (settings) => freshLock({ cooldownMs: 3_600_000, ...settings })
const inOuter = (lock, body, options) => lock.withSendLock('chain-loop-monitor', options, body)

describe('joining', () => {
  test('the drop-in calls join: no second cooldown, and the inner release leaves the outer hold alone', async () => {
    const lock = restless()
    await inOuter(lock, async (outer) => {
      for (let round = 0; round < 3; round++) {
        assert.equal(lock.tryAcquireSendLock('e2e-executor'), true)
        await turn()
        assert.equal(lock.releaseSendLock('e2e-executor'), true)
        assert.equal(outer.check(), true)
        assert.equal(lock.getLockStatus().sendingLayerId, 'chain-loop-monitor')
      }
      assert.equal(lock.releaseSendLock('e2e-executor'), false, 'it has left already')
    })
    assert.equal(lock.isSendLocked(), false)
    const { totalAcquisitions, totalReleases, duplicatesBlocked, joins } = lock.getMetrics()
    assert.deepEqual({ totalAcquisitions, totalReleases, duplicatesBlocked, joins },
      { totalAcquisitions: 1, totalReleases: 1, duplicatesBlocked: 0, joins: 3 })
  })

  test('trySend, acquireSendLock and withSendLock join', async () => {
    const lock = restless()
    const joins = {
      trySend: () => lock.trySend('e2e-executor').guard,
      acquireSendLock: () => lock.acquireSendLock('e2e-executor'),
      withSendLock: () => lock.withSendLock('e2e-executor', (guard) => guard),
    }
    await inOuter(lock, async (outer) => {
      assert.equal(outer.joined, false)
      for (const [name, join] of Object.entries(joins)) {
        const guard = await join()
        assert.equal(guard.joined, true, name)
        assert.equal(guard.token, outer.token, name)
        assert.equal(guard.layerId, 'e2e-executor')
        assert.equal(guard.check(), name !== 'withSendLock')
        assert.equal(guard.release(), name !== 'withSendLock')
        assert.equal(guard.release(), false)
        assert.equal(guard.released, true)
        assert.equal(guard.check(), false)
        assert.throws(() => guard.assertHeld(), { code: 'ERR_LOCK_LOST' })
        assert.equal(outer.check(), true, name)
      }
    })
  })

  test('in whatever the function awaits: timers, promises, event emitters, generators', async () => {
    const lock = restless()
    const paths = [
      () => new Promise((resolve) => setTimeout(resolve, 1)),
      () => new Promise((resolve) => process.nextTick(resolve)),
      () => new Promise((resolve) => queueMicrotask(resolve)),
      () => require('node:fs/promises').stat('.'),
      async () => { for await (const _ of (async function* () { yield 1 })()) await turn() },
    ]
    await inOuter(lock, async () => {
      for (const path of paths) {
        await path()
        assert.equal(lock.tryAcquireSendLock('e2e-executor'), true)
        lock.releaseSendLock('e2e-executor')
      }
    })
  })

  test('three layers deep, left in any order', async () => {
    const lock = restless()
    await inOuter(lock, () => lock.withSendLock('e2e-executor', () => lock.withSendLock('window-monitor', async (guard) => {
      assert.equal(guard.joined, true)
      assert.equal(lock.tryAcquireSendLock('test-layer'), true)
      assert.equal(lock.releaseSendLock('test-layer'), true)
    })))
    await inOuterAgain(lock)
    assert.equal(lock.isSendLocked(), false)
  })

  async function inOuterAgain(lock) {
    lock.lastSendTime = 0
    await inOuter(lock, async (outer) => {
      const first = lock.trySend('e2e-executor')
      assert.equal(first.acquired, true)
      await lock.withSendLock('window-monitor', { timeoutMs: 1 }, () => {}).then(
        () => assert.fail('a sibling of the call that is inside'),
        (error) => assert.equal(error.code, 'ERR_LOCK_TIMEOUT'),
      )
      first.guard.release()
      assert.equal(await lock.withSendLock('window-monitor', ({ token }) => token), outer.token)
    })
  }

  test('a joined call with a message of its own is refused when that was sent before', async () => {
    const lock = restless({ dedupWindowMs: 60_000 })
    await inOuter(lock, async () => {
      lock.trySend('e2e-executor', { message: 'x' }).guard.release()
      assert.equal(lock.trySend('e2e-executor', { message: 'x' }).reason, 'duplicate_message')
      await assert.rejects(lock.acquireSendLock('e2e-executor', { message: 'x' }), { code: 'ERR_LOCK_DUPLICATE_MESSAGE' })
      lock.trySend('e2e-executor', { message: 'y' }).guard.release({ sent: false })
      assert.equal(lock.trySend('e2e-executor', { message: 'y' }).acquired, true)
    })
  })

  test('the message of the hold itself may be sent by the layer that joins to send it', async () => {
    const lock = restless({ dedupWindowMs: 60_000 })
    await inOuter(lock, () => assert.equal(lock.trySend('e2e-executor', { message: 'x' }).acquired, true), { message: 'x' })
  })

  test('an unknown layer does not join', async () => {
    const lock = restless()
    await inOuter(lock, async () => {
      assert.equal(lock.tryAcquireSendLock('stranger'), false)
      assert.equal(lock.trySend('stranger').reason, 'unknown_layer')
      await assert.rejects(lock.acquireSendLock('stranger'), { code: 'ERR_LOCK_UNKNOWN_LAYER' })
    })
  })

  test('only inside: a hold of acquireSendLock or of the drop-in call is joined by nobody', async () => {
    const lock = freshLock()
    const guard = await lock.acquireSendLock('chain-loop-monitor')
    assert.equal(lock.trySend('e2e-executor').reason, 'held')
    guard.release()
    lock.tryAcquireSendLock('chain-loop-monitor')
    assert.equal(lock.trySend('e2e-executor').reason, 'held')
  })
})

describe('beside a hold', () => {
  test('a call that was not started inside does not join', async () => {
    const lock = freshLock()
    let leave
    const outer = inOuter(lock, () => new Promise((resolve) => (leave = resolve)))
    await turn()
    assert.equal(lock.tryAcquireSendLock('e2e-executor'), false)
    assert.equal(lock.trySend('e2e-executor').reason, 'held')
    const waiting = lock.acquireSendLock('e2e-executor')
    assert.equal(await stateOf(waiting), 'pending')
    leave()
    await outer
    assert.equal((await waiting).joined, false)
  })

  test('siblings under Promise.all exclude each other: a counter over awaits is exact', async () => {
    const lock = restless()
    let counter = 0
    let inside = 0
    let mostInside = 0
    await inOuter(lock, () => Promise.all(Array.from({ length: 300 }, (_, number) =>
      lock.withSendLock(number % 2 ? 'e2e-executor' : 'window-monitor', async (guard) => {
        mostInside = Math.max(mostInside, ++inside)
        const read = counter
        await turn()
        counter = read + 1
        inside--
        assert.equal(guard.joined, true)
      }))))
    assert.equal(mostInside, 1)
    assert.equal(counter, 300)
  })

  test('siblings are served in the order in which they asked', async () => {
    const lock = restless()
    const served = []
    await inOuter(lock, () => Promise.all(Array.from({ length: 50 }, (_, number) =>
      lock.withSendLock('e2e-executor', async () => {
        served.push(number)
        await turn()
      }))))
    assert.deepEqual(served, served.map((_, index) => index))
  })

  test('a sibling that only tries is refused', async () => {
    const lock = restless()
    await inOuter(lock, async () => {
      const inner = lock.trySend('e2e-executor').guard
      assert.equal(lock.tryAcquireSendLock('window-monitor'), false)
      assert.equal(lock.trySend('window-monitor').acquired, false)
      inner.release()
      assert.equal(lock.tryAcquireSendLock('window-monitor'), true)
    })
  })

  test('a sibling leaves its place by timeout and by abort', async () => {
    const lock = restless()
    await inOuter(lock, async () => {
      const inner = lock.trySend('e2e-executor').guard
      const controller = new AbortController()
      const aborted = lock.acquireSendLock('window-monitor', { signal: controller.signal })
      await assert.rejects(lock.acquireSendLock('window-monitor', { timeoutMs: 5 }), { code: 'ERR_LOCK_TIMEOUT' })
      controller.abort('enough')
      assert.equal(await aborted.catch((reason) => reason), 'enough')
      const patient = lock.acquireSendLock('test-layer')
      inner.release()
      assert.equal((await patient).joined, true)
    })
  })
})

describe('what would wait for itself', () => {
  test('the same layer inside its own hold: ERR_LOCK_SELF_DEADLOCK, or a refusal for those who do not wait', async () => {
    const lock = freshLock()
    await inOuter(lock, async (outer) => {
      for (const call of ['acquireSendLock', 'withSendLock']) {
        await assert.rejects(lock[call]('chain-loop-monitor', {}, () => {}), (error) => {
          assert.ok(error instanceof chainlock.ChainlockError)
          assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
          assert.match(error.message, /'chain-loop-monitor'/)
          return true
        })
      }
      assert.equal(lock.tryAcquireSendLock('chain-loop-monitor'), false)
      assert.equal(lock.trySend('chain-loop-monitor').reason, 'held')
      assert.equal(outer.check(), true)
    })
  })

  test('the same layer through another one in between', async () => {
    const lock = freshLock()
    await inOuter(lock, () => lock.withSendLock('e2e-executor', async () => {
      for (const layer of ['chain-loop-monitor', 'e2e-executor']) {
        await assert.rejects(lock.acquireSendLock(layer), { code: 'ERR_LOCK_SELF_DEADLOCK' })
      }
    }))
  })

  test("nested: 'refuse' on the outer hold", async () => {
    const lock = freshLock()
    await inOuter(lock, async (outer) => {
      assert.equal(lock.tryAcquireSendLock('e2e-executor'), false)
      assert.equal(lock.trySend('e2e-executor').reason, 'held')
      await assert.rejects(lock.acquireSendLock('e2e-executor'), { code: 'ERR_LOCK_SELF_DEADLOCK' })
      assert.equal(outer.check(), true)
    }, { nested: 'refuse' })
  })

  test("the same layer inside its own hold, though that is nested: 'refuse'", async () => {
    const lock = freshLock()
    await inOuter(lock, async () => {
      const again = lock.acquireSendLock('chain-loop-monitor', { timeoutMs: 1_000 })
      await assert.rejects(again, { code: 'ERR_LOCK_SELF_DEADLOCK' })
    }, { nested: 'refuse' })
  })

  test("nested: 'refuse' on the inner call", async () => {
    const lock = freshLock()
    await inOuter(lock, async () => {
      assert.equal(lock.tryAcquireSendLock('e2e-executor', { nested: 'refuse' }), false)
      assert.equal(lock.trySend('e2e-executor', { nested: 'refuse' }).reason, 'held')
      await assert.rejects(lock.acquireSendLock('e2e-executor', { nested: 'refuse' }), { code: 'ERR_LOCK_SELF_DEADLOCK' })
      assert.equal(lock.trySend('e2e-executor', { nested: 'join' }).acquired, true)
    })
    assert.equal(lock.getMetrics().joins, 1)
  })
})

describe('when the outer hold ends first', () => {
  test('work that was left running asks for itself', async () => {
    const lock = freshLock()
    let detached
    let ended
    const after = new Promise((resolve) => (ended = resolve))
    await inOuter(lock, () => {
      detached = after.then(() => lock.acquireSendLock('e2e-executor'))
    })
    ended()
    const guard = await detached
    assert.equal(guard.joined, false)
    assert.equal(lock.trySend('window-monitor').reason, 'held')
    assert.equal(guard.release(), true)
  })

  test('a guard that joined is released with it', async () => {
    const lock = freshLock()
    const inner = await inOuter(lock, () => lock.trySend('e2e-executor').guard)
    assert.equal(inner.check(), false)
    assert.equal(inner.release(), false)
    assert.equal(lock.isSendLocked(), false)
    assert.equal(lock.getMetrics().lateReleases, 0)
  })

  test('a sibling in line asks the lock itself', async () => {
    const lock = freshLock()
    let waiting
    await inOuter(lock, async () => {
      lock.trySend('e2e-executor')
      waiting = lock.acquireSendLock('window-monitor')
      await turn()
    })
    const guard = await waiting
    assert.equal(guard.joined, false)
    assert.equal(guard.release(), true)
  })

  test('by force: inner guards are lost, and nobody joins any more', async () => {
    const lock = freshLock()
    await inOuter(lock, async (outer) => {
      const inner = lock.trySend('e2e-executor').guard
      const { signal } = inner
      lock.forceReleaseLock('operator')
      assert.equal(inner.check(), false)
      assert.equal(outer.check(), false)
      await until(() => signal.aborted)
      assert.equal(signal.reason.code, 'ERR_LOCK_LOST')
      const own = lock.trySend('window-monitor')
      assert.equal(own.acquired, true)
      assert.equal(own.guard.joined, false)
      assert.ok(own.guard.token > outer.token)
      assert.equal(own.guard.release(), true)
    })
    assert.equal(lock.getMetrics().lateReleases, 1)
  })

  test('by force, while somebody else takes the lock: the inner call waits like anybody', async () => {
    const lock = freshLock()
    const other = lock.acquireSendLock.bind(lock, 'window-monitor')
    await inOuter(lock, async () => {
      lock.forceReleaseLock('operator')
      const stranger = await new Promise((resolve) => resolve(other()))
      assert.equal(lock.trySend('e2e-executor').reason, 'held')
      assert.equal(lock.tryAcquireSendLock('e2e-executor'), false)
      stranger.release()
    })
  })
})

describe('two locks', () => {
  test('nested in each other keep their holds apart', async () => {
    const [one, two] = [restless(), restless()]
    await inOuter(one, async (outerOne) => inOuter(two, async (outerTwo) => {
      const joinedOne = one.trySend('e2e-executor').guard
      const joinedTwo = two.trySend('e2e-executor').guard
      assert.equal(joinedOne.joined && joinedTwo.joined, true)
      joinedOne.release()
      assert.equal(joinedTwo.check(), true)
      joinedTwo.release()
      assert.equal(outerOne.check() && outerTwo.check(), true)
      await assert.rejects(one.acquireSendLock('chain-loop-monitor'), { code: 'ERR_LOCK_SELF_DEADLOCK' })
    }))
    assert.equal(one.isSendLocked() || two.isSendLocked(), false)
  })

  test('nested crosswise wait for each other with a timeout', async () => {
    const [one, two] = [freshLock(), freshLock()]
    const crossing = (first, second) => first.withSendLock('e2e-executor', async () => {
      await turn()
      return second.withSendLock('window-monitor', { timeoutMs: 30 }, () => 'both').catch(({ code }) => code)
    })
    const answers = await Promise.all([crossing(one, two), crossing(two, one)])
    assert.ok(answers.includes('ERR_LOCK_TIMEOUT'), String(answers))
    assert.equal(one.isSendLocked() || two.isSendLocked(), false)
  })
})
