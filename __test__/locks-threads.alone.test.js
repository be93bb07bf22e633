// Named locks over threads: exclusion that an unprotected counter proves, one order of service for all, and
// F16: load with no wake-up lost.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing } = require('./helpers/locks')
const { deep } = require('./helpers/package')
const { startWorker, message, runWorker, exited } = require('./helpers/threads')
const { turn, until } = require('./helpers/waiting')
const { percentile } = require('./helpers/figures')

const WORKERS = 4
const GRANTS = deep(10_000_000, 1_000_000)

/**
 * Adds to a plain counter under the lock, by one of the ways to hold it. Whoever is inside exclusively stands
 * alone in `inside`; whoever reads sees the counter stand still.
 */
async function counting({ chainlock, port, data: { name, memory, rounds, ways, seed } }) {
  const { locks } = chainlock
  const [COUNTER, INSIDE, WRONG, READS] = [0, 1, 2, 3]
  const cells = new Int32Array(memory)
  const handle = locks.lock(name)
  const enter = () => {
    if (Atomics.add(cells, INSIDE, 1) !== 0) Atomics.add(cells, WRONG, 1)
    return cells[COUNTER]
  }
  const leave = (read) => {
    cells[COUNTER] = read + 1
    Atomics.sub(cells, INSIDE, 1)
  }
  const all = {
    tryAcquire: async () => {
      let guard
      // Whoever has it, or was granted it just now, may be of this very thread.
      while ((guard = handle.tryAcquire()) === null) await new Promise(setImmediate)
      leave(enter())
      guard.release()
    },
    acquire: async () => {
      const guard = await locks.acquire(name, { timeoutMs: Infinity })
      const read = enter()
      if (seed % 3 === 0) await null
      leave(read)
      guard.release()
    },
    withLock: () => locks.withLock(name, { timeoutMs: Infinity }, async () => {
      const read = enter()
      await null
      leave(read)
    }),
    run: () => handle.run(() => leave(enter())),
    request: () => locks.request(name, async () => leave(enter())),
    read: () => locks.withRead(name, { timeoutMs: Infinity }, async () => {
      const read = cells[COUNTER]
      if (Atomics.load(cells, INSIDE) !== 0) Atomics.add(cells, WRONG, 1)
      await null
      if (cells[COUNTER] !== read) Atomics.add(cells, WRONG, 1)
      Atomics.add(cells, READS, 1)
    }),
  }
  let turns = seed
  const one = () => all[ways[turns++ % ways.length]]()
  const AT_ONCE = 4
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let round = 0; round < rounds / AT_ONCE; round++) await one()
  }))
  port.postMessage('done')
}

async function count(ways, grants, workers = WORKERS) {
  const memory = new SharedArrayBuffer(16)
  const name = freshName()
  const started = performance.now()
  await Promise.all(Array.from({ length: workers }, (_, seed) =>
    runWorker(counting, { name, memory, rounds: grants / workers, ways, seed })))
  const ms = performance.now() - started
  const [counter, inside, wrong, reads] = new Int32Array(memory)
  assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  assert.equal(inside, 0)
  return { counter, wrong, reads, perGrantUs: (ms / grants) * 1_000 }
}

describe('exclusion: an unprotected counter', () => {
  test(`is exact after ${GRANTS} grants of tryAcquire, acquire and withLock in ${WORKERS} threads`, async (t) => {
    const { counter, wrong, perGrantUs } = await count(['tryAcquire', 'acquire', 'withLock'], GRANTS)
    t.diagnostic(`${GRANTS} grants over ${WORKERS} threads, ${perGrantUs.toFixed(2)} µs each, ${GRANTS - counter} updates lost, ${wrong} overlaps`)
    assert.equal(wrong, 0)
    assert.equal(counter, GRANTS)
  })

  test('is exact through all ways at once, and readers see it stand still', async (t) => {
    const grants = GRANTS / 5
    const { counter, wrong, reads } = await count(['acquire', 'read', 'run', 'request', 'read', 'withLock'], grants)
    t.diagnostic(`${counter} writes and ${reads} reads, ${wrong} overlaps`)
    assert.equal(wrong, 0)
    assert.equal(counter + reads, grants)
    assert.ok(reads > grants / 4)
  })
})

