// sendEvents and the diagnostics channels: what happens in any thread is told in every thread that listens,
// in order, and what was lost is said.
'use strict'

const { test, describe, beforeEach, afterEach } = require('node:test')
const assert = require('node:assert/strict')
const diagnosticsChannel = require('node:diagnostics_channel')
const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { root, freshProcessLock, chainlock } = require('./helpers/package')
const { assertSince } = require('./helpers/moments')
const { startWorker, runWorker, message, exited } = require('./helpers/threads')
const { turn, until, block } = require('./helpers/waiting')

const { sendEvents } = chainlock
const NAMES = ['acquired', 'released', 'blocked', 'overdue', 'forced', 'recovered']
const FIELDS = ['heldMs', 'holder', 'layerId', 'reason', 'threadId', 'timestamp', 'token']

/** Collects the events from now on. Holds and events keep no process alive, so this does. */
async function collect(names = NAMES) {
  const seen = []
  const listeners = names.map((name) => [name, (event) => seen.push([name, event])])
  for (const [name, listener] of listeners) sendEvents.on(name, listener)
  await turn()
  return seen
}

let keepAlive
beforeEach(() => {
  keepAlive = setInterval(() => {}, 1_000)
  freshProcessLock({ cooldownMs: 0 })
})
afterEach(() => {
  clearInterval(keepAlive)
  for (const name of [...NAMES, 'lagged']) sendEvents.removeAllListeners(name)
  freshProcessLock()
})

