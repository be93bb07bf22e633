// Bad input to named locks: a TypeError that names the call, the argument, what is allowed and what was given,
// and changes nothing; odd but lawful input is taken as it is.
'use strict'

const { test, describe, after } = require('node:test')
const assert = require('node:assert/strict')
const vm = require('node:vm')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { chainlock } = require('./helpers/package')
const { runWorker } = require('./helpers/threads')

const throwing = () => { throw new Error('a trap of the caller') }
const everyTrap = Object.fromEntries(Reflect.ownKeys(Reflect).filter((key) => typeof key === 'string').map((trap) => [trap, throwing]))
const revoked = Proxy.revocable({}, {})
revoked.revoke()

const NOT_STRINGS = {
  undefined: undefined,
  null: null,
  true: true,
  0: 0,
  NaN: NaN,
  bigint: 10n,
  symbol: Symbol('name'),
  'an object': {},
  'an object without prototype': Object.create(null),
  'an array': ['a'],
  'a function': () => 'a',
  'a String object': Object('a'),
  'an object that says it is one': { toString: () => 'a', valueOf: () => 'a' },
  'throwing conversions': { toString: throwing, valueOf: throwing, [Symbol.toPrimitive]: throwing },
  'a proxy whose every trap throws': new Proxy({}, everyTrap),
  'a revoked proxy': revoked.proxy,
  'a buffer': Buffer.from('a'),
  'an object of another realm': vm.runInNewContext('({})'),
}

const invalid = (...words) => (error) => {
  assert.ok(error instanceof TypeError, `${error?.name}: ${error?.message}`)
  assert.ok(error instanceof chainlock.ChainlockError)
  assert.equal(error.code, 'ERR_LOCK_INVALID_ARGUMENT', error.message)
  for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" names ${word}`)
  assert.ok(error.message.length < 500)
  return true
}

const unknown = (...words) => (error) => {
  assert.ok(error instanceof TypeError && error instanceof chainlock.ChainlockError)
  assert.equal(error.code, 'ERR_LOCK_UNKNOWN_OPTION')
  for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" names ${word}`)
  return true
}

const NEVER = () => assert.fail('the function ran')

/** Every call that takes a name; those that answer with a promise are to reject, the others to throw. */
const NAMED = {
  acquire: (name) => locks.acquire(name),
  withLock: (name) => locks.withLock(name, NEVER),
  withRead: (name) => locks.withRead(name, NEVER),
  withWrite: (name) => locks.withWrite(name, {}, NEVER),
  'acquireAll, in the list': (name) => locks.acquireAll(['fine', name]),
  'acquireAll, in an entry': (name) => locks.acquireAll([{ name }]),
  withAll: (name) => locks.withAll([name], NEVER),
  tryAcquire: (name) => locks.tryAcquire(name),
  lock: (name) => locks.lock(name),
  semaphore: (name) => locks.semaphore(name, 1),
  forceRelease: (name) => locks.forceRelease(name),
}
const ASYNC = ['acquire', 'withLock', 'withRead', 'withWrite', 'acquireAll', 'withAll', 'run', 'flow']
const isAsync = (call) => ASYNC.some((name) => call.startsWith(name))

/** Whether the call fails as it should: by a rejection and no throw, or by a throw. */
async function fails(call, run, check) {
  if (!isAsync(call)) return assert.throws(run, check, call)
  let promise
  assert.doesNotThrow(() => (promise = run()), `${call} throws`)
  await assert.rejects(promise, check, call)
}

const isEntry = (call) => call === 'withAll' || call.includes('in the list')

