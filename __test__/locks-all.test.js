// acquireAll and withAll: several locks at once, all or none, whatever the order in which they are named.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, stateOf } = require('./helpers/waiting')
const { random } = require('./helpers/figures')
const { runWorker } = require('./helpers/threads')

const someNames = (count) => Array.from({ length: count }, () => freshName())
const free = (names) => names.every((name) => standing(name).holders + standing(name).waiters === 0)

describe('acquireAll', () => {
  test('holds all of them with one guard, and gives all back', async () => {
    const names = someNames(5)
    const guard = await locks.acquireAll(names, { label: 'all' })
    assert.deepEqual([...guard.names].sort(), [...names].sort())
    for (const name of names) {
      assert.equal(standing(name).holders, 1)
      assert.equal(locks.tryAcquire(name), null)
    }
    assert.equal(guard.release(), true)
    assert.equal(guard.release(), false)
    assert.ok(free(names))
  })

  test('takes each in its own mode', async () => {
    const [read, written, byDefault] = someNames(3)
    const guard = await locks.acquireAll([{ name: read, mode: 'shared' }, { name: written, mode: 'exclusive' }, byDefault])
    const beside = locks.tryAcquire(read, { mode: 'shared' })
    assert.ok(beside)
    for (const name of [written, byDefault]) assert.equal(locks.tryAcquire(name, { mode: 'shared' }), null)
    beside.release()
    guard.release()
    const allShared = await locks.acquireAll([read, written], { mode: 'shared' })
    const other = await locks.acquireAll([written, read], { mode: 'shared', timeoutMs: 0 })
    allShared.release()
    other.release()
    assert.ok(free([read, written, byDefault]))
  })

  test('holds none while it waits for one', async () => {
    const [one, two, three] = someNames(3)
    const blocker = locks.tryAcquire(two)
    const all = locks.acquireAll([one, two, three])
    assert.equal(await stateOf(all), 'pending')
    for (const name of [one, three]) assert.equal(standing(name).holders, 0)
    blocker.release()
    const guard = await all
    for (const name of [one, two, three]) assert.equal(standing(name).holders, 1)
    guard.release()
  })

  test('that gives up, by timeout or abort, leaves every line, and those behind it go on', async () => {
    const names = someNames(3)
    for (const way of ['timeout', 'abort']) {
      const blocker = locks.tryAcquire(names[1])
      const controller = new AbortController()
      const gone = failure(locks.acquireAll(names, way === 'timeout' ? { timeoutMs: 10 } : { signal: controller.signal }))
      const behind = names.map((name) => locks.acquire(name))
      if (way === 'abort') controller.abort()
      const error = await gone
      if (way === 'timeout') {
        assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
        assert.deepEqual(error.holders.map((holder) => holder.name), [names[1]])
      } else assert.equal(error.name, 'AbortError')
      for (const index of [0, 2]) (await behind[index]).release()
      blocker.release()
      ;(await behind[1]).release()
      assert.ok(free(names))
    }
  })

  test('is not starved by those who want one of them: its place counts in each line', async () => {
    const names = someNames(2)
    let running = true
    let single = 0
    const loops = names.map(async (name) => {
      while (running) {
        await locks.withLock(name, async () => {
          single++
          await null
        })
      }
    })
    for (let round = 0; round < 20; round++) {
      const before = single
      const guard = await locks.acquireAll(names)
      assert.ok(single - before <= 4, `${single - before} went before`)
      guard.release()
    }
    running = false
    await Promise.all(loops)
  })

  test('in opposite orders never deadlocks', async () => {
    const names = someNames(4)
    const next = random(3)
    let inside = 0
    await Promise.all(Array.from({ length: 500 }, async () => {
      const some = [...names].sort(() => next() - 0.5).slice(0, 2 + Math.floor(next() * 3))
      await locks.withAll(some, { timeoutMs: Infinity }, async () => {
        // Any two sets of these have a lock in common unless both are pairs.
        inside += Number(some.length > 2)
        assert.ok(inside <= 1)
        await turn()
        inside -= Number(some.length > 2)
      })
    }))
    assert.ok(free(names))
  })

  test('in opposite orders over three threads loses no update', async () => {
    const names = someNames(3)
    const ROUNDS = 1_500
    const shared = new SharedArrayBuffer(4 * names.length)
    await Promise.all(Array.from({ length: 3 }, (_, seed) => runWorker(async ({ chainlock, data: { names, shared, rounds, seed } }) => {
      const cells = new Int32Array(shared)
      for (let round = 0; round < rounds; round++) {
        const first = (round + seed) % names.length
        const second = (first + 1 + (round % 2)) % names.length
        await chainlock.locks.withAll([names[first], names[second]], { timeoutMs: Infinity }, async () => {
          const read = [cells[first], cells[second]]
          if (round % 8 === 0) await null
          cells[first] = read[0] + 1
          cells[second] = read[1] + 1
        })
      }
    }, { names, shared, rounds: ROUNDS, seed })))
    const total = new Int32Array(shared).reduce((sum, cell) => sum + cell, 0)
    assert.equal(total, 3 * ROUNDS * 2)
    assert.ok(free(names))
  })

  test('of one name; of a name twice, which counts once, in the stronger mode', async () => {
    const [name] = someNames(1)
    const one = await locks.acquireAll([name])
    assert.deepEqual([...one.names], [name])
    assert.equal(one.mode, 'exclusive')
    one.release()
    const twice = await locks.acquireAll([{ name, mode: 'shared' }, name, { name, mode: 'read' }])
    assert.equal(standing(name).holders, 1)
    assert.equal(locks.tryAcquire(name, { mode: 'shared' }), null)
    assert.equal(twice.release(), true)
    const shared = await locks.acquireAll([{ name, mode: 'shared' }, { name, mode: 'read' }])
    locks.tryAcquire(name, { mode: 'shared' }).release()
    shared.release()
    assert.ok(free([name]))
  })

  test('is neither downgraded nor upgraded', async () => {
    const names = someNames(2)
    const guard = await locks.acquireAll(names)
    assert.equal(guard.downgrade(), false)
    guard.release()
    const shared = await locks.acquireAll(names, { mode: 'shared' })
    assert.equal(shared.mode, 'shared')
    assert.equal(shared.tryUpgrade(), false)
    assert.equal(shared.release(), true)
  })

  test('of 1,000 locks', async () => {
    const names = someNames(1_000)
    const guard = await locks.acquireAll(names)
    assert.equal(standing(names[999]).holders, 1)
    assert.equal((await failure(locks.acquireAll([...names, freshName()]))).code, 'ERR_LOCK_INVALID_ARGUMENT')
    const second = locks.acquireAll([...names].reverse())
    assert.equal(await stateOf(second), 'pending')
    guard.release()
    ;(await second).release()
    assert.ok(free(names))
  })

  test('of which one is stolen is lost as a whole, and its signal says so', async () => {
    const names = someNames(3)
    const guard = await locks.acquireAll(names)
    await locks.request(names[1], { steal: true }, () => {})
    assert.equal(guard.check(), false)
    assert.equal(guard.signal.aborted, true)
    assert.equal(guard.release(), false)
    for (const name of names) assert.equal(standing(name).holders, 0, name)
  })
})
