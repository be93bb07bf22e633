// What is no argument of a lease: each is refused by name, before anything is done, and no secret is ever shown.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { test } = require('node:test')
const { inspect } = require('node:util')
const chainlock = require('chainlock')
const { folder } = require('./helpers/folders')
const { LeaseManager, managerFor, failure } = require('./helpers/leases')

const circular = {}
circular.self = circular

/** Options of the constructor that are refused: what, and a word of the message. */
const CONSTRUCTOR = [
  [null, 'object'],
  ['redis://x', 'object'],
  [{ ttl: 5 }, "did you mean 'ttlMs'"],
  [{ store: 7 }, 'options.store'],
  [{ store: ['redis://x'] }, 'options.store'],
  [{ ttlMs: 0 }, 'options.ttlMs'],
  [{ ttlMs: -1 }, 'options.ttlMs'],
  [{ ttlMs: 1.5 }, 'options.ttlMs'],
  [{ ttlMs: '300' }, 'options.ttlMs'],
  [{ ttlMs: Infinity }, 'options.ttlMs'],
  [{ ttlMs: 7 * 24 * 3_600_000 + 1 }, 'options.ttlMs'],
  [{ namespace: '' }, 'options.namespace'],
  [{ namespace: 'a/b' }, 'options.namespace'],
  [{ namespace: 'x'.repeat(65) }, 'options.namespace'],
  [{ workerId: '' }, 'options.workerId'],
  [{ workerId: 7 }, 'options.workerId'],
  [{ workerId: 'w'.repeat(257) }, 'options.workerId'],
  [{ nodeId: '\0' }, 'options.nodeId'],
  [{ requestTimeoutMs: 0 }, 'options.requestTimeoutMs'],
  [{ requireLoopAliveMs: '1' }, 'options.requireLoopAliveMs'],
  [{ maxHoldMs: NaN }, 'options.maxHoldMs'],
  [{ maxRetries: -1 }, 'options.maxRetries'],
  [{ retryDelayMs: 0 }, 'options.retryDelayMs'],
  [{ showOnIssue: 1 }, 'options.showOnIssue'],
  [{ caFile: 1 }, 'options.caFile'],
]

test('the constructor refuses what it cannot use, at once', () => {
  for (const [options, word] of CONSTRUCTOR) {
    assert.throws(() => new LeaseManager(options), (error) => {
      assert.ok(error instanceof TypeError && error instanceof chainlock.ChainlockError, inspect(options))
      assert.match(error.code, /^ERR_LOCK_(INVALID_ARGUMENT|UNKNOWN_OPTION)$/)
      assert.ok(error.message.includes(word), `${error.message} names ${word}`)
      return true
    })
  }
})

const SECRET = 'S3cr3t-pa55'
const ADDRESSES = [
  '', ' ', 'redis:', 'redis://', 'redis://host:port', 'redis://host:99999', `redis://u:${SECRET}@`, `redis://u:${SECRET}@host:x/0`,
  `redis://u:${SECRET}@host/notanumber`, 'http://host', `https://u:${SECRET}@host`, 'ftp://x', 'postgres://', `postgres://u:${SECRET}@`,
  `postgres://u:${SECRET}@host:x/d`, 'etcd://', `etcd://u:${SECRET}@:1`, 'github:', 'github:owner', 'github:owner/', 'github:/repo', 'github:a/b/c',
  'github:owner/re po', 'mysql://root@host/db', 'sqlite:', 'sqlite:\0', `memcached://:${SECRET}@x`, 'redis://h\nost', 'sqlite:./\ud800.db', 'x'.repeat(100_000),
]

test('what is no address of a store is refused, without its secrets', () => {
  for (const store of ADDRESSES) {
    assert.throws(() => new LeaseManager({ store }), (error) => {
      assert.equal(error.code, 'ERR_LOCK_STORE_ADDRESS', `${store.slice(0, 60)}: ${error.message}`)
      assert.ok(!inspect(error).includes(SECRET), `no secret: ${store}`)
      assert.ok(error.message.length < 1_000)
      return true
    }, store.slice(0, 60))
  }
})

