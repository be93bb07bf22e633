// Those who wait for a named lock: timeouts and what their errors say, aborts at every moment, and that
// whoever leaves lets those behind go on.
'use strict'

const { test, describe, afterEach } = require('node:test')
const assert = require('node:assert/strict')
const { getEventListeners, setMaxListeners } = require('node:events')
const { AsyncLocalStorage } = require('node:async_hooks')
const { locks, freshName, standing, failure, requests } = require('./helpers/locks')
const { turn, stateOf, block } = require('./helpers/waiting')
const { chainlock } = require('./helpers/package')
const { startWorker, message } = require('./helpers/threads')

const DEFAULTS = { readTimeoutMs: 10_000, writeTimeoutMs: 30_000 }
afterEach(() => locks.configure(DEFAULTS))

describe('a timeout', () => {
  test('is 10 s for readers and 30 s for writers by default, and the defaults can be set', async () => {
    const { readTimeoutMs, writeTimeoutMs } = locks.configure({})
    assert.deepEqual({ readTimeoutMs, writeTimeoutMs }, DEFAULTS)
    const name = freshName()
    const guard = locks.tryAcquire(name)
    locks.configure({ readTimeoutMs: 5 })
    const writer = locks.acquire(name)
    assert.equal((await failure(locks.acquire(name, { mode: 'read' }))).code, 'ERR_LOCK_TIMEOUT')
    assert.equal(await stateOf(writer), 'pending')
    locks.configure({ readTimeoutMs: 10_000, writeTimeoutMs: 5 })
    const reader = locks.acquire(name, { mode: 'shared' })
    for (const wait of [locks.acquire(name), locks.withLock(name, () => {}), locks.lock(name).acquire(), locks.acquireAll([name])]) {
      assert.equal((await failure(wait)).code, 'ERR_LOCK_TIMEOUT')
    }
    assert.equal(await stateOf(reader), 'pending', 'a request keeps the timeout with which it was made')
    assert.equal(await stateOf(writer), 'pending')
    guard.release()
    ;(await writer).release()
    ;(await reader).release()
  })

  test('says who holds, since when, and where the waiter stood', async () => {
    const name = freshName('ledger')
    const guard = await locks.acquire(name, { label: 'nightly report' })
    const patient = locks.acquire(name)
    block(5)
    const error = await failure(locks.acquire(name, { timeoutMs: 20, label: 'impatient' }))
    assert.ok(error instanceof chainlock.ChainlockError)
    assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
    assert.equal(error.position, 2)
    assert.ok(error.waitedMs >= 19, `${error.waitedMs}`)
    assert.equal(error.holders.length, 1)
    const [holder] = error.holders
    assert.deepEqual(
      { label: holder.label, threadId: holder.threadId, token: holder.token, mode: holder.mode },
      { label: 'nightly report', threadId: 0, token: guard.token, mode: 'exclusive' },
    )
    assert.ok(holder.heldMs >= 20)
    for (const word of [name, 'nightly report', 'exclusive', String(guard.token)]) assert.ok(error.message.includes(word), error.message)
    assert.deepEqual(standing(name), { holders: 1, waiters: 1 })
    guard.release()
    ;(await patient).release()
  })

  test('names a holder in another thread, and every reader', async () => {
    const name = freshName()
    const worker = startWorker(({ chainlock, port, data, workerThreads }) => {
      const guard = chainlock.locks.tryAcquire(data, { mode: 'shared', label: 'far away' })
      port.postMessage(workerThreads.threadId)
      port.once('message', () => guard.release())
    }, name)
    const threadId = await message(worker)
    const near = locks.tryAcquire(name, { mode: 'shared', label: 'near' })
    const error = await failure(locks.acquire(name, { timeoutMs: 10 }))
    const holders = error.holders.map((holder) => [holder.label, holder.threadId, holder.mode])
    assert.deepEqual(holders, [['far away', threadId, 'shared'], ['near', 0, 'shared']])
    assert.match(error.message, /far away/)
    near.release()
    worker.postMessage('end')
    ;(await locks.acquire(name)).release()
  })

  test('of 0 does not wait, and gets a free lock', async () => {
    const name = freshName()
    const guard = await locks.acquire(name, { timeoutMs: 0 })
    for (const call of [
      () => locks.acquire(name, { timeoutMs: 0 }),
      () => locks.withLock(name, { timeoutMs: 0 }, () => {}),
      () => locks.acquireAll([name], { timeoutMs: 0 }),
    ]) {
      assert.equal((await failure(call())).code, 'ERR_LOCK_TIMEOUT')
    }
    assert.deepEqual(standing(name), { holders: 1, waiters: 0 })
    guard.release()
    ;(await locks.acquireAll([name], { timeoutMs: 0 })).release()
  })

  test('of Infinity, 2^31 and more, or a fraction, is what it says', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const waits = [Infinity, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER, 2 ** 31 - 1].map((timeoutMs) =>
      locks.withLock(name, { timeoutMs }, () => timeoutMs))
    assert.equal((await failure(locks.acquire(name, { timeoutMs: 0.25 }))).code, 'ERR_LOCK_TIMEOUT')
    assert.equal(standing(name).waiters, waits.length)
    guard.release()
    assert.deepEqual(await Promise.all(waits), [Infinity, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER, 2 ** 31 - 1])
  })

  test('comes in the order of the deadlines, not of asking, and to each of many', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const order = []
    const waits = [1_000, 20].map((timeoutMs) => failure(locks.acquire(name, { timeoutMs })).then((error) => {
      order.push(timeoutMs)
      return error.code
    }))
    const crowd = Array.from({ length: 1_000 }, () => failure(locks.acquire(name, { timeoutMs: 10 })))
    assert.deepEqual(new Set((await Promise.all(crowd)).map((error) => error.code)), new Set(['ERR_LOCK_TIMEOUT']))
    assert.deepEqual(new Set(await Promise.all(waits)), new Set(['ERR_LOCK_TIMEOUT']))
    assert.deepEqual(order, [20, 1_000])
    assert.deepEqual(standing(name), { holders: 1, waiters: 0 })
    guard.release()
  })

  test('of a writer lets the readers behind it in', async () => {
    const name = freshName()
    const reader = locks.tryAcquire(name, { mode: 'shared' })
    const writer = failure(locks.acquire(name, { timeoutMs: 100 }))
    const behind = [locks.acquire(name, { mode: 'shared' }), locks.acquire(name, { mode: 'shared' })]
    // As long as the writer is in line, and a machine that paused may have taken its time already.
    const status = locks.getLockStatus(name)
    assert.ok(status.holders.length === 1 || !status.waiters.some(({ mode }) => mode === 'exclusive'), JSON.stringify(status))
    assert.equal((await writer).code, 'ERR_LOCK_TIMEOUT')
    for (const guard of await Promise.all(behind)) guard.release()
    reader.release()
  })

  test('runs while the loop of the waiter, or of the holder, is blocked', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const waiting = failure(locks.acquire(name, { timeoutMs: 5 }))
    // Timed out natively though nobody here could run: the release finds nobody to serve. A busy machine may
    // let the native timer wait for its turn.
    for (let times = 0; times < 1_000 && standing(name).waiters > 0; times++) block(10)
    assert.equal(standing(name).waiters, 0)
    guard.release()
    assert.equal((await waiting).code, 'ERR_LOCK_TIMEOUT')
    assert.equal(standing(name).holders, 0)
  })

  test('of a waiter that is granted never fires later', async () => {
    const name = freshName()
    for (let round = 0; round < 200; round++) {
      const guard = locks.tryAcquire(name)
      const waiting = locks.acquire(name, { timeoutMs: 1 })
      if (round % 2) block(1)
      guard.release()
      // At the edge either may win; never both, and never neither.
      const end = await waiting.then((mine) => mine.release(), (error) => error.code)
      assert.ok(end === true || end === 'ERR_LOCK_TIMEOUT', String(end))
      assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
    }
  })
})

