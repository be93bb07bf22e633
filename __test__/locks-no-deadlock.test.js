// What is no deadlock, and so is never refused: siblings, nesting in one order, waits that can end; re-entrant
// calls; and what a deadlock of standard requests and a wait that is merely long are told as.
'use strict'

const { test, describe, after } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, stateOf, gate, until } = require('./helpers/waiting')
const { chainlock, deep } = require('./helpers/package')
const { random } = require('./helpers/figures')
const { runWorker } = require('./helpers/threads')

const { DeadlockError } = chainlock
const FOR_EVER = { timeoutMs: Infinity }
const SCHEDULES = deep(5_000_000, 100_000)

const warnings = []
const listen = (warning) => warnings.push(warning)
process.on('warning', listen)
after(() => process.off('warning', listen))

describe('never refused', () => {
  test('siblings under Promise.all that want the same lock', async () => {
    const [outer, inner] = [freshName(), freshName()]
    let counter = 0
    await locks.withLock(outer, () => Promise.all(Array.from({ length: 50 }, () => locks.withLock(inner, FOR_EVER, async () => {
      const read = counter
      await turn()
      counter = read + 1
    }))))
    assert.equal(counter, 50)
  })

  test('siblings in a flow’s callbacks, each nesting in one order', async () => {
    const names = [freshName(), freshName(), freshName()]
    const down = (depth) => depth === names.length ? turn() : locks.withLock(names[depth], FOR_EVER, () => down(depth + 1))
    await Promise.all(Array.from({ length: 30 }, () => down(0)))
  })

  test('guards outside of flows, whoever waits: they can be handed around', async () => {
    const [a, b] = [freshName(), freshName()]
    const [first, second] = [await locks.acquire(a), await locks.acquire(b)]
    const crossed = [locks.acquire(b, FOR_EVER), locks.acquire(a, FOR_EVER)]
    assert.deepEqual([await stateOf(crossed[0]), await stateOf(crossed[1])], ['pending', 'pending'])
    first.release()
    second.release()
    for (const guard of await Promise.all(crossed)) guard.release()
  })

  test('a circle whose link has ended: by release inside, by abort, by timeout', async () => {
    const [a, b] = [freshName(), freshName()]
    // Inside its callback the guard is given back: what is asked for afterwards hangs on nothing.
    await locks.withLock(a, async (guard) => {
      guard.release()
      const other = locks.withLock(b, FOR_EVER, () => locks.withLock(a, FOR_EVER, turn))
      await locks.withLock(b, FOR_EVER, () => {})
      await other
    })
    for (const how of ['abort', 'timeout']) {
      const [started, ended] = [gate(), gate()]
      const controller = new AbortController()
      const holdsB = locks.withLock(b, FOR_EVER, async () => {
        started.open()
        await ended.opened
        return locks.withLock(a, FOR_EVER, () => 'went on')
      })
      const end = await locks.withLock(a, FOR_EVER, async () => {
        await started.opened
        const waiting = failure(locks.withLock(b, how === 'abort' ? { signal: controller.signal } : { timeoutMs: 1 }, () => {}))
        controller.abort()
        const error = await waiting
        ended.open()
        await turn()
        return error
      })
      assert.equal(end instanceof DeadlockError, false)
      assert.equal(await holdsB, 'went on')
    }
  })

  test('a request that a finished callback has left behind', async () => {
    const [a, b] = [freshName(), freshName()]
    const blocker = locks.tryAcquire(b)
    let left
    await locks.withLock(a, () => {
      left = locks.withLock(b, FOR_EVER, () => 'late')
    })
    const next = locks.withLock(a, FOR_EVER, () => {
      setImmediate(() => blocker.release())
      return locks.withLock(b, FOR_EVER, () => 'inside')
    })
    assert.deepEqual(await Promise.all([left, next]), ['late', 'inside'])
  })

  for (const [what, count, mix] of [['of single locks and semaphores', SCHEDULES, 0.9], ['among requests for several locks', SCHEDULES / 5, 1]]) {
    test(`F15: ${count} random acyclic schedules ${what}, in two threads`, async (t) => {
      const names = Array.from({ length: 8 }, (_, index) => freshName(`rank-${index}`))
      const data = { names, count: count / 2, mix, text: String(random) }
      const [here, [there]] = await Promise.all([descents({ chainlock, data: { ...data, seed: 1 } }), runWorker(descents, { ...data, seed: 2 })])
      const reasons = [...here.reasons, ...there.reasons]
      t.diagnostic(`F15: ${count} acyclic schedules ${what}, ${here.asked + there.asked} requests, ${reasons.length} refused`)
      assert.deepEqual(reasons.slice(0, 1), [])
    })
  }
})