test('a token is shown to nobody', (t) => {
  const token = `ghp_${SECRET}`
  for (const wrong of [`${token} `, `${token}\n`, '', 7]) {
    assert.throws(() => new LeaseManager({ store: 'github:o/r', token: wrong }), (error) => !inspect(error).includes(SECRET))
  }
  const manager = managerFor(t, { store: 'github:o/r', token })
  assert.equal(manager.store.includes(SECRET), false)
  assert.ok(!inspect(manager, { depth: 9, showHidden: true }).includes(SECRET))
  const redis = managerFor(t, { store: `redis://user:${SECRET}@127.0.0.1:1/0` })
  assert.ok(!inspect(redis, { depth: 9, showHidden: true }).includes(SECRET))
  assert.match(redis.store, /^redis:\/\/127\.0\.0\.1:1/)
})

test('a server that is not there: a typed error that names engine and key, not the password', async (t) => {
  const stores = [`redis://user:${SECRET}@127.0.0.1:1/0`, `postgres://user:${SECRET}@127.0.0.1:1/db`, `etcd://user:${SECRET}@127.0.0.1:1`]
  await Promise.all(stores.map(async (store) => {
    const manager = managerFor(t, { store, requestTimeoutMs: 500 })
    const error = await failure(manager.acquire('the-key', { timeoutMs: 3_000 }))
    assert.ok(error instanceof chainlock.ChainlockError, inspect(error))
    assert.match(error.code, /^ERR_LOCK_(STORE_UNAVAILABLE|TIMEOUT)$/)
    assert.ok(error.message.includes('the-key') || error.key === 'the-key', error.message)
    assert.ok(!inspect(error).includes(SECRET))
    const quick = await failure(manager.tryAcquire('the-key'))
    assert.equal(quick.code, 'ERR_LOCK_STORE_UNAVAILABLE')
    assert.equal((await failure(manager.status('the-key'))).code, 'ERR_LOCK_STORE_UNAVAILABLE')
    const result = await manager.acquireLock('the-key', { conflictStrategy: 'fail_fast' })
    assert.deepEqual([result.success, result.error.code], [false, 'ERR_LOCK_STORE_UNAVAILABLE'])
  }))
})

/** The port of a server that accepts every connection and never says a word. */
async function silentServer(t) {
  const sockets = new Set()
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => {})))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server.address().port
}

/** How many ms have passed, without those in which the machine stood still. @param {import('node:test').TestContext} t */
function stopwatch(t) {
  const EVERY_MS = 20
  let ticks = 0
  const ticking = setInterval(() => (ticks += 1), EVERY_MS)
  t.after(() => clearInterval(ticking))
  return () => ticks * EVERY_MS
}

test('a server that says nothing: an error soon, that names the store and not a holder', async (t) => {
  const port = await silentServer(t)
  const requestTimeoutMs = 3_000
  const at = `127.0.0.1:${port}`
  const managers = [`redis://user:${SECRET}@${at}/0`, `postgres://user:${SECRET}@${at}/db`, `etcd://${at}`, `etcd://user:${SECRET}@${at}`]
    .map((store) => managerFor(t, { store, requestTimeoutMs }))
  managers.push(managerFor(t, { store: 'github:o/r', token: SECRET, apiUrl: `http://${at}`, requestTimeoutMs }))
  const passed = stopwatch(t)
  await Promise.all(managers.map(async (manager) => {
    // Listened to from now on: any of them may be the first to fail.
    const asked = [manager.tryAcquire('the-key'), manager.tryAcquire('the-key'), manager.tryAcquire(['one', 'two'])].map(failure)
    const short = await failure(manager.acquire('the-key', { timeoutMs: 100 }))
    assert.equal(short.code, 'ERR_LOCK_TIMEOUT')
    for (const part of [manager.store, 'the-key', '100 ms', 'the store has not answered', 'not known', 'requestTimeoutMs']) {
      assert.ok(short.message.includes(part), `${short.message} names ${part}`)
    }
    for (const told of asked) {
      const error = await told
      const took = passed()
      assert.equal(error.code, 'ERR_LOCK_STORE_UNAVAILABLE')
      assert.ok(took < 2 * requestTimeoutMs, `${manager.store}: ${Math.round(took)} ms of ${requestTimeoutMs}`)
      assert.ok(error.message.includes(manager.store) && ['the-key', 'one'].includes(error.key), inspect(error))
      assert.ok(!inspect([error, short]).includes(SECRET))
    }
  }))
})