describe('the line is one', () => {
  test('first come, first served over four threads: 4,000 requests in the order of asking', async () => {
    const [ROUNDS, EACH] = [100, 10]
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const order = new Int32Array(new SharedArrayBuffer(4 * (1 + WORKERS * ROUNDS * EACH)))
    const workers = Array.from({ length: WORKERS }, (_, me) => startWorker(({ chainlock, port, data: { name, order, each } }) => {
      let asked = 0
      const waits = []
      port.on('message', (first) => {
        if (first === null) {
          Promise.all(waits).then(() => port.close())
          return
        }
        for (let number = 0; number < each; number++) {
          waits.push(chainlock.locks.acquire(name, { timeoutMs: Infinity }).then((mine) => {
            order[1 + Atomics.add(order, 0, 1)] = first + number
            mine.release()
          }))
        }
        port.postMessage(++asked)
      })
    }, { name, order, each: EACH, me }))
    let next = 0
    for (let round = 0; round < ROUNDS; round++) {
      for (const worker of workers) {
        const answered = message(worker)
        worker.postMessage(next)
        await answered
        next += EACH
      }
    }
    assert.equal(standing(name).waiters, next)
    guard.release()
    const ends = workers.map(exited)
    for (const worker of workers) worker.postMessage(null)
    await Promise.all(ends)
    assert.equal(order[0], next)
    assert.deepEqual([...order.subarray(1)], Array.from({ length: next }, (_, index) => index))
  })

  test('readers of several threads are inside together; a writer is not', async () => {
    const name = freshName()
    const cells = new Int32Array(new SharedArrayBuffer(8))
    const workers = Array.from({ length: WORKERS }, () => startWorker(async ({ chainlock, port, data: { name, cells } }) => {
      await chainlock.locks.withRead(name, { timeoutMs: Infinity }, async () => {
        Atomics.add(cells, 0, 1)
        port.postMessage('inside')
        // Nobody gets on until all of them are inside.
        while (Atomics.load(cells, 1) === 0) await new Promise(setImmediate)
      })
    }, { name, cells }))
    await Promise.all(workers.map(message))
    assert.equal(cells[0], WORKERS)
    assert.equal(standing(name).holders, WORKERS)
    const writer = locks.acquire(name, { timeoutMs: Infinity })
    assert.equal(standing(name).waiters, 1)
    Atomics.store(cells, 1, 1)
    const guard = await writer
    assert.equal(standing(name).holders, 1)
    guard.release()
  })
})

/**
 * F16: each worker keeps requests under way on every lock until all have had their grants. A wake-up that is
 * lost shows as a worker that never ends; a turn out of order as a ticket that is smaller than one before.
 */
async function crowd({ chainlock, port, data: { prefix, count, each, rounds, memory } }) {
  const { locks } = chainlock
  const cells = new Float64Array(memory)
  const handoffs = []
  const oneLock = async (index) => {
    const name = `${prefix}-${index}`
    for (let round = 0; round < rounds; round++) {
      await Promise.all(Array.from({ length: each }, () => locks.acquire(name, { timeoutMs: Infinity }).then((guard) => {
        const now = performance.timeOrigin + performance.now()
        const at = index * 3
        if (guard.token <= cells[at]) cells[at + 2]++
        if (cells[at + 1] > 0) handoffs.push(now - cells[at + 1])
        cells[at] = guard.token
        cells[at + 1] = performance.timeOrigin + performance.now()
        guard.release()
      })))
    }
  }
  await Promise.all(Array.from({ length: count }, (_, index) => oneLock(index)))
  handoffs.sort((a, b) => a - b)
  port.postMessage(Array.from({ length: 1_000 }, (_, index) => handoffs[Math.floor((index / 1_000) * handoffs.length)]))
}

