// `locks.semaphore(name, permits)`: weights, order, resizing, threads and their end.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { chainlock } = require('./helpers/package')
const { locks, freshName, failure } = require('./helpers/locks')
const { collectGarbage } = require('./helpers/figures')
const { startWorker, message } = require('./helpers/threads')
const { turn, until, gate, stateOf } = require('./helpers/waiting')

const { ChainlockError, DeadlockError } = chainlock
const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')

/** Who was granted, in order; `end(who)` gives back. */
function asking(semaphore) {
  const log = []
  const guards = new Map()
  const ask = (who, options) =>
    semaphore.acquire(options).then((guard) => {
      log.push(who)
      guards.set(who, guard)
    })
  const end = async (who) => {
    guards.get(who).release()
    await turn()
  }
  return { log, ask, end }
}

describe('permits', () => {
  test('as many at a time as there are', async () => {
    const semaphore = locks.semaphore(freshName(), 3)
    let inside = 0
    let most = 0
    const runs = Array.from({ length: 20 }, (_, index) =>
      semaphore.run(async () => {
        most = Math.max(most, ++inside)
        await turn()
        inside--
        return index
      }),
    )
    assert.deepEqual(await Promise.all(runs), runs.map((_, index) => index))
    assert.equal(most, 3)
    assert.deepEqual([semaphore.available, semaphore.waiting], [3, 0])
  })

  test('weights, and guards that tell theirs', async () => {
    const name = freshName()
    const semaphore = locks.semaphore(name, 5)
    const guard = await semaphore.acquire({ weight: 3, label: 'three' })
    assert.deepEqual([guard.name, guard.weight, guard.label, guard.released], [name, 3, 'three', false])
    assert.ok(Number.isSafeInteger(guard.token))
    assert.equal(guard.downgrade, undefined)
    assert.deepEqual([semaphore.permits, semaphore.available], [5, 2])
    const { kind, mode, permits, available, holders } = locks.getLockStatus().find((status) => status.name === name)
    assert.deepEqual([kind, mode, permits, available, holders.length], ['semaphore', null, 5, 2, 1])
    assert.equal('permits' in locks.getLockStatus(name), false, 'the lock of that name has none')
    assert.equal(semaphore.tryAcquire({ weight: 3 }), null)
    const rest = semaphore.tryAcquire({ weight: 2 })
    assert.equal(semaphore.available, 0)
    rest[DISPOSE]()
    assert.equal(guard.release(), true)
    assert.equal(guard.release(), false)
    assert.equal(semaphore.available, 5)
    await semaphore.run({ weight: 4 }, (inner) => assert.equal(inner.weight, 4))
  })

  test('first come, first served: a small request does not overtake a large one', async () => {
    const semaphore = locks.semaphore(freshName(), 2)
    const { log, ask, end } = asking(semaphore)
    ask('holder')
    ask('large', { weight: 2 })
    ask('small')
    await turn()
    assert.deepEqual(log, ['holder'])
    assert.equal(semaphore.waiting, 2)
    assert.equal(semaphore.tryAcquire(), null)
    await end('holder')
    assert.deepEqual(log, ['holder', 'large'])
    await end('large')
    assert.deepEqual(log, ['holder', 'large', 'small'])
    await end('small')
  })

  test('priority is the exception, also for what fits at once', async () => {
    const semaphore = locks.semaphore(freshName(), 2)
    const { log, ask, end } = asking(semaphore)
    ask('holder')
    ask('large', { weight: 2 })
    ask('low', { priority: -1 })
    ask('urgent', { priority: 1 })
    await turn()
    assert.deepEqual(log, ['holder', 'urgent'])
    ask('more urgent', { weight: 2, priority: 2 })
    await end('holder')
    await end('urgent')
    await end('more urgent')
    await end('large')
    assert.deepEqual(log, ['holder', 'urgent', 'more urgent', 'large', 'low'])
    await end('low')
  })

  test('a wait ends by timeout or signal, and lets those behind it through', async () => {
    const semaphore = locks.semaphore(freshName('busy'), 2)
    const holder = await semaphore.acquire({ label: 'the holder' })
    const late = failure(semaphore.acquire({ weight: 2, timeoutMs: 1, label: 'late' }))
    const small = semaphore.acquire()
    const error = await late
    assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
    assert.equal(error.position, 1)
    assert.match(error.message, /semaphore 'busy-.*'the holder'/)
    ;(await small).release()
    const controller = new AbortController()
    const aborted = failure(semaphore.acquire({ weight: 2, signal: controller.signal }))
    const next = semaphore.acquire()
    controller.abort(new Error('enough'))
    assert.equal((await aborted).message, 'enough')
    ;(await next).release()
    holder.release()
  })

  test('names of their own, apart from those of locks', async () => {
    const name = freshName()
    const semaphore = locks.semaphore(name, 1)
    const permit = await semaphore.acquire()
    const lock = locks.tryAcquire(name)
    assert.notEqual(lock, null)
    assert.equal(locks.semaphore(name).tryAcquire(), null)
    lock.release()
    permit.release()
  })
})

describe('opening', () => {
  test('without permits: as many as it has, or one', () => {
    const name = freshName()
    const four = locks.semaphore(name, 4)
    assert.equal(locks.semaphore(name).permits, 4)
    assert.equal(locks.semaphore(freshName()).permits, 1)
    assert.equal(four.name, name)
  })

  test('with other permits it is refused, whether held or not', async () => {
    const name = freshName('known')
    const semaphore = locks.semaphore(name, 4)
    const refused = { name: 'TypeError', code: 'ERR_LOCK_INVALID_ARGUMENT', message: /semaphore: the semaphore 'known-.* has other permits than 5/ }
    assert.throws(() => locks.semaphore(name, 5), refused)
    const guard = await semaphore.acquire()
    assert.throws(() => locks.semaphore(name, 5), refused)
    guard.release()
    semaphore.resize(5)
    assert.equal(locks.semaphore(name, 5).permits, 5)
  })

  test('wrong arguments name themselves', async () => {
    for (const permits of [0, -1, 1.5, NaN, Infinity, '3', null, 2 ** 32]) {
      assert.throws(() => locks.semaphore('x', permits), { name: 'TypeError', message: /^semaphore: permits must be an integer from 1/ })
    }
    for (const name of [undefined, null, 5, {}]) {
      assert.throws(() => locks.semaphore(name, 1), { message: /semaphore: name must be a string/ })
    }
    const semaphore = locks.semaphore(freshName(), 2)
    for (const permits of [-1, 0.5, undefined, '3']) {
      assert.throws(() => semaphore.resize(permits), { message: /resize: permits must be an integer from 0/ })
    }
    const wrong = [
      [{ weight: 0 }, /options\.weight must be an integer from 1/],
      [{ weight: '2' }, /options\.weight/],
      [{ mode: 'read' }, /unknown option 'mode'/],
      ['read', /options must be an object/],
    ]
    for (const [given, text] of wrong) {
      for (const call of [() => semaphore.acquire(given), () => semaphore.run(given, () => assert.fail('ran'))]) {
        const error = await failure(call())
        assert.ok(error instanceof TypeError && error instanceof ChainlockError)
        assert.match(error.message, text)
      }
      assert.throws(() => semaphore.tryAcquire(given), { name: 'TypeError', message: text })
    }
    assert.throws(() => semaphore.tryAcquire({ timeoutMs: 5 }), { message: /unknown option 'timeoutMs'/ })
    assert.match((await failure(semaphore.run(5))).message, /run: fn must be a function/)
    assert.equal(semaphore.available, 2)
  })
})

describe('resizing', () => {
  test('more permits let those in who wait', async () => {
    const semaphore = locks.semaphore(freshName(), 1)
    const { log, ask, end } = asking(semaphore)
    for (const [who, weight] of [['first', 1], ['second', 1], ['large', 3], ['last', 1]]) ask(who, { weight })
    semaphore.resize(2)
    await turn()
    assert.deepEqual(log, ['first', 'second'])
    semaphore.resize(5)
    await turn()
    assert.deepEqual(log, ['first', 'second', 'large'])
    for (const who of ['first', 'large', 'second', 'last']) await end(who)
    assert.equal(semaphore.available, 5)
  })

  test('fewer take nothing away, and let nobody in until there is room', async () => {
    const semaphore = locks.semaphore(freshName(), 3)
    const guards = [await semaphore.acquire(), await semaphore.acquire(), await semaphore.acquire()]
    semaphore.resize(1)
    assert.deepEqual([semaphore.permits, semaphore.available], [1, 0])
    assert.ok(guards.every((guard) => guard.check()))
    const waiting = semaphore.acquire()
    guards[0].release()
    guards[1].release()
    assert.equal(await stateOf(waiting), 'pending')
    guards[2].release()
    ;(await waiting).release()
    semaphore.resize(0)
    assert.equal(semaphore.tryAcquire(), null)
    const closed = semaphore.acquire()
    assert.equal(await stateOf(closed), 'pending')
    semaphore.resize(1)
    ;(await closed).release()
  })

  test('more than there are may be wanted: they may become more', async () => {
    const semaphore = locks.semaphore(freshName(), 1)
    const waiting = semaphore.acquire({ weight: 3 })
    assert.equal(semaphore.tryAcquire({ weight: 3 }), null)
    assert.equal(await stateOf(waiting), 'pending')
    semaphore.resize(3)
    ;(await waiting).release()
  })
})

describe('deadlocks', () => {
  test('permits that are wanted inside of all permits', async () => {
    const semaphore = locks.semaphore(freshName(), 2)
    const error = await failure(semaphore.run({ weight: 2 }, () => semaphore.acquire()))
    assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
    assert.equal(semaphore.available, 2)
  })

  test('two that each hold one and want the other’s', async () => {
    const semaphore = locks.semaphore(freshName(), 2)
    const { opened, open } = gate()
    let inside = 0
    const both = [1, 2].map(() =>
      semaphore.run(async () => {
        if (++inside === 2) open()
        await opened
        return semaphore.run(() => 'both')
      }),
    )
    const outcomes = await Promise.allSettled(both)
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    const { reason } = outcomes.find(({ status }) => status === 'rejected')
    assert.ok(reason instanceof DeadlockError)
    assert.equal(reason.cycle[0].heldBy.kind, 'semaphore')
  })

  test('no report while one holder will give back', async () => {
    const semaphore = locks.semaphore(freshName(), 2)
    const outside = await semaphore.acquire()
    const inside = semaphore.run(() => semaphore.run(() => 'inner'))
    assert.equal(await stateOf(inside), 'pending')
    outside.release()
    assert.equal(await inside, 'inner')
  })
})

describe('threads', () => {
  test('one semaphore for all of them', async () => {
    const name = freshName()
    const semaphore = locks.semaphore(name, 3)
    const counts = new Int32Array(new SharedArrayBuffer(8))
    const program = async ({ chainlock: { locks: theirs }, data, port }) => {
      const mine = theirs.semaphore(data.name)
      const cells = new Int32Array(data.memory)
      const one = async () => {
        for (let round = 0; round < 200; round++) {
          await mine.run(() => {
            const inside = Atomics.add(cells, 0, 1) + 1
            for (let most = Atomics.load(cells, 1); inside > most; most = Atomics.load(cells, 1)) {
              Atomics.compareExchange(cells, 1, most, inside)
            }
            Atomics.sub(cells, 0, 1)
          })
        }
      }
      await Promise.all([one(), one(), one(), one()])
      port.postMessage(mine.permits)
    }
    const workers = [1, 2, 3].map(() => startWorker(program, { name, memory: counts.buffer }))
    const permits = await Promise.all(workers.map(message))
    assert.deepEqual(permits, [3, 3, 3])
    assert.ok(counts[1] >= 1 && counts[1] <= 3, `${counts[1]} at a time`)
    assert.equal(counts[0], 0)
    assert.deepEqual([semaphore.available, semaphore.waiting], [3, 0])
  })

  test('the permits of a thread that ends come back, and its waiters leave', async () => {
    const semaphore = locks.semaphore(freshName(), 3)
    const program = ({ chainlock: { locks: theirs }, data, port }) => {
      const mine = theirs.semaphore(data)
      mine.acquire({ weight: 2 }).then(() => {
        mine.acquire({ weight: 3, timeoutMs: Infinity })
        port.postMessage('holds and waits')
      })
    }
    const worker = startWorker(program, semaphore.name)
    await message(worker)
    assert.deepEqual([semaphore.available, semaphore.waiting], [1, 1])
    const waiting = semaphore.acquire({ weight: 2 })
    assert.equal(await stateOf(waiting), 'pending')
    await worker.terminate()
    ;(await waiting).release()
    await until(() => semaphore.available === 3 && semaphore.waiting === 0)
    assert.equal(semaphore.getStatistics().modes.shared.deaths, 2)
  })
})

describe('looking', () => {
  test('statistics, and the status of what is held', async () => {
    const name = freshName()
    const semaphore = locks.semaphore(name, 2)
    const guard = await semaphore.acquire({ weight: 2, label: 'both' })
    await failure(semaphore.acquire({ timeoutMs: 1 }))
    const status = locks.getLockStatus().find((each) => each.name === name && each.kind === 'semaphore')
    assert.equal(status.holders[0].label, 'both')
    assert.equal(status.holders[0].weight, 2)
    guard.release()
    await semaphore.run(() => {})
    await failure(semaphore.run(() => { throw new Error('thrown') }))
    const { kind, modes } = semaphore.getStatistics()
    assert.equal(kind, 'semaphore')
    const { acquisitions, releases, timeouts, errors, contended } = modes.shared
    assert.deepEqual({ acquisitions, releases, timeouts, errors, contended }, { acquisitions: 3, releases: 3, timeouts: 1, errors: 1, contended: 1 })
    assert.equal(modes.exclusive.acquisitions, 0)
  })

  test('a guard that is garbage-collected while it holds is reported and released', async () => {
    const name = freshName('collected')
    const semaphore = locks.semaphore(name, 1)
    const warned = once(process, 'warning')
    const take = async () => void (await semaphore.acquire({ label: 'the forgetful' }))
    await take()
    await until(() => {
      collectGarbage()
      return semaphore.available === 1
    })
    const [warning] = await warned
    assert.equal(warning.code, 'CHAINLOCK_GUARD_COLLECTED')
    assert.match(warning.message, /collected-.*the forgetful/)
  })
})