/**
 * Random descents down the ranks: whoever holds a name asks for greater ones only, so no circle can come about.
 * `mix` up to 0.9 leaves requests for several locks out.
 */
async function descents({ chainlock, data: { names, seed, count, mix, text }, port }) {
  const { locks } = chainlock
  const next = new Function(`return ${text}`)()(seed)
  const semaphores = names.map((name) => locks.semaphore(name, 2))
  const told = { reasons: [], asked: 0 }
  const descend = (from, depth) => {
    const at = from + Math.floor(next() * 3)
    if (depth === 0 || at >= names.length) return next() < 0.3 ? new Promise(setImmediate) : null
    const inside = () => descend(at + 1, depth - 1)
    const options = { timeoutMs: Infinity, priority: Math.floor(next() * 3) }
    told.asked++
    const kind = next() * mix
    if (kind < 0.4) return locks.withRead(names[at], options, inside)
    if (kind < 0.8) return locks.withWrite(names[at], options, inside)
    if (kind < 0.9) return semaphores[at].run({ timeoutMs: Infinity, weight: 1 + Math.floor(next() * 2) }, inside)
    return locks.withAll([names[at], names[Math.min(at + 1, names.length - 1)]], { timeoutMs: Infinity }, () => descend(at + 2, depth - 1))
  }
  const AT_ONCE = 16
  for (let done = 0; done < count; done += AT_ONCE) {
    const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, async () => descend(0, 4)))
    for (const { reason } of ends) if (reason) told.reasons.push(String(reason))
  }
  if (port) port.postMessage(told)
  return told
}

describe('detached', () => {
  test('what a callback starts and does not wait for is outside of its hold, and of its flow', async () => {
    const name = freshName()
    const log = []
    let later
    await locks.flow('a flow', () => locks.withLock(name, async () => {
      const inside = await failure(locks.withLock(name, FOR_EVER, () => {}))
      assert.equal(inside.code, 'ERR_LOCK_SELF_DEADLOCK')
      later = locks.detached(() => locks.withLock(name, FOR_EVER, (guard) => log.push(guard.label)))
      const outside = locks.detached(() => locks.tryAcquire(freshName('mine')))
      assert.equal(outside.label, null)
      assert.equal(outside.release(), true)
      await turn()
      log.push('hold over')
    }))
    await later
    assert.deepEqual(log, ['hold over', null])
  })

  test('answers what its function does, and throws what it throws', () => {
    assert.equal(locks.detached(() => 7), 7)
    assert.throws(() => locks.detached(() => { throw new RangeError('own') }), RangeError)
    assert.throws(() => locks.detached('fn'), { code: 'ERR_LOCK_INVALID_ARGUMENT', message: /detached: fn must be a function/ })
  })
})

