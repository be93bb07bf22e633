// `Mutex` and `Semaphore`. That they behave as in async-mutex is the subject of `locks-classes-differential.test.js`;
// here is what goes beyond it.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock } = require('./helpers/package')
const { failure } = require('./helpers/locks')
const { turn, stateOf } = require('./helpers/waiting')

const { Mutex, Semaphore, E_CANCELED, ChainlockError } = chainlock

const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')

/** Holds of locks without a name show nowhere: how many are natively given back is seen where it is done. */
function releasesSeen(t) {
  const waiters = require('../lib/locks/waiters')
  return t.mock.method(waiters, 'release').mock
}

describe('Mutex', () => {
  test('one at a time, in the order of the calls', async () => {
    const mutex = new Mutex()
    const log = []
    let inside = 0
    const runs = Array.from({ length: 50 }, (_, index) =>
      mutex.runExclusive(async () => {
        assert.equal(++inside, 1)
        await turn()
        inside--
        log.push(index)
        return index * 2
      }),
    )
    assert.deepEqual(await Promise.all(runs), runs.map((_, index) => index * 2))
    assert.deepEqual(log, runs.map((_, index) => index))
    assert.equal(mutex.isLocked(), false)
  })

  test('the releaser works once, and by the symbol of using', async () => {
    const mutex = new Mutex()
    const first = await mutex.acquire()
    first[DISPOSE]()
    assert.equal(mutex.isLocked(), false)
    const second = await mutex.acquire()
    first()
    first[DISPOSE]()
    assert.equal(mutex.isLocked(), true, 'it is the releaser of its own hold')
    second()
    assert.equal(mutex.isLocked(), false)
  })

  test('given back by hand and then by its releaser, it stays the lock of the next one', async () => {
    const mutex = new Mutex()
    const first = await mutex.acquire()
    const second = mutex.acquire()
    const third = mutex.acquire()
    mutex.release()
    await second
    first()
    assert.equal(await stateOf(third), 'pending')
    ;(await second)()
    ;(await third)()
    assert.equal(mutex.isLocked(), false)
    mutex.release()
    assert.equal(mutex.tryAcquire() !== null, true)
    assert.equal(mutex.tryAcquire(), null, 'releases of nothing add no unit')
  })

  test('given back by hand inside of its own callback, which goes on', async () => {
    const mutex = new Mutex()
    await mutex.runExclusive(async () => {
      mutex.release()
      const release = await mutex.acquire()
      assert.equal(mutex.isLocked(), true)
      release()
    })
    assert.equal(mutex.isLocked(), false)
    assert.equal(await mutex.runExclusive(() => 'again'), 'again')
  })

  test('tryAcquire answers a releaser or null, and goes past nobody', async () => {
    const mutex = new Mutex()
    const release = mutex.tryAcquire()
    assert.equal(typeof release, 'function')
    assert.equal(mutex.tryAcquire(), null)
    const waiting = mutex.acquire()
    release()
    assert.equal(mutex.tryAcquire(), null)
    ;(await waiting)()
    mutex.tryAcquire()()
  })

  test('the callback never runs before the call has returned', async () => {
    const log = []
    const run = new Mutex().runExclusive(() => log.push('inside'))
    log.push('returned')
    await run
    assert.deepEqual(log, ['returned', 'inside'])
  })

  test('a callback that throws, rejects or answers a thenable', async () => {
    const mutex = new Mutex()
    await assert.rejects(mutex.runExclusive(() => { throw new Error('thrown') }), /thrown/)
    await assert.rejects(mutex.runExclusive(async () => { throw new Error('rejected') }), /rejected/)
    assert.equal(await mutex.runExclusive(() => ({ then: (resolve) => resolve(7) })), 7)
    assert.equal(mutex.isLocked(), false)
    let given
    await mutex.runExclusive((...args) => (given = args))
    assert.deepEqual(given, [], 'it is called without an argument, as there')
  })

  test('a signal ends a wait at once, with its reason', async () => {
    const mutex = new Mutex()
    const release = await mutex.acquire()
    const controller = new AbortController()
    const aborted = mutex.acquire({ signal: controller.signal })
    const next = mutex.acquire()
    controller.abort(new Error('not any more'))
    assert.equal((await failure(aborted)).message, 'not any more')
    assert.equal((await failure(mutex.acquire({ signal: controller.signal }))).message, 'not any more')
    const onlooker = new AbortController()
    const looking = mutex.waitForUnlock({ signal: onlooker.signal })
    onlooker.abort(new Error('looked enough'))
    assert.equal((await failure(looking)).message, 'looked enough')
    release()
    ;(await next)()
  })

  test('its own timeout says who holds', async () => {
    const mutex = new Mutex()
    const release = await mutex.acquire({ label: 'the holder' })
    const error = await failure(mutex.acquire({ timeoutMs: 1, label: 'the waiter' }))
    assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
    assert.equal(error.position, 1)
    assert.equal(error.holders[0].label, 'the holder')
    assert.match(error.message, /a lock without a name .*held by 'the holder' on the main thread/)
    const looking = await failure(mutex.waitForUnlock({ timeoutMs: 1 }))
    assert.equal(looking.code, 'ERR_LOCK_TIMEOUT')
    release()
  })

  test('cancel rejects those who wait with the given error, and no one else', async () => {
    const own = new Error('own')
    for (const [mutex, error] of [[new Mutex(), E_CANCELED], [new Mutex(own), own]]) {
      const release = await mutex.acquire()
      const waiting = [mutex.acquire(), mutex.runExclusive(() => assert.fail('ran')), mutex.acquire(1)].map(failure)
      const looking = mutex.waitForUnlock()
      mutex.cancel()
      for (const each of await Promise.all(waiting)) assert.equal(each, error)
      assert.equal(mutex.isLocked(), true)
      assert.equal(await stateOf(looking), 'pending')
      release()
      await looking
      mutex.cancel()
    }
  })

  test('wrong arguments reject and name themselves', async () => {
    const mutex = new Mutex()
    const wrong = [
      ['high', /acquire: priority must be an integer from -1,000 to 1,000; got the string 'high'/],
      [1.5, /priority/],
      [{ timeoutMs: -1 }, /options\.timeoutMs must be/],
      [{ timeout: 1 }, /unknown option 'timeout' \(did you mean 'timeoutMs'\?\)/],
      [{ signal: {} }, /options\.signal must be an AbortSignal/],
      [{ label: 5 }, /options\.label must be a string/],
      [null, /priority must be .*; got null/],
    ]
    for (const [given, message] of wrong) {
      const error = await failure(mutex.acquire(given))
      assert.ok(error instanceof TypeError && error instanceof ChainlockError)
      assert.match(error.message, message)
      for (const call of [mutex.waitForUnlock(given), mutex.runExclusive(() => assert.fail('ran'), given)]) {
        assert.ok((await failure(call)) instanceof TypeError)
      }
    }
    assert.match((await failure(mutex.runExclusive('work'))).message, /runExclusive: fn must be a function/)
    assert.equal(mutex.isLocked(), false)
  })
})