describe('an abort', () => {
  test('before the call: nothing is asked, and the reason is passed on', async () => {
    const name = freshName()
    const reason = { any: 'value' }
    const signal = AbortSignal.abort(reason)
    const calls = [
      () => locks.acquire(name, { signal }),
      () => locks.withLock(name, { signal }, () => assert.fail('ran')),
      () => locks.withRead(name, { signal }, () => assert.fail('ran')),
      () => locks.acquireAll([name], { signal }),
      () => locks.lock(name).run({ signal }, () => assert.fail('ran')),
      () => locks.request(name, { signal }, () => assert.fail('ran')),
    ]
    for (const call of calls) assert.equal(await failure(call()), reason)
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
    assert.equal(await failure(locks.acquire(name, { signal: AbortSignal.abort() })).then((error) => error.name), 'AbortError')
  })

  test('in the same tick leaves the line at once', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const controller = new AbortController()
    const waiting = locks.acquire(name, { signal: controller.signal })
    assert.equal(standing(name).waiters, 1)
    controller.abort('changed my mind')
    assert.equal(standing(name).waiters, 0)
    assert.equal(await failure(waiting), 'changed my mind')
    guard.release()
    assert.equal(standing(name).holders, 0)
  })

  test('of an exclusive request lets the shared ones behind it in', async () => {
    const line = requests(freshName())
    const controller = new AbortController()
    line.ask('r1', { mode: 'shared' })
    line.ask('w', { signal: controller.signal })
    line.ask('r2', { mode: 'shared' })
    line.ask('r3', { mode: 'shared' })
    await turn()
    assert.deepEqual(line.log, ['r1'])
    controller.abort()
    await turn()
    assert.deepEqual(line.log, ['r1', 'r2', 'r3'])
    await line.end('r1', 'r2', 'r3')
  })

  test('of an exclusive request lets the shared ones of another thread in', async () => {
    const name = freshName()
    const reader = locks.tryAcquire(name, { mode: 'shared' })
    const controller = new AbortController()
    const writer = failure(locks.acquire(name, { signal: controller.signal }))
    const worker = startWorker(async ({ chainlock, port, data }) => {
      port.postMessage('asks')
      const guard = await chainlock.locks.acquire(data, { mode: 'shared' })
      port.postMessage('granted')
      guard.release()
    }, name)
    await message(worker)
    while (standing(name).waiters < 2) await turn()
    const granted = message(worker)
    controller.abort()
    assert.equal(await granted, 'granted')
    assert.equal((await writer).name, 'AbortError')
    reader.release()
  })

  test('between grant and continuation is too late: the guard counts, and no listener is left', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const controller = new AbortController()
    const waiting = locks.acquire(name, { signal: controller.signal })
    guard.release()
    controller.abort()
    const granted = await waiting
    assert.equal(granted.check(), true)
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    assert.equal(granted.signal.aborted, false, 'the signal of the request is not that of the hold')
    granted.release()
  })

  test('while holding does nothing', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const name = freshName()
    const answer = await locks.withLock(name, { signal }, async (guard) => {
      controller.abort()
      await turn()
      return guard.check()
    })
    assert.equal(answer, true)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  test('leaves no listener behind, however the wait ends', async () => {
    const name = freshName()
    const { signal } = new AbortController()
    const left = () => getEventListeners(signal, 'abort').length
    ;(await locks.acquire(name, { signal })).release()
    assert.equal(left(), 0)
    const guard = locks.tryAcquire(name)
    await failure(locks.acquire(name, { signal, timeoutMs: 1 }))
    assert.equal(left(), 0)
    const stolen = locks.acquire(name, { signal })
    assert.equal(left(), 1)
    locks.forceRelease(name)
    ;(await stolen).release()
    assert.equal(left(), 0)
    assert.equal(guard.release(), false)
  })

  test('AbortSignal.timeout and AbortSignal.any end the wait with their reasons', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    assert.equal((await failure(locks.acquire(name, { signal: AbortSignal.timeout(5) }))).name, 'TimeoutError')
    if (AbortSignal.any) {
      const controller = new AbortController()
      const waiting = failure(locks.acquire(name, { signal: AbortSignal.any([controller.signal, AbortSignal.timeout(60_000)]) }))
      controller.abort('one of them')
      assert.equal(await waiting, 'one of them')
    }
    assert.equal(standing(name).waiters, 0)
    guard.release()
  })

  test('of one signal ends 10,000 requests over 10 names, and nobody else', async () => {
    const controller = new AbortController()
    setMaxListeners(0, controller.signal)
    const names = Array.from({ length: 10 }, () => freshName())
    const guards = names.map((name) => locks.tryAcquire(name))
    const waits = Array.from({ length: 10_000 }, (_, index) => locks.acquire(names[index % 10], { signal: controller.signal }))
    const stays = locks.acquire(names[3])
    assert.equal(standing(names[3]).waiters, 1_001)
    controller.abort()
    for (const [index, name] of names.entries()) assert.equal(standing(name).waiters, index === 3 ? 1 : 0)
    const ends = await Promise.allSettled(waits)
    assert.ok(ends.every(({ reason }) => reason === controller.signal.reason))
    for (const guard of guards) guard.release()
    ;(await stays).release()
  })

  test('last first of 5,000 takes no longer than first first, within a factor of 5', async (t) => {
    const COUNT = 5_000
    const measure = async (reverse) => {
      const name = freshName()
      const guard = locks.tryAcquire(name)
      const controllers = Array.from({ length: COUNT }, () => new AbortController())
      const waits = controllers.map(({ signal }) => locks.acquire(name, { signal }).catch(() => {}))
      if (reverse) controllers.reverse()
      const started = performance.now()
      for (const controller of controllers) controller.abort()
      const ms = performance.now() - started
      assert.equal(standing(name).waiters, 0)
      await Promise.all(waits)
      guard.release()
      return ms
    }
    await measure(false)
    // The least of some: what else the machine does only adds.
    let [first, last] = [Infinity, Infinity]
    for (let round = 0; round < 4; round++) {
      first = Math.min(first, await measure(false))
      last = Math.min(last, await measure(true))
    }
    t.diagnostic(`${COUNT} aborts: first first ${first.toFixed(1)} ms, last first ${last.toFixed(1)} ms`)
    assert.ok(last < first * 5 + 20)
  })

  test('whose listener throws, releases, aborts others or asks again leaves the line whole', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const [one, two] = [new AbortController(), new AbortController()]
    let again
    one.signal.addEventListener('abort', () => {
      two.abort()
      guard.release()
      again = locks.acquire(name)
    })
    const waits = [one, two].map(({ signal }) => locks.acquire(name, { signal }))
    const third = locks.acquire(name)
    one.abort()
    for (const { value } of await Promise.allSettled(waits)) value?.release()
    ;(await third).release()
    ;(await again).release()
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('by a signal of another realm, or of a subclass, is one', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const own = new AbortController()
    const foreign = Object.setPrototypeOf(own.signal, class extends AbortSignal {}.prototype)
    const waiting = failure(locks.acquire(name, { signal: foreign }))
    own.abort('from afar')
    assert.equal(await waiting, 'from afar')
    guard.release()
  })
})

describe('the context of the caller', () => {
  test('is that of the call, contended or not', async () => {
    const name = freshName()
    const context = new AsyncLocalStorage()
    const guard = locks.tryAcquire(name)
    const seen = []
    const calls = ['withLock', 'withRead', 'withWrite'].map((call, index) =>
      context.run(index, () => locks[call](name, () => seen.push(context.getStore()))))
    const handled = context.run('handle', () => locks.lock(name).run(() => seen.push(context.getStore())))
    const all = context.run('all', () => locks.withAll([name], () => seen.push(context.getStore())))
    await context.run('releaser', async () => guard.release())
    await Promise.all([...calls, handled, all])
    assert.deepEqual(seen, [0, 1, 2, 'handle', 'all'])
    await context.run('free', () => locks.withLock(name, () => assert.equal(context.getStore(), 'free')))
  })
})
