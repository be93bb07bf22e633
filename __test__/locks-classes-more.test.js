// `RWLock`, `withTimeout` and `tryAcquire`; and of the locks without a name: where deadlocks are found and where
// not, and that nothing is kept of what nobody can reach.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock } = require('./helpers/package')
const { locks, freshName, failure } = require('./helpers/locks')
const { runNode } = require('./helpers/processes')
const { collectGarbage } = require('./helpers/figures')
const { turn, until, gate, stateOf } = require('./helpers/waiting')

const { Mutex, Semaphore, RWLock, withTimeout, tryAcquire, E_TIMEOUT, E_CANCELED, E_ALREADY_LOCKED } = chainlock
const { ChainlockError, DeadlockError } = chainlock

/** Holds of locks without a name show nowhere: how many are natively given back is seen where it is done. */
function releasesSeen(t) {
  const waiters = require('../lib/locks/waiters')
  return t.mock.method(waiters, 'release').mock
}

/** Tokens only grow: whatever is granted later has a larger one. */
function lastToken() {
  const guard = locks.tryAcquire(freshName())
  guard.release()
  return guard.token
}

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

describe('deadlocks of read/write locks', () => {
  test('one that is wanted inside of itself', async () => {
    const lock = new RWLock()
    const error = await failure(lock.withWrite(() => lock.acquireRead()))
    assert.ok(error instanceof DeadlockError)
    assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
    assert.equal(lock.isLocked(), false)
  })

  test('across two of them, a named semaphore and a name', async () => {
    const [one, two] = [new RWLock(), new RWLock()]
    const name = freshName()
    const semaphore = locks.semaphore(name, 1)
    const ring = [
      (fn) => one.withWrite(fn),
      (fn) => semaphore.run(fn),
      (fn) => two.withWrite(fn),
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
    assert.equal(one.isLocked() || two.isLocked(), false)
  })

  test('also after a long line of holds that are over', async () => {
    const outer = new RWLock()
    const start = async (left) => {
      if (left === 0) return failure(outer.acquireWrite())
      let next
      await new RWLock().withWrite(() => {
        next = turn().then(() => start(left - 1))
      })
      return next
    }
    const error = await outer.withWrite(() => start(50))
    assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
  })

  test('none where somebody outside gives back', async () => {
    const full = new RWLock()
    const reader = await full.acquireRead()
    const inside = new RWLock().withWrite(() => full.withWrite(() => 'done'))
    assert.equal(await stateOf(inside), 'pending')
    reader.release()
    assert.equal(await inside, 'done')
  })
})

describe('no deadlock of a mutex or a semaphore, because anybody may release', () => {
  test('a call inside that is not waited for', async () => {
    const mutex = new Mutex()
    let later
    await mutex.runExclusive(async () => {
      later = mutex.runExclusive(() => 'later')
      await turn()
    })
    assert.equal(await later, 'later')
  })

  test('a hold that somebody else ends', async () => {
    const mutex = new Mutex()
    setImmediate(() => mutex.release())
    assert.equal(await mutex.runExclusive(() => mutex.runExclusive(() => 'released')), 'released')
    const semaphore = new Semaphore(1)
    for (const more of [() => semaphore.release(), () => semaphore.setValue(5)]) {
      const end = await semaphore.runExclusive(async () => {
        setImmediate(more)
        const [, release] = await semaphore.acquire()
        release()
        return 'had it'
      })
      assert.equal(end, 'had it')
    }
  })

  test('a ring with a name in it waits, in flows, too, and none of its requests is refused', async () => {
    const mutex = new Mutex()
    const name = freshName()
    const controller = new AbortController()
    const { opened, open } = gate()
    const first = locks.flow(() => mutex.runExclusive(async () => {
      await opened
      return locks.withLock(name, { timeoutMs: Infinity }, () => 'had the name')
    }))
    const second = locks.withLock(name, async () => {
      open()
      await turn()
      return mutex.acquire({ signal: controller.signal })
    })
    assert.deepEqual([await stateOf(first), await stateOf(second)], ['pending', 'pending'])
    controller.abort()
    assert.equal((await failure(second)).name, 'AbortError')
    assert.equal(await first, 'had the name')
  })

  test('the holds around it are known inside of it all the same', async () => {
    const name = freshName()
    const error = await locks.withLock(name, () => new Mutex().runExclusive(() => failure(locks.acquire(name))))
    assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
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
    const before = lastToken()
    await abandon()
    await until(() => {
      collectGarbage()
      // Those of other tests may be given back only now.
      return releases.calls.filter((call) => call.arguments[1] > before).length === 100
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
