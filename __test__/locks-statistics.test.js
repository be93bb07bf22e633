// What is counted of named locks and what can be looked at: getStatistics, getLockStatus, query, reset.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, block } = require('./helpers/waiting')
const { startWorker, message, runWorker } = require('./helpers/threads')

const COUNTS = ['acquisitions', 'releases', 'timeouts', 'errors', 'aborts', 'steals', 'deaths', 'deadlocks', 'contended']
const DURATIONS = ['minMs', 'avgMs', 'maxMs', 'p50Ms', 'p99Ms']
const sorted = (names) => [...names].sort()

/** The counts of a mode that are not zero. */
function counted(name, mode = 'exclusive') {
  const figures = locks.getStatistics(name).modes[mode]
  return Object.fromEntries(COUNTS.filter((count) => figures[count] !== 0).map((count) => [count, figures[count]]))
}

describe('getStatistics', () => {
  test('has exactly the documented fields, and is plain data', async () => {
    const name = freshName()
    const handle = locks.lock(name)
    await handle.run(() => {})
    const statistics = locks.getStatistics(name)
    assert.deepEqual(sorted(Object.keys(statistics)), sorted(['name', 'kind', 'modes', 'holders', 'waiters', 'operations']))
    assert.deepEqual(sorted(Object.keys(statistics.modes)), ['exclusive', 'shared'])
    for (const mode of Object.values(statistics.modes)) {
      assert.deepEqual(sorted(Object.keys(mode)), sorted([...COUNTS, 'wait', 'hold']))
      for (const durations of [mode.wait, mode.hold]) assert.deepEqual(sorted(Object.keys(durations)), sorted(DURATIONS))
    }
    assert.deepEqual(sorted(Object.keys(statistics.operations[0])), sorted(['at', 'operation', 'mode', 'threadId', 'token', 'ms']))
    assert.deepEqual(JSON.parse(JSON.stringify(statistics)), statistics)
    assert.deepEqual(handle.getStatistics(), statistics)
    assert.equal(statistics.kind, 'lock')
    assert.equal(statistics.name, name)
  })

  test('counts each way in which a request or a hold can end, by mode', async () => {
    const name = freshName()
    const handle = locks.lock(name)
    ;(await locks.acquire(name)).release()
    assert.deepEqual(counted(name), { acquisitions: 1, releases: 1 })
    await assert.rejects(locks.withLock(name, () => { throw new Error('of the user') }))
    assert.deepEqual(counted(name), { acquisitions: 2, releases: 2, errors: 1 })
    const readers = [handle.tryAcquire('shared'), handle.tryAcquire('shared')]
    await failure(locks.acquire(name, { timeoutMs: 2 }))
    await failure(locks.acquire(name, { timeoutMs: 0 }))
    assert.equal(counted(name).timeouts, 2)
    const controller = new AbortController()
    const aborted = failure(locks.acquire(name, { signal: controller.signal }))
    controller.abort()
    await aborted
    assert.equal(counted(name).aborts, 1)
    const contended = locks.acquire(name)
    readers[0].release()
    readers[1].release()
    ;(await contended).release()
    assert.deepEqual(counted(name, 'shared'), { acquisitions: 2, releases: 2 })
    const { contended: waited, ...rest } = counted(name)
    assert.deepEqual(rest, { acquisitions: 3, releases: 3, timeouts: 2, errors: 1, aborts: 1 })
    assert.ok(waited >= 3 && waited <= 4, `${waited} had to wait`)
    locks.tryAcquire(name)
    await locks.request(name, { steal: true }, () => {})
    locks.tryAcquire(name)
    locks.forceRelease(name)
    assert.equal(counted(name).steals, 2)
    await locks.withLock(name, async () => assert.equal((await failure(locks.acquire(name))).code, 'ERR_LOCK_SELF_DEADLOCK'))
    assert.equal(counted(name).deadlocks, 1)
    await runWorker(({ chainlock, data }) => { chainlock.locks.tryAcquire(data) }, name)
    assert.equal(counted(name).deaths, 1)
    const { acquisitions, releases, steals, deaths } = counted(name)
    assert.equal(acquisitions, releases + steals + deaths, 'every hold has ended in one way')
  })

  test('measures how long was waited and held', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const waiting = locks.acquire(name)
    block(30)
    guard.release()
    const second = await waiting
    block(10)
    second.release()
    const { wait, hold } = locks.getStatistics(name).modes.exclusive
    assert.ok(wait.minMs < 5, `the first did not wait: ${wait.minMs}`)
    assert.ok(wait.maxMs >= 29 && hold.maxMs >= 29 && hold.minMs >= 9)
    for (const durations of [wait, hold]) {
      assert.ok(durations.minMs <= durations.avgMs && durations.avgMs <= durations.maxMs, JSON.stringify(durations))
      assert.ok(durations.p50Ms <= durations.p99Ms)
      // Buckets are exact to 1/16.
      assert.ok(durations.p99Ms <= durations.maxMs * 1.0625 + 0.001, JSON.stringify(durations))
    }
    assert.ok(hold.p50Ms >= 9 && hold.p50Ms <= hold.maxMs * 1.0625)
  })

  test('keeps the last 100 operations, in their order', async () => {
    const name = freshName()
    const tokens = []
    for (let round = 0; round < 120; round++) {
      const guard = locks.tryAcquire(name, { mode: round % 2 ? 'shared' : 'exclusive' })
      tokens.push(guard.token)
      guard.release()
    }
    const { operations } = locks.getStatistics(name)
    assert.equal(operations.length, 100)
    assert.deepEqual(operations.filter((entry) => entry.operation === 'acquired').map((entry) => entry.token), tokens.slice(-50))
    assert.deepEqual(new Set(operations.map((entry) => entry.operation)), new Set(['acquired', 'released']))
    const times = operations.map((entry) => entry.at)
    assert.deepEqual(times, [...times].sort((a, b) => a - b))
    assert.ok(Math.abs(times[99] - Date.now()) < 60_000)
    assert.ok(operations.every((entry) => entry.threadId === 0 && entry.ms >= 0))
  })

  test('names each operation', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    guard.downgrade()
    guard.tryUpgrade()
    await failure(locks.acquire(name, { timeoutMs: 1 }))
    const controller = new AbortController()
    const aborted = failure(locks.acquire(name, { signal: controller.signal }))
    controller.abort()
    await aborted
    guard.release()
    await assert.rejects(locks.withLock(name, () => { throw new Error('x') }))
    await locks.withLock(name, () => failure(locks.acquire(name)))
    locks.tryAcquire(name)
    await locks.request(name, { steal: true }, () => {})
    locks.tryAcquire(name)
    locks.forceRelease(name)
    await runWorker(({ chainlock, data }) => { chainlock.locks.tryAcquire(data) }, name)
    const seen = new Set(locks.getStatistics(name).operations.map((entry) => entry.operation))
    const all = ['acquired', 'released', 'failed', 'timed_out', 'aborted', 'stolen', 'forced', 'died', 'deadlocked', 'downgraded', 'upgraded']
    assert.deepEqual(sorted(seen), sorted(all))
  })

  test('tells present holders and waiters, of all threads', async () => {
    const name = freshName()
    const readers = [locks.tryAcquire(name, { mode: 'shared' }), locks.tryAcquire(name, { mode: 'shared' })]
    const worker = startWorker(async ({ chainlock, port, data }) => {
      const waiting = chainlock.locks.acquire(data)
      port.postMessage('waits')
      ;(await waiting).release()
    }, name)
    await message(worker)
    const { holders, waiters } = locks.getStatistics(name)
    assert.deepEqual({ holders, waiters }, { holders: 2, waiters: 1 })
    for (const reader of readers) reader.release()
    ;(await locks.acquire(name)).release()
    assert.equal(counted(name).acquisitions, 2)
  })

  test('of all names, and of one that is not known', async () => {
    const names = [freshName(), freshName()]
    for (const name of names) locks.tryAcquire(name).release()
    const semaphore = locks.semaphore(freshName('s'), 3)
    semaphore.tryAcquire().release()
    const all = locks.getStatistics()
    assert.ok(Array.isArray(all))
    for (const name of names) assert.equal(all.filter((entry) => entry.name === name && entry.kind === 'lock').length, 1)
    assert.equal(all.filter((entry) => entry.name === semaphore.name && entry.kind === 'semaphore').length, 1)
    assert.equal(locks.getStatistics(freshName('never used')), null)
    assert.equal(locks.getStatistics(semaphore.name), null, 'the read/write lock of that name')
    JSON.stringify(all)
  })

  test('is of numbers that only looking does not change', () => {
    const name = freshName()
    const handle = locks.lock(name)
    handle.tryAcquire().release()
    const first = JSON.stringify(locks.getStatistics(name))
    for (let round = 0; round < 10; round++) {
      locks.getStatistics()
      locks.getLockStatus(name)
      locks.detectDeadlocks()
    }
    assert.equal(JSON.stringify(locks.getStatistics(name)), first)
  })
})

