// F15: requests that would wait for each other for ever are refused, the youngest of them, at once and with the
// whole cycle; nothing else is refused.
'use strict'

const { test, describe, beforeEach } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, stateOf, gate } = require('./helpers/waiting')
const { chainlock, freshProcessLock } = require('./helpers/package')
const { startWorker, message } = require('./helpers/threads')

const { DeadlockError, ChainlockError } = chainlock
/** No test waits so long: what ends by its timeout was not refused. */
const FOR_EVER = { timeoutMs: Infinity }
/** What is printed beside the figures, and what no machine is slow enough for. */
const FOUND_MS = 100
const LATE_MS = 60_000

/** The reason of a refused wait, with proof that it came before a timer that was set first. */
async function refused(t, ask) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('nobody was refused')), LATE_MS)
  })
  const started = performance.now()
  try {
    const error = await Promise.race([failure(ask()), late])
    t.diagnostic(`F15: ${t.name}: found in ${(performance.now() - started).toFixed(2)} ms (bar: ≤ ${FOUND_MS} ms)`)
    return error
  } finally {
    clearTimeout(timer)
  }
}

/** Each request waits for the hold of its edge, whose holder made the request of the next edge. */
function assertCycle(error, code, names) {
  assert.ok(error instanceof DeadlockError && error instanceof ChainlockError, `${error?.stack}`)
  assert.equal(error.code, code)
  assert.equal(error.name, 'DeadlockError')
  assert.deepEqual(new Set(error.cycle.map((edge) => edge.request.name)), new Set(names))
  for (const { request, heldBy } of error.cycle) {
    assert.equal(request.name, heldBy.name)
    assert.ok(heldBy.token !== 0 && heldBy.heldMs >= 0 && request.waitedMs >= 0)
  }
  for (const name of names) assert.ok(error.report.includes(name), error.report)
  assert.ok(error.report.split('\n').length >= error.cycle.length)
  JSON.stringify(error.cycle)
}

const nothingLeft = (...names) => {
  for (const name of names) assert.deepEqual(standing(name), { holders: 0, waiters: 0 }, name)
}

describe('a lock that one holds already', () => {
  test('is refused as ERR_LOCK_SELF_DEADLOCK, at any depth and after an await', async (t) => {
    const [name, between] = [freshName(), freshName()]
    await locks.withLock(name, { label: 'outer' }, async () => {
      await turn()
      const error = await refused(t, () => locks.withLock(between, () => locks.withLock(name, { ...FOR_EVER, label: 'inner' }, () => {})))
      assertCycle(error, 'ERR_LOCK_SELF_DEADLOCK', [name])
      assert.equal(error.cycle[0].heldBy.label, 'outer')
      assert.equal(error.cycle[0].request.label, 'inner')
      for (const ask of [
        () => locks.acquire(name, FOR_EVER),
        () => locks.withRead(name, FOR_EVER, () => {}),
        () => locks.lock(name).run(FOR_EVER, () => {}),
        () => locks.acquireAll([between, name], FOR_EVER),
        () => locks.request(name, { deadlock: 'error' }, () => {}),
      ]) {
        assert.equal((await failure(ask())).code, 'ERR_LOCK_SELF_DEADLOCK')
      }
      assert.equal(locks.tryAcquire(name), null)
    })
    nothingLeft(name, between)
  })

  test('exclusively inside a shared hold of one’s own is one, too', async () => {
    const name = freshName()
    await locks.withRead(name, async () => {
      assert.equal((await failure(locks.withWrite(name, FOR_EVER, () => {}))).code, 'ERR_LOCK_SELF_DEADLOCK')
      assert.equal(await locks.withRead(name, FOR_EVER, () => 'together'), 'together')
    })
    nothingLeft(name)
  })

  test('a reader inside a reader, behind a writer that waits for the first, is refused', async () => {
    const name = freshName()
    const { opened, open } = gate()
    const reader = locks.withRead(name, async () => {
      await opened
      const error = await failure(locks.withRead(name, FOR_EVER, () => {}))
      assert.ok(error instanceof DeadlockError, String(error))
    })
    await turn()
    const writer = locks.withWrite(name, FOR_EVER, () => 'wrote')
    open()
    await reader
    assert.equal(await writer, 'wrote')
  })
})

/** Each takes its first lock, waits until all have, and asks for its second. */
function circle(pairs, take = (name, fn, label) => locks.withLock(name, { ...FOR_EVER, label }, fn)) {
  const { opened, open } = gate()
  let ready = 0
  return pairs.map(([first, second], index) => take(first, async () => {
    if (++ready === pairs.length) open()
    await opened
    // In the order of the pairs: the last closes the circle.
    for (let turns = 0; turns < index; turns++) await null
    return take(second, () => index, `second of ${index}`)
  }, `first of ${index}`))
}

