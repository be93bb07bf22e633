// Named locks in one thread: modes, names, the order of the grants, and the ways to ask that do not wait.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, requests } = require('./helpers/locks')
const { assertSince } = require('./helpers/moments')
const { turn, stateOf } = require('./helpers/waiting')
const { chainlock } = require('./helpers/package')

describe('modes', () => {
  test('exclusive is the default; read and write are the same modes by other words', async () => {
    const name = freshName()
    const modes = [[undefined, 'exclusive'], ['exclusive', 'exclusive'], ['write', 'exclusive'], ['shared', 'shared'], ['read', 'shared']]
    for (const [asked, got] of modes) {
      const options = asked && { mode: asked }
      for (const take of [() => locks.acquire(name, options), () => locks.tryAcquire(name, options)]) {
        const guard = await take()
        assert.equal(guard.mode, got)
        assert.equal(guard.release(), true)
      }
    }
    await locks.withRead(name, (guard) => assert.equal(guard.mode, 'shared'))
    await locks.withWrite(name, (guard) => assert.equal(guard.mode, 'exclusive'))
    await locks.withLock(name, { mode: 'read' }, (guard) => assert.equal(guard.mode, 'shared'))
  })

  test('shared holds go together, an exclusive one is alone', async () => {
    const name = freshName()
    const readers = [locks.tryAcquire(name, { mode: 'shared' }), locks.tryAcquire(name, { mode: 'read' })]
    readers.push(await locks.acquire(name, { mode: 'shared' }))
    assert.equal(standing(name).holders, 3)
    assert.equal(locks.tryAcquire(name), null)
    for (const reader of readers) assert.equal(reader.release(), true)
    const writer = locks.tryAcquire(name)
    assert.equal(locks.tryAcquire(name), null)
    assert.equal(locks.tryAcquire(name, { mode: 'shared' }), null)
    writer.release()
    assert.equal(standing(name).holders, 0)
  })

  test('a guard tells name, mode, token, label and time of its hold', async () => {
    const name = freshName()
    const before = Date.now()
    const guard = await locks.acquire(name, { label: 'the first' })
    assert.equal(guard.name, name)
    assert.deepEqual([...guard.names], [name])
    assert.equal(guard.label, 'the first')
    assert.ok(Number.isSafeInteger(guard.token) && guard.token > 0)
    assertSince(guard.acquiredAt, before)
    assert.equal(guard.released, false)
    assert.equal(guard.check(), true)
    guard.assertHeld()
    guard.release()
    assert.equal(guard.released, true)
    assert.equal(guard.check(), false)
    assert.throws(() => guard.assertHeld(), { code: 'ERR_LOCK_LOST' })
  })

  test('tokens grow over all names and modes', async () => {
    const tokens = []
    for (const mode of ['shared', 'exclusive', 'shared']) {
      const guard = await locks.acquire(freshName(), { mode })
      tokens.push(guard.token)
      guard.release()
      tokens.push(locks.tryAcquire(freshName(), { mode }).token)
      await locks.withLock(freshName(), { mode }, (inside) => tokens.push(inside.token))
    }
    assert.deepEqual(tokens, [...new Set(tokens)].sort((a, b) => a - b))
  })
})