describe('names that are none', () => {
  for (const [call, run] of Object.entries(NAMED)) {
    test(call, async () => {
      for (const [what, value] of Object.entries(NOT_STRINGS)) {
        // An entry of a list may be an object, and is then checked as one.
        if (isEntry(call) && typeof value === 'object' && value !== null) continue
        await fails(call, () => run(value), (error) => invalid(call.split(',')[0])(error) && error.message.includes('name'))
      }
    })
  }

  test('what was given is in the message', async () => {
    await assert.rejects(locks.acquire(42), invalid('acquire', 'name', 'a string', 'the number 42'))
    assert.throws(() => locks.tryAcquire(), invalid('tryAcquire', 'name', 'undefined'))
    assert.throws(() => locks.lock(Symbol('x')), invalid('lock', 'a symbol'))
    await assert.rejects(locks.acquireAll(['a', null]), invalid('names[1]', 'null'))
    for (const entry of [['a'], Buffer.from('a'), Object('a'), new Proxy({}, everyTrap), revoked.proxy, {}, Object.create(null)]) {
      await assert.rejects(locks.acquireAll(['b', entry]), (error) => error instanceof TypeError || /trap of the caller/.test(error.message))
    }
    assert.equal(standing('b').holders, 0)
  })

  test('of acquireAll: no list, an empty one, one with holes, a wrong mode, too long a list', async () => {
    for (const names of [undefined, null, 'ab', 1, {}, [], new Set(['a']), [, 'a'], Array(1_001).fill('a').map((name, index) => name + index)]) {
      await assert.rejects(locks.acquireAll(names), invalid('acquireAll', 'names'))
      await assert.rejects(locks.withAll(names, NEVER), invalid('withAll', 'names'))
    }
    const many = Array.from({ length: 1_001 }, (_, index) => `many-${index}`)
    await assert.rejects(locks.acquireAll(many), invalid('acquireAll', 'names', 'an array of 1 to 1,000 names', 'got an array of 1,001'))
    await assert.rejects(locks.acquireAll([{ name: 'a', mode: 'both' }]), invalid('names[0]', "'shared'", "'both'"))
    assert.equal(standing('a').holders, 0)
  })
})

const NUMBERS_NOT = ['5', '', null, true, {}, [], 5n, Symbol('n'), () => 5]
const WRONG = {
  mode: ['', 'Exclusive', 'both', 'none', null, 1, {}, ['shared'], Symbol('m')],
  label: [1, null, {}, [], true, Symbol('l'), 5n],
  timeoutMs: [...NUMBERS_NOT, NaN, -1, -0.001, -Infinity, 2 ** 53],
  priority: [...NUMBERS_NOT, NaN, Infinity, -Infinity, 0.5, 1_001, -1_001, 2 ** 31, 2 ** 53],
  signal: [null, {}, 'x', 1, new EventTarget(), { aborted: false }, true],
  class: [1, null, {}, true, Symbol('c')],
  ref: [0, 1, 'no', null, {}],
  reentrant: [0, 1, 'yes', null, {}],
}
const TRY = ['mode', 'label']
const WAIT = [...TRY, 'timeoutMs', 'priority', 'signal', 'class', 'ref']
const MODELESS = ['label', 'timeoutMs', 'priority', 'signal', 'class', 'ref', 'reentrant']

/** Every call that takes options, and which. */
const OPTIONED = {
  acquire: [WAIT, (name, options) => locks.acquire(name, options)],
  tryAcquire: [TRY, (name, options) => locks.tryAcquire(name, options)],
  acquireAll: [WAIT, (name, options) => locks.acquireAll([name], options)],
  withAll: [WAIT, (name, options) => locks.withAll([name], options, NEVER)],
  withLock: [[...WAIT, 'reentrant'], (name, options) => locks.withLock(name, options, NEVER)],
  withRead: [MODELESS, (name, options) => locks.withRead(name, options, NEVER)],
  withWrite: [MODELESS, (name, options) => locks.withWrite(name, options, NEVER)],
  lock: [TRY, (name, options) => locks.lock(name, options)],
  'acquire of a handle': [WAIT, (name, options) => locks.lock(name).acquire(options)],
  'run of a handle': [[...WAIT, 'reentrant'], (name, options) => locks.lock(name).run(options, NEVER)],
}

