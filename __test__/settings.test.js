// configureSendLock: what it answers, that it is all or nothing, and who may ask.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock, freshProcessLock, DEFAULTS, chainlock } = require('./helpers/package')

const OTHERS = Object.freeze({
  cooldownMs: 1.5,
  cooldownFrom: 'release',
  timeoutMs: 7,
  onTimeout: 'release',
  forceReleaseMs: 900_000_000,
  layers: ['a', 'b'],
  historyLimit: 1_000,
  dedupWindowMs: 9,
})

describe('configureSendLock', () => {
  test('answers the settings now in force, frozen', () => {
    const { configureSendLock } = freshProcessLock()
    const settings = configureSendLock({})
    assert.deepEqual(settings, DEFAULTS)
    assert.ok(Object.isFrozen(settings) && Object.isFrozen(settings.layers))
  })

  test('changes what it is given, one by one, and leaves the rest', () => {
    for (const [name, value] of Object.entries(OTHERS)) {
      const lock = freshLock()
      const before = lock.configure({})
      assert.deepEqual(lock.configure({ [name]: value }), { ...before, [name]: value })
      assert.deepEqual(lock.configure({}), { ...before, [name]: value })
    }
  })

  test('changes everything at once', () => {
    assert.deepEqual(freshLock().configure(OTHERS), OTHERS)
  })

  test('leaves an option that is undefined as it is', () => {
    const lock = freshLock()
    const before = lock.configure({})
    assert.deepEqual(lock.configure({ cooldownMs: undefined, layers: undefined }), before)
  })

  test('takes the limits of every range', () => {
    const lock = freshLock()
    for (const name of ['cooldownMs', 'timeoutMs', 'forceReleaseMs', 'dedupWindowMs']) {
      for (const value of [0, 0.25, 1e12]) assert.equal(lock.configure({ [name]: value })[name], value)
      // Nobody lives to see a difference: the native clock counts nanoseconds in 64 bits.
      assert.ok(lock.configure({ [name]: Number.MAX_SAFE_INTEGER })[name] >= 1e13)
    }
    for (const value of [0, 1, 1_000]) assert.equal(lock.configure({ historyLimit: value }).historyLimit, value)
  })

  test('does all or nothing', () => {
    const lock = freshLock()
    const before = lock.configure({})
    for (const wrong of Object.keys(OTHERS)) {
      assert.throws(() => lock.configure({ ...OTHERS, [wrong]: NaN }), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
      assert.deepEqual(lock.configure({}), before)
    }
    assert.throws(() => lock.configure({ ...OTHERS, cooldown: 1 }), { code: 'ERR_LOCK_UNKNOWN_OPTION' })
    assert.throws(() => lock.configure({ cooldownMs: 1, layers: ['fine', ''] }), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
    assert.deepEqual(lock.configure({}), before)
  })

  test('reads a getter once, and a getter that throws changes nothing', () => {
    const lock = freshLock()
    const before = lock.configure({})
    let reads = 0
    lock.configure({ get cooldownMs() { return ++reads } })
    assert.equal(reads, 1)
    assert.equal(lock.configure({ cooldownMs: before.cooldownMs }).cooldownMs, before.cooldownMs)
    const error = new Error('of the getter')
    assert.throws(() => lock.configure({ timeoutMs: 1, get cooldownMs() { throw error } }), error)
    assert.deepEqual(lock.configure({}), before)
  })

  test('does not keep the array it was given', () => {
    const lock = freshLock()
    const layers = ['one', 'two']
    lock.configure({ layers })
    layers.push('three')
    assert.deepEqual(lock.configure({}).layers, ['one', 'two'])
    assert.equal(lock.tryAcquireSendLock('three'), false)
  })
})

describe('layers', () => {
  test('a list lets those in and nobody else', () => {
    const lock = freshLock({ layers: ['one', 'two'] })
    assert.equal(lock.trySend('e2e-executor').reason, 'unknown_layer')
    assert.equal(lock.trySend('one').acquired, true)
    assert.equal(lock.trySend('two').reason, 'held')
  })

  test('an empty list lets nobody in', () => {
    const lock = freshLock({ layers: [] })
    assert.equal(lock.trySend('one').reason, 'unknown_layer')
  })

  test("'any' lets everybody in, and a list afterwards is a list again", () => {
    const lock = freshLock({ layers: 'any' })
    assert.equal(lock.configure({}).layers, 'any')
    for (const layer of ['anybody', 'Ünïcode 漢字 🔒', 'a'.repeat(64), ' ', '0']) {
      assert.equal(lock.tryAcquireSendLock(layer), true, layer)
      assert.equal(lock.getLockStatus().sendingLayerId, layer)
      assert.equal(lock.releaseSendLock(layer), true, layer)
    }
    lock.configure({ layers: ['one'] })
    assert.equal(lock.tryAcquireSendLock('anybody'), false)
  })

  test('200 listed layers are all let in, and counted: 63 by name, the rest together', () => {
    const layers = Array.from({ length: 200 }, (_, number) => `layer-${number}`)
    const lock = new chainlock.SharedLock()
    lock.configure({ cooldownMs: 0, layers })
    for (const layer of layers) {
      assert.equal(lock.tryAcquireSendLock(layer), true)
      assert.equal(lock.trySend('layer-0').holder.layerId, layer, 'the holder has its own name')
      assert.equal(lock.lockHistory.at(-1).layerId, 'layer-0')
      assert.deepEqual(lock.lockHistory.at(-1).lockState, { isSending: true, currentLayer: layer })
      assert.deepEqual(lock.getMetrics().recentActivity, lock.lockHistory.slice(-10))
      assert.equal(lock.releaseSendLock(layer), true)
    }
    const counted = lock.getMetrics().layers
    assert.equal(Object.keys(counted).length, 64)
    const sum = Object.values(counted).reduce((total, layer) => total + layer.acquisitions, 0)
    assert.equal(sum, 200)
    assert.equal(counted['(others)'].acquisitions, 200 - (63 - 5))
  })
})

describe('what a setting leaves behind', () => {
  test('historyLimit lowered and raised again brings no old entries back', () => {
    const lock = freshLock()
    const sendOnce = () => lock.trySend('e2e-executor').guard.release()
    for (let round = 0; round < 50; round++) sendOnce()
    lock.configure({ historyLimit: 5 })
    const kept = lock.lockHistory
    assert.equal(kept.length, 5)
    lock.configure({ historyLimit: 1_000 })
    assert.deepEqual(lock.lockHistory, kept)
    sendOnce()
    assert.equal(lock.lockHistory.length, 7, 'it grows from there')
    lock.configure({ historyLimit: 0 })
    lock.configure({ historyLimit: 1_000 })
    assert.deepEqual(lock.lockHistory, [])
  })

  test("validateLayerId leaves no trace of the names it was asked for under layers 'any'", () => {
    const lock = freshLock({ layers: 'any' })
    for (let number = 0; number < 2_000; number++) assert.equal(lock.validateLayerId(`asked-${number}`), true)
    lock.trySend('late').guard.release()
    const counted = lock.getMetrics().layers
    assert.equal(counted.late?.acquisitions, 1, 'it has a row of its own')
    assert.deepEqual(Object.keys(counted).filter((name) => name.startsWith('asked-') || name === '(others)'), [])
  })
})