describe('sendEvents', () => {
  test('tells acquired, blocked, released, forced in order, with their fields', async () => {
    const seen = await collect()
    const before = Date.now()
    const { guard } = chainlock.trySend('e2e-executor')
    chainlock.tryAcquireSendLock('window-monitor')
    guard.release()
    const second = chainlock.trySend('test-layer').guard
    block(3)
    chainlock.forceReleaseLock('by hand')
    await until(() => seen.length >= 5)
    assert.deepEqual(seen.map(([name]) => name), ['acquired', 'blocked', 'released', 'acquired', 'forced'])
    const [acquired, blocked, released, , forced] = seen.map(([, event]) => event)
    for (const [, event] of seen) {
      assert.deepEqual(Object.keys(event).sort(), FIELDS)
      assert.ok(Object.isFrozen(event))
      assert.equal(event.threadId, 0)
      assertSince(event.timestamp, before)
    }
    const plain = ({ layerId, token, reason, holder }) => ({ layerId, token, reason, holder })
    assert.deepEqual(plain(acquired), { layerId: 'e2e-executor', token: guard.token, reason: null, holder: null })
    assert.deepEqual(plain(blocked), { layerId: 'window-monitor', token: guard.token, reason: 'held', holder: 'e2e-executor' })
    assert.deepEqual(plain(released), { layerId: 'e2e-executor', token: guard.token, reason: null, holder: null })
    assert.deepEqual(plain(forced), { layerId: 'test-layer', token: second.token, reason: 'by hand', holder: null })
    assert.equal(acquired.heldMs, null)
    assert.equal(blocked.heldMs, null)
    assert.ok(released.heldMs >= 0)
    assert.ok(forced.heldMs >= 3)
  })

  test('says by which rule a request was blocked; an unknown layer is no event', async () => {
    chainlock.configureSendLock({ dedupWindowMs: 60_000 })
    const seen = await collect(['blocked'])
    chainlock.trySend('e2e-executor', { message: 'x' })
    chainlock.trySend('window-monitor')
    chainlock.releaseSendLock('e2e-executor')
    chainlock.trySend('window-monitor', { message: 'x' })
    chainlock.trySend('stranger')
    chainlock.configureSendLock({ cooldownMs: 60_000 })
    chainlock.trySend('window-monitor')
    await until(() => seen.length >= 3)
    assert.deepEqual(seen.map(([, { reason, token }]) => [reason, token > 0]), [
      ['held', true],
      ['duplicate_message', false],
      ['cooldown', false],
    ])
  })

  test('tells overdue once, and forced with the reason of the clock', async () => {
    const seen = await collect(['overdue', 'forced'])
    // Far apart: whoever stands still until both are over is told of the second alone.
    const FORCE_MS = 4_000
    chainlock.configureSendLock({ timeoutMs: 15, forceReleaseMs: FORCE_MS })
    const { guard } = chainlock.trySend('e2e-executor')
    await until(() => seen.length >= 2)
    assert.deepEqual(seen.map(([name, { token, reason }]) => [name, token, reason]), [
      ['overdue', guard.token, null],
      ['forced', guard.token, 'stale_timeout'],
    ])
    assert.ok(seen[0][1].heldMs >= 15)
    assert.ok(seen[1][1].heldMs >= FORCE_MS)
  })

  test('tells forced with the timeout as the reason', async () => {
    chainlock.configureSendLock({ timeoutMs: 10, onTimeout: 'release' })
    await collect([])
    const forced = once(sendEvents, 'forced')
    chainlock.trySend('e2e-executor')
    assert.equal((await forced)[0].reason, 'timeout')
  })

  test('tells of other threads, in the order in which things happened', async () => {
    const seen = await collect()
    const worker = startWorker(({ chainlock, port, workerThreads }) => {
      chainlock.trySend('window-monitor')
      port.postMessage(workerThreads.threadId)
      port.once('message', () => chainlock.releaseSendLock('window-monitor'))
    })
    const threadId = await message(worker)
    chainlock.trySend('e2e-executor')
    worker.postMessage('release')
    await exited(worker)
    await until(() => seen.length >= 3)
    assert.deepEqual(seen.map(([name, event]) => [name, event.layerId, event.threadId]), [
      ['acquired', 'window-monitor', threadId],
      ['blocked', 'e2e-executor', 0],
      ['released', 'window-monitor', threadId],
    ])
  })

  test('tells recovered of a worker that ended with the lock', async () => {
    const seen = await collect(['recovered'])
    await runWorker(({ chainlock }) => chainlock.tryAcquireSendLock('window-monitor'))
    await until(() => seen.length >= 1)
    const [[, event]] = seen
    assert.equal(event.layerId, 'window-monitor')
    assert.equal(event.reason, 'thread_exit')
    assert.ok(event.threadId > 0)
  })

  test('can be listened to in a worker', async () => {
    const worker = startWorker(({ chainlock, port }) => {
      chainlock.sendEvents.on('forced', (event) => port.postMessage(event))
      const keepAlive = setInterval(() => {}, 1_000)
      port.once('message', () => clearInterval(keepAlive))
      setImmediate(() => port.postMessage('listening'))
    })
    assert.equal(await message(worker), 'listening')
    const { guard } = chainlock.trySend('e2e-executor')
    const told = message(worker)
    chainlock.forceReleaseLock('from the main thread')
    const event = await told
    assert.equal(event.token, guard.token)
    assert.equal(event.reason, 'from the main thread')
    worker.postMessage('enough')
    await exited(worker)
  })

  test('says how many events were lost to a blocked event loop, and tells the rest', async () => {
    const seen = await collect(['acquired', 'released'])
    const lagged = once(sendEvents, 'lagged')
    for (let round = 0; round < 5_000; round++) chainlock.trySend('e2e-executor').guard.release()
    const [lost] = await lagged
    await until(() => seen.length + lost >= 10_000)
    assert.equal(seen.length + lost, 10_000)
    assert.ok(seen.length > 0)
    assert.equal(seen.at(-1)[0], 'released', 'the newest are the ones that are kept')
    const stamps = seen.map(([, { token }]) => token)
    assert.deepEqual(stamps, [...stamps].sort((a, b) => a - b))
  })

  test('once and off end the listening; a later listener hears only what comes', async () => {
    const first = once(sendEvents, 'acquired')
    await turn()
    chainlock.trySend('e2e-executor').guard.release()
    await first
    chainlock.trySend('window-monitor').guard.release()
    const seen = await collect(['acquired'])
    chainlock.trySend('test-layer').guard.release()
    await until(() => seen.length >= 1)
    assert.deepEqual(seen.map(([, { layerId }]) => layerId), ['test-layer'])
  })

  test('a listener that throws does not keep the next event from the others', async () => {
    const errors = []
    const caught = (error) => errors.push(error)
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', caught)
    const error = new Error('of the listener')
    const seen = await collect(['released'])
    sendEvents.on('acquired', () => { throw error })
    await turn()
    chainlock.trySend('e2e-executor').guard.release()
    await until(() => seen.length >= 1 && errors.length >= 1)
    process.off('uncaughtException', caught)
    for (const listener of listeners) process.on('uncaughtException', listener)
    assert.deepEqual(errors, [error])
  })

  test('whoever comes after removeAllListeners() hears, again and again', async () => {
    for (const layer of ['e2e-executor', 'window-monitor', 'test-layer']) {
      const seen = await collect(['acquired'])
      chainlock.trySend(layer).guard.release()
      await until(() => seen.length >= 1)
      assert.deepEqual(seen.map(([, { layerId }]) => layerId), [layer])
      assert.equal(sendEvents.removeAllListeners(), sendEvents)
    }
  })
})