describe('options', () => {
  for (const [call, [known, run]] of Object.entries(OPTIONED)) {
    test(`of ${call}: each wrong value of each option is named`, async () => {
      const name = freshName()
      for (const option of known) {
        for (const value of WRONG[option]) await fails(call, () => run(name, { [option]: value }), invalid(option))
      }
      assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
    })

    test(`of ${call}: unknown ones are named, and so is the one that was meant`, async () => {
      const name = freshName()
      await fails(call, () => run(name, { surprise: 1 }), unknown("'surprise'", known[0]))
      await fails(call, () => run(name, { Label: 'x' }), unknown("'Label'", "'label'"))
      if (known.includes('timeoutMs')) await fails(call, () => run(name, { timeout: 1 }), unknown("'timeout'", "'timeoutMs'"))
      for (const option of Object.keys(WRONG).filter((other) => !known.includes(other))) {
        await fails(call, () => run(name, { [option]: undefined }), unknown(`'${option}'`))
      }
      await fails(call, () => run(name, { ['x'.repeat(1e5)]: 1 }), (error) => unknown()(error) && error.message.length < 1_000)
      await fails(call, () => run(name, { '\u001b[2J': 1 }), (error) => unknown()(error) && !error.message.includes('\u001b'))
    })

    test(`of ${call}: what is no object, and getters that throw`, async () => {
      const name = freshName()
      const none = call.includes('handle') ? [null, 1, true, Symbol('o'), 1n] : [null, 1, 'x', true, Symbol('o'), 1n]
      for (const options of none) await fails(call, () => run(name, options), invalid('options'))
      const error = new Error('of the getter')
      await fails(call, () => run(name, { get label() { throw error } }), (thrown) => thrown === error)
      await fails(call, () => run(name, new Proxy({}, everyTrap)), /trap of the caller/)
      assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
    })
  }

  test('a mode of a handle by word is checked, too', async () => {
    const handle = locks.lock(freshName())
    for (const mode of ['', 'both', 'READ']) {
      assert.throws(() => handle.tryAcquire(mode), invalid('tryAcquire', 'mode', "'shared'"))
      await assert.rejects(handle.acquire(mode), invalid('acquire', 'mode'))
      await assert.rejects(handle.run(mode, NEVER), invalid('run', 'mode'))
    }
    for (const mode of [null, 1, {}]) assert.throws(() => handle.tryAcquire(mode), invalid('tryAcquire'))
  })

  test('a getter that asks for the same lock is answered before, and the outer call after it', async () => {
    const name = freshName()
    let inner
    const outer = locks.acquire(name, { get label() {
      inner ??= locks.acquire(name)
      return 'outer'
    } })
    ;(await inner).release()
    ;(await outer).release()
  })

  test('undefined is as good as left out; the limits themselves are allowed', async () => {
    const name = freshName()
    const nothing = Object.fromEntries(Object.keys(WRONG).map((option) => [option, undefined]))
    await locks.withLock(name, nothing, (guard) => assert.equal(guard.mode, 'exclusive'))
    for (const priority of [-1_000, 1_000, -0]) (await locks.acquire(name, { priority })).release()
    for (const timeoutMs of [0, -0, Number.MIN_VALUE, Infinity, Number.MAX_SAFE_INTEGER]) (await locks.acquire(name, { timeoutMs })).release()
    const inherited = Object.create({ mode: 'shared' })
    ;(await locks.acquire(name, inherited)).release()
  })
})

describe('functions that are none', () => {
  test('are named, before anything is taken', async () => {
    const name = freshName()
    for (const fn of [undefined, null, 'x', {}, 1, Symbol('f')]) {
      await assert.rejects(locks.withLock(name, {}, fn), invalid('withLock', 'fn', 'a function'))
      await assert.rejects(locks.withRead(name, {}, fn), invalid('withRead', 'fn'))
      await assert.rejects(locks.withWrite(name, {}, fn), invalid('withWrite', 'fn'))
      await assert.rejects(locks.withAll([name], {}, fn), invalid('withAll', 'fn'))
      await assert.rejects(locks.lock(name).run({}, fn), invalid('run', 'fn'))
      await assert.rejects(locks.flow('x', fn), invalid('flow', 'fn'))
    }
    await assert.rejects(locks.withLock(name), invalid('fn'))
    await assert.rejects(locks.lock(name).run(), invalid('fn'))
    await assert.rejects(locks.flow(), invalid('fn'))
    await assert.rejects(locks.flow(5, () => {}), invalid('flow', 'label'))
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })
})

describe('upgrade', () => {
  test('checks its options', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name, { mode: 'shared' })
    for (const timeoutMs of WRONG.timeoutMs) await assert.rejects(guard.upgrade({ timeoutMs }), invalid('upgrade', 'timeoutMs'))
    for (const signal of WRONG.signal) await assert.rejects(guard.upgrade({ signal }), invalid('upgrade', 'signal'))
    await assert.rejects(guard.upgrade({ mode: 'shared' }), unknown("'mode'"))
    await assert.rejects(guard.upgrade(5), invalid('upgrade', 'options'))
    assert.equal(guard.mode, 'shared')
    guard.release()
  })
})

