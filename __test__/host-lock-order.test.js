// withLocks: named locks and host locks together, in one order; and what becomes of processes that wait in a circle.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock, locks, hostLock, freshName, inLine, startOther } = require('./helpers/host')
const { failure } = require('./helpers/locks')
const { turn, pause, gate, until } = require('./helpers/waiting')

const { withLocks, DeadlockError, hostLocked } = chainlock

let other
before(() => (other = startOther()))
after(() => other.end())

/** The name of the process's own lock in front of a host lock. */
const front = (lock) => `-host:${lock.path}`
const isHeld = (name) => locks.getLockStatus(name).holders.length > 0

describe('withLocks', () => {
  test('takes named locks and host locks, gives their guards in the order of the list, and gives all back', async () => {
    const [name, lock] = [freshName('named'), hostLock(freshName())]
    const handle = locks.lock(freshName('handle'), { mode: 'shared' })
    const list = [lock, name, handle, { name: freshName('read'), mode: 'read' }, { lock: hostLock(freshName()), mode: 'shared' }]
    const answer = await withLocks(list, async (guards) => {
      await turn()
      assert.deepEqual(guards.map(({ mode }) => mode), ['exclusive', 'exclusive', 'shared', 'shared', 'shared'])
      assert.deepEqual(guards.map((guard) => guard.name), [lock.name, name, handle.name, list[3].name, list[4].lock.name])
      assert.ok(guards.every((guard) => guard.check()))
      assert.equal(lock.tryAcquire(), null)
      return 'done'
    })
    assert.equal(answer, 'done')
    for (const each of [name, handle.name, front(lock)]) assert.equal(isHeld(each), false)
    lock.tryAcquire().release()
  })

  test('takes them in one order, however they are listed: of the process first, by names, then by paths', async () => {
    const [a, b] = [hostLock(`a-${freshName()}`), hostLock(`b-${freshName()}`)]
    const [x, y] = [`x-${freshName()}`, `y-${freshName()}`]
    const order = [x, y, front(a), front(b)]
    for (const list of [[b, y, a, x], [x, a, y, b], [y, x, b, a]]) {
      for (const [index, name] of order.entries()) {
        // Whoever is not had stops it there: those before are held, those behind are not.
        const gatekeeper = locks.tryAcquire(name)
        const running = withLocks(list, () => order.map(isHeld))
        await until(() => locks.getLockStatus(name).waiters.length === 1, `it waits for ${name}`)
        assert.deepEqual(order.map(isHeld), order.map((_, at) => at <= index))
        gatekeeper.release()
        assert.deepEqual(await running, [true, true, true, true])
        assert.deepEqual(order.map(isHeld), [false, false, false, false])
      }
    }
  })

  test('takes what is listed twice once, in the stronger mode', async () => {
    const [name, lock] = [freshName(), hostLock(freshName())]
    const list = [{ name, mode: 'shared' }, name, { lock, mode: 'shared' }, { lock: hostLock(lock.path), mode: 'exclusive' }]
    await withLocks(list, ([first, second, third, fourth]) => {
      assert.equal(first, second)
      assert.equal(third, fourth)
      assert.deepEqual([first.mode, third.mode], ['exclusive', 'exclusive'])
    })
    await withLocks([lock, { lock, mode: 'shared' }], { mode: 'shared' }, ([guard]) => assert.equal(guard.mode, 'shared'))
  })

  test('takes all or none', async () => {
    const [name, free, busy] = [freshName(), hostLock(`a-${freshName()}`), hostLock(`b-${freshName()}`)]
    await other.acquire(busy.name, { label: 'busy' })
    const error = await failure(withLocks([name, busy, free], { timeoutMs: 30 }, () => assert.fail('must not run')))
    assert.deepEqual([error.code, error.path, error.holders[0].label], ['ERR_LOCK_TIMEOUT', busy.path, 'busy'])
    assert.deepEqual([isHeld(name), isHeld(front(free)), isHeld(front(busy))], [false, false, false])
    const controller = new AbortController()
    const aborted = failure(withLocks([free, busy], { signal: controller.signal }, () => assert.fail('must not run')))
    await until(() => busy.status().waiters === 1, 'it waits')
    controller.abort('enough')
    assert.equal(await aborted, 'enough')
    assert.equal(isHeld(front(free)), false)
    await other.release(busy.name)
    const mine = new Error('mine')
    assert.equal(await failure(withLocks([name, free, busy], () => { throw mine })), mine)
    assert.deepEqual([isHeld(name), isHeld(front(free)), isHeld(front(busy))], [false, false, false])
  })

  test('has one time limit for all together', async () => {
    const [name, busy] = [freshName(), hostLock(freshName())]
    const gatekeeper = locks.tryAcquire(name)
    await other.acquire(busy.name)
    // Half of it for the first one: a limit of its own for the second would end later by as much.
    const LIMIT_MS = 6_000
    const asked = performance.now()
    const all = failure(withLocks([name, busy], { timeoutMs: LIMIT_MS }, () => assert.fail('must not run')))
    await pause(LIMIT_MS / 2)
    const releasedMs = performance.now() - asked
    gatekeeper.release()
    await until(() => isHeld(front(busy)), 'it waits for the host lock')
    assert.equal((await all).path, busy.path)
    const tookMs = performance.now() - asked
    assert.ok(tookMs < releasedMs + LIMIT_MS, `${tookMs} ms, of which ${releasedMs} ms for the first`)
    await other.release(busy.name)
  })

  test('does not deadlock with a process that lists the same in another order', async () => {
    const [a, b] = [freshName('a'), freshName('b')]
    const work = async ({ chainlock }, names, rounds) => {
      const list = names.map((name) => chainlock.hostLock(name))
      for (let round = 0; round < rounds; round++) await chainlock.withLocks(list, { timeoutMs: Infinity }, async () => null)
      return 'done'
    }
    assert.deepEqual(await Promise.all([other.run(work, [a, b], 100), work({ chainlock }, [b, a], 100)]), ['done', 'done'])
  })

  test('says what is wrong with its arguments, and takes nothing', async () => {
    const lock = hostLock(freshName())
    for (const [list, ...rest] of [
      ['a name', () => {}], [[], () => {}], [Array(65).fill('x'), () => {}], [[42], () => {}], [[null], () => {}],
      [[{}], () => {}], [[{ name: 'x', lock }], () => {}], [[{ lock: 'x', mod: 'read' }], () => {}], [[{ lock: {} }], () => {}], [[{ lock: 'x' }], () => {}],
      [[{ name: 1 }], () => {}], [[lock, { lock, mode: 'mine' }], () => {}], [[lock]], [[lock], {}, 'fn'], [[lock], { timeoutMs: -1 }, () => {}],
      [[lock], { timeout: 1 }, () => {}], [[lock], { signal: {} }, () => {}], [[Symbol('x')], () => {}],
    ]) {
      const error = await failure(withLocks(list, ...rest))
      assert.ok(error instanceof TypeError && /^ERR_LOCK_(INVALID_ARGUMENT|UNKNOWN_OPTION)$/.test(error.code), String(error))
      assert.match(error.message, /^withLocks: /)
    }
    assert.equal(isHeld(front(lock)), false)
  })
})