const KEYS = [undefined, null, '', {}, [], [''], ['a', 'a'], ['a', 7.5], true, 1n, Symbol('k'), 0, -1, 1.5, NaN, 2 ** 53, 'a\0b', '\ud800', 'x\udc00y',
  'k'.repeat(513), '🔒'.repeat(129), 'k'.repeat(1_000_000), Array(65).fill(0).map((_, at) => `k${at}`)]

test('what cannot be a key is refused', async (t) => {
  const leases = managerFor(t)
  for (const key of KEYS) {
    const calls = [leases.acquire(key), leases.tryAcquire(key), leases.withLease(key, () => {}), leases.acquire(key)]
    if (!Array.isArray(key)) calls.push(leases.status(key), leases.acquireLock(key), leases.releaseLock(key), leases.getLockStatus(key), leases.steal(key, { expectToken: 1 }))
    for (const call of calls) {
      const error = await failure(call)
      assert.ok(error instanceof TypeError, inspect(key).slice(0, 60))
      assert.equal(error.code, 'ERR_LOCK_INVALID_ARGUMENT')
      assert.ok(error.message.length < 300)
    }
  }
})

test('odd keys that are keys stay apart', async (t) => {
  const leases = managerFor(t)
  const odd = ['a', 'A', 'a ', ' a', 'a/b', 'a%2Fb', "'; DROP TABLE leases; --", '"', '`$(x)`', '..', '%', '_', '\n', '\u202e', 'é', 'e\u0301', '🔒', '\x7f', 'k'.repeat(512), '0', '__proto__']
  const held = await Promise.all(odd.map((key) => leases.acquire(key, { timeoutMs: 60_000 })))
  assert.deepEqual((await leases.list()).map(({ key }) => key).sort(), [...odd].sort())
  for (const lease of held) assert.equal((await lease.release()).released, true)
})

const OPTIONS = [
  [7, 'options'],
  [{ timeout: 5 }, "did you mean 'timeoutMs'"],
  [{ ttlMs: 0 }, 'options.ttlMs'],
  [{ timeoutMs: -1 }, 'options.timeoutMs'],
  [{ timeoutMs: '5' }, 'options.timeoutMs'],
  [{ signal: {} }, 'options.signal'],
  [{ shared: 1 }, 'options.shared'],
  [{ permits: 0 }, 'options.permits'],
  [{ permits: 257 }, 'options.permits'],
  [{ permits: 2, shared: true }, 'exclude each other'],
  [{ fair: 'yes' }, 'options.fair'],
  [{ lockDelayMs: -1 }, 'options.lockDelayMs'],
  [{ metadata: circular }, 'options.metadata'],
  [{ metadata: 1n }, 'options.metadata'],
  [{ metadata: () => {} }, 'options.metadata'],
  [{ metadata: 'x'.repeat(4_095) }, '4096 bytes'],
  [{ metadata: 'ü'.repeat(2_048) }, '4096 bytes'],
  [{ metadata: ['\ud800'] }, 'options.metadata'],
  [{ metadata: { 'x\udc00': 1 } }, 'options.metadata'],
  [{ workerId: '\udfff' }, 'options.workerId'],
]

