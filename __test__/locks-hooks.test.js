// Named locks: code of users that runs in the middle of the package's own: what listens to a diagnostics channel
// while answers are handed out, and signals that throw.
'use strict'

const { test, describe, afterEach } = require('node:test')
const assert = require('node:assert/strict')
const diagnosticsChannel = require('node:diagnostics_channel')
const { chainlock } = require('./helpers/package')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, until, block } = require('./helpers/waiting')

/** Takes a listener off again. */
let forget = () => {}
afterEach(() => {
  forget()
  forget = () => {}
})

/** Calls `hook` when the first request ends. */
function atFirstEnd(hook) {
  let isFirst = true
  const channel = diagnosticsChannel.channel('locks.request.end')
  const listener = () => {
    if (!isFirst) return
    isFirst = false
    hook()
  }
  channel.subscribe(listener)
  forget = () => channel.unsubscribe(listener)
}

/** Requests whose time is up, and this thread has not heard of it yet. */
async function lateRequests(count) {
  const names = Array.from({ length: count }, () => freshName())
  const guards = []
  for (const name of names) guards.push(await locks.acquire(name))
  const requests = names.map((name) => failure(locks.request(name, { timeoutMs: 1 }, () => {})))
  while (names.some((name) => standing(name).waiters > 0)) block(1)
  return { requests, release: () => guards.forEach((guard) => guard.release()) }
}

describe('a listener that calls locks while answers are handed out', () => {
  test('takes no answer from others, and ends no hold', async () => {
    const name = freshName()
    const held = await locks.acquire(name)
    const readers = Array.from({ length: 3 }, () => locks.acquire(name, { mode: 'read' }))
    atFirstEnd(() => held.release())
    const { requests, release } = await lateRequests(3)
    const codes = (await Promise.all(requests)).map(({ code }) => code)
    assert.deepEqual(codes, Array(3).fill('ERR_LOCK_TIMEOUT'))
    const guards = await Promise.all(readers)
    assert.equal(standing(name).holders, 3)
    for (const guard of guards) assert.equal(guard.release(), true)
    release()
  })

  test('and steals what is being handed out: its request hears of it', async () => {
    const name = freshName()
    const held = await locks.acquire(name)
    let ran = 0
    const robbed = failure(locks.request(name, () => ran++))
    let stolen
    atFirstEnd(() => (stolen = locks.request(name, { steal: true }, () => 'stolen')))
    const { requests, release } = await lateRequests(2)
    // Fetched in one: the two whose time is up, and the grant.
    held.release()
    assert.equal((await robbed).name, 'AbortError')
    assert.equal(await stolen, 'stolen')
    await Promise.all(requests)
    await turn()
    assert.equal(ran, 0)
    release()
  })
})

describe('a signal that throws when it is listened to', () => {
  const signal = {
    aborted: false,
    reason: undefined,
    addEventListener() {
      throw new Error('no listeners here')
    },
    removeEventListener() {},
  }
  const ways = {
    acquire: (name) => locks.acquire(name, { signal }),
    withLock: (name) => locks.withLock(name, { signal }, () => assert.fail('ran')),
    acquireAll: (name) => locks.acquireAll([name, freshName()], { signal }),
    request: (name) => locks.request(name, { signal }, () => assert.fail('ran')),
  }
  for (const [call, ask] of Object.entries(ways)) {
    test(`ends the ${call}, which leaves nothing behind`, async () => {
      const name = freshName()
      const held = await locks.acquire(name)
      const asked = failure(ask(name))
      assert.deepEqual(standing(name), { holders: 1, waiters: 0 })
      held.release()
      assert.equal((await asked).message, 'no listeners here')
      assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
    })
  }

  test('ends a request that was granted at once', async () => {
    const name = freshName()
    const asked = failure(locks.request(name, { signal }, () => assert.fail('ran')))
    assert.equal((await asked).message, 'no listeners here')
    assert.equal(standing(name).holders, 0)
  })

  test('ends an upgrade; the hold stays as it is', async () => {
    const name = freshName()
    const [one, other] = [await locks.acquire(name, { mode: 'read' }), await locks.acquire(name, { mode: 'read' })]
    assert.equal((await failure(one.upgrade({ signal }))).message, 'no listeners here')
    other.release()
    assert.equal(one.mode, 'shared')
    assert.deepEqual(standing(name), { holders: 1, waiters: 0 })
    one.release()
  })

  test('ends the wait for a mutex', async () => {
    const mutex = new chainlock.Mutex()
    const release = await mutex.acquire()
    const asked = failure(mutex.acquire({ signal }))
    release()
    assert.equal((await asked).message, 'no listeners here')
    await until(() => !mutex.isLocked())
  })
})

test('a signal that throws when it is let go costs nobody the lock', async () => {
  const name = freshName()
  const held = await locks.acquire(name)
  const warned = new Promise((resolve) => process.once('warning', resolve))
  const signal = {
    aborted: false,
    reason: undefined,
    addEventListener() {},
    removeEventListener() {
      throw new Error('not let go')
    },
  }
  const ran = locks.withLock(name, { signal }, () => 'ran')
  held.release()
  assert.equal(await ran, 'ran')
  assert.equal((await warned).message, 'not let go')
  assert.equal(standing(name).holders, 0)
})