describe('the diagnostics channels', () => {
  test('publish the same events', async () => {
    const published = []
    const subscribers = NAMES.map((name) => [`chainlock:send:${name}`, (event, channel) => published.push([channel, event])])
    for (const [name, subscriber] of subscribers) diagnosticsChannel.subscribe(name, subscriber)
    const seen = await collect()
    const { guard } = chainlock.trySend('e2e-executor')
    chainlock.tryAcquireSendLock('window-monitor')
    guard.release()
    await until(() => seen.length >= 3)
    for (const [name, subscriber] of subscribers) assert.equal(diagnosticsChannel.unsubscribe(name, subscriber), true)
    assert.deepEqual(published, seen.map(([name, event]) => [`chainlock:send:${name}`, event]))
  })

  test('are enough to listen, by the function and by the channel', async () => {
    const subscriptions = [
      (subscriber) => diagnosticsChannel.subscribe('chainlock:send:acquired', subscriber),
      (subscriber) => diagnosticsChannel.channel('chainlock:send:acquired').subscribe(subscriber),
    ]
    for (const subscribe of subscriptions) {
      const published = []
      const subscriber = (event) => published.push(event.layerId)
      subscribe(subscriber)
      chainlock.trySend('e2e-executor').guard.release()
      await until(() => published.length >= 1)
      diagnosticsChannel.unsubscribe('chainlock:send:acquired', subscriber)
      chainlock.trySend('e2e-executor').guard.release()
      await turn()
      await turn()
      assert.deepEqual(published, ['e2e-executor'])
    }
  })

  test('publish once, however many module registries have loaded the package', async () => {
    const REGISTRIES = 5
    const [published] = await runWorker(async ({ chainlock, port, data: { registries }, require }) => {
      const packagePath = Object.keys(require.cache).find((name) => require.cache[name].exports === chainlock)
      const published = []
      for (const name of ['acquired', 'released']) {
        require('node:diagnostics_channel').subscribe(`chainlock:send:${name}`, ({ layerId }) => published.push(`${name} ${layerId}`))
      }
      const copies = [chainlock]
      while (copies.length < registries) {
        for (const name of Object.keys(require.cache)) if (!name.endsWith('.node')) delete require.cache[name]
        copies.push(require(packagePath))
      }
      const keepAlive = setInterval(() => {}, 1_000)
      // Each copy publishes before it tells its own listeners.
      const heard = copies.map(({ sendEvents }) => new Promise((resolve) => sendEvents.once('released', resolve)))
      copies.at(-1).trySend('test-layer').guard.release()
      await Promise.all(heard)
      clearInterval(keepAlive)
      port.postMessage(published)
    }, { registries: REGISTRIES })
    assert.deepEqual(published, ['acquired test-layer', 'released test-layer'])
  })

  test('tell a subscriber who came before the package was loaded', async () => {
    const source = `
      const { parentPort, workerData } = require('node:worker_threads')
      const keepAlive = setInterval(() => {}, 1_000)
      require('node:diagnostics_channel').subscribe('chainlock:send:acquired', (event) => {
        parentPort.postMessage(event.layerId)
        clearInterval(keepAlive)
      })
      require(workerData).trySend('test-layer')`
    const worker = new Worker(source, { eval: true, workerData: root })
    const ended = once(worker, 'exit')
    assert.equal(await message(worker), 'test-layer')
    await ended
  })
})
