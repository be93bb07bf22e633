// The locks without a name: Mutex, Semaphore, RWLock, withTimeout and tryAcquire. That the first two behave as in
// async-mutex is the subject of `locks-classes-differential.test.js`; here is what goes beyond it.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock } = require('./helpers/package')
const { locks, failure } = require('./helpers/locks')
const { runNode } = require('./helpers/processes')
const { collectGarbage } = require('./helpers/figures')
const { turn, until, gate, stateOf } = require('./helpers/waiting')

const { Mutex, Semaphore, RWLock, withTimeout, tryAcquire, E_TIMEOUT, E_CANCELED, E_ALREADY_LOCKED } = chainlock
const { ChainlockError, DeadlockError } = chainlock

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
      ['high', /acquire: priority must be an integer from .1000 to 1000; got the string 'high'/],
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
    assert.equal(releases.callCount(), 2_000, 'the holds of what was spent are not kept')
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

describe('RWLock', () => {
  test('readers together, writers alone, nobody goes past who came first', async () => {
    const lock = new RWLock()
    const log = []
    const ask = (who, call) => lock[call]().then((guard) => (log.push(who), guard))
    const readers = [await lock.acquireRead(), await lock.acquireRead()]
    assert.equal(lock.readers, 2)
    assert.equal(lock.isLocked() && !lock.isWriteLocked(), true)
    const later = [ask('writer', 'acquireWrite'), ask('reader', 'acquireRead'), ask('another', 'acquireRead')]
    assert.equal(lock.tryAcquireRead(), null)
    for (const reader of readers) reader.release()
    ;(await later[0]).release()
    const both = await Promise.all(later.slice(1))
    assert.deepEqual(log, ['writer', 'reader', 'another'])
    assert.equal(lock.readers, 2)
    for (const guard of both) guard.release()
    const writer = lock.tryAcquireWrite()
    assert.equal(writer.mode, 'exclusive')
    assert.equal(writer.name, '')
    assert.equal(lock.isWriteLocked() && lock.readers === 0, true)
    assert.equal(lock.tryAcquireRead(), null)
    writer.release()
    assert.equal(lock.isLocked(), false)
  })

  test('guards go down and up', async () => {
    const lock = new RWLock()
    const writer = await lock.acquireWrite()
    const reading = lock.acquireRead()
    assert.equal(writer.downgrade(), true)
    const reader = await reading
    assert.equal(writer.tryUpgrade(), false)
    const upgraded = writer.upgrade()
    reader.release()
    await upgraded
    assert.equal(lock.isWriteLocked(), true)
    writer.release()
  })

  test('withRead and withWrite, with and without options', async () => {
    const lock = new RWLock()
    assert.equal(await lock.withRead((guard) => guard.mode), 'shared')
    assert.equal(await lock.withWrite({ label: 'me' }, (guard) => guard.label), 'me')
    await assert.rejects(lock.withWrite(() => { throw new Error('thrown') }), /thrown/)
    assert.equal(lock.isLocked(), false)
    const { opened, open } = gate()
    const inside = [lock.withRead(() => opened), lock.withRead(() => opened)]
    const writing = failure(lock.withWrite({ timeoutMs: 1 }, () => assert.fail('ran')))
    assert.equal((await writing).code, 'ERR_LOCK_TIMEOUT')
    open()
    await Promise.all(inside)
    assert.match((await failure(lock.withRead({}))).message, /withRead: fn must be a function/)
    assert.match((await failure(lock.withRead({ mode: 'read' }, () => {}))).message, /unknown option 'mode'/)
  })

  test('waitForUnlock waits until nobody holds and nobody waits, and keeps nobody out', async () => {
    const lock = new RWLock()
    const reader = await lock.acquireRead()
    const free = lock.waitForUnlock()
    const another = await lock.acquireRead({ timeoutMs: 60_000 })
    assert.equal(lock.readers, 2, 'a reader comes in while somebody looks on')
    const writing = lock.acquireWrite()
    reader.release()
    another.release()
    const writer = await writing
    assert.equal(await stateOf(free), 'pending')
    lock.cancel()
    assert.equal(await stateOf(free), 'pending')
    writer.release()
    await free
    assert.equal(lock.isLocked(), false)
    await lock.waitForUnlock()
  })

  test('cancel', async () => {
    const lock = new RWLock()
    const writer = await lock.acquireWrite()
    const waiting = [lock.acquireRead(), lock.acquireWrite(3), lock.withRead(() => assert.fail('ran'))].map(failure)
    lock.cancel()
    for (const error of await Promise.all(waiting)) assert.equal(error, E_CANCELED)
    assert.equal(lock.isWriteLocked(), true)
    writer.release()
  })
})

