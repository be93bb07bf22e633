// The drop-in object: its live properties, its independent instances, and what a controller does with it.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { APART_MS, assertSince } = require('./helpers/moments')
const { freshLock, freshProcessLock, chainlock, DEFAULTS } = require('./helpers/package')
const { runNode } = require('./helpers/processes')
const { runWorker } = require('./helpers/threads')
const { block, until } = require('./helpers/waiting')

const { SharedLock, sharedLock } = chainlock

describe('the live properties', () => {
  test('show native state', () => {
    const lock = freshLock()
    assert.equal(lock.isSendingToClaude, false)
    assert.equal(lock.sendingLayerId, null)
    assert.equal(lock.lockStartTime, null)
    assert.equal(lock.lastSendTime, 0)
    const before = Date.now()
    lock.tryAcquireSendLock('e2e-executor')
    lock.tryAcquireSendLock('window-monitor')
    assert.equal(lock.isSendingToClaude, true)
    assert.equal(lock.sendingLayerId, 'e2e-executor')
    assertSince(lock.lockStartTime, before)
    assert.equal(lock.lastSendTime, lock.lockStartTime)
    assert.deepEqual([lock.totalAcquisitions, lock.totalReleases, lock.duplicatesBlocked, lock.forceReleases], [1, 0, 1, 0])
    assert.equal(lock.lockHistory.length, 2)
    lock.forceReleaseLock('test')
    assert.deepEqual([lock.totalAcquisitions, lock.totalReleases, lock.duplicatesBlocked, lock.forceReleases], [1, 0, 1, 1])
    assert.equal(lock.isSendingToClaude, false)
  })

  test('the three times are the settings, both ways', () => {
    const lock = new SharedLock()
    assert.deepEqual([lock.COOLDOWN_MS, lock.TIMEOUT_MS, lock.FORCE_RELEASE_THRESHOLD], [2_000, 300_000, 600_000])
    lock.COOLDOWN_MS = 5
    lock.TIMEOUT_MS = 6
    lock.FORCE_RELEASE_THRESHOLD = 7
    const { cooldownMs, timeoutMs, forceReleaseMs } = lock.configure({})
    assert.deepEqual([cooldownMs, timeoutMs, forceReleaseMs], [5, 6, 7])
    lock.configure({ cooldownMs: 8 })
    assert.equal(lock.COOLDOWN_MS, 8)
  })

  test('a time that is none is refused, and nothing changes', () => {
    const lock = new SharedLock()
    for (const name of ['COOLDOWN_MS', 'TIMEOUT_MS', 'FORCE_RELEASE_THRESHOLD', 'lastSendTime']) {
      const before = lock[name]
      for (const wrong of [NaN, -1, Infinity, 2 ** 53, '5', null, undefined, {}]) {
        assert.throws(() => (lock[name] = wrong), (error) =>
          error instanceof TypeError && error.code === 'ERR_LOCK_INVALID_ARGUMENT' && error.message.includes(name))
      }
      assert.equal(lock[name], before)
    }
  })

  test('lastSendTime = 0 skips the cooldown; another time sets it', () => {
    const lock = new SharedLock()
    lock.COOLDOWN_MS = 600_000
    lock.tryAcquireSendLock('e2e-executor')
    lock.releaseSendLock('e2e-executor')
    assert.equal(lock.tryAcquireSendLock('e2e-executor'), false)
    lock.lastSendTime = 0
    assert.equal(lock.lastSendTime, 0)
    assert.equal(lock.tryAcquireSendLock('e2e-executor'), true)
    lock.releaseSendLock('e2e-executor')
    const then = Date.now() - 300_000
    lock.lastSendTime = then
    assert.ok(Math.abs(lock.lastSendTime - then) <= APART_MS)
    const { reason, retryAfterMs } = lock.trySend('e2e-executor')
    assert.equal(reason, 'cooldown')
    assert.ok(retryAfterMs > 200_000 && retryAfterMs <= 300_000 + APART_MS, `${retryAfterMs}`)
    lock.lastSendTime = Date.now() - 601_000
    assert.equal(lock.tryAcquireSendLock('e2e-executor'), true)
  })

  test('validLayerIds writes through', () => {
    const lock = freshLock()
    assert.deepEqual([...lock.validLayerIds].sort(), [...DEFAULTS.layers].sort())
    assert.ok(lock.validLayerIds instanceof Set)
    assert.equal(lock.validateLayerId('new-layer'), false)
    const ids = lock.validLayerIds
    assert.equal(ids.add('new-layer'), ids)
    assert.equal(lock.validateLayerId('new-layer'), true)
    assert.equal(lock.tryAcquireSendLock('new-layer'), true)
    lock.releaseSendLock('new-layer')
    assert.equal(lock.validLayerIds.delete('new-layer'), true)
    assert.equal(lock.validLayerIds.delete('new-layer'), false)
    assert.equal(lock.tryAcquireSendLock('new-layer'), false)
    lock.validLayerIds.clear()
    assert.equal(lock.validLayerIds.size, 0)
    assert.equal(lock.tryAcquireSendLock('e2e-executor'), false)
    assert.throws(() => lock.validLayerIds.add(''), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
    lock.configure({ layers: ['one'] })
    assert.deepEqual([...lock.validLayerIds], ['one'])
    ids.add('e2e-executor')
    assert.equal(lock.validateLayerId('e2e-executor'), true, 'a set from before still writes through')
    ids.delete('one')
    assert.deepEqual([...lock.validLayerIds], ['e2e-executor'])
  })

  test('validateLayerId never throws', () => {
    const lock = freshLock()
    assert.equal(lock.validateLayerId('e2e-executor'), true)
    for (const id of [null, undefined, 0, {}, [], '', 'x'.repeat(1e6), Symbol('s'), () => {}, Object.create(null)]) {
      assert.equal(lock.validateLayerId(id), false)
    }
  })

  test('assigning the others changes nothing, and warns once each', async () => {
    const { stdout, stderr } = await runNode(({ chainlock }) => {
      const warnings = []
      process.on('warning', ({ code, message }) => warnings.push([code, message.split(' ')[0]]))
      const names = ['isSendingToClaude', 'sendingLayerId', 'lockStartTime', 'lockHistory', 'totalAcquisitions',
        'totalReleases', 'duplicatesBlocked', 'forceReleases', 'validLayerIds']
      const { sharedLock, SharedLock } = chainlock
      sharedLock.tryAcquireSendLock('e2e-executor')
      const changed = names.filter((name) => {
        const before = JSON.stringify([...(name === 'validLayerIds' ? sharedLock[name] : [sharedLock[name]])])
        for (let round = 0; round < 3; round++) sharedLock[name] = 'mine'
        new SharedLock()[name] = 'mine'
        return before !== JSON.stringify([...(name === 'validLayerIds' ? sharedLock[name] : [sharedLock[name]])])
      })
      setImmediate(() => console.log(JSON.stringify({ names, changed, warnings })))
    })
    const { names, changed, warnings } = JSON.parse(stdout)
    assert.deepEqual(changed, [])
    assert.deepEqual(warnings, names.map((name) => ['CHAINLOCK_READ_ONLY', `sharedLock.${name}`]))
    assert.match(stderr, /CHAINLOCK_READ_ONLY/)
  })

  test('can be iterated over, spread and printed without harm', () => {
    const lock = freshLock()
    assert.ok(require('node:util').inspect(lock, { getters: true, showHidden: true }).length > 0)
    assert.doesNotThrow(() => JSON.stringify({ ...lock }))
    for (const name in lock) void lock[name]
  })
})

describe('instances', () => {
  test('are independent of each other and of the process lock', () => {
    freshProcessLock()
    const [one, two] = [new SharedLock(), new SharedLock()]
    one.COOLDOWN_MS = 1
    assert.equal(one.tryAcquireSendLock('e2e-executor'), true)
    assert.equal(two.tryAcquireSendLock('e2e-executor'), true)
    assert.equal(chainlock.tryAcquireSendLock('e2e-executor'), true)
    assert.equal(one.releaseSendLock('e2e-executor'), true)
    assert.equal(two.isSendingToClaude && sharedLock.isSendingToClaude, true)
    assert.deepEqual([one.COOLDOWN_MS, two.COOLDOWN_MS, sharedLock.COOLDOWN_MS], [1, 2_000, 2_000])
    freshProcessLock()
  })

  test('sharedLock is the process lock, in every thread', async () => {
    freshProcessLock()
    sharedLock.tryAcquireSendLock('e2e-executor')
    const [layer] = await runWorker(({ chainlock, port }) => port.postMessage(chainlock.sharedLock.sendingLayerId))
    assert.equal(layer, 'e2e-executor')
    assert.ok(sharedLock instanceof SharedLock)
    freshProcessLock()
  })

  test('can be subclassed, and their methods taken off', () => {
    class Mine extends SharedLock {}
    const mine = new Mine()
    assert.equal(mine.tryAcquireSendLock('e2e-executor'), true)
    assert.ok(mine instanceof Mine && mine instanceof SharedLock)
    const taken = mine.releaseSendLock.bind(mine)
    assert.equal(taken('e2e-executor'), true)
  })
})

// What the controller's own tests of its module look at, told anew.
describe('a controller with its old module replaced', () => {
  const controller = {
    send(layer, sent) {
      if (!sharedLock.tryAcquireSendLock(layer)) return false
      try {
        sent.push(layer)
        return true
      } finally {
        sharedLock.releaseSendLock(layer)
      }
    },
  }
  before(() => freshProcessLock())
  after(() => freshProcessLock())
  const fresh = (cooldownMs = 0) => freshProcessLock({ cooldownMs })

  test('one layer sends, waits out the cooldown and sends again', async () => {
    const COOLDOWN_MS = 100
    fresh(60_000)
    const sent = []
    const started = performance.now()
    assert.equal(controller.send('e2e-executor', sent), true)
    assert.equal(controller.send('e2e-executor', sent), false)
    sharedLock.COOLDOWN_MS = COOLDOWN_MS
    await until(() => controller.send('e2e-executor', sent))
    assert.ok(performance.now() - started >= COOLDOWN_MS - 1)
    assert.deepEqual(sent, ['e2e-executor', 'e2e-executor'])
  })

  test('three layers notice the same thing: one sends, two are duplicates', () => {
    fresh(60_000)
    const sent = []
    const answers = ['e2e-executor', 'window-monitor', 'chain-loop-monitor'].map((layer) => controller.send(layer, sent))
    assert.deepEqual(answers, [true, false, false])
    assert.equal(sharedLock.getMetrics().duplicatesBlocked, 2)
    assert.equal(sharedLock.getMetrics().duplicateRate, '66.67%')
  })

  test('an id that is none sends nothing and counts nothing', () => {
    fresh()
    for (const id of ['', null, undefined, 42, {}, 'unknown-layer', 'E2E-EXECUTOR', ' e2e-executor']) {
      assert.equal(sharedLock.validateLayerId(id), false)
      assert.equal(sharedLock.tryAcquireSendLock(id), false)
      assert.equal(sharedLock.releaseSendLock(id), false)
    }
    assert.equal(sharedLock.totalAcquisitions, 0)
    assert.equal(sharedLock.duplicatesBlocked, 0)
  })

  test('nobody releases what is not theirs', () => {
    fresh()
    sharedLock.tryAcquireSendLock('window-monitor')
    for (const layer of ['e2e-executor', 'chain-loop-monitor', 'test-layer']) assert.equal(sharedLock.releaseSendLock(layer), false)
    assert.equal(sharedLock.sendingLayerId, 'window-monitor')
    assert.equal(sharedLock.releaseSendLock('window-monitor'), true)
  })

  test('an operator forces the lock open, and the old holder notices', () => {
    fresh()
    sharedLock.tryAcquireSendLock('e2e-executor')
    assert.equal(sharedLock.forceReleaseLock('manual'), true)
    assert.equal(sharedLock.releaseSendLock('e2e-executor'), false)
    assert.equal(sharedLock.forceReleases, 1)
    assert.equal(sharedLock.lockHistory.at(-1).action, 'force_released_manual')
    assert.equal(sharedLock.tryAcquireSendLock('window-monitor'), true)
    assert.equal(sharedLock.releaseSendLock('e2e-executor'), false, 'the old holder cannot release the new hold')
  })

  test('a stale lock goes by itself at FORCE_RELEASE_THRESHOLD = 200', async () => {
    fresh()
    const AGE_MS = 200
    const started = performance.now()
    sharedLock.tryAcquireSendLock('e2e-executor')
    assert.equal(sharedLock.tryAcquireSendLock('window-monitor'), false)
    sharedLock.FORCE_RELEASE_THRESHOLD = AGE_MS
    await until(() => !sharedLock.isSendingToClaude)
    assert.ok(performance.now() - started >= AGE_MS)
    assert.equal(sharedLock.lockHistory.at(-1).action, 'force_released_stale_timeout')
    assert.ok(sharedLock.lockHistory.at(-1).duration >= AGE_MS)
    assert.equal(sharedLock.tryAcquireSendLock('window-monitor'), true)
  })

  test('a stale lock goes when somebody calls, too', () => {
    fresh()
    sharedLock.FORCE_RELEASE_THRESHOLD = 50
    sharedLock.tryAcquireSendLock('e2e-executor')
    block(60)
    assert.equal(sharedLock.tryAcquireSendLock('window-monitor'), true)
    assert.equal(sharedLock.forceReleases, 1)
  })

  test('rapid switching between the layers', () => {
    fresh()
    const sent = []
    const layers = ['e2e-executor', 'window-monitor', 'chain-loop-monitor', 'chain-keyword-monitor', 'test-layer']
    for (let round = 0; round < 500; round++) assert.equal(controller.send(layers[round % 5], sent), true)
    assert.equal(sent.length, 500)
    const { totalAcquisitions, totalReleases, lockEfficiency, duplicateRate } = sharedLock.getMetrics()
    assert.deepEqual({ totalAcquisitions, totalReleases, lockEfficiency, duplicateRate },
      { totalAcquisitions: 500, totalReleases: 500, lockEfficiency: '100.00%', duplicateRate: '0.00%' })
    assert.equal(sharedLock.lockHistory.length, 100)
  })

  test('a dashboard reads the status while it is held, and after', () => {
    fresh()
    sharedLock.tryAcquireSendLock('e2e-executor')
    block(12)
    const { isSendingToClaude, sendingLayerId, lockAge } = sharedLock.getLockStatus()
    assert.deepEqual({ isSendingToClaude, sendingLayerId }, { isSendingToClaude: true, sendingLayerId: 'e2e-executor' })
    assert.ok(lockAge >= 12)
    sharedLock.releaseSendLock('e2e-executor')
    assert.equal(sharedLock.getLockStatus().lockAge, null)
    assert.match(sharedLock.getMetrics().averageLockDuration, /^\d+ms$/)
  })

  test('resetMetrics starts a new day', () => {
    fresh()
    controller.send('e2e-executor', [])
    sharedLock.resetMetrics()
    const { lockEfficiency, duplicateRate, averageLockDuration, recentActivity } = sharedLock.getMetrics()
    assert.deepEqual({ lockEfficiency, duplicateRate, averageLockDuration, recentActivity },
      { lockEfficiency: 'N/A', duplicateRate: 'N/A', averageLockDuration: 'N/A', recentActivity: [] })
  })
})