describe('resetStatistics', () => {
  test('sets one name, or all, to zero; holds, waiters and tokens stay', async () => {
    const [one, other] = [freshName(), freshName()]
    const [keepOne, keepOther] = [locks.lock(one), locks.lock(other)]
    keepOther.tryAcquire().release()
    const guard = keepOne.tryAcquire()
    const waiting = locks.acquire(one)
    locks.resetStatistics(one)
    assert.deepEqual(counted(one), {})
    assert.deepEqual(locks.getStatistics(one).operations, [])
    assert.deepEqual(counted(other), { acquisitions: 1, releases: 1 })
    assert.deepEqual(standing(one), { holders: 1, waiters: 1 })
    const { token } = guard
    guard.release()
    const next = await waiting
    assert.ok(next.token > token)
    next.release()
    assert.equal(counted(one).releases, 2)
    locks.resetStatistics()
    assert.deepEqual(counted(one), {})
    assert.deepEqual(counted(other), {})
  })
})

describe('getLockStatus', () => {
  test('says who holds and who waits, in the order in which they are served', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name, { label: 'holder' })
    const waits = [{ label: 'second' }, { label: 'first', priority: 5 }, { mode: 'shared' }].map((options) => locks.acquire(name, options))
    const status = locks.getLockStatus(name)
    assert.deepEqual(sorted(Object.keys(status)), sorted(['name', 'kind', 'mode', 'holders', 'waiters']))
    assert.deepEqual([status.name, status.kind, status.mode], [name, 'lock', 'exclusive'])
    const [holder] = status.holders
    assert.deepEqual(sorted(Object.keys(holder)), sorted(['name', 'kind', 'mode', 'weight', 'label', 'threadId', 'token', 'heldMs']))
    assert.deepEqual([holder.label, holder.token, holder.threadId, holder.mode, holder.weight], ['holder', guard.token, 0, 'exclusive', 1])
    const waiterFields = ['name', 'kind', 'mode', 'weight', 'label', 'threadId', 'position', 'priority', 'waitedMs']
    assert.deepEqual(sorted(Object.keys(status.waiters[0])), sorted(waiterFields))
    assert.deepEqual(status.waiters.map((waiter) => [waiter.label, waiter.position, waiter.mode, waiter.priority]), [
      ['first', 1, 'exclusive', 5], ['second', 2, 'exclusive', 0], [null, 3, 'shared', 0],
    ])
    assert.deepEqual(JSON.parse(JSON.stringify(status)), status)
    assert.ok(locks.getLockStatus().some((entry) => entry.name === name))
    guard.release()
    for (const index of [1, 0, 2]) (await waits[index]).release()
    assert.equal(locks.getLockStatus().some((entry) => entry.name === name), false)
    assert.deepEqual(locks.getLockStatus(name).holders, [])
    assert.equal(locks.getLockStatus(name).mode, null)
  })
})