describe('names', () => {
  const ODD = [
    '', '\0', 'a\0b', '\ud800', '\udfff', '\uffff', ' ', '-', '-chainlock', '__proto__', 'constructor', 'toString', 'é', 'e\u0301', '漢字🔒',
    'x'.repeat(2 ** 20), `${'x'.repeat(2 ** 20)}y`,
  ]

  test('are compared unit by unit: each of these is a lock of its own', async () => {
    const guards = ODD.map((name) => locks.tryAcquire(name))
    for (const [index, name] of ODD.entries()) {
      assert.ok(guards[index], JSON.stringify(name.slice(0, 20)))
      assert.equal(guards[index].name, name)
      assert.equal(locks.tryAcquire(name), null)
    }
    const held = new Set((await locks.query()).held.map((lock) => lock.name))
    // Names that begin so are chainlock's own, and not shown to Web Locks callers.
    for (const name of ODD) assert.equal(held.has(name), !name.startsWith('-'), JSON.stringify(name.slice(0, 20)))
    for (const guard of guards) assert.equal(guard.release(), true)
    for (const name of ODD) (await locks.acquire(name)).release()
  })

  test('made anew by concatenation or slicing are the same name', () => {
    const name = freshName('a name that is put together')
    const guard = locks.tryAcquire(name)
    assert.equal(locks.tryAcquire(`${name.slice(0, 5)}${name.slice(5)}`), null)
    assert.equal(locks.tryAcquire(`x${name}`.slice(1)), null)
    guard.release()
  })

  test('of different locks do not touch each other', async () => {
    const [one, other] = [freshName(), freshName()]
    const guard = await locks.acquire(one)
    const waiting = locks.acquire(one)
    const free = await locks.acquire(other)
    assert.equal(await stateOf(waiting), 'pending')
    free.release()
    guard.release()
    ;(await waiting).release()
  })
})

describe('the order', () => {
  test('is that of asking: 1,000 exclusive requests', async () => {
    const line = requests(freshName())
    for (let who = 0; who < 1_000; who++) line.ask(who)
    assert.deepEqual(await line.endAll(), Array.from({ length: 1_000 }, (_, who) => who))
  })

  test('readers that arrive together go together; the writer between them waits for the first, the last for it', async () => {
    const line = requests(freshName())
    line.ask('w1')
    for (const who of ['r1', 'r2', 'r3']) line.ask(who, { mode: 'shared' })
    line.ask('w2')
    for (const who of ['r4', 'r5']) line.ask(who, { mode: 'shared' })
    await turn()
    assert.deepEqual(line.log, ['w1'])
    await line.end('w1')
    assert.deepEqual(line.log, ['w1', 'r1', 'r2', 'r3'])
    await line.end('r2', 'r1')
    assert.equal(line.log.length, 4, 'a reader is still inside')
    await line.end('r3')
    assert.deepEqual(line.log.slice(4), ['w2'])
    await line.end('w2')
    assert.deepEqual(line.log.slice(5), ['r4', 'r5'])
    await line.end('r4', 'r5')
  })

  test('no reader overtakes a waiting writer, by whatever call', async () => {
    const name = freshName()
    const line = requests(name)
    line.ask('r1', { mode: 'shared' })
    line.ask('w1')
    line.ask('r2', { mode: 'shared' })
    const handle = locks.lock(name, { mode: 'shared' })
    await turn()
    assert.deepEqual(line.log, ['r1'])
    assert.equal(locks.tryAcquire(name, { mode: 'shared' }), null)
    assert.equal(handle.tryAcquire(), null)
    assert.equal(await locks.request(name, { mode: 'shared', ifAvailable: true }, (lock) => lock), null)
    await assert.rejects(locks.acquire(name, { mode: 'shared', timeoutMs: 0 }), { code: 'ERR_LOCK_TIMEOUT' })
    const withRead = locks.withRead(name, () => line.log.push('withRead'))
    await line.end('r1')
    assert.deepEqual(line.log, ['r1', 'w1'])
    await line.end('w1')
    await withRead
    assert.deepEqual(line.log, ['r1', 'w1', 'r2', 'withRead'])
    await line.end('r2')
  })

  test('a writer gets in though new readers never stop coming', async () => {
    const name = freshName()
    let running = true
    let reads = 0
    let before
    const reader = async () => {
      while (running) {
        await locks.withRead(name, async () => {
          reads++
          await turn()
        })
      }
    }
    // Staggered, so that there is a reader inside at every moment.
    const readers = []
    for (let count = 0; count < 4; count++) {
      readers.push(reader())
      await null
    }
    await turn()
    before = reads
    await locks.withWrite(name, () => {
      assert.ok(reads - before <= 4, `${reads - before} readers were served before the writer`)
    })
    running = false
    await Promise.all(readers)
  })

  test('a reader gets in though new writers never stop coming', async () => {
    const name = freshName()
    let running = true
    let writes = 0
    const writers = Array.from({ length: 4 }, async () => {
      while (running) {
        await locks.withWrite(name, async () => {
          writes++
          await null
        })
      }
    })
    const before = writes
    await locks.withRead(name, () => assert.ok(writes - before <= 4, `${writes - before} writers were served before the reader`))
    running = false
    await Promise.all(writers)
  })

  test('priority goes first, the highest before the higher; equal ones by arrival', async () => {
    const line = requests(freshName())
    line.ask('holder')
    const priorities = [0, -1_000, 5, 1_000, 5, 0, -1, 1_000]
    priorities.forEach((priority, index) => line.ask(`${priority}#${index}`, { priority }))
    assert.deepEqual(await line.endAll(), ['holder', '1000#3', '1000#7', '5#2', '5#4', '0#0', '0#5', '-1#6', '-1000#1'])
  })

  test('priority of a reader lets it past waiting writers, but not past one that holds', async () => {
    const line = requests(freshName())
    line.ask('w1')
    line.ask('w2')
    line.ask('r1', { mode: 'shared', priority: 1 })
    line.ask('r2', { mode: 'shared' })
    await turn()
    assert.deepEqual(line.log, ['w1'])
    assert.deepEqual(await line.endAll(), ['w1', 'r1', 'w2', 'r2'])
  })
})