describe('withTimeout and tryAcquire', () => {
  test('reject with their error, and the one who gave up is out of the line', async () => {
    const own = new Error('own')
    for (const [limit, error] of [
      [(sync) => withTimeout(sync, 1), E_TIMEOUT],
      [(sync) => withTimeout(sync, 1, own), own],
      [(sync) => tryAcquire(sync), E_ALREADY_LOCKED],
      [(sync) => tryAcquire(sync, own), own],
      [(sync) => tryAcquire(withTimeout(sync, 60_000), own), own],
      [(sync) => withTimeout(tryAcquire(sync, own), 60_000), own],
    ]) {
      const mutex = new Mutex()
      const release = await limit(mutex).acquire()
      assert.equal(await failure(limit(mutex).acquire()), error)
      assert.equal(await failure(limit(mutex).runExclusive(() => assert.fail('ran'))), error)
      assert.equal(await failure(limit(mutex).waitForUnlock()), error)
      release()
      assert.equal(mutex.isLocked(), false)
      assert.equal(await limit(mutex).runExclusive(() => 'ran'), 'ran')
      const semaphore = new Semaphore(2)
      const [, back] = await limit(semaphore).acquire(2)
      assert.equal(await failure(limit(semaphore).acquire(1)), error)
      back()
      assert.equal(await limit(semaphore).runExclusive((value) => value, 2), 2)
      assert.equal(limit(semaphore).getValue(), 2)
    }
  })

  test('what gave up does not hold up those behind it', async () => {
    const semaphore = new Semaphore(2)
    const [, release] = await semaphore.acquire(1)
    const heavy = failure(withTimeout(semaphore, 1).acquire(2))
    const light = semaphore.acquire(1)
    assert.equal(await heavy, E_TIMEOUT)
    const [value] = await light
    assert.equal(value, 1)
    release()
  })

  test('the view is the lock: what one does the other sees', async () => {
    const semaphore = new Semaphore(1)
    const view = withTimeout(semaphore, 60_000)
    await semaphore.acquire()
    assert.equal(view.isLocked(), true)
    const waiting = failure(view.acquire())
    semaphore.cancel()
    assert.equal(await waiting, E_CANCELED)
    view.release()
    assert.equal(semaphore.getValue(), 1)
    view.setValue(3)
    assert.equal(semaphore.getValue(), 3)
    assert.equal('getValue' in withTimeout(new Mutex(), 5), false)
  })

  test('the earlier end counts, and no end is none', async () => {
    const mutex = new Mutex()
    const release = await mutex.acquire()
    const first = new Error('first')
    assert.equal(await failure(withTimeout(withTimeout(mutex, 1, first), 60_000).acquire()), first)
    assert.equal(await failure(withTimeout(withTimeout(mutex, 60_000), 1, first).acquire()), first)
    assert.equal((await failure(withTimeout(mutex, 60_000).acquire({ timeoutMs: 1 }))).position, 1)
    const patient = withTimeout(mutex, Infinity).acquire()
    assert.equal(await stateOf(patient), 'pending')
    release()
    ;(await patient)()
  })

  test('refuse what is none of these locks, and times that are none', () => {
    for (const sync of [undefined, null, {}, 'mutex', new RWLock(), locks]) {
      assert.throws(() => withTimeout(sync, 1), { name: 'TypeError', message: /withTimeout: sync must be a Mutex or a Semaphore/ })
      assert.throws(() => tryAcquire(sync), { name: 'TypeError', message: /tryAcquire: sync must be/ })
    }
    for (const timeoutMs of [-1, NaN, '5', undefined, null]) {
      assert.throws(() => withTimeout(new Mutex(), timeoutMs), { message: /withTimeout: timeoutMs must be/ })
    }
  })

  test('the errors have codes', () => {
    assert.equal(E_TIMEOUT.code, 'ERR_LOCK_TIMEOUT')
    assert.equal(E_ALREADY_LOCKED.code, 'ERR_LOCK_UNAVAILABLE')
    assert.equal(E_CANCELED.code, 'ERR_LOCK_CANCELED')
    for (const error of [E_TIMEOUT, E_ALREADY_LOCKED, E_CANCELED]) assert.ok(error instanceof ChainlockError)
  })
})