describe('a circle', () => {
  test('of two names: the youngest request is refused, the other goes on', async (t) => {
    const [a, b] = [freshName('a'), freshName('b')]
    let older
    const error = await refused(t, () => {
      const [one, two] = circle([[a, b], [b, a]])
      older = one
      return two
    })
    assertCycle(error, 'ERR_LOCK_DEADLOCK', [a, b])
    assert.equal(error.cycle.length, 2)
    assert.deepEqual(new Set(error.cycle.map((edge) => edge.heldBy.label)), new Set(['first of 0', 'first of 1']))
    assert.match(error.message, new RegExp(`${a}|${b}`))
    assert.equal(await older, 0)
    nothingLeft(a, b)
  })

  test('of 100 names', async (t) => {
    const names = Array.from({ length: 100 }, () => freshName('ring'))
    let others
    const error = await refused(t, () => {
      const all = circle(names.map((name, index) => [name, names[(index + 1) % 100]]))
      others = all.slice(0, -1)
      return all.at(-1)
    })
    assertCycle(error, 'ERR_LOCK_DEADLOCK', names)
    assert.equal(error.cycle.length, 100)
    assert.deepEqual(await Promise.all(others), Array.from({ length: 99 }, (_, index) => index))
    nothingLeft(...names)
  })

  test('of three, entered through handles, request with deadlock: error, and acquireAll', async () => {
    const names = [freshName(), freshName(), freshName()]
    const [x, y, z] = names
    const error = await Promise.allSettled([
      ...circle([[x, y], [y, z], [z, x]], (name, fn) => ({
        [x]: () => locks.lock(name).run(FOR_EVER, fn),
        [y]: () => locks.request(name, { deadlock: 'error' }, fn),
        [z]: () => locks.withAll([name], FOR_EVER, fn),
      })[name]()),
    ]).then((ends) => ends.filter(({ status }) => status === 'rejected').map(({ reason }) => reason))
    assert.equal(error.length, 1)
    assertCycle(error[0], 'ERR_LOCK_DEADLOCK', names)
    nothingLeft(...names)
  })

  test('through acquireAll, which waits for several at once', async (t) => {
    const [a, b, c] = [freshName(), freshName(), freshName()]
    const { opened, open } = gate()
    const first = locks.withLock(a, FOR_EVER, async () => {
      open()
      await turn()
      return locks.withAll([b, c], FOR_EVER, () => 'had both')
    })
    const error = await refused(t, () => locks.withLock(c, FOR_EVER, async () => {
      await opened
      await turn()
      await turn()
      return locks.withLock(a, FOR_EVER, () => {})
    }))
    assert.ok(error instanceof DeadlockError, String(error))
    assert.equal(await first, 'had both')
    nothingLeft(a, b, c)
  })

  test('of guards that were acquired one after the other in flows', async (t) => {
    const [a, b] = [freshName(), freshName()]
    const { opened, open } = gate()
    const first = locks.flow('importer', async () => {
      const one = await locks.acquire(a)
      await opened
      const two = await locks.acquire(b, FOR_EVER)
      return [one.release(), two.release()]
    })
    const error = await refused(t, () => locks.flow('exporter', async () => {
      const one = locks.tryAcquire(b)
      open()
      await turn()
      try {
        return await locks.acquire(a, FOR_EVER)
      } finally {
        one.release()
      }
    }))
    assertCycle(error, 'ERR_LOCK_DEADLOCK', [a, b])
    assert.match(error.report, /exporter/)
    assert.deepEqual(await first, [true, true])
    await locks.flow(async () => {
      const mine = await locks.acquire(a)
      assert.equal((await failure(locks.acquire(a, FOR_EVER))).code, 'ERR_LOCK_SELF_DEADLOCK')
      mine.release()
      ;(await locks.acquire(a, FOR_EVER)).release()
    })
    nothingLeft(a, b)
  })

  test('of two readers that want to be writers, inside their callbacks', async (t) => {
    const name = freshName()
    const { opened, open } = gate()
    const first = locks.withRead(name, async (guard) => {
      await opened
      await guard.upgrade(FOR_EVER)
      return guard.mode
    })
    const error = await refused(t, () => locks.withRead(name, async (guard) => {
      open()
      await turn()
      await guard.upgrade(FOR_EVER)
    }))
    assert.ok(error instanceof DeadlockError)
    assert.equal(await first, 'exclusive')
  })

  test('of a semaphore and a lock; of several permits only when every holder waits', async () => {
    const lock = freshName()
    const name = freshName('permits')
    const semaphore = locks.semaphore(name, 2)
    const gates = [gate(), gate(), gate()]
    const wantsPermit = locks.withLock(lock, FOR_EVER, async () => {
      await gates[0].opened
      return semaphore.run(FOR_EVER, () => 'had a permit')
    })
    const first = semaphore.run(FOR_EVER, async () => {
      await gates[1].opened
      return locks.withLock(lock, FOR_EVER, () => 'had the lock')
    })
    const second = semaphore.run(FOR_EVER, async () => {
      await gates[2].opened
      return locks.withLock(lock, FOR_EVER, () => {})
    })
    await turn()
    gates[0].open()
    await turn()
    gates[1].open()
    assert.deepEqual([await stateOf(first), await stateOf(wantsPermit)], ['pending', 'pending'], 'the other holder may still end')
    gates[2].open()
    const error = await failure(second)
    assert.ok(error instanceof DeadlockError)
    assert.ok(error.cycle.some((edge) => edge.request.kind === 'semaphore' && edge.request.name === name))
    assert.deepEqual(await Promise.all([wantsPermit, first]), ['had a permit', 'had the lock'])
  })

  test('of locks without a name', async () => {
    const [one, two] = [new chainlock.RWLock(), new chainlock.RWLock()]
    const ends = await Promise.allSettled([
      one.withWrite(async () => { await turn(); return two.withRead(() => 1) }),
      two.withWrite(async () => { await turn(); return one.withRead(() => 2) }),
    ])
    assert.deepEqual(ends.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.ok(ends.find(({ status }) => status === 'rejected').reason instanceof DeadlockError)
  })
})

describe('with the send lock', () => {
  beforeEach(() => freshProcessLock({ cooldownMs: 0 }))

  for (const sendFirst of [true, false]) {
    test(`a circle is found when the ${sendFirst ? 'named lock' : 'send lock'} is asked for last`, async (t) => {
      const name = freshName()
      const { opened, open } = gate()
      const send = (fn) => chainlock.withSendLock('e2e-executor', fn)
      const named = (fn) => locks.withLock(name, FOR_EVER, fn)
      const [outer, inner] = sendFirst ? [named, send] : [send, named]
      const first = outer(async () => {
        await opened
        return inner(() => 'went on')
      })
      const error = await refused(t, () => inner(async () => {
        open()
        await turn()
        await turn()
        return outer(() => {})
      }))
      assert.ok(error instanceof DeadlockError, String(error?.stack))
      assert.deepEqual(new Set(error.cycle.map((edge) => edge.request.kind)), new Set(['send', 'lock']))
      assert.match(error.report, /send lock/)
      assert.equal(await first, 'went on')
      assert.equal(chainlock.isSendLocked(), false)
      nothingLeft(name)
    })
  }

  test('inside each other in one order is nothing to refuse', async () => {
    const name = freshName()
    const one = () => chainlock.withSendLock('e2e-executor', () => locks.withLock(name, FOR_EVER, turn))
    await Promise.all(Array.from({ length: 20 }, one))
  })
})

/** In a worker: takes one lock, says so, and asks for the other when it is told to. */
async function half({ chainlock, port, data: { first, second } }) {
  const { locks } = chainlock
  const end = await locks.withLock(first, { timeoutMs: Infinity, label: `holds ${first}` }, async () => {
    const go = new Promise((resolve) => port.once('message', resolve))
    port.postMessage('holds')
    await go
    return locks.withLock(second, { timeoutMs: Infinity, label: `wants ${second}` }, () => 'done')
  }).catch((error) => ({ code: error.code, cycle: error.cycle, report: error.report, deadlock: error instanceof chainlock.DeadlockError }))
  port.postMessage(end)
}

describe('across threads', () => {
  for (const size of [2, 4]) {
    test(`a circle of ${size} workers: one is refused, and the others go on`, async (t) => {
      const names = Array.from({ length: size }, () => freshName('far'))
      const workers = names.map((name, index) => startWorker(half, { first: name, second: names[(index + 1) % size] }))
      await Promise.all(workers.map(message))
      const ends = workers.map(message)
      for (const [index, worker] of workers.slice(0, -1).entries()) {
        worker.postMessage('go')
        while (standing(names[index + 1]).waiters === 0) await turn()
      }
      const error = await refused(t, async () => {
        workers.at(-1).postMessage('go')
        throw await ends.at(-1)
      })
      assert.equal(error.code, 'ERR_LOCK_DEADLOCK')
      assert.equal(error.deadlock, true)
      assert.equal(error.cycle.length, size)
      const threads = new Set(error.cycle.map((edge) => edge.heldBy.threadId))
      assert.equal(threads.size, size)
      for (const name of names) assert.ok(error.report.includes(name))
      assert.deepEqual(await Promise.all(ends.slice(0, -1)), Array(size - 1).fill('done'))
    })
  }

  test('of a worker and this thread, here first or there first', async (t) => {
    for (const hereFirst of [true, false]) {
      const [here, there] = [freshName('here'), freshName('there')]
      const worker = startWorker(half, { first: there, second: here })
      await message(worker)
      const end = message(worker)
      const go = async () => {
        worker.postMessage('go')
        while (standing(here).waiters === 0) await turn()
      }
      const mine = locks.withLock(here, FOR_EVER, async () => {
        if (!hereFirst) await go()
        return locks.withLock(there, FOR_EVER, () => 'done')
      })
      if (hereFirst) {
        while (standing(there).waiters === 0) await turn()
        worker.postMessage('go')
        assert.equal((await end).code, 'ERR_LOCK_DEADLOCK')
        assert.equal(await mine, 'done')
      } else {
        assert.equal((await failure(mine)).code, 'ERR_LOCK_DEADLOCK')
        assert.equal(await end, 'done')
      }
    }
    t.diagnostic('both ways found')
  })
})
