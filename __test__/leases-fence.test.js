// Fences: the guarded resource refuses whoever was overtaken. Over real servers where they are.
'use strict'

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { createHash } = require('node:crypto')
const { test } = require('node:test')
const { promisify } = require('node:util')
const { ChainlockError } = require('chainlock')
const { fence } = require('chainlock/leases')
const { engineTest, startRedis, startPostgres } = require('./helpers/servers')
const { failure } = require('./helpers/leases')

const SQL = { table: 'ta"sks', set: ['state', 'result'], where: ['queue', 'id'] }

test('an SQL fence: its texts and its values', () => {
  const { migration, text, values } = fence.sql(SQL)
  assert.equal(migration, 'ALTER TABLE "ta""sks" ADD COLUMN "fence_token" BIGINT NOT NULL DEFAULT 0')
  assert.equal(
    text,
    'UPDATE "ta""sks" SET "state" = $1, "result" = $2, "fence_token" = $5 WHERE "queue" = $3 AND "id" = $4 AND "fence_token" <= $5',
  )
  assert.deepEqual(values({ id: 7, queue: 'q', state: 's', result: null, more: 1 }, 34), ['s', null, 'q', 7, 34])
  assert.match(fence.sql({ ...SQL, column: 't' }).text, /"t" <= \$5$/)
})

test('an SQL fence refuses what it cannot use', () => {
  for (const of of [undefined, {}, { ...SQL, table: '' }, { ...SQL, table: 'a\0b' }, { ...SQL, set: [] }, { ...SQL, where: 'id' }, { ...SQL, where: [7] }, { ...SQL, more: 1 }]) {
    assert.throws(() => fence.sql(of), TypeError)
  }
  const { values } = fence.sql(SQL)
  assert.throws(() => values({ id: 7 }, 1), /values\.state/)
  for (const token of [0, 1.5, '1', undefined]) assert.throws(() => values({ id: 7, queue: 1, state: 1, result: 1 }, token), TypeError)
})

test('a Redis fence: its keys lie in one slot', () => {
  assert.equal(fence.redis.sha1, createHash('sha1').update(fence.redis.text).digest('hex'))
  assert.deepEqual(fence.redis.keys('report'), ['report', '{report}:fence'])
  assert.deepEqual(fence.redis.keys('{user1}:report'), ['{user1}:report', '{user1}:report:fence'])
  for (const key of ['', 7, 'a}b', 'a{', 'x{}y{z}']) assert.throws(() => fence.redis.keys(key), TypeError, String(key))
  assert.deepEqual(fence.redis.args(7, 'x'), ['7', 'x'])
  assert.throws(() => fence.redis.args(0, 'x'), TypeError)
})

engineTest('a Redis fence lets the newest token write, and no older one', 'redis', async (t) => {
  const server = await startRedis()
  t.after(() => server.stop())
  const cli = async (...args) => (await promisify(execFile)('redis-cli', ['-p', String(server.port), ...args])).stdout.trim()
  const write = (token, value) => cli('EVAL', fence.redis.text, '2', ...fence.redis.keys('report'), ...fence.redis.args(token, value))
  assert.equal(await write(33, 'A'), '1')
  assert.equal(await write(34, 'B'), '1')
  assert.equal(await write(33, 'A, late'), '0')
  assert.equal(await cli('GET', 'report'), 'B')
  assert.equal(await write(34, 'B again'), '1')
  assert.equal(await write(2 ** 53 - 1, 'last'), '1')
  assert.equal(await write(2 ** 53 - 2, 'no'), '0')
  assert.equal(await cli('GET', 'report'), 'last')
})

engineTest('an SQL fence does so in PostgreSQL', 'postgres', async (t) => {
  const server = await startPostgres()
  t.after(() => server.stop())
  const { Client } = require('pg')
  const client = new Client({ connectionString: server.url })
  await client.connect()
  const { migration, text, values } = fence.sql({ table: 'tasks', set: ['state'], where: ['id'] })
  await client.query('CREATE TABLE tasks (id int PRIMARY KEY, state text)')
  await client.query('INSERT INTO tasks VALUES (17, null)')
  await client.query(migration)
  const write = async (state, token) => (await client.query(text, values({ id: 17, state }, token))).rowCount
  assert.equal(await write('A', 33), 1)
  assert.equal(await write('B', 34), 1)
  assert.equal(await write('A, late', 33), 0)
  assert.deepEqual((await client.query('SELECT state FROM tasks')).rows, [{ state: 'B' }])
  await client.end()
})

/** An object store with conditional writes. */
function objectStore() {
  let stored = null
  let version = 0
  return {
    get: async () => stored && { ...stored },
    async put(value, token, expected) {
      if ((stored?.version ?? null) !== expected) return false
      version += 1
      stored = { value, token, version: `"${version}"` }
      return true
    },
  }
}

test('a conditional write: made, overtaken, tried again', async () => {
  const store = objectStore()
  assert.deepEqual(await fence.conditionalWrite({ token: 1, ...store, update: (value) => [value] }), { written: true, token: 1, retries: 0 })
  assert.deepEqual((await store.get()).value, [null])
  let disturbed = false
  const outcome = await fence.conditionalWrite({
    ...{ token: 3, ...store },
    async update(value) {
      if (!disturbed) await fence.conditionalWrite({ token: 2, ...store, update: () => 'in between' })
      disturbed = true
      return `${value}, then 3`
    },
  })
  assert.deepEqual(outcome, { written: true, token: 3, retries: 1 })
  assert.equal((await store.get()).value, 'in between, then 3')
  assert.deepEqual(await fence.conditionalWrite({ token: 2, ...store, update: () => 'late' }), { written: false, token: 3, retries: 0 })
  assert.equal((await store.get()).value, 'in between, then 3')
})

test('a conditional write that never gets through, and what is no argument of one', async () => {
  let puts = 0
  const error = await failure(fence.conditionalWrite({ token: 1, get: async () => null, put: async () => ((puts += 1), false), update: () => 1, maxRetries: 2 }))
  assert.ok(error instanceof ChainlockError)
  assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
  assert.equal(puts, 3)
  const right = { token: 1, get: async () => null, put: async () => true, update: () => 1 }
  for (const wrong of [{ token: 0 }, { get: 1 }, { put: null }, { update: undefined }, { maxRetries: -1 }, { more: 1 }]) {
    assert.ok((await failure(fence.conditionalWrite({ ...right, ...wrong }))) instanceof TypeError)
  }
})