describe('deadlocks', () => {
  test('a mutex that is wanted inside of itself', async () => {
    const mutex = new Mutex()
    const error = await failure(mutex.runExclusive(() => mutex.acquire()))
    assert.ok(error instanceof DeadlockError)
    assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
    assert.equal(mutex.isLocked(), false)
  })

  test('across a mutex, a semaphore, a read/write lock and a name', async () => {
    const [mutex, semaphore, lock] = [new Mutex(), new Semaphore(1), new RWLock()]
    const name = `across-${process.pid}`
    const ring = [
      (fn) => mutex.runExclusive(fn),
      (fn) => semaphore.runExclusive(fn),
      (fn) => lock.withWrite(fn),
      (fn) => locks.withLock(name, fn),
    ]
    const { opened, open } = gate()
    let inside = 0
    const outcomes = await Promise.allSettled(
      ring.map((take, index) =>
        take(async () => {
          if (++inside === ring.length) open()
          await opened
          return ring[(index + 1) % ring.length](() => index)
        }),
      ),
    )
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    assert.equal(refused.length, 1, 'the others go on')
    assert.ok(refused[0].reason instanceof DeadlockError)
    assert.equal(refused[0].reason.cycle.length, ring.length)
    assert.deepEqual(refused[0].reason.cycle.map(({ heldBy }) => heldBy.kind).sort(), ['lock', 'lock', 'lock', 'semaphore'])
    assert.equal(mutex.isLocked() || semaphore.isLocked() || lock.isLocked(), false)
  })

  test('none where units are left, or somebody outside gives back', async () => {
    const semaphore = new Semaphore(2)
    assert.equal(await semaphore.runExclusive(() => semaphore.runExclusive((value) => value)), 1)
    const full = new Semaphore(1)
    const [, release] = await full.acquire()
    const mutex = new Mutex()
    const inside = mutex.runExclusive(() => full.runExclusive(() => 'done'))
    assert.equal(await stateOf(inside), 'pending')
    release()
    assert.equal(await inside, 'done')
  })
})

describe('the end', () => {
  test('what nobody can reach any more is given back, quietly', async (t) => {
    const releases = releasesSeen(t)
    const warnings = []
    const listen = (warning) => warnings.push(warning)
    process.on('warning', listen)
    const abandon = async () => {
      for (let round = 0; round < 50; round++) {
        await new Semaphore(3).acquire(2)
        await new Mutex().acquire()
      }
    }
    await abandon()
    await until(() => {
      collectGarbage()
      return releases.callCount() === 100
    })
    await turn()
    process.off('warning', listen)
    assert.deepEqual(warnings, [])
  })

  test('a wait without an end does not keep the process; one with an end does', async () => {
    const endless = await runNode(({ chainlock: { Mutex: Lock } }) => {
      const mutex = new Lock()
      mutex.acquire().then(() => mutex.acquire())
      process.on('exit', () => console.log('over'))
    })
    assert.deepEqual([endless.hung, endless.code, endless.stdout], [false, 0, 'over\n'])
    const ending = await runNode(({ chainlock: { Mutex: Lock, withTimeout: limit } }) => {
      const mutex = new Lock()
      mutex.acquire().then(() => limit(mutex, 50).acquire().catch((error) => console.log(error.code)))
    })
    assert.deepEqual([ending.hung, ending.code, ending.stdout], [false, 0, 'ERR_LOCK_TIMEOUT\n'])
  })
})
