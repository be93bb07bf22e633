// Bad input: the drop-in calls answer false and never throw; the others throw a TypeError with a stable code
// that names argument and value, and change nothing.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const vm = require('node:vm')
const { freshLock, chainlock } = require('./helpers/package')

const throwing = () => { throw new Error('a trap of the caller') }
const everyTrap = Object.fromEntries(Reflect.ownKeys(Reflect).filter((key) => typeof key === 'string').map((trap) => [trap, throwing]))
const revoked = Proxy.revocable({}, {})
revoked.revoke()

/** Things that are not a layer id at all. */
const NOT_STRINGS = {
  undefined: undefined,
  null: null,
  true: true,
  0: 0,
  '-1': -1,
  NaN: NaN,
  Infinity: Infinity,
  '2^53': 2 ** 53,
  bigint: 10n,
  symbol: Symbol('layer'),
  'an object': {},
  'an object without prototype': Object.create(null),
  'an array': ['e2e-executor'],
  'a function': () => 'e2e-executor',
  'a String object': Object('e2e-executor'),
  'an object that says it is one': { toString: () => 'e2e-executor', valueOf: () => 'e2e-executor' },
  'throwing getters': { get length() { return throwing() }, toString: throwing, valueOf: throwing, [Symbol.toPrimitive]: throwing },
  'a proxy': new Proxy({}, {}),
  'a proxy whose every trap throws': new Proxy({}, everyTrap),
  'a revoked proxy': revoked.proxy,
  'a revoked proxy of a function': (() => { const { proxy, revoke } = Proxy.revocable(() => {}, {}); revoke(); return proxy })(),
  'a buffer': Buffer.from('e2e-executor'),
  'an object of another realm': vm.runInNewContext('({})'),
}

/** Strings that cannot be a layer id. */
const NO_NAMES = {
  'the empty string': '',
  'a string of 65 bytes': 'x'.repeat(65),
  'a string of 64 characters, but 128 bytes': 'é'.repeat(64),
  'a string of 1 MB': 'x'.repeat(2 ** 20),
  'a string of 1 MB of surrogates': '\ud83d\udd12'.repeat(2 ** 18),
  'a string whose cleaned form is too long': '\n'.repeat(60),
}

/** Strings that can be one, odd as they are. */
const ODD_NAMES = ['\0', 'a\0b', '\ud800', 'x\udfffy', ' ', '..', '__proto__', 'constructor', '\u202egnp.exe', '漢字🔒', '%s %d']

const invalid = (...words) => (error) => {
  assert.ok(error instanceof TypeError, `${error?.name}: ${error?.message}`)
  assert.ok(error instanceof chainlock.ChainlockError)
  assert.equal(error.code, 'ERR_LOCK_INVALID_ARGUMENT')
  for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" names ${word}`)
  assert.ok(error.message.length < 400)
  return true
}

describe('layer ids', () => {
  test('the drop-in calls answer false and never throw', () => {
    const lock = freshLock({ layers: 'any' })
    lock.tryAcquireSendLock('e2e-executor')
    for (const [name, id] of Object.entries({ ...NOT_STRINGS, ...NO_NAMES })) {
      for (const target of [lock, chainlock]) {
        assert.equal(target.tryAcquireSendLock(id), false, name)
        assert.equal(target.tryAcquireSendLock(id, {}), false, name)
        assert.equal(target.releaseSendLock(id), false, name)
        assert.equal(target.releaseSendLock(id, 1), false, name)
      }
      assert.equal(lock.validateLayerId(id), false, name)
    }
    assert.equal(lock.releaseSendLock('e2e-executor'), true)
    assert.equal(lock.totalAcquisitions, 1)
  })

  test('a drop-in call inside a hold answers false, too', async () => {
    const lock = freshLock()
    await lock.withSendLock('chain-loop-monitor', () => {
      for (const [name, id] of Object.entries({ ...NOT_STRINGS, ...NO_NAMES })) {
        assert.equal(lock.tryAcquireSendLock(id), false, name)
        assert.equal(lock.releaseSendLock(id), false, name)
      }
    })
  })

  test('the new calls throw and name argument and value', async () => {
    const lock = freshLock({ layers: 'any' })
    for (const id of [...Object.values(NOT_STRINGS), ...Object.values(NO_NAMES)]) {
      assert.throws(() => lock.trySend(id), invalid('trySend', 'layerId'))
      await assert.rejects(lock.acquireSendLock(id), invalid('acquireSendLock', 'layerId'))
      await assert.rejects(lock.withSendLock(id, () => {}), invalid('withSendLock', 'layerId'))
      await assert.rejects(lock.withSendLock(id, {}, () => {}), invalid('withSendLock', 'layerId'))
    }
    assert.equal(lock.totalAcquisitions, 0)
    assert.throws(() => lock.trySend(null), invalid('got null'))
    assert.throws(() => lock.trySend(42), invalid('got the number 42'))
    assert.throws(() => lock.trySend(''), invalid("the empty string ''"))
    assert.throws(() => lock.trySend('x'.repeat(1e6)), invalid('a string of 1,000,000 characters'))
    assert.throws(() => lock.trySend(undefined), invalid('got undefined'))
  })

  test('odd names are names', () => {
    const lock = freshLock({ layers: 'any' })
    for (const id of ODD_NAMES) {
      assert.equal(lock.tryAcquireSendLock(id), true, JSON.stringify(id))
      assert.equal(lock.releaseSendLock(id), true, JSON.stringify(id))
      const { guard } = lock.trySend(id)
      assert.equal(guard.release(), true)
    }
  })

  test('of 1,000,000 characters cost no memory and little time', () => {
    const lock = freshLock({ layers: 'any' })
    const long = 'x'.repeat(1e6)
    for (let round = 0; round < 2_000; round++) assert.equal(lock.tryAcquireSendLock(long), false)
  })
})