describe('a circle of waits', () => {
  test('over two processes ends with a DeadlockError in one of them', async (t) => {
    const [a, b] = [hostLock(freshName('a')), hostLock(freshName('b'))]
    const third = startOther()
    const inside = ({ chainlock, kept }, [outer, inner], label) => {
      const outcome = chainlock.hostLock(outer).withLock({ label }, async () => {
        kept.set('held', true)
        while (!kept.get('go')) await new Promise((resolve) => setTimeout(resolve, 1))
        return chainlock.hostLock(inner).withLock({ label: `${label}, inside`, timeoutMs: Infinity }, () => 'worked')
      })
      kept.set('outcome', outcome.catch(({ code, report, cycle, message }) => ({ code, report, cycle, message })))
    }
    const all = (fn) => Promise.all([other.run(fn), third.run(fn)])
    await other.run(inside, [a.name, b.name], 'one')
    await third.run(inside, [b.name, a.name], 'two')
    await until(() => a.status().holders.length > 0 && b.status().holders.length > 0, 'both hold one')
    const started = performance.now()
    await all(({ kept }) => void kept.set('go', true))
    const outcomes = await all(({ kept }) => kept.get('outcome'))
    t.diagnostic(`found in ${(performance.now() - started).toFixed(0)} ms`)
    const [loser] = outcomes.filter((outcome) => outcome !== 'worked')
    assert.equal(outcomes.filter((outcome) => outcome === 'worked').length, 1, JSON.stringify(outcomes))
    assert.equal(loser.code, 'ERR_LOCK_DEADLOCK')
    assert.equal(loser.cycle.length, 2)
    assert.deepEqual(new Set(loser.cycle.map(({ request }) => request.pid)), new Set([other.pid, third.pid]))
    assert.deepEqual(new Set(loser.cycle.map(({ request }) => request.name)), new Set([a.path, b.path]))
    for (const { request, heldBy } of loser.cycle) assert.notEqual(request.pid, heldBy.pid)
    const [hold, others] = loser.cycle[0].request.label === 'one, inside' ? ['one', 'two'] : ['two', 'one']
    const labels = loser.cycle.map(({ request, heldBy }) => [request.label, heldBy.label])
    // Of another process is known by which label it holds, not by which it asks.
    assert.deepEqual(labels, [[`${hold}, inside`, others], [others, hold]])
    for (const { request } of loser.cycle) assert.ok(request.waitedMs > 0, JSON.stringify(request))
    assert.match(loser.report, /2 processes wait for each other/)
    assert.match(loser.report, new RegExp(`^\\[1\\] '${hold}, inside', process \\d+\n    waits for host lock .*, for [\\d,.]+ m?s\n`, 'm'))
    assert.ok(loser.message.includes(loser.report))
    await third.end()
    for (const lock of [a, b]) assert.deepEqual(lock.status().holders, [])
  })

  test('over two processes that stand still ends so, too', async () => {
    const [a, b] = [hostLock(freshName('a')), hostLock(freshName('b'))]
    const third = startOther()
    const take = ({ chainlock, kept }, name) => void kept.set('outer', chainlock.hostLock(name).tryAcquireSync())
    const takeBoth = ({ chainlock, kept }, name) => {
      try {
        chainlock.hostLock(name).acquireSync({ timeoutMs: Infinity }).release()
        return 'worked'
      } catch (error) {
        return error.code
      } finally {
        kept.get('outer').release()
      }
    }
    await Promise.all([other.run(take, a.name), third.run(take, b.name)])
    const outcomes = await Promise.all([other.run(takeBoth, b.name), third.run(takeBoth, a.name)])
    assert.deepEqual(outcomes.sort(), ['ERR_LOCK_DEADLOCK', 'worked'])
    await third.end()
  })

  test('that goes through the line of a process is found, too', async () => {
    const [a, b] = [hostLock(freshName('a')), hostLock(freshName('b'))]
    await other.run(({ chainlock, kept }, [outer, inner]) => {
      const asks = new Promise((resolve) => kept.set('ask', resolve))
      const wants = () => chainlock.hostLock(inner).withLock({ timeoutMs: Infinity }, () => 'worked')
      kept.set('outcome', chainlock.hostLock(outer).withLock(() => asks.then(wants)).catch(({ code }) => code))
    }, [b.name, a.name])
    await until(() => b.status().holders.length > 0, 'the other process holds one')
    const before = b.withLock({ timeoutMs: Infinity }, () => 'worked')
    const behind = a.withLock(async () => {
      await other.run(({ kept }) => kept.get('ask')())
      return b.withLock({ timeoutMs: Infinity }, () => 'worked')
    })
    const mine = behind.catch(({ code }) => code)
    const outcomes = [await mine, await other.run(({ kept }) => kept.get('outcome')), await before]
    assert.deepEqual(outcomes.sort(), ['ERR_LOCK_DEADLOCK', 'worked', 'worked'])
    for (const lock of [a, b]) assert.deepEqual(inLine(lock), { holders: 0, waiters: 0 })
  })

  test('within one process is refused at once', async () => {
    const [a, b] = [hostLock(freshName('a')), hostLock(freshName('b'))]
    const [first, second] = [gate(), gate()]
    const one = a.withLock(async () => {
      first.open()
      await second.opened
      return b.withLock({ timeoutMs: Infinity }, () => 'one')
    })
    const two = b.withLock(async () => {
      await first.opened
      second.open()
      await turn()
      return a.withLock({ timeoutMs: Infinity }, () => 'two')
    })
    const outcomes = await Promise.allSettled([one, two])
    const lost = outcomes.filter(({ status }) => status === 'rejected')
    assert.equal(lost.length, 1)
    assert.ok(lost[0].reason instanceof DeadlockError)
    assert.match(lost[0].reason.report, /host lock '/)
  })

  test('is seen coming: the order of classes of locks is watched over host locks, too', async () => {
    const [name, lock] = [freshName('named'), hostLock(freshName())]
    locks.configure({ lockOrder: 'error' })
    try {
      await locks.withLock(name, async () => (await lock.acquire()).release())
      const error = await failure(lock.withLock(() => locks.acquire(name)))
      assert.deepEqual([error.code, error.now.held, error.now.then], ['ERR_LOCK_ORDER', '-host', name])
    } finally {
      locks.configure({ lockOrder: 'off' })
    }
  })

  test('of a hold with itself is refused at once, in a flow, too', async () => {
    const lock = hostLock(freshName())
    const asks = () => lock.acquire({ timeoutMs: Infinity })
    assert.equal((await failure(lock.withLock(asks))).code, 'ERR_LOCK_SELF_DEADLOCK')
    await locks.flow('a flow', async () => {
      const guard = lock.tryAcquire()
      assert.equal((await failure(asks())).code, 'ERR_LOCK_SELF_DEADLOCK')
      guard.release()
      ;(await asks()).release()
    })
  })
})

describe('hostLocked', () => {
  test('is a wrapper of functions, and gives the lock back', async () => {
    const lock = hostLock(freshName())
    const fn = hostLocked(lock.path, { label: 'wrapped' })(async function add(a, b) {
      assert.equal(lock.status().holders[0].label, 'wrapped')
      return a + b
    })
    assert.deepEqual([fn.name, fn.length, await fn(1, 2)], ['add', 2, 3])
    assert.deepEqual(inLine(lock), { holders: 0, waiters: 0 })
    const named = hostLocked((id) => `by-${id}`)((id) => hostLock(`by-${id}`).tryAcquire())
    assert.equal(await named('7'), null)
    hostLock('by-7').tryAcquire().release()
  })

  test('decorates methods, as the standard and as experimentalDecorators have it', async () => {
    const name = freshName()
    const method = async function () {
      return hostLock(name).tryAcquire() === null && this.what
    }
    const standard = hostLocked(name)(method, { kind: 'method', name: 'work' })
    assert.equal(await standard.call({ what: 'mine' }), 'mine')
    const { value } = hostLocked(function () { return this.lock })({}, 'work', { value: method, writable: true })
    assert.equal(await value.call({ what: 'mine', lock: name }), 'mine')
  })

  test('says where it is written what is wrong', async () => {
    for (const [name, options, code] of [
      [1, undefined, 'ERR_LOCK_INVALID_ARGUMENT'], ['x', { mod: 'read' }, 'ERR_LOCK_UNKNOWN_OPTION'],
      ['x', { allowNetworkFs: 1 }, 'ERR_LOCK_INVALID_ARGUMENT'], ['x', { timeoutMs: 'long' }, 'ERR_LOCK_INVALID_ARGUMENT'],
    ]) {
      assert.throws(() => hostLocked(name, options), { name: 'TypeError', code })
    }
    assert.throws(() => hostLocked('x')(class {}), { message: /hostLocked cannot decorate a class/ })
    assert.equal((await failure(hostLocked('a/b')(() => {})())).code, 'ERR_LOCK_INVALID_ARGUMENT')
    assert.equal((await failure(hostLocked(() => 7)(() => {})())).code, 'ERR_LOCK_INVALID_ARGUMENT')
  })
})
