// A Redis that ends and comes back, and one in which other people's values lie: what is held goes on under one token
// for everybody, and a list shows what is ours.
'use strict'

const assert = require('node:assert/strict')
const { managerFor, failure } = require('./helpers/leases')
const { engineTest, startRedis } = require('./helpers/servers')
const { until } = require('./helpers/waiting')

/** @param {import('node:test').TestContext} t @param {object} [options] */
async function redisFor(t, options) {
  const server = await startRedis(options)
  t.after(() => server.stop())
  return server
}

/** The connection that has ended is heard of in its own time. */
async function renewed(lease) {
  for (;;) {
    const error = await lease.renew().then(
      () => undefined,
      (error) => error,
    )
    if (error === undefined) return
    assert.equal(error.code, 'ERR_LOCK_STORE_UNAVAILABLE')
  }
}

engineTest('a lease that outlives a restart keeps its token for everybody', 'redis', async (t) => {
  const server = await redisFor(t, { aof: true })
  const options = { store: server.url, ttlMs: 60_000 }
  const [one, two] = [managerFor(t, { ...options, workerId: 'one' }), managerFor(t, { ...options, workerId: 'two' })]
  const lease = await one.acquire('kept')
  for (let round = 0; round < 2; round += 1) {
    await server.kill()
    await server.restart()
    await renewed(lease)
    const status = await two.getLockStatus('kept')
    assert.equal(status.token, lease.token)
    assert.equal(status.holder.token, lease.token)
  }
  assert.equal((await failure(two.steal('kept', { expectToken: lease.token + 1 }))).code, 'ERR_LOCK_TOKEN_MOVED')
  const stolen = await two.steal('kept', { expectToken: lease.token })
  assert.ok(stolen.token > lease.token)
  const { signal } = lease
  await failure(lease.renew())
  await until(() => signal.aborted)
  assert.equal(signal.reason.cause, 'stolen')
  assert.equal(signal.reason.by.token, stolen.token)
  await stolen.release()
  const next = await one.acquire('kept')
  assert.ok(next.token > stolen.token)
  await next.release()
})

engineTest("other people's values are not listed, and are told of by name", 'redis', async (t) => {
  const server = await redisFor(t)
  const leases = managerFor(t, { store: server.url })
  await server.command('SET', '{chainlock}:lease:a text', 'hello')
  await server.command('HSET', '{chainlock}:lease:a hash', 'field', 'value')
  await server.command('SET', '{chainlock}:lease:newer', 'chainlock:9 and something new')
  const lease = await leases.acquire('ours')
  assert.deepEqual(
    (await leases.listLocks()).map(({ key }) => key),
    ['ours'],
  )
  for (const [key, code] of [
    ['a text', 'ERR_LOCK_STORE_FOREIGN'],
    ['a hash', 'ERR_LOCK_STORE_FOREIGN'],
    ['newer', 'ERR_LOCK_STORE_VERSION'],
  ]) {
    assert.equal((await failure(leases.getLockStatus(key))).code, code)
    assert.equal((await failure(leases.acquire(key, { timeoutMs: 5_000 }))).code, code)
  }
  await lease.release()
})