describe('query', () => {
  test('tells what the standard says, of all threads, in the order of asking', async () => {
    const name = freshName()
    const worker = startWorker(async ({ chainlock, port, data }) => {
      const guard = await chainlock.locks.acquire(data, { mode: 'shared', label: 'in a worker' })
      port.postMessage('held')
      port.once('message', () => guard.release())
    }, name)
    await message(worker)
    const mine = locks.tryAcquire(name, { mode: 'read' })
    const waits = [locks.acquire(name, { label: 'w', priority: 1 }), locks.acquire(name, { mode: 'shared' })]
    const of = (list) => list.filter((info) => info.name === name)
    const { held, pending } = await locks.query()
    assert.deepEqual(of(held).map((info) => info.mode), ['shared', 'shared'])
    assert.deepEqual(Object.keys(of(held)[0]).sort(), ['clientId', 'mode', 'name'])
    assert.equal(new Set(of(held).map((info) => info.clientId)).size, 2, 'one client a thread')
    assert.equal(of(pending).length, 2)
    const detail = await locks.query({ detail: true })
    const [far] = of(detail.held).filter((info) => info.threadId !== 0)
    assert.equal(far.label, 'in a worker')
    assert.equal(far.pid, process.pid)
    assert.ok(far.heldMs >= 0 && far.token > 0 && Math.abs(far.acquiredAt - Date.now()) < 60_000)
    const [first, second] = of(detail.pending).sort((a, b) => a.position - b.position)
    assert.deepEqual([first.label, first.mode, first.position, first.priority], ['w', 'exclusive', 1, 1])
    assert.deepEqual([second.label, second.mode, second.position, second.priority], [null, 'shared', 2, 0])
    assert.ok(second.waitedMs >= 0 && Math.abs(second.requestedAt - Date.now()) < 60_000)
    worker.postMessage('end')
    mine.release()
    for (const wait of waits) (await wait).release()
    await turn()
    assert.deepEqual(of((await locks.query()).held), [])
  })
})
