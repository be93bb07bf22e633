// acquireSync: worker threads wait for a lock standing still, without hanging the process, its other threads or
// whoever terminates them.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { startWorker, message, runWorker, exited } = require('./helpers/threads')
const { until, turn } = require('./helpers/waiting')
const { chainlock } = require('./helpers/package')

let keepAlive
before(() => (keepAlive = setInterval(() => {}, 1_000)))
after(() => clearInterval(keepAlive))

/** A worker that asks with acquireSync and tells what came of it. */
function asks({ chainlock, port, data: { name, options } }) {
  let told
  try {
    const guard = chainlock.locks.acquireSync(name, options)
    told = { name: guard.name, mode: guard.mode, label: guard.label, token: guard.token, check: guard.check(), released: guard.release() }
  } catch (error) {
    const { code, message: text, position, waitedMs, holders, report } = error
    told = { code, text, position, waitedMs, holders, report, isDeadlock: error instanceof chainlock.DeadlockError }
  }
  port.postMessage(told)
}

const asked = async (name, options) => (await runWorker(asks, { name, options }))[0]

describe('acquireSync', () => {
  test('on the main thread is refused: it must not stand still', () => {
    const name = freshName()
    assert.throws(() => locks.acquireSync(name), { code: 'ERR_LOCK_MAIN_THREAD' })
    assert.throws(() => locks.acquireSync(name, { timeoutMs: 0 }), (error) => error instanceof chainlock.ChainlockError)
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('takes a free lock, in each mode', async () => {
    const name = freshName()
    assert.deepEqual({ ...(await asked(name)), token: 0 }, { name, mode: 'exclusive', label: null, token: 0, check: true, released: true })
    const reader = locks.tryAcquire(name, { mode: 'shared' })
    const { mode, label, token } = await asked(name, { mode: 'read', label: 'sync reader' })
    assert.deepEqual([mode, label], ['shared', 'sync reader'])
    assert.ok(token > reader.token)
    reader.release()
  })

  test('waits in the one line, first come, first served', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const first = locks.acquire(name)
    const worker = startWorker(asks, { name, options: { timeoutMs: Infinity } })
    const told = message(worker)
    await until(() => standing(name).waiters === 2, 'the worker is in line')
    const third = locks.acquire(name)
    guard.release()
    const tokens = [(await first).token]
    ;(await first).release()
    tokens.push((await told).token)
    tokens.push((await third).token)
    ;(await third).release()
    assert.deepEqual(tokens, [...tokens].sort((a, b) => a - b))
  })

  test('times out with who holds; of 0 does not wait', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name, { label: 'main program' })
    for (const timeoutMs of [0, 20]) {
      const told = await asked(name, { timeoutMs })
      assert.equal(told.code, 'ERR_LOCK_TIMEOUT')
      assert.equal(told.holders[0].label, 'main program')
      assert.equal(told.holders[0].token, guard.token)
      assert.ok(told.waitedMs >= timeoutMs - 1)
      assert.match(told.text, /main program/)
    }
    assert.deepEqual(standing(name), { holders: 1, waiters: 0 })
    guard.release()
  })

  test('hands over between threads that stand still: a counter is exact', async (t) => {
    const name = freshName()
    const [WORKERS, ROUNDS] = [4, 2_000]
    const cells = new Int32Array(new SharedArrayBuffer(4))
    const started = performance.now()
    await Promise.all(Array.from({ length: WORKERS }, () => runWorker(({ chainlock, data: { name, cells, rounds } }) => {
      for (let round = 0; round < rounds; round++) {
        const guard = chainlock.locks.acquireSync(name, { timeoutMs: Infinity })
        cells[0]++
        guard.release()
      }
    }, { name, cells, rounds: ROUNDS })))
    t.diagnostic(`${WORKERS * ROUNDS} grants in ${(performance.now() - started).toFixed(0)} ms`)
    assert.equal(cells[0], WORKERS * ROUNDS)
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('leaves what else its thread was told for the loop', async () => {
    const [name, other] = [freshName(), freshName()]
    const [guard, second] = [locks.tryAcquire(name), locks.tryAcquire(other)]
    const worker = startWorker(async ({ chainlock, port, data: [name, other] }) => {
      const waiting = chainlock.locks.acquire(other)
      port.postMessage('asked')
      const mine = chainlock.locks.acquireSync(name, { timeoutMs: Infinity })
      port.postMessage('had the lock')
      mine.release()
      const guard = await waiting
      port.postMessage(guard.release())
    }, [name, other])
    const told = []
    worker.on('message', (value) => told.push(value))
    await until(() => standing(name).waiters === 1, 'it stands still')
    second.release()
    await turn()
    guard.release()
    await exited(worker)
    assert.deepEqual(told, ['asked', 'had the lock', true])
  })

  test('bad input throws in the caller, as of acquire', async () => {
    const wrong = await runWorker(({ chainlock, port }) => {
      const { signal } = new AbortController()
      const tries = [[5], ...[{ mode: 'both' }, { timeoutMs: NaN }, { signal }, { priority: 0.5 }, null].map((options) => ['x', options])]
      for (const args of tries) {
        try {
          port.postMessage(typeof chainlock.locks.acquireSync(...args))
        } catch (error) {
          port.postMessage(`${error instanceof TypeError} ${error.code}`)
        }
      }
    })
    const [INVALID, UNKNOWN] = ['true ERR_LOCK_INVALID_ARGUMENT', 'true ERR_LOCK_UNKNOWN_OPTION']
    assert.deepEqual(wrong, [INVALID, INVALID, INVALID, UNKNOWN, INVALID, INVALID])
  })
})

describe('a thread that stands still', () => {
  test('can be terminated: it leaves the line, and those behind it are served', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const worker = startWorker(asks, { name, options: { timeoutMs: Infinity } })
    await until(() => standing(name).waiters === 1, 'it stands in line')
    const behind = locks.acquire(name)
    await worker.terminate()
    await until(() => standing(name).waiters === 1, 'its place is empty')
    guard.release()
    ;(await behind).release()
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('is terminated at random points of taking and giving back, many times', async (t) => {
    const name = freshName()
    let killed = 0
    for (let round = 0; round < 15; round++) {
      const workers = Array.from({ length: 2 }, () => startWorker(({ chainlock, data }) => {
        for (;;) chainlock.locks.acquireSync(data, { timeoutMs: Infinity }).release()
      }, name))
      await Promise.all(workers.map((worker) => once(worker, 'online')))
      for (let turns = Math.floor(Math.random() * 50); turns > 0; turns--) await turn()
      for (const worker of workers) {
        await worker.terminate()
        killed++
      }
      ;(await locks.acquire(name, { timeoutMs: 60_000 })).release()
    }
    t.diagnostic(`${killed} terminated`)
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('that waits for what it holds itself is told so at once', async () => {
    const name = freshName()
    const [told] = await runWorker(({ chainlock, port, data: name }) => {
      const guard = chainlock.locks.tryAcquire(name, { label: 'my own' })
      try {
        chainlock.locks.acquireSync(name, { timeoutMs: Infinity })
      } catch (error) {
        port.postMessage({ code: error.code, report: error.report, released: guard.release() })
      }
    }, name)
    assert.equal(told.code, 'ERR_LOCK_SELF_DEADLOCK')
    assert.match(told.report, /my own/)
    assert.equal(told.released, true)
  })

  test('in a circle with another, both without callbacks, is found: one is refused, the other goes on', async () => {
    const [a, b] = [freshName('still'), freshName('still')]
    const meeting = new Int32Array(new SharedArrayBuffer(4))
    const program = ({ chainlock, port, data: { first, second, meeting } }) => {
      const guard = chainlock.locks.acquireSync(first)
      Atomics.add(meeting, 0, 1)
      Atomics.notify(meeting, 0)
      while (Atomics.load(meeting, 0) < 2) Atomics.wait(meeting, 0, 1, 10)
      try {
        const other = chainlock.locks.acquireSync(second, { timeoutMs: Infinity })
        other.release()
        port.postMessage('had both')
      } catch (error) {
        port.postMessage(error.code)
      }
      guard.release()
    }
    const ends = await Promise.all([[a, b], [b, a]].map(([first, second]) => runWorker(program, { first, second, meeting })))
    assert.deepEqual(ends.flat().sort(), ['ERR_LOCK_DEADLOCK', 'had both'])
  })

  test('in a circle with the callback of another thread is found', async () => {
    const [mine, its] = [freshName('mine'), freshName('its')]
    const worker = startWorker(({ chainlock, port, data: { mine, its } }) => {
      const guard = chainlock.locks.tryAcquire(its)
      port.postMessage('holds')
      try {
        chainlock.locks.acquireSync(mine, { timeoutMs: Infinity }).release()
        port.postMessage('had it')
      } catch (error) {
        port.postMessage(error.code)
      }
      guard.release()
    }, { mine, its })
    await locks.withLock(mine, async () => {
      await message(worker)
      const end = message(worker)
      await until(() => standing(mine).waiters === 1, 'it stands still')
      const error = await failure(locks.withLock(its, { timeoutMs: Infinity }, () => {}))
      assert.equal(error.code, 'ERR_LOCK_DEADLOCK')
      return { end }
    }).then(async ({ end }) => assert.equal(await end, 'had it'))
  })
})