describe('Semaphore', () => {
  test('gives the value before, and the units back', async () => {
    const semaphore = new Semaphore(5)
    const [five, release] = await semaphore.acquire(2)
    assert.equal(five, 5)
    assert.deepEqual(semaphore.tryAcquire(4), null)
    const [three, other] = semaphore.tryAcquire(3)
    assert.equal(three, 3)
    assert.equal(semaphore.isLocked(), true)
    other[DISPOSE]()
    other()
    release()
    assert.equal(semaphore.getValue(), 5)
    assert.equal(await semaphore.runExclusive((value) => value, 4), 5)
  })

  test('units come from nowhere: producers and consumers', async (t) => {
    const releases = releasesSeen(t)
    const items = new Semaphore(0)
    const got = []
    const consumers = Array.from({ length: 3 }, (_, index) => items.acquire().then(() => got.push(index)))
    for (let item = 0; item < 3; item++) {
      assert.equal(got.length, item)
      items.release()
      await turn()
    }
    await Promise.all(consumers)
    assert.deepEqual(got, [0, 1, 2])
    for (let round = 0; round < 1_000; round++) {
      items.release(2)
      await items.acquire()
      await items.acquire()
    }
    assert.ok(releases.callCount() >= 2_000, 'the holds of what was spent are not kept')
    assert.equal(items.getValue(), 0)
  })

  test('two holders, one of whom gives back by hand: both units are free in the end', async () => {
    for (const handFirst of [true, false]) {
      const semaphore = new Semaphore(2)
      const [, first] = await semaphore.acquire()
      const [, second] = await semaphore.acquire()
      const own = handFirst ? second : first
      semaphore.release()
      own()
      assert.equal(semaphore.getValue(), 2)
      const taken = [await semaphore.acquire(), await semaphore.acquire()]
      assert.equal(semaphore.tryAcquire(), null)
      for (const [, release] of taken) release()
    }
  })

  test('no bound, and no unit', async () => {
    const open = new Semaphore(Infinity)
    await Promise.all(Array.from({ length: 100 }, () => open.acquire(1_000)))
    assert.equal(open.getValue(), Infinity)
    const closed = new Semaphore(-2)
    assert.equal(closed.isLocked(), true)
    const waiting = closed.acquire()
    closed.release(2)
    assert.equal(await stateOf(waiting), 'pending')
    closed.setValue(1)
    await waiting
  })

  test('throws at once for a weight that is none, as there', async () => {
    const semaphore = new Semaphore(1)
    for (const weight of [0, -1, 0.5, NaN, '1', null, 2 ** 32]) {
      for (const call of ['acquire', 'waitForUnlock', 'release', 'tryAcquire']) {
        assert.throws(() => semaphore[call](weight), { code: 'ERR_LOCK_INVALID_ARGUMENT', name: 'TypeError' }, call)
      }
      await assert.rejects(semaphore.runExclusive(() => assert.fail('ran'), weight), { name: 'TypeError' })
    }
    for (const value of [NaN, 1.5, '1', undefined, -Infinity]) {
      assert.throws(() => new Semaphore(value), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
      assert.throws(() => semaphore.setValue(value), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
    }
    assert.equal(semaphore.getValue(), 1)
  })

  test('waitForUnlock knows weight and priority, and takes nothing', async () => {
    const semaphore = new Semaphore(3)
    const [, release] = await semaphore.acquire(2)
    await semaphore.waitForUnlock(1)
    const two = semaphore.waitForUnlock(2)
    const heavy = semaphore.acquire(3, 1)
    const behind = semaphore.waitForUnlock(1, 1)
    const ahead = semaphore.waitForUnlock(1, 2)
    assert.equal(await stateOf(two), 'pending')
    assert.equal(await stateOf(behind), 'pending')
    await ahead
    release()
    const [, releaseHeavy] = await heavy
    assert.equal(await stateOf(behind), 'pending')
    releaseHeavy()
    await Promise.all([two, behind])
    assert.equal(semaphore.getValue(), 3)
  })
})
