// The sync forms of host locks: they stand still until they have the lock, on the main thread and in workers.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock, hostLock, freshName, inLine, startOther } = require('./helpers/host')
const { failure } = require('./helpers/locks')
const { startWorker, runWorker, message, exited } = require('./helpers/threads')
const { until, turn } = require('./helpers/waiting')

const { DeadlockError, ChainlockError } = chainlock

let other
before(() => (other = startOther()))
after(() => other.end())

/** What a call throws. */
function thrown(fn) {
  try {
    fn()
  } catch (error) {
    return error
  }
  throw new Error('it did not throw')
}

describe('acquireSync', () => {
  test('takes a free lock on the main thread, and in a worker', async () => {
    const name = freshName()
    const guard = hostLock(name).acquireSync({ label: 'sync', mode: 'shared' })
    assert.deepEqual([guard.mode, guard.label, guard.check()], ['shared', 'sync', true])
    guard.release()
    const [token] = await runWorker(({ chainlock, port, data }) => {
      const guard = chainlock.hostLock(data).acquireSync()
      port.postMessage(guard.token)
      guard.release()
    }, name)
    assert.ok(token > guard.token)
    assert.deepEqual(inLine(hostLock(name)), { holders: 0, waiters: 0 })
  })

  test('waits for another process, standing still', async () => {
    const name = freshName()
    await other.run(async ({ chainlock, kept }, name) => {
      const guard = await chainlock.hostLock(name).acquire()
      // Gives it back when somebody waits for the kernel.
      const look = () => (chainlock.hostLock(name).status().waiters > 0 ? guard.release() : setTimeout(look, 1))
      look()
    }, name)
    const guard = hostLock(name).acquireSync()
    assert.equal(guard.check(), true)
    guard.release()
  })

  test('waits for another thread of its process', async () => {
    const name = freshName()
    const lock = hostLock(name)
    const worker = startWorker(async ({ chainlock, port, data }) => {
      const lock = chainlock.hostLock(data)
      const guard = await lock.acquire()
      port.postMessage('held')
      const look = () => {
        const { waiters } = chainlock.locks.getLockStatus(`-host:${lock.path}`)
        if (waiters.length > 0) guard.release()
        else setTimeout(look, 1)
      }
      look()
    }, name)
    assert.equal(await message(worker), 'held')
    const guard = lock.acquireSync()
    assert.equal(guard.check(), true)
    guard.release()
    await exited(worker)
  })

  test('times out, and says who holds', async () => {
    const name = freshName()
    const lock = hostLock(name)
    await other.acquire(name, { label: 'the other one' })
    for (const timeoutMs of [0, 30]) {
      const error = thrown(() => lock.acquireSync({ timeoutMs }))
      assert.ok(error instanceof ChainlockError)
      assert.deepEqual([error.code, error.holders[0].label, error.holders[0].pid], ['ERR_LOCK_TIMEOUT', 'the other one', other.pid])
      assert.ok(error.waitedMs >= timeoutMs - 1)
    }
    const [code] = await runWorker(({ chainlock, port, data }) => {
      try {
        chainlock.hostLock(data).acquireSync({ timeoutMs: 20 })
      } catch (error) {
        port.postMessage(error.code)
      }
    }, name)
    assert.equal(code, 'ERR_LOCK_TIMEOUT')
    await other.release(name)
    lock.acquireSync().release()
  })

  test('is told that the holder before it died', async () => {
    const name = freshName()
    const victim = startOther()
    await victim.acquire(name)
    await victim.kill()
    const guard = hostLock(name).acquireSync()
    assert.equal(guard.previousHolderDied.pid, victim.pid)
    guard.release()
  })

  test('of what this very thread holds is a deadlock, at once', async () => {
    const lock = hostLock(freshName())
    const guard = lock.tryAcquire()
    for (const call of [() => lock.acquireSync({ timeoutMs: Infinity }), () => hostLock(lock.path).withLockSync(() => {})]) {
      const error = thrown(call)
      assert.ok(error instanceof DeadlockError, String(error))
      assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
      assert.match(error.message, /^host lock '.*: this very thread holds it, and would stand still$/)
    }
    guard.release()
    lock.acquireSync().release()
  })

  test('of what this thread is about to get from another process is a deadlock, at once', async () => {
    const name = freshName()
    const lock = hostLock(name)
    await other.acquire(name)
    const waiting = lock.acquire()
    const error = thrown(() => lock.acquireSync({ timeoutMs: Infinity }))
    assert.ok(error instanceof DeadlockError)
    assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
    assert.match(error.message, /this very thread has asked for it already, by acquire\(\) or withLock\(\)/)
    await other.release(name)
    ;(await waiting).release()
  })

  test('in the line of its process is part of circles over several processes', async () => {
    const [s, x] = [hostLock(freshName('s')), hostLock(freshName('x'))]
    await other.run(({ chainlock, kept }, [outer, inner]) => {
      const asks = new Promise((resolve) => kept.set('ask', resolve))
      const wants = () => chainlock.hostLock(inner).withLock({ timeoutMs: Infinity }, () => 'worked')
      kept.set('outcome', chainlock.hostLock(outer).withLock({ label: 'theirs' }, () => asks.then(wants)).catch(({ code }) => code))
    }, [x.name, s.name])
    await until(() => x.status().holders.length === 1, 'the other one has x')
    // Before us in the line, waiting for the kernel.
    const worker = startWorker(async ({ chainlock, data }) => (await chainlock.hostLock(data).acquire({ timeoutMs: Infinity })).release(), x.name)
    await until(() => inLine(x).holders === 1, 'the worker is first in line')
    const guard = s.acquireSync({ label: 'ours' })
    await other.run(({ kept }) => kept.get('ask')())
    await until(() => s.status().waiters > 0, 'the other one waits for s')
    const error = thrown(() => x.acquireSync({ timeoutMs: 20_000, label: 'asking' }))
    guard.release()
    assert.deepEqual([error.code, error.cycle?.length], ['ERR_LOCK_DEADLOCK', 2], error.message)
    const labels = error.cycle.map(({ request, heldBy }) => [request.label, heldBy.label])
    assert.deepEqual(labels, [['asking', 'theirs'], ['theirs', 'ours']])
    assert.equal(await other.run(({ kept }) => kept.get('outcome')), 'worked')
    await exited(worker)
    for (const lock of [s, x]) assert.deepEqual(inLine(lock), { holders: 0, waiters: 0 })
    x.acquireSync().release()
  })

  test('in the line of its process gets what is given back meanwhile, inside of another hold', async () => {
    const [outer, lock] = [hostLock(freshName('outer')), hostLock(freshName())]
    const worker = startWorker(async ({ chainlock, port, data }) => {
      const lock = chainlock.hostLock(data)
      const guard = await lock.acquire()
      port.postMessage('held')
      const look = () => {
        const { waiters } = chainlock.locks.getLockStatus(`-host:${lock.path}`)
        if (waiters.length > 0) guard.release()
        else setTimeout(look, 1)
      }
      look()
    }, lock.name)
    assert.equal(await message(worker), 'held')
    outer.withLockSync(() => lock.withLockSync((guard) => assert.equal(guard.check(), true)))
    assert.equal(outer.status().waiters, 0)
    assert.deepEqual([inLine(outer), inLine(lock)], [{ holders: 0, waiters: 0 }, { holders: 0, waiters: 0 }])
    await exited(worker)
  })
})

describe('withLockSync', () => {
  test('runs its function under the lock and gives it back, however that ends', () => {
    const lock = hostLock(freshName())
    assert.equal(lock.withLockSync((guard) => guard.check() && lock.tryAcquire() === null), true)
    assert.equal(lock.withLockSync({ mode: 'shared', label: 'l' }, (guard) => `${guard.mode} ${guard.label}`), 'shared l')
    const error = new Error('mine')
    assert.equal(thrown(() => lock.withLockSync(() => { throw error })), error)
    assert.equal(lock.withLockSync((guard) => guard.release()), true)
    assert.deepEqual(inLine(lock), { holders: 0, waiters: 0 })
  })

  test('does not take a function that goes on without it', async () => {
    const lock = hostLock(freshName())
    assert.throws(() => lock.withLockSync(async () => turn()), { name: 'TypeError', code: 'ERR_LOCK_INVALID_ARGUMENT', message: /withLock\(\)/ })
    lock.tryAcquire().release()
  })

  test('does not leave alone what such a function promised: its failure does not end the process', async () => {
    const unhandled = []
    const listener = (reason) => unhandled.push(reason)
    process.on('unhandledRejection', listener)
    try {
      const lock = hostLock(freshName())
      const fail = async () => {
        throw new Error('nobody hears it')
      }
      assert.equal(thrown(() => lock.withLockSync(fail)).code, 'ERR_LOCK_INVALID_ARGUMENT')
      await turn()
      await turn()
    } finally {
      process.off('unhandledRejection', listener)
    }
    assert.deepEqual(unhandled, [])
  })

  test('is a hold around what is asked for inside', async () => {
    const [outer, inner] = [hostLock(freshName()), hostLock(freshName())]
    outer.withLockSync(() => {
      inner.withLockSync(() => {
        assert.equal(outer.tryAcquire(), null)
        assert.ok(thrown(() => outer.acquireSync()) instanceof DeadlockError)
      })
    })
    const guard = inner.tryAcquire()
    const error = await outer.withLockSync(() => ({ promise: failure(outer.acquire({ timeoutMs: Infinity })) })).promise
    assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
    guard.release()
  })

  test('keeps a counter in a file exact, over processes that stand still', async (t) => {
    const { writeFileSync, readFileSync } = require('node:fs')
    const [name, ROUNDS] = [freshName(), 200]
    const file = `${hostLock(name).path}.count`
    writeFileSync(file, '0')
    const count = ({ chainlock }, name, file, rounds) => {
      const fs = require('node:fs')
      for (let round = 0; round < rounds; round++) {
        chainlock.hostLock(name).withLockSync({ timeoutMs: Infinity }, () => {
          fs.writeFileSync(file, String(Number(fs.readFileSync(file, 'utf8')) + 1))
        })
      }
    }
    const third = startOther()
    const [started, others] = [performance.now(), [other, third].map((each) => each.run(count, name, file, ROUNDS))]
    const worker = runWorker(({ chainlock, data: { source, args } }) => new Function('require', `return (${source})`)(require)({ chainlock }, ...args), { source: String(count), args: [name, file, ROUNDS] })
    await until(() => Number(readFileSync(file, 'utf8')) > 0, 'they have begun')
    count({ chainlock }, name, file, ROUNDS)
    await Promise.all([...others, worker])
    t.diagnostic(`${4 * ROUNDS} grants in ${(performance.now() - started).toFixed(0)} ms`)
    assert.equal(readFileSync(file, 'utf8'), String(4 * ROUNDS))
    await third.end()
  })
})
