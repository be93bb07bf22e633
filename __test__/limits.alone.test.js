// S7: every limit, at one more than it allows and, where that is cheap, at a hundred times: a typed error or a
// bounded memory, and the lock goes on as before.
'use strict'

const { test, describe, before } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock, freshProcessLock, chainlock, deep } = require('./helpers/package')
const { growthMb, leastUs } = require('./helpers/figures')
const { turn, until } = require('./helpers/waiting')

const WAITERS = 10_000
const ROUNDS = 5
// S7 allows 10 MB in all. A leak of 32 bytes a call is above this in every round, and nothing else is.
const MOST_GROWTH_MB = 0.5

describe('S7: names', () => {
  test('64 bytes are the most', () => {
    const lock = freshLock({ layers: 'any' })
    for (const [text, fits] of [['a', 64], ['é', 32], ['漢', 21], ['🔒', 16]]) {
      assert.equal(lock.trySend(text.repeat(fits)).guard.release(), true)
      for (const tooMany of [fits + 1, fits * 100]) {
        assert.equal(lock.tryAcquireSendLock(text.repeat(tooMany)), false)
        assert.throws(() => lock.trySend(text.repeat(tooMany)), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
        assert.throws(() => lock.configure({ layers: [text.repeat(tooMany)] }), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
      }
    }
  })

  test('1,000 layers are the most that a list may name', () => {
    const lock = freshLock()
    const list = (count) => Array.from({ length: count }, (_, number) => `layer-${number}`)
    assert.equal(lock.configure({ layers: list(1_000) }).layers.length, 1_000)
    assert.equal(lock.tryAcquireSendLock('layer-999'), true)
    for (const count of [1_001, 100_000]) assert.throws(() => lock.configure({ layers: list(count) }), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
    assert.equal(lock.configure({}).layers.length, 1_000)
  })

  test('1,000 layers are the most that validLayerIds.add brings together, too', () => {
    const lock = freshLock({ layers: [] })
    const add = () => {
      for (let number = 0; number < 1_001; number++) lock.validLayerIds.add(`layer-${number}`)
    }
    assert.throws(add, { code: 'ERR_LOCK_INVALID_ARGUMENT' })
    assert.equal(lock.validLayerIds.size, 1_000)
  })

  test('distinct names under layers: any cost no memory', async (t) => {
    const NAMES = deep(10_000_000, 1_000_000)
    const lock = freshLock({ layers: 'any', historyLimit: 1_000 })
    const ask = (from, count) => {
      for (let number = from; number < from + count; number++) {
        lock.tryAcquireSendLock(`layer-${number}`)
        lock.releaseSendLock(`layer-${number}`)
      }
    }
    ask(0, 20_000)
    const growth = await growthMb(ROUNDS, (round) => ask(20_000 + round * (NAMES / ROUNDS), NAMES / ROUNDS))
    t.diagnostic(`S7: ${NAMES} distinct layer names: resident memory ${growth.text} (bar: the least ≤ ${MOST_GROWTH_MB})`)
    assert.ok(growth.least <= MOST_GROWTH_MB)
    const { layers, totalAcquisitions } = lock.getMetrics()
    assert.equal(totalAcquisitions, NAMES + 20_000)
    assert.equal(Object.keys(layers).length, 64)
    assert.equal(lock.lockHistory.length, 1_000)
  })
})

describe('S7: the line', () => {
  before(() => freshProcessLock({ cooldownMs: 0 }))

  test(`${WAITERS} wait; the next is refused, and so are 100 times as many`, async (t) => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const controller = new AbortController()
    require('node:events').setMaxListeners(0, controller.signal)
    let granted = 0
    const waits = Array.from({ length: WAITERS }, (_, number) => number % 2
      ? lock.acquireSendLock('window-monitor', { signal: controller.signal })
      : lock.withSendLock('window-monitor', () => granted++))
    assert.equal(lock.getLockStatus().waiters, WAITERS)
    const refuse = async (count) => {
      for (let round = 0; round < count; round++) {
        const error = await lock.acquireSendLock('test-layer').catch((reason) => reason)
        assert.equal(error.code, 'ERR_LOCK_QUEUE_FULL')
      }
    }
    const [WARM_UP, EXCESS] = [20_000, deep(100 * WAITERS, 30_000)]
    await refuse(WARM_UP)
    const growth = await growthMb(ROUNDS, () => refuse(EXCESS / ROUNDS))
    assert.equal(lock.getMetrics().queueFull, WARM_UP + EXCESS)
    assert.equal(lock.trySend('test-layer').reason, 'held', 'those who only ask are answered as ever')
    controller.abort()
    assert.equal(lock.getLockStatus().waiters, WAITERS / 2)
    guard.release()
    const settled = await Promise.allSettled(waits)
    assert.equal(settled.filter(({ status }) => status === 'rejected').length, WAITERS / 2)
    assert.equal(granted, WAITERS / 2)
    assert.equal(lock.getLockStatus().waiters, 0)
    t.diagnostic(`S7: ${WAITERS} waiters and ${EXCESS} refused: resident memory ${growth.text}`)
    assert.ok(growth.least <= MOST_GROWTH_MB)
    lock.trySend('test-layer').guard.release()
  })

  test('a full line of one lock does not slow another', (t) => {
    const other = freshLock()
    const perCall = () => leastUs(() => {
      other.tryAcquireSendLock('e2e-executor')
      other.releaseSendLock('e2e-executor')
    })
    const measure = () => {
      const full = freshLock()
      const free = perCall()
      full.trySend('e2e-executor')
      for (let round = 0; round < WAITERS; round++) full.acquireSendLock('window-monitor').catch(() => {})
      const beside = perCall()
      leaveBehind(full)
      t.diagnostic(`S7: a pair beside a full line takes ${beside.toFixed(2)} µs, alone ${free.toFixed(2)} µs`)
      return beside <= 2 * free + 0.1
    }
    perCall()
    // A line that slows it does so each time; who shares the processor may do so once.
    assert.ok(Array.from({ length: 5 }).some(measure))
  })

  /** A line that would keep the process alive is let go. */
  function leaveBehind(lock) {
    lock.configure({ layers: [] })
    lock.forceReleaseLock('end of test')
  }

  test('1,000,000 waits one after the other leave nothing behind', async (t) => {
    const WAITS = deep(1_000_000, 100_000)
    const lock = freshLock()
    const controller = new AbortController()
    const waitOnce = async () => {
      const { guard } = lock.trySend('e2e-executor')
      const waiting = lock.acquireSendLock('window-monitor', { signal: controller.signal })
      await null
      guard.release()
      ;(await waiting).release()
    }
    const waitOften = async (count) => {
      for (; count > 0; count--) await waitOnce()
    }
    await waitOften(5_000)
    const growth = await growthMb(ROUNDS, () => waitOften(WAITS / ROUNDS))
    t.diagnostic(`S7: ${WAITS} waits: resident memory ${growth.text}`)
    assert.ok(growth.least <= MOST_GROWTH_MB)
  })
})

describe('S7: what is kept', () => {
  test('the history is bounded at 1,000, and all of it stays under 1 MB', () => {
    const lock = freshLock({ layers: 'any', historyLimit: 1_000 })
    for (let round = 0; round < 100_000; round++) {
      lock.tryAcquireSendLock('x'.repeat(64))
      lock.forceReleaseLock('y'.repeat(64))
    }
    assert.equal(lock.lockHistory.length, 1_000)
    assert.ok(JSON.stringify(lock.lockHistory).length < 2 ** 20)
    for (const limit of [1_001, 100_000]) assert.throws(() => lock.configure({ historyLimit: limit }), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
  })

  test('the events ring is bounded: a listener that sleeps loses the oldest, and is told how many', async (t) => {
    freshProcessLock({ cooldownMs: 0 })
    const keepAlive = setInterval(() => {}, 1_000)
    t.after(() => clearInterval(keepAlive))
    const EVENTS = 200_000
    let told = 0
    let lost = 0
    chainlock.sendEvents.on('acquired', () => told++)
    chainlock.sendEvents.on('released', () => told++)
    chainlock.sendEvents.on('lagged', (count) => (lost += count))
    await turn()
    const growth = await growthMb(ROUNDS, () => {
      for (let pair = 0; pair < EVENTS / 2 / ROUNDS; pair++) {
        chainlock.tryAcquireSendLock('e2e-executor')
        chainlock.releaseSendLock('e2e-executor')
      }
    })
    await until(() => told + lost >= EVENTS)
    assert.equal(told + lost, EVENTS)
    assert.ok(told > 0 && told <= 1_024 * 2)
    assert.ok(growth.least <= MOST_GROWTH_MB, growth.text)
    for (const name of ['acquired', 'released', 'lagged']) chainlock.sendEvents.removeAllListeners(name)
    freshProcessLock()
  })

  test('remembered messages are bounded in memory', async (t) => {
    const MESSAGES = deep(5_000_000, 300_000)
    const lock = freshLock({ dedupWindowMs: 3_600_000 })
    const send = (from, count) => {
      for (let number = from; number < from + count; number++) {
        lock.tryAcquireSendLock('e2e-executor', { messageKey: `message-${number}` })
        lock.releaseSendLock('e2e-executor')
      }
    }
    send(0, 20_000)
    const growth = await growthMb(ROUNDS, (round) => send(20_000 + round * (MESSAGES / ROUNDS), MESSAGES / ROUNDS))
    t.diagnostic(`S7: ${MESSAGES} remembered messages: resident memory ${growth.text}`)
    assert.ok(growth.least <= MOST_GROWTH_MB)
    assert.equal(lock.tryAcquireSendLock('window-monitor', { messageKey: `message-${MESSAGES + 19_999}` }), false)
  })
})
