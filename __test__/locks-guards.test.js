// Guards of named locks: release, disposal, downgrade and upgrade, steal and force release, and how a holder
// learns that its hold is gone.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, failure, requests } = require('./helpers/locks')
const { turn, stateOf, until, block } = require('./helpers/waiting')
const { chainlock } = require('./helpers/package')
const { startWorker, message, exited } = require('./helpers/threads')

const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')
const steal = (name, callback = () => {}) => locks.request(name, { steal: true }, callback)

describe('release', () => {
  test('is idempotent and never throws, and ends only its own hold', async () => {
    const name = freshName()
    const first = await locks.acquire(name)
    const { release } = first
    assert.equal(first.release(), true)
    const second = await locks.acquire(name)
    for (const rubbish of [undefined, null, 1, {}, 'x']) assert.equal(first.release(rubbish), false)
    assert.equal(second.check(), true)
    assert.equal(typeof release, 'function')
    assert.equal(second.release(), true)
  })

  test('of one reader leaves the others in', async () => {
    const name = freshName()
    const [one, two] = [locks.tryAcquire(name, { mode: 'shared' }), locks.tryAcquire(name, { mode: 'shared' })]
    one.release()
    one.release()
    assert.equal(two.check(), true)
    assert.equal(locks.tryAcquire(name), null)
    two.release()
    locks.tryAcquire(name).release()
  })

  test('by dispose and by asyncDispose', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    guard[DISPOSE]()
    assert.equal(guard.released, true)
    const next = locks.tryAcquire(name)
    await next[ASYNC_DISPOSE]()
    assert.equal(next.released, true)
    next[DISPOSE]()
    assert.equal(standing(name).holders, 0)
  })

  test('may be done by whoever has the guard, in any order', async () => {
    const names = Array.from({ length: 50 }, () => freshName())
    const guards = await Promise.all(names.map((name) => locks.acquire(name)))
    for (const index of [...guards.keys()].sort((a, b) => (a * 17) % 50 - (b * 17) % 50)) {
      assert.equal(guards[index].release(), true)
      for (const guard of guards) assert.equal(guard.check(), !guard.released)
    }
    for (const name of names) assert.equal(standing(name).holders, 0)
  })
})

describe('downgrade', () => {
  test('lets the readers that wait in, and keeps the writers out', async () => {
    const name = freshName()
    const line = requests(name)
    const guard = locks.tryAcquire(name)
    const { token } = guard
    line.ask('r1', { mode: 'shared' })
    line.ask('r2', { mode: 'shared' })
    line.ask('w')
    line.ask('r3', { mode: 'shared' })
    await turn()
    assert.equal(guard.downgrade(), true)
    assert.equal(guard.mode, 'shared')
    assert.equal(guard.token, token)
    await turn()
    assert.deepEqual(line.log, ['r1', 'r2'])
    await line.end('r1', 'r2')
    assert.deepEqual(line.log, ['r1', 'r2'], 'the writer waits for the downgraded hold')
    guard.release()
    await line.endAll()
    assert.deepEqual(line.log, ['r1', 'r2', 'w', 'r3'])
  })

  test('of a shared, released or stolen hold answers false', async () => {
    const name = freshName()
    const shared = locks.tryAcquire(name, { mode: 'shared' })
    assert.equal(shared.downgrade(), false)
    shared.release()
    assert.equal(shared.downgrade(), false)
    const stolen = locks.tryAcquire(name)
    await steal(name)
    assert.equal(stolen.downgrade(), false)
    const once = locks.tryAcquire(name)
    assert.equal(once.downgrade(), true)
    assert.equal(once.downgrade(), false)
    once.release()
  })
})