describe('tokens', () => {
  test('that are none release nothing', () => {
    const lock = freshLock()
    lock.tryAcquireSendLock('e2e-executor')
    const { token } = lock.getLockStatus()
    for (const wrong of [0, -1, NaN, Infinity, 2 ** 53, token + 0.5, String(token), BigInt(token), null, {}, [token], Symbol('t'), () => token]) {
      assert.equal(lock.releaseSendLock('e2e-executor', wrong), false, String(typeof wrong))
    }
    assert.equal(lock.releaseSendLock('e2e-executor', token), true)
  })
})

describe('options of a request', () => {
  const WRONG = [
    ['message', [1, null, {}, Symbol('m'), []]],
    ['messageKey', [1, null, {}, true]],
    ['nested', ['yes', '', null, true, {}]],
  ]
  const WRONG_WAITS = [
    ['timeoutMs', [NaN, -1, -Infinity, 2 ** 53, '5', null, {}, true, 5n]],
    ['signal', [null, {}, 'x', 1, new EventTarget(), { aborted: false }]],
  ]

  async function check(call, table) {
    for (const [option, values] of table) {
      for (const value of values) await assert.rejects(async () => call({ [option]: value }), invalid(`options.${option}`))
    }
  }

  test('that are wrong are named', async () => {
    const lock = freshLock()
    await check((options) => lock.trySend('e2e-executor', options), WRONG)
    await check((options) => lock.acquireSendLock('e2e-executor', options), [...WRONG, ...WRONG_WAITS])
    await check((options) => lock.withSendLock('e2e-executor', options, () => {}), [...WRONG, ...WRONG_WAITS])
    assert.equal(lock.totalAcquisitions, 0)
  })

  test('that are unknown are named, with the one that was meant', async () => {
    const lock = freshLock()
    const unknown = (...words) => (error) => {
      assert.equal(error.code, 'ERR_LOCK_UNKNOWN_OPTION')
      assert.ok(error instanceof TypeError && error instanceof chainlock.ChainlockError)
      for (const word of words) assert.ok(error.message.includes(word), error.message)
      return true
    }
    assert.throws(() => lock.trySend('e2e-executor', { msg: 'x' }), unknown("'msg'", 'trySend'))
    assert.throws(() => lock.trySend('e2e-executor', { timeoutMs: 1 }), unknown("'timeoutMs'"))
    await assert.rejects(lock.acquireSendLock('e2e-executor', { timeout: 1 }), unknown("'timeout'", "'timeoutMs'"))
    await assert.rejects(lock.acquireSendLock('e2e-executor', { timeoutMS: 1 }), unknown("'timeoutMS'", "'timeoutMs'"))
    assert.throws(() => lock.configure({ cooldown: 1 }), unknown("'cooldown'", "'cooldownMs'"))
    assert.throws(() => lock.configure({ ['x'.repeat(1e5)]: 1 }), unknown('unknown option'))
    assert.throws(() => lock.configure({ '\u001b[2J': 1 }), (error) => !error.message.includes('\u001b'))
    assert.equal(lock.totalAcquisitions, 0)
  })

  test('that are no object are refused; a getter that throws passes its error on', async () => {
    const lock = freshLock()
    for (const options of [null, 1, 'x', true, Symbol('o'), 1n]) {
      assert.throws(() => lock.trySend('e2e-executor', options), invalid('options'))
      await assert.rejects(lock.acquireSendLock('e2e-executor', options), invalid('options'))
    }
    const error = new Error('of the getter')
    assert.throws(() => lock.trySend('e2e-executor', { get message() { throw error } }), error)
    assert.throws(() => lock.trySend('e2e-executor', new Proxy({}, everyTrap)), /trap of the caller/)
    assert.equal(lock.isSendLocked(), false)
  })

  test('message and messageKey exclude each other', () => {
    assert.throws(() => freshLock().trySend('e2e-executor', { message: 'x', messageKey: 'y' }), invalid('message', 'messageKey'))
  })

  test('the drop-in call answers false to all of it', () => {
    const lock = freshLock()
    const wrong = [null, 1, 'x', { msg: 1 }, { message: 1 }, { nested: 'yes' }, { message: 'x', messageKey: 'y' },
      { get message() { return throwing() } }, new Proxy({}, everyTrap), revoked.proxy]
    for (const options of wrong) assert.equal(lock.tryAcquireSendLock('e2e-executor', options), false)
    assert.equal(lock.totalAcquisitions, 0)
  })

  test('a message may be empty, huge, or of lone surrogates', () => {
    const lock = freshLock({ dedupWindowMs: 60_000 })
    for (const message of ['', 'x'.repeat(2 ** 20), '\ud800'.repeat(1_000), '\0']) {
      lock.trySend('e2e-executor', { message }).guard.release()
      assert.equal(lock.trySend('e2e-executor', { message }).reason, 'duplicate_message')
    }
  })

  test('withSendLock wants a function', async () => {
    const lock = freshLock()
    for (const fn of [undefined, null, 'x', {}, 1]) {
      await assert.rejects(lock.withSendLock('e2e-executor', {}, fn), invalid('withSendLock', 'fn'))
    }
    await assert.rejects(lock.withSendLock('e2e-executor'), invalid('fn'))
    assert.equal(lock.isSendLocked(), false)
  })
})