describe('tryAcquire', () => {
  test('answers at once: a guard, or null, and stands in no line', () => {
    const name = freshName()
    const guard = locks.tryAcquire(name, { label: 'x' })
    for (let round = 0; round < 100; round++) assert.equal(locks.tryAcquire(name), null)
    assert.deepEqual(standing(name), { holders: 1, waiters: 0 })
    assert.equal(guard.release(), true)
    assert.equal(guard.release(), false)
    locks.tryAcquire(name).release()
  })

  test('does not go past those who wait, in the moment of a release either', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    const waiting = locks.acquire(name)
    guard.release()
    assert.equal(locks.tryAcquire(name), null, 'granted to the one who waited, who has not run yet')
    ;(await waiting).release()
    locks.tryAcquire(name).release()
  })
})

describe('withLock', () => {
  test('answers what the function answers, and gives the lock back', async () => {
    const name = freshName()
    assert.equal(await locks.withLock(name, (guard) => guard.name), name)
    assert.equal(await locks.withLock(name, {}, async () => 7), 7)
    assert.equal(await locks.withLock(name, undefined, () => undefined), undefined)
    assert.equal(await locks.withRead(name, { label: 'r' }, (guard) => guard.label), 'r')
    assert.equal(await locks.withWrite(name, { label: 'w' }, (guard) => guard.label), 'w')
    assert.deepEqual(await locks.withAll([name, freshName()], (guard) => guard.names.length), 2)
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('awaits any thenable, and one that throws', async () => {
    const name = freshName()
    let heldAtThen
    const thenable = { then: (resolve) => setImmediate(() => {
      heldAtThen = standing(name).holders
      resolve('later')
    }) }
    assert.equal(await locks.withLock(name, () => thenable), 'later')
    assert.equal(heldAtThen, 1)
    const error = new Error('of then')
    await assert.rejects(locks.withLock(name, () => ({ then() { throw error } })), error)
    await assert.rejects(locks.withLock(name, () => ({ get then() { throw error } })), error)
    assert.equal(standing(name).holders, 0)
  })

  test('gives the lock back when the function throws or rejects, and passes the error on', async () => {
    const name = freshName()
    const error = new Error('of the user')
    for (const call of ['withLock', 'withRead', 'withWrite']) {
      await assert.rejects(locks[call](name, () => { throw error }), error)
      await assert.rejects(locks[call](name, async () => { throw error }), error)
      assert.equal(standing(name).holders, 0)
    }
    await assert.rejects(locks.withAll([name], () => { throw error }), error)
    await assert.rejects(locks.lock(name).run(() => { throw error }), error)
    assert.equal(standing(name).holders, 0)
  })

  test('a release inside is the release; the end of the function is none', async () => {
    const name = freshName()
    await locks.withLock(name, async (guard) => {
      assert.equal(guard.release(), true)
      const other = locks.tryAcquire(name)
      assert.ok(other)
      return other
    }).then((other) => assert.equal(other.release(), true, 'the hold of somebody else was left alone'))
  })

  test('excludes: an unprotected counter is exact after 2,000 read-wait-write turns', async () => {
    const name = freshName()
    const handle = locks.lock(name)
    let counter = 0
    const ways = [
      (body) => locks.withLock(name, body),
      (body) => handle.run(body),
      (body) => locks.request(name, body),
      async (body) => {
        const guard = await locks.acquire(name)
        await body()
        guard.release()
      },
    ]
    await Promise.all(Array.from({ length: 2_000 }, (_, index) => ways[index % ways.length](async () => {
      const read = counter
      await null
      counter = read + 1
    })))
    assert.equal(counter, 2_000)
  })
})

describe('a handle', () => {
  test('is the same lock as its name', async () => {
    const name = freshName()
    const handle = locks.lock(name)
    assert.equal(handle.name, name)
    assert.equal(handle.isLocked, false)
    const guard = handle.tryAcquire()
    assert.equal(handle.isLocked, true)
    assert.equal(locks.lock(name).isLocked, true)
    assert.equal(handle.tryAcquire(), null)
    assert.equal(locks.tryAcquire(name), null)
    assert.equal(locks.lock(name).tryAcquire(), null)
    const waiting = handle.acquire()
    assert.equal(await stateOf(waiting), 'pending')
    guard.release()
    const next = await waiting
    assert.ok(next.token > guard.token)
    next.release()
    assert.equal(handle.isLocked, false)
  })

  test('has a mode of its own, and takes another for one call', async () => {
    const name = freshName()
    const shared = locks.lock(name, { mode: 'shared' })
    const readers = [shared.tryAcquire(), await shared.acquire(), shared.tryAcquire('read')]
    assert.ok(readers.every((reader) => reader.mode === 'shared'))
    assert.equal(shared.tryAcquire('exclusive'), null)
    assert.equal(shared.isLocked, true)
    for (const reader of readers) reader.release()
    const writer = await shared.acquire('write')
    assert.equal(writer.mode, 'exclusive')
    writer.release()
    const withOptions = await shared.acquire({ mode: 'exclusive', label: 'once' })
    assert.deepEqual([withOptions.mode, withOptions.label], ['exclusive', 'once'])
    withOptions.release()
    assert.equal(await shared.run((guard) => guard.mode), 'shared')
    assert.equal(await shared.run({ mode: 'exclusive' }, (guard) => guard.mode), 'exclusive')
  })

  test('outlives a million uses, and many handles of a name are one lock', () => {
    const name = freshName()
    const handles = Array.from({ length: 100 }, () => locks.lock(name))
    for (let round = 0; round < 10_000; round++) {
      const guard = handles[round % 100].tryAcquire()
      assert.equal(handles[(round + 1) % 100].tryAcquire(), null)
      guard.release()
    }
    assert.equal(handles[0].getStatistics().modes.exclusive.acquisitions, 10_000)
  })
})

describe('the object', () => {
  test('is the only LockManager, and nobody makes another', () => {
    assert.ok(locks instanceof chainlock.LockManager)
    assert.throws(() => new chainlock.LockManager(), TypeError)
    assert.equal(Object.prototype.toString.call(locks), '[object LockManager]')
    assert.equal(require('..').locks, locks)
  })
})