describe('upgrade', () => {
  test('of the only reader is done at once', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name, { mode: 'shared' })
    const { token } = guard
    assert.equal(guard.tryUpgrade(), true)
    assert.equal(guard.mode, 'exclusive')
    assert.equal(guard.token, token)
    assert.equal(locks.tryAcquire(name, { mode: 'shared' }), null)
    assert.equal(guard.downgrade(), true)
    await guard.upgrade()
    assert.equal(guard.mode, 'exclusive')
    assert.equal(guard.release(), true)
    assert.equal(standing(name).holders, 0)
  })

  test('of one of two readers fails when it may not wait, and changes nothing', async () => {
    const name = freshName()
    const [one, two] = [locks.tryAcquire(name, { mode: 'shared' }), locks.tryAcquire(name, { mode: 'shared' })]
    assert.equal(one.tryUpgrade(), false)
    assert.equal(one.mode, 'shared')
    assert.equal((await failure(one.upgrade({ timeoutMs: 0 }))).code, 'ERR_LOCK_TIMEOUT')
    assert.equal((await failure(one.upgrade({ timeoutMs: 5 }))).code, 'ERR_LOCK_TIMEOUT')
    assert.deepEqual([one.check(), two.check(), one.mode], [true, true, 'shared'])
    assert.equal(standing(name).waiters, 0)
    two.release()
    assert.equal(one.tryUpgrade(), true)
    one.release()
  })

  test('waits for the other readers, goes before every writer in line, and newcomers stay out', async () => {
    const name = freshName()
    const [one, two] = [locks.tryAcquire(name, { mode: 'shared' }), locks.tryAcquire(name, { mode: 'shared' })]
    const line = requests(name)
    line.ask('w', { priority: 1_000 })
    const upgraded = one.upgrade()
    line.ask('r', { mode: 'shared', priority: 1_000 })
    assert.equal(await stateOf(upgraded), 'pending')
    two.release()
    await upgraded
    assert.equal(one.mode, 'exclusive')
    assert.deepEqual(line.log, [])
    assert.equal(standing(name).holders, 1)
    one.release()
    assert.deepEqual(await line.endAll(), ['w', 'r'])
  })

  test('can be aborted, and then is a reader as before', async () => {
    const name = freshName()
    const [one, two] = [locks.tryAcquire(name, { mode: 'shared' }), locks.tryAcquire(name, { mode: 'shared' })]
    const controller = new AbortController()
    const upgraded = failure(one.upgrade({ signal: controller.signal }))
    const behind = locks.acquire(name, { mode: 'shared' })
    assert.equal(await stateOf(behind), 'pending')
    controller.abort('no more')
    assert.equal(await upgraded, 'no more')
    ;(await behind).release()
    assert.equal(one.mode, 'shared')
    assert.deepEqual([one.release(), two.release()], [true, true])
  })

  test('of two readers at once: the second is refused at once, the first goes on', async () => {
    const name = freshName()
    const [one, two] = [locks.tryAcquire(name, { mode: 'shared', label: 'one' }), locks.tryAcquire(name, { mode: 'shared', label: 'two' })]
    const first = one.upgrade()
    const error = await failure(two.upgrade())
    assert.ok(error instanceof chainlock.DeadlockError)
    assert.equal(error.code, 'ERR_LOCK_DEADLOCK')
    assert.ok(error.report.includes('one') && error.report.includes('two'), error.report)
    assert.equal(await stateOf(first), 'pending')
    assert.equal(two.mode, 'shared')
    assert.equal(two.release(), true)
    await first
    one.release()
  })

  test('of an exclusive hold is done already; of a released one fails', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    assert.equal(guard.tryUpgrade(), true)
    await guard.upgrade()
    guard.release()
    assert.equal(guard.tryUpgrade(), false)
    assert.equal((await failure(guard.upgrade())).code, 'ERR_LOCK_LOST')
  })

  test('whose hold is released, stolen or forced away while it waits ends with ERR_LOCK_LOST', async () => {
    for (const end of [(guard) => guard.release(), (_, name) => locks.forceRelease(name), (_, name) => steal(name)]) {
      const name = freshName()
      const [one, two] = [locks.tryAcquire(name, { mode: 'shared' }), locks.tryAcquire(name, { mode: 'shared' })]
      const upgraded = failure(one.upgrade())
      await turn()
      end(one, name)
      assert.equal((await upgraded).code, 'ERR_LOCK_LOST')
      two.release()
      await until(() => standing(name).holders + standing(name).waiters === 0)
      locks.tryAcquire(name).release()
    }
  })
})