describe('settings', () => {
  const NO_TIMES = [NaN, -1, -0.001, Infinity, -Infinity, 2 ** 53, '5', '', null, true, {}, [], 5n, Symbol('t'), () => 5]
  const TABLE = {
    cooldownMs: NO_TIMES,
    timeoutMs: NO_TIMES,
    forceReleaseMs: NO_TIMES,
    dedupWindowMs: NO_TIMES,
    historyLimit: [...NO_TIMES, 1.5, 1_001, 2 ** 31],
    cooldownFrom: ['', 'Acquire', 'now', null, 1, {}],
    onTimeout: ['', 'kill', null, 1, {}],
    layers: ['', 'all', null, 1, {}, new Set(['a']), [''], [1], ['a', null], ['x'.repeat(65)], Array(1_001).fill('a'), [, 'a']],
  }

  test('that are wrong are named with their value, and nothing changes', () => {
    const lock = freshLock()
    const before = lock.configure({})
    for (const [option, values] of Object.entries(TABLE)) {
      for (const value of values) {
        assert.throws(() => lock.configure({ cooldownMs: 77, historyLimit: 7, [option]: value }), invalid(option))
        assert.deepEqual(lock.configure({}), before)
      }
    }
    assert.throws(() => lock.configure({ cooldownMs: NaN }), invalid('got the number NaN'))
    assert.throws(() => lock.configure({ cooldownMs: '5' }), invalid("got the string '5'"))
  })

  test('that are no object are refused', () => {
    const lock = freshLock()
    for (const settings of [undefined, null, 1, 'x', true, Symbol('s'), () => {}]) {
      assert.throws(() => lock.configure(settings), invalid('settings'))
      assert.throws(() => chainlock.configureSendLock(settings), invalid('settings'))
    }
  })
})

describe('reasons of a force release', () => {
  test('an emergency call does not fail over its reason', () => {
    const lock = freshLock({ layers: 'any' })
    for (const reason of [null, 1, {}, '', Symbol('r'), 'x'.repeat(1e6), new Proxy({}, everyTrap), '\ud800', '\0']) {
      lock.tryAcquireSendLock('a')
      assert.equal(lock.forceReleaseLock(reason), true)
      const { action } = lock.lockHistory.at(-1)
      assert.ok(action.startsWith('force_released_') && Buffer.byteLength(action) <= 15 + 64, action)
    }
  })
})

describe('errors', () => {
  test('are recognised across copies and realms by instanceof, and told apart by code', () => {
    const lock = freshLock()
    const foreign = Object.assign(new Error('x'), { code: 'ERR_LOCK_TIMEOUT' })
    assert.equal(foreign instanceof chainlock.ChainlockError, false)
    for (const nothing of [null, undefined, 1, 'x', {}]) assert.equal(nothing instanceof chainlock.ChainlockError, false)
    try {
      lock.trySend(null)
    } catch (error) {
      assert.equal(error.name, 'TypeError')
      assert.match(error.stack.split('\n')[1], /lib[\\/]|bad-input/)
      assert.deepEqual(Object.keys(error), ['code'])
    }
  })
})
