// Named locks: answers that come when nobody wants them any more. A grant is made by another thread while this
// one is busy, and before it is fetched its requester gives up; or it is fetched, and its callback has yet to run.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, until } = require('./helpers/waiting')
const { startWorker, message } = require('./helpers/threads')

/** A hold of another thread, and a call that ends it while this thread stands still. */
async function heldElsewhere(name, mode = 'write') {
  const word = new Int32Array(new SharedArrayBuffer(4))
  const worker = startWorker(({ chainlock, port, data: { name, mode, word } }) => {
    const guard = chainlock.locks.tryAcquire(name, { mode })
    port.postMessage('holds')
    Atomics.wait(word, 0, 0)
    guard.release()
    Atomics.store(word, 0, 2)
    Atomics.notify(word, 0)
  }, { name, mode, word })
  assert.equal(await message(worker), 'holds')
  return () => {
    Atomics.store(word, 0, 1)
    Atomics.notify(word, 0)
    Atomics.wait(word, 0, 1)
  }
}

describe('a grant that comes after its requester gave up', () => {
  // A hold that nobody gives back is freed by the garbage collector, with a warning: too late for this.
  const warnings = []
  const note = (warning) => warnings.push(warning.code)
  before(() => process.on('warning', note))
  after(() => process.off('warning', note))

  test('of acquire is given back at once, to the next in line', async () => {
    const name = freshName()
    const end = await heldElsewhere(name)
    const controller = new AbortController()
    const given = failure(locks.acquire(name, { signal: controller.signal }))
    const next = locks.acquire(name)
    await turn()
    end()
    controller.abort('too late for me')
    assert.equal(await given, 'too late for me')
    assert.equal((await next).release(), true)
    await until(() => standing(name).holders === 0)
    assert.deepEqual(warnings, [])
  })

  test('of withLock does not run the function', async () => {
    const name = freshName()
    const end = await heldElsewhere(name)
    const controller = new AbortController()
    let ran = 0
    const given = failure(locks.withLock(name, { signal: controller.signal }, () => ran++))
    await turn()
    end()
    controller.abort('not any more')
    assert.equal(await given, 'not any more')
    await until(() => standing(name).holders === 0)
    assert.deepEqual(warnings, [])
    assert.equal(ran, 0)
  })

  test('of request does not run the callback', async () => {
    const name = freshName()
    const end = await heldElsewhere(name)
    const controller = new AbortController()
    let ran = 0
    const given = failure(locks.request(name, { signal: controller.signal }, () => ran++))
    await turn()
    end()
    controller.abort('not any more')
    assert.equal(await given, 'not any more')
    await until(() => standing(name).holders === 0)
    assert.deepEqual(warnings, [])
    assert.equal(ran, 0)
  })
})

describe('between the grant of a request and its callback', () => {
  test('an abort counts: the callback does not run, and the lock is free', async () => {
    const name = freshName()
    const controller = new AbortController()
    let ran = 0
    const given = failure(locks.request(name, { signal: controller.signal }, () => ran++))
    assert.equal(standing(name).holders, 1)
    controller.abort('in the same tick')
    assert.equal(standing(name).holders, 0)
    assert.equal(await given, 'in the same tick')
    await turn()
    assert.equal(ran, 0)
  })

  test('a steal counts: the callback does not run without the lock', async () => {
    const name = freshName()
    let ran = 0
    const given = failure(locks.request(name, () => ran++))
    const stolen = locks.request(name, { steal: true }, (lock) => lock.mode)
    assert.equal((await given).name, 'AbortError')
    assert.equal(await stolen, 'exclusive')
    await turn()
    assert.equal(ran, 0)
  })
})

describe('an upgrade that was granted and not told yet', () => {
  /** A shared hold that waits to be exclusive; another thread's, in its way, ends meanwhile. */
  async function upgrading(...waits) {
    const name = freshName()
    const end = await heldElsewhere(name, 'read')
    const guard = locks.tryAcquire(name, { mode: 'read' })
    const upgrades = waits.map((wait) => guard.upgrade(wait))
    return { name, guard, end, upgrades }
  }

  /** What others are told about the only hold. */
  const modeOf = (name) => locks.getLockStatus(name).holders.map(({ mode }) => mode)

  test('the mode is told as it is', async () => {
    const { name, guard, end, upgrades } = await upgrading({})
    assert.equal(guard.mode, 'shared')
    end()
    assert.equal(guard.mode, 'exclusive')
    await Promise.all(upgrades)
    assert.deepEqual(modeOf(name), ['exclusive'])
    guard.release()
  })

  for (const [what, meanwhile] of Object.entries({
    'tryUpgrade and downgrade': (guard) => guard.tryUpgrade() && guard.downgrade(),
    'downgrade alone': (guard) => guard.downgrade(),
  })) {
    test(`${what} end it: the late answer changes nothing`, async () => {
      const { name, guard, end, upgrades } = await upgrading({})
      end()
      assert.equal(meanwhile(guard), true)
      assert.equal(guard.mode, 'shared')
      await Promise.all(upgrades)
      await turn()
      assert.equal(guard.mode, 'shared')
      assert.deepEqual(modeOf(name), ['shared'])
      assert.equal(guard.release(), true)
    })
  }

  test('so it is for each of two', async () => {
    const { name, guard, end, upgrades } = await upgrading({ timeoutMs: 1 }, {})
    assert.equal((await failure(upgrades[0])).code, 'ERR_LOCK_TIMEOUT')
    end()
    assert.equal(guard.mode, 'exclusive')
    assert.equal(guard.downgrade(), true)
    await upgrades[1]
    await turn()
    assert.equal(guard.mode, 'shared')
    assert.deepEqual(modeOf(name), ['shared'])
    assert.equal(guard.release(), true)
  })
})