describe('F16: load', () => {
  const [LOCKS, WAITERS, THREADS, ROUNDS] = deep([1_000, 500, 8, 40], [100, 250, 8, 2])
  // Ten times what a busy machine needs; and within the minute that a planted bug has to be seen in.
  const LIMIT_MS = deep(1_800_000, 45_000)

  test(`${WAITERS} waiters on each of ${LOCKS} locks from ${THREADS} threads: no wake-up is lost, tokens grow`, { timeout: LIMIT_MS * 2 }, async (t) => {
    const prefix = freshName('crowd')
    const each = Math.ceil(WAITERS / THREADS)
    const memory = new SharedArrayBuffer(8 * 3 * LOCKS)
    const started = performance.now()
    const workers = Array.from({ length: THREADS }, () => startWorker(crowd, { prefix, count: LOCKS, each, rounds: ROUNDS, memory }))
    const limit = setTimeout(() => workers.forEach((worker) => worker.terminate()), LIMIT_MS)
    const percentiles = await Promise.all(workers.map(message)).catch(() => assert.fail(`a wake-up was lost: not served within ${LIMIT_MS} ms`))
    clearTimeout(limit)
    const ms = performance.now() - started
    const grants = LOCKS * each * THREADS * ROUNDS
    const cells = new Float64Array(memory)
    const outOfOrder = cells.filter((_, index) => index % 3 === 2).reduce((sum, value) => sum + value, 0)
    const p99 = percentile(percentiles.flat(), 0.99)
    t.diagnostic(`F16: ${grants} grants on ${LOCKS} locks in ${(ms / 1_000).toFixed(1)} s, ${((ms / grants) * 1_000).toFixed(1)} µs each, ` +
      `0 lost wake-ups, ${outOfOrder} out of order, hand-off p99 ${p99.toFixed(2)} ms`)
    assert.equal(outOfOrder, 0)
    for (let index = 0; index < LOCKS; index++) assert.deepEqual(standing(`${prefix}-${index}`), { holders: 0, waiters: 0 })
  })

  test('aborts and timeouts among them lose no wake-up either', async (t) => {
    const name = freshName()
    const rounds = deep(100_000, 4_000)
    const ends = await Promise.all(Array.from({ length: WORKERS }, (_, seed) => runWorker(async ({ chainlock, port, data: { name, rounds, seed } }) => {
      const { locks } = chainlock
      const counts = { granted: 0, aborted: 0, late: 0 }
      const one = async (round) => {
        const controller = new AbortController()
        const how = (round * 7 + seed) % 5
        const wait = how === 0 ? { timeoutMs: 0.05 } : how === 1 ? { timeoutMs: Infinity, signal: controller.signal } : { timeoutMs: Infinity }
        const asked = locks.acquire(name, { ...wait, mode: how === 2 ? 'shared' : 'exclusive' })
        if (how === 1) setImmediate(() => controller.abort())
        await asked.then(async (guard) => {
          counts.granted++
          if (how === 3) await null
          guard.release()
        }, (error) => (error.code === 'ERR_LOCK_TIMEOUT' ? counts.late++ : counts.aborted++))
      }
      await Promise.all(Array.from({ length: 8 }, async (_, lane) => {
        for (let round = lane; round < rounds; round += 8) await one(round)
      }))
      port.postMessage(counts)
    }, { name, rounds, seed })))
    const sum = (what) => ends.flat().reduce((total, counts) => total + counts[what], 0)
    t.diagnostic(`${sum('granted')} granted, ${sum('late')} late, ${sum('aborted')} aborted`)
    assert.equal(sum('granted') + sum('late') + sum('aborted'), WORKERS * rounds)
    await until(() => standing(name).holders + standing(name).waiters === 0)
    await turn()
    assert.ok(sum('granted') > 0 && sum('late') + sum('aborted') > 0)
  })
})