describe('a steal', () => {
  test('takes the lock from its holder at once, and the holder learns of it', async () => {
    const name = freshName('prey')
    const victim = await locks.acquire(name, { label: 'victim' })
    const { signal } = victim
    let told
    signal.addEventListener('abort', () => (told = signal.reason))
    await steal(name, (lock) => {
      assert.equal(lock.name, name)
      assert.equal(lock.mode, 'exclusive')
      assert.equal(victim.check(), false)
      assert.equal(locks.tryAcquire(name), null)
    })
    await until(() => told)
    assert.ok(told instanceof chainlock.ChainlockError)
    assert.equal(told.code, 'ERR_LOCK_LOST')
    assert.ok(told.message.includes(name))
    assert.equal(victim.released, true)
    assert.throws(() => victim.assertHeld(), { code: 'ERR_LOCK_LOST' })
    assert.equal(victim.release(), false)
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('takes it from every reader, goes before all who wait, and they stay in line', async () => {
    const name = freshName()
    const readers = Array.from({ length: 5 }, () => locks.tryAcquire(name, { mode: 'shared' }))
    const line = requests(name)
    line.ask('w', { priority: 1_000 })
    await steal(name, async () => {
      assert.ok(readers.every((reader) => !reader.check()))
      await turn()
      assert.deepEqual(line.log, [])
    })
    await turn()
    assert.deepEqual(line.log, ['w'])
    await line.end('w')
  })

  test('signal.aborted is true for whoever looks only afterwards', async () => {
    const name = freshName()
    const victim = locks.tryAcquire(name)
    await steal(name)
    assert.equal(victim.signal.aborted, true)
    assert.equal(victim.signal.reason.code, 'ERR_LOCK_LOST')
  })

  test('of a thief takes from the thief; old guards and tokens stay worthless', async () => {
    const name = freshName()
    const victim = locks.tryAcquire(name)
    const first = failure(steal(name, () => new Promise(() => {})))
    await turn()
    let answer
    const second = steal(name, () => new Promise((resolve) => (answer = resolve)))
    assert.equal((await first).name, 'AbortError')
    assert.equal(victim.release(), false)
    assert.equal(standing(name).holders, 1)
    answer('done')
    assert.equal(await second, 'done')
  })

  test('takes it from another thread, and that thread hears of it', async () => {
    const name = freshName()
    const worker = startWorker(async ({ chainlock, port, data }) => {
      const keepAlive = setInterval(() => {}, 1_000)
      const guard = await chainlock.locks.acquire(data)
      guard.signal.addEventListener('abort', () => {
        port.postMessage([guard.signal.reason.code, guard.check(), guard.release()])
        clearInterval(keepAlive)
      })
      port.postMessage('held')
    }, name)
    await message(worker)
    const told = message(worker)
    await steal(name, () => {})
    assert.deepEqual(await told, ['ERR_LOCK_LOST', false, false])
  })

  test('inside withLock: the function goes on, what it held is gone, and the next is not disturbed', async () => {
    const name = freshName()
    let goOn
    const victim = locks.withLock(name, async (guard) => {
      await new Promise((resolve) => (goOn = resolve))
      return [guard.check(), guard.signal.aborted]
    })
    await turn()
    await steal(name)
    const next = await locks.acquire(name)
    goOn()
    await victim.then((seen) => assert.deepEqual(seen, [false, true]), (error) => assert.equal(error.code, 'ERR_LOCK_LOST'))
    assert.equal(next.check(), true)
    next.release()
  })
})

describe('forceRelease', () => {
  test('ends every hold, answers how many, and serves the next in line', async () => {
    const name = freshName()
    assert.equal(locks.forceRelease(name), 0)
    const readers = Array.from({ length: 3 }, () => locks.tryAcquire(name, { mode: 'shared' }))
    const line = requests(name)
    line.ask('w1')
    line.ask('w2')
    assert.equal(locks.forceRelease(name, 'stuck for an hour'), 3)
    await turn()
    assert.deepEqual(line.log, ['w1'])
    for (const reader of readers) {
      assert.equal(reader.signal.aborted, true)
      assert.equal(reader.signal.reason.code, 'ERR_LOCK_LOST')
      assert.match(reader.signal.reason.message, /stuck for an hour/)
      assert.equal(reader.release(), false)
    }
    await line.endAll()
  })

  test('of a holder in a blocked thread takes effect at once', async () => {
    const name = freshName()
    const gate = new Int32Array(new SharedArrayBuffer(4))
    const worker = startWorker(({ chainlock, port, data: { name, gate } }) => {
      const guard = chainlock.locks.tryAcquire(name)
      port.postMessage('held')
      // Blocked until the test lets it go: its loop cannot help.
      Atomics.wait(gate, 0, 0)
      port.postMessage([guard.check(), guard.release()])
    }, { name, gate })
    await message(worker)
    await turn()
    assert.equal(locks.forceRelease(name), 1)
    const mine = locks.tryAcquire(name)
    assert.ok(mine)
    const told = message(worker)
    Atomics.store(gate, 0, 1)
    Atomics.notify(gate, 0)
    assert.deepEqual(await told, [false, false])
    assert.equal(mine.release(), true)
  })
})

describe('check', () => {
  test('tells of a loss in the first instruction after a blocked loop', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const worker = startWorker(({ chainlock, data }) => chainlock.locks.forceRelease(data), name)
    while (guard.check()) block(1)
    assert.equal(guard.check(), false)
    assert.equal(guard.released, true)
    await exited(worker)
  })
})
