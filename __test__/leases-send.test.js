// The send lock between machines over the embedded store, and what its callers may say. Over the servers as well that are
// there and have a clock.
'use strict'

const assert = require('node:assert/strict')
const { after, before, describe, test } = require('node:test')
const { CASES } = require('./helpers/send-cases')
const { managerFor, storeFor, failure, LeaseManager } = require('./helpers/leases')
const { placesOf } = require('./helpers/lease-places')
const { engineTest } = require('./helpers/servers')

for (const [name, run] of Object.entries(CASES)) test(name, (t) => run(t, { store: storeFor(t) }))

for (const engine of /** @type {const} */ (['redis', 'postgres', 'github'])) {
  describe(`over ${engine}`, () => {
    const places = placesOf(engine)
    before(() => places.open())
    after(() => places.close())
    for (const [name, run] of Object.entries(CASES)) engineTest(name, engine, (t) => run(t, places.next(), places.leastMs))
  })
}

test('the drop-in calls', async (t) => {
  const lock = managerFor(t).sendLock('dropped', { layers: ['a', 'b'] })
  assert.equal(await lock.tryAcquireSendLock('a'), true)
  assert.equal(await lock.tryAcquireSendLock('b'), false)
  assert.equal(await lock.tryAcquireSendLock('stranger'), false)
  assert.equal(await lock.tryAcquireSendLock(''), false)
  assert.equal(await lock.releaseSendLock('b'), false)
  assert.equal(await lock.releaseSendLock('a', 17), false)
  assert.equal(await lock.isSendLocked(), true)
  assert.equal(await lock.releaseSendLock('a', (await lock.getLockStatus()).token), true)
  assert.equal(await lock.releaseSendLock('a'), false)
  assert.equal(await lock.isSendLocked(), false)
})

test('withSendLock answers what its function does; when that fails, the message may be sent again', async (t) => {
  const lock = managerFor(t).sendLock('run', { layers: 'any', cooldownMs: 0, dedupWindowMs: 60_000 })
  const mine = new Error('of the function')
  assert.equal(await failure(lock.withSendLock('a', { message: 'hello' }, () => Promise.reject(mine))), mine)
  assert.equal(await lock.withSendLock('a', { message: 'hello' }, ({ token }) => token), 2)
  assert.equal((await failure(lock.withSendLock('a', { message: 'hello' }, () => 0))).code, 'ERR_LOCK_DUPLICATE_MESSAGE')
  assert.equal(await lock.withSendLock('a', { messageKey: 'hello' }, () => 'a name is no text'), 'a name is no text')
  assert.equal(await lock.withSendLock('a', () => 'without options'), 'without options')
})

test('the text of a message does not leave the process', async (t) => {
  const store = storeFor(t)
  const lock = managerFor(t, { store }).sendLock('quiet', { layers: 'any', dedupWindowMs: 60_000 })
  await (await lock.trySend('a', { message: 'a secret of the sender' })).guard.release()
  const { DatabaseSync } = await import('node:sqlite').catch(() => ({}))
  if (DatabaseSync === undefined) return
  const database = new DatabaseSync(store.slice('sqlite:'.length))
  t.after(() => database.close())
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()
  const all = JSON.stringify(tables.map(({ name }) => database.prepare(`SELECT * FROM "${name}"`).all()), (_, value) => (typeof value === 'bigint' ? String(value) : value))
  assert.ok(all.includes('send:quiet'))
  assert.ok(!all.includes('secret of the sender'))
})

test('wrong arguments name themselves', async (t) => {
  const leases = managerFor(t)
  const wrong = [
    [() => leases.sendLock(''), /sendLock: name/],
    [() => leases.sendLock('x'.repeat(65)), /sendLock: name/],
    [() => leases.sendLock('x', 7), /sendLock: settings must be an object/],
    [() => leases.sendLock('x', { cooldown: 1 }), /unknown option 'cooldown'.*cooldownMs/],
    [() => leases.sendLock('x', { cooldownMs: -1 }), /sendLock: cooldownMs/],
    [() => leases.sendLock('x', { historyLimit: 101 }), /sendLock: historyLimit/],
    [() => leases.sendLock('x', { ttlMs: 0 }), /sendLock: ttlMs/],
    [() => leases.sendLock('x', { layers: [1] }), /layers\[0\]/],
  ]
  for (const [call, message] of wrong) assert.throws(call, (error) => message.test(error.message) && /^ERR_LOCK_(INVALID_ARGUMENT|UNKNOWN_OPTION)$/.test(error.code))
  const lock = leases.sendLock('x')
  for (const [promise, message] of [
    [lock.trySend(), /trySend: layerId/],
    [lock.trySend('a', { nested: 'join' }), /unknown option 'nested'/],
    [lock.trySend('a', { message: 1 }), /options\.message/],
    [lock.acquireSendLock('a', { timeoutMs: -1 }), /options\.timeoutMs/],
    [lock.withSendLock('a'), /withSendLock: fn/],
    [lock.configure({ ttlMs: 1 }), /unknown option 'ttlMs'/],
  ]) {
    const error = await failure(promise)
    assert.match(error.message, message)
    assert.ok(error instanceof TypeError)
  }
})

test('a destroyed manager has no send lock, and neither has an engine without a clock', async (t) => {
  const leases = managerFor(t)
  const lock = leases.sendLock('gone', { layers: 'any' })
  await leases.destroy()
  assert.equal((await failure(lock.trySend('a'))).code, 'ERR_LOCK_LEASE_CLOSED')
  assert.equal((await failure(lock.getLockStatus())).code, 'ERR_LOCK_LEASE_CLOSED')
  assert.throws(() => leases.sendLock('gone'), { code: 'ERR_LOCK_LEASE_CLOSED' })
  const etcd = new LeaseManager({ store: 'etcd://127.0.0.1:1' })
  t.after(() => etcd.destroy())
  assert.throws(() => etcd.sendLock('none'), { code: 'ERR_LOCK_STORE_UNSUPPORTED' })
})