test('wrong options of a request are refused by name', async (t) => {
  const leases = managerFor(t)
  for (const [options, word] of OPTIONS) {
    for (const call of [leases.acquire('k', options), leases.withLease('k', options, () => {})]) {
      const error = await failure(call)
      assert.ok(error instanceof TypeError && error.message.includes(word), `${inspect(options).slice(0, 60)}: ${error.message}`)
    }
  }
  for (const options of [undefined, {}, { expectToken: 0 }, { expectToken: '1' }, { expectToken: 1, reason: '' }, { expectToken: 1, reason: 'r'.repeat(257) }]) {
    assert.ok((await failure(leases.steal('k', options))) instanceof TypeError)
  }
  for (const options of [{ conflictStrategy: 'RETRY' }, { taskInfo: circular }, { taskInfo: '\ud800' }, { maxRetries: 0.5 }, { workerID: 'x' }]) {
    assert.ok((await failure(leases.acquireLock('k', options))) instanceof TypeError)
  }
  for (const options of [{ prefix: 7 }, { limit: 0 }, { limit: 1e9 }, 7]) assert.ok((await failure(leases.list(options))) instanceof TypeError)
  assert.ok((await failure(leases.destroy({ release: 1 }))) instanceof TypeError)
  assert.ok((await failure(leases.withLease('k', {}))) instanceof TypeError)
  assert.ok((await failure(leases.releaseLock('k', ''))) instanceof TypeError)
  assert.deepEqual(await leases.list(), [], 'nothing was done')
})

test('metadata that is nested without sense is refused', async (t) => {
  const leases = managerFor(t)
  const deep = JSON.parse('['.repeat(1_000) + ']'.repeat(1_000))
  for (const call of [leases.acquire('k', { metadata: deep }), leases.acquireLock('k', { taskInfo: deep })]) {
    const error = await failure(call)
    assert.ok(error instanceof TypeError, inspect(error))
    assert.equal(error.code, 'ERR_LOCK_INVALID_ARGUMENT')
  }
})

test('backslashes in metadata are no half characters', async (t) => {
  const leases = managerFor(t)
  const metadata = ['\\ud800', '\\\\udfff', '😀']
  await leases.withLease('k', { metadata }, async () => {
    assert.deepEqual((await leases.status('k')).holders[0].metadata, metadata)
  })
})

test('another number of permits is a wrong argument', async (t) => {
  const leases = managerFor(t)
  await leases.acquire('pool', { permits: 2 })
  const error = await failure(leases.tryAcquire('pool', { permits: 3 }))
  assert.ok(error instanceof TypeError && error instanceof chainlock.ChainlockError)
  assert.deepEqual([error.code, error.key], ['ERR_LOCK_INVALID_ARGUMENT', 'pool'])
})

test('metadata of exactly 4 KiB is taken, and a getter is read once', async (t) => {
  const leases = managerFor(t)
  const metadata = 'x'.repeat(4_094)
  let reads = 0
  const lease = await leases.acquire('k', { metadata, get ttlMs() { return (reads += 1), 5_000 } })
  assert.equal(reads, 1)
  assert.equal((await leases.status('k')).holders[0].metadata, metadata)
  await lease.release()
})

test('a folder, a foreign file and a file that cannot be written are typed errors', async (t) => {
  const place = folder(t)
  const foreign = path.join(place, 'foreign.db')
  fs.writeFileSync(foreign, 'this is no database, and was not made by chainlock '.repeat(40))
  const error = await failure(managerFor(t, { store: `sqlite:${foreign}` }).acquire('k', { timeoutMs: 5_000 }))
  assert.match(error.code, /^ERR_LOCK_STORE_(FOREIGN|UNAVAILABLE)$/, inspect(error))
  assert.match(fs.readFileSync(foreign, 'utf8'), /^this is no database/, 'it was left alone')
  const inFolder = managerFor(t, { store: place })
  await (await inFolder.acquire('k')).release()
  assert.ok(fs.existsSync(path.join(place, 'leases.db')))
  const nowhere = await failure(managerFor(t, { store: 'sqlite:/proc/none/leases.db' }).acquire('k', { timeoutMs: 5_000 }))
  assert.match(nowhere.code, /^ERR_LOCK_STORE_/, inspect(nowhere))
})

test('the send lock knows no scope of machines', () => {
  assert.throws(() => chainlock.configureSendLock({ scope: 'cluster' }), (error) => error.code === 'ERR_LOCK_SCOPE' && error.message.includes('sendLock'))
})