describe('settings', () => {
  const before = locks.configure({})
  after(() => locks.configure(before))
  const TABLE = {
    lockOrder: ['', 'on', 'ERROR', null, 1, {}, true],
    readTimeoutMs: WRONG.timeoutMs,
    writeTimeoutMs: WRONG.timeoutMs,
    longWaitMs: WRONG.timeoutMs,
  }

  test('that are wrong are named with their value, and nothing changes', () => {
    for (const [option, values] of Object.entries(TABLE)) {
      for (const value of values) {
        assert.throws(() => locks.configure({ readTimeoutMs: 77, writeTimeoutMs: 7, [option]: value }), invalid(option))
        assert.deepEqual(locks.configure({}), before)
      }
    }
    assert.throws(() => locks.configure({ lockOrder: 'loud' }), invalid("'off'", "'warn'", "'error'", "'loud'"))
    assert.throws(() => locks.configure({ readTimeout: 1 }), unknown("'readTimeout'", "'readTimeoutMs'"))
    for (const settings of [undefined, null, 1, 'x', true, Symbol('s')]) assert.throws(() => locks.configure(settings), invalid('settings'))
    assert.deepEqual(locks.configure({}), before)
  })

  test('that are right are answered, and are those of every thread', async () => {
    const settings = { lockOrder: 'warn', readTimeoutMs: Infinity, writeTimeoutMs: 0, longWaitMs: 5 }
    assert.deepEqual({ ...locks.configure(settings) }, settings)
    const [seen] = await runWorker(({ chainlock, port }) => port.postMessage({ ...chainlock.locks.configure({}) }))
    assert.deepEqual(seen, settings)
    assert.deepEqual(locks.configure(before), before)
  })
})

describe('the calls that look', () => {
  test('check what they are asked for', () => {
    for (const name of [null, 1, {}, Symbol('x'), true]) {
      assert.throws(() => locks.getStatistics(name), invalid('getStatistics', 'name'))
      assert.throws(() => locks.getLockStatus(name), invalid('getLockStatus', 'name'))
      assert.throws(() => locks.resetStatistics(name), invalid('resetStatistics', 'name'))
    }
    for (const olderThanMs of WRONG.timeoutMs) assert.throws(() => locks.detectDeadlocks({ olderThanMs }), invalid('detectDeadlocks', 'olderThanMs'))
    assert.throws(() => locks.detectDeadlocks({ older: 1 }), unknown("'older'"))
    assert.throws(() => locks.detectDeadlocks(5), invalid('detectDeadlocks', 'options'))
  })

  test('a reason of forceRelease never stands in the way', () => {
    for (const reason of [null, 1, {}, '', Symbol('r'), 'x'.repeat(1e6), new Proxy({}, everyTrap), '\ud800', '\0']) {
      const name = freshName()
      const guard = locks.tryAcquire(name)
      assert.equal(locks.forceRelease(name, reason), 1)
      assert.equal(guard.check(), false)
    }
  })

  test('a release given rubbish releases; methods without their object throw a TypeError', async () => {
    const name = freshName()
    const guard = locks.tryAcquire(name)
    assert.equal(guard.release(new Proxy({}, everyTrap)), true)
    const { tryAcquire, acquire, query } = locks
    for (const call of [() => tryAcquire(name), () => acquire(name), () => query()]) {
      // Detached methods may work or not; they may not take a lock that nobody can give back.
      await Promise.resolve().then(call).then((answer) => answer?.release?.(), (error) => assert.ok(error instanceof TypeError))
    }
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('request: wrong extensions reject, too', async () => {
    const name = freshName()
    for (const option of ['timeoutMs', 'priority']) {
      const error = await failure(locks.request(name, { [option]: NaN }, NEVER))
      assert.ok(error instanceof TypeError, `${option}: ${error}`)
    }
    const error = await failure(locks.request(name, { deadlock: 'maybe' }, NEVER))
    assert.ok(error instanceof TypeError)
    assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })
})
