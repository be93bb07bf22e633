// Guards: the token, the ways to give a hold back, and what a guard knows once its hold was taken away.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock, chainlock } = require('./helpers/package')
const { turn, block, until } = require('./helpers/waiting')

const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

describe('the token', () => {
  test('only grows, also over force releases and resets', () => {
    const lock = freshLock()
    let last = 0
    for (let round = 0; round < 1_000; round++) {
      const { guard } = lock.trySend('e2e-executor')
      assert.ok(Number.isSafeInteger(guard.token) && guard.token > last)
      last = guard.token
      if (round % 3 === 0) lock.forceReleaseLock('test')
      else guard.release()
      if (round % 7 === 0) lock.resetMetrics()
    }
  })

  test('is what the status shows', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    assert.equal(lock.getLockStatus().token, guard.token)
    guard.release()
    assert.equal(lock.getLockStatus().token, null)
  })
})

describe('giving back', () => {
  test('release is idempotent', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    assert.equal(guard.released, false)
    assert.equal(guard.release(), true)
    assert.equal(guard.released, true)
    assert.equal(guard.release(), false)
    const next = lock.trySend('window-monitor').guard
    assert.equal(guard.release(), false, 'and leaves the next hold alone')
    assert.equal(next.check(), true)
    assert.equal(lock.getMetrics().lateReleases, 0, 'a second release is not a late one')
  })

  test('a guard may be released by the drop-in call', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    assert.equal(lock.releaseSendLock('e2e-executor'), true)
    assert.equal(guard.check(), false)
    assert.equal(guard.released, true)
    assert.equal(guard.release(), false)
    assert.equal(lock.getMetrics().lateReleases, 0)
  })

  test('by the symbols of using and await using', async () => {
    const lock = freshLock()
    lock.trySend('e2e-executor').guard[DISPOSE]()
    assert.equal(lock.isSendLocked(), false)
    const guard = await lock.acquireSendLock('e2e-executor')
    const disposed = guard[ASYNC_DISPOSE]()
    assert.ok(disposed instanceof Promise)
    await disposed
    assert.equal(lock.isSendLocked(), false)
  })

  test('by using itself, as TypeScript compiles it', async () => {
    const ts = require('typescript')
    const source = 'async (lock) => { { using a = lock.trySend("e2e-executor").guard } { await using b = await lock.acquireSendLock("test-layer") } }'
    const { outputText } = ts.transpileModule(`exports.run = ${source}`, { compilerOptions: { target: 'ES2022', module: 'commonjs' } })
    const module = { exports: {} }
    new Function('exports', outputText)(module.exports)
    const lock = freshLock()
    await module.exports.run(lock)
    assert.equal(lock.isSendLocked(), false)
    assert.equal(lock.getMetrics().totalReleases, 2)
  })

  test('never throws, whatever it is given', () => {
    const throwing = { get sent() { throw new Error('a getter') } }
    for (const options of [null, 1, 'x', [], throwing, Symbol('s')]) {
      const lock = freshLock()
      assert.equal(lock.trySend('e2e-executor').guard.release(options), true)
    }
  })
})

describe('a hold that was taken away', () => {
  function lostHold() {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const { signal } = guard
    lock.forceReleaseLock('test')
    return { lock, guard, signal }
  }

  test('aborts the signal with ERR_LOCK_LOST', async () => {
    const { guard, signal } = lostHold()
    await until(() => signal.aborted)
    assert.ok(signal.reason instanceof chainlock.ChainlockError)
    assert.equal(signal.reason.code, 'ERR_LOCK_LOST')
    assert.equal(signal.reason.token, guard.token)
  })

  test('is seen by check() and assertHeld() at once', () => {
    const { guard } = lostHold()
    assert.equal(guard.check(), false)
    assert.equal(guard.released, true)
    assert.throws(() => guard.assertHeld(), { code: 'ERR_LOCK_LOST', token: guard.token })
  })

  test('is seen by check() in the first instruction after a blocked event loop', () => {
    const lock = freshLock({ forceReleaseMs: 20 })
    const { guard } = lock.trySend('e2e-executor')
    // The event loop never turns; a busy machine may let the native timer wait for its turn.
    for (let times = 0; times < 1_000 && guard.check(); times++) block(10)
    assert.equal(guard.check(), false)
  })

  test('its old token stays refused when somebody else holds', () => {
    const { lock, guard } = lostHold()
    const next = lock.trySend('window-monitor').guard
    assert.equal(guard.check(), false)
    assert.throws(() => guard.assertHeld(), { code: 'ERR_LOCK_LOST' })
    assert.equal(guard.release(), false)
    assert.equal(next.check(), true)
    next.assertHeld()
  })

  test('counts one late release', () => {
    const { lock, guard } = lostHold()
    assert.equal(guard.release(), false)
    assert.equal(guard.release(), false)
    assert.equal(lock.releaseSendLock('e2e-executor'), false)
    assert.equal(lock.getMetrics().lateReleases, 1)
    assert.equal(lock.getMetrics().totalReleases, 0)
  })

  test('a drop-in holder counts a late release as well', () => {
    const lock = freshLock()
    lock.tryAcquireSendLock('e2e-executor')
    lock.forceReleaseLock('test')
    assert.equal(lock.releaseSendLock('e2e-executor'), false)
    assert.equal(lock.getMetrics().lateReleases, 1)
  })

  test('a signal that is first looked at afterwards is aborted already', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    lock.forceReleaseLock('test')
    assert.equal(guard.signal.aborted, true)
  })

  test('an ordinary release does not abort the signal', async () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    const { signal } = guard
    guard.release()
    lock.trySend('window-monitor')
    lock.forceReleaseLock('somebody else')
    await turn()
    await turn()
    assert.equal(signal.aborted, false)
  })
})

describe('a guard outside its hold', () => {
  test('assertHeld throws after a release', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    guard.assertHeld()
    guard.release()
    assert.throws(() => guard.assertHeld(), { code: 'ERR_LOCK_LOST' })
  })
})