describe('reentrant: true', () => {
  const AGAIN = { reentrant: true, timeoutMs: Infinity }

  test('grants what one holds already, as a part of that hold', async () => {
    const name = freshName()
    await locks.withLock(name, async (outer) => {
      const inner = await locks.withLock(name, AGAIN, (guard) => {
        assert.equal(guard.token, outer.token)
        return guard
      })
      assert.equal(inner.released, true)
      assert.equal(outer.check(), true, 'the end of the part is not the end of the hold')
      await locks.withRead(name, AGAIN, () => assert.equal(standing(name).holders, 1))
      await locks.lock(name).run(AGAIN, async (guard) => {
        assert.equal(guard.release(), true)
        assert.equal(guard.release(), false)
        assert.equal(outer.check(), true)
      })
      await locks.withLock(freshName(), () => locks.withLock(name, AGAIN, () => {}))
    })
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('siblings under Promise.all exclude each other: a counter over awaits is exact', async () => {
    const name = freshName()
    let counter = 0
    let inside = 0
    const increment = () => locks.withLock(name, AGAIN, async () => {
      assert.equal(++inside, 1)
      const read = counter
      await turn()
      counter = read + 1
      inside--
    })
    await locks.withLock(name, async () => {
      await increment()
      await Promise.all(Array.from({ length: 20 }, increment))
      await Promise.all([increment(), locks.withLock(name, AGAIN, increment)])
    })
    assert.equal(counter, 23)
  })

  test('shared parts of a shared hold run side by side', async () => {
    const name = freshName()
    const { opened, open } = gate()
    await locks.withRead(name, () => Promise.all([
      locks.withRead(name, AGAIN, () => opened),
      locks.withRead(name, AGAIN, () => open()),
    ]))
  })

  test('is no way in from outside, from another flow, or after the end', async () => {
    const name = freshName()
    const { opened, open } = gate()
    let left
    const holding = locks.withLock(name, async () => {
      await opened
      left = () => locks.withLock(name, AGAIN, () => 'later')
    })
    const outside = locks.withLock(name, AGAIN, () => 'after')
    assert.equal(await stateOf(outside), 'pending')
    open()
    await holding
    assert.equal(await outside, 'after')
    const blocker = locks.tryAcquire(name)
    const late = left()
    assert.equal(await stateOf(late), 'pending')
    blocker.release()
    assert.equal(await late, 'later')
  })

  test('does not make a shared hold exclusive', async () => {
    const name = freshName()
    await locks.withRead(name, async () => {
      assert.equal((await failure(locks.withWrite(name, AGAIN, () => {}))).code, 'ERR_LOCK_SELF_DEADLOCK')
    })
  })
})

describe('standard requests', () => {
  test('hang in a circle, as the standard says; one warning tells, detectDeadlocks lists, an abort frees', async () => {
    const [a, b] = [freshName('std'), freshName('std')]
    const controller = new AbortController()
    const { signal } = controller
    const { opened, open } = gate()
    const first = locks.request(a, async () => {
      await opened
      return locks.request(b, { signal }, () => {})
    })
    const second = locks.request(b, async () => {
      open()
      await turn()
      return locks.request(a, () => 'freed')
    })
    await until(() => warnings.some((warning) => warning.code === 'ERR_LOCK_DEADLOCK' && warning.message.includes(a)), 'the warning')
    const { cycles, longWaits } = locks.detectDeadlocks()
    const mine = cycles.filter(({ cycle }) => cycle.some((edge) => edge.request.name === a))
    assert.equal(mine.length, 1)
    assert.deepEqual(new Set(mine[0].cycle.map((edge) => edge.request.name)), new Set([a, b]))
    assert.ok(mine[0].report.includes(a) && mine[0].report.includes(b))
    assert.equal(longWaits.some((wait) => wait.name === a), false, 'not waiting for five minutes yet')
    assert.deepEqual([await stateOf(first), await stateOf(second)], ['pending', 'pending'])
    controller.abort()
    assert.equal((await failure(first)).name, 'AbortError')
    assert.equal(await second, 'freed')
    assert.equal(locks.detectDeadlocks().cycles.some(({ cycle }) => cycle.some((edge) => edge.request.name === a)), false)
    assert.equal(warnings.filter((warning) => warning.code === 'ERR_LOCK_DEADLOCK' && warning.message.includes(a)).length, 1)
  })

  test('are never the one that is refused: the other one is, though it is older', async () => {
    const [a, b] = [freshName(), freshName()]
    const { opened, open } = gate()
    const older = locks.withLock(a, FOR_EVER, async () => {
      open()
      return locks.withLock(b, FOR_EVER, () => {})
    })
    // It holds b before the other asks.
    const younger = locks.request(b, async () => {
      await opened
      await turn()
      return locks.request(a, () => 'went on')
    })
    const ends = await Promise.allSettled([older, younger])
    const refused = ends.filter(({ status }) => status === 'rejected')
    assert.equal(refused.length, ends[0].status === 'rejected' ? 1 : 0)
    assert.equal(ends[1].status, 'fulfilled')
  })
})

describe('detectDeadlocks', () => {
  test('lists the waits that are older than a threshold, with who holds what they wait for', async () => {
    const name = freshName('slow')
    const guard = locks.tryAcquire(name)
    const waits = [locks.acquire(name, { label: 'first' }), locks.acquire(name, { label: 'second' })]
    await turn()
    const listed = (options) => locks.detectDeadlocks(options).longWaits
      .filter((wait) => wait.name === name).sort((a, b) => a.position - b.position)
    assert.deepEqual(listed({ olderThanMs: 60_000 }), [])
    assert.deepEqual(listed(), [])
    const all = listed({ olderThanMs: 0 })
    assert.deepEqual(all.map((wait) => wait.label), ['first', 'second'])
    assert.ok(all[0].waitedMs >= all[1].waitedMs)
    assert.equal(all[1].position, 2)
    assert.deepEqual(all.map(({ holderCount, holders }) => [holderCount, holders[0].token]), [[1, guard.token], [1, guard.token]])
    const before = locks.configure({})
    locks.configure({ longWaitMs: 0 })
    assert.equal(listed().length, 2)
    locks.configure(before)
    guard.release()
    for (const wait of waits) (await wait).release()
    assert.deepEqual(listed({ olderThanMs: 0 }), [])
  })
})
