// What holds for leases over every engine: grants and tokens, waiting, modes, several keys, what others see, stealing.
// Each case gets a test, and the place of a store.
'use strict'

const assert = require('node:assert/strict')
const { ChainlockError } = require('chainlock')
const { managerFor, pairFor, failure } = require('./leases')
const { stateOf, turn } = require('./waiting')

const CASES = {
  async 'a grant, its facts, and its release'(t, place) {
    const leases = managerFor(t, place)
    const ttlMs = 60_000
    const lease = await leases.acquire('build', { ttlMs, metadata: { step: 1 } })
    assert.deepEqual([lease.key, lease.keys, lease.mode, lease.workerId, lease.ttlMs], ['build', ['build'], 'exclusive', 'test', ttlMs])
    assert.ok(lease.token >= 1 && Number.isSafeInteger(lease.token))
    assert.deepEqual(lease.tokens, [lease.token])
    assert.equal(lease.lost, false)
    assert.equal(lease.released, false)
    assert.ok(lease.remainingMs > 1_000 && lease.remainingMs <= ttlMs, String(lease.remainingMs))
    lease.assertHeld()
    assert.ok(await lease.renew() > 1_000)
    assert.deepEqual(await lease.release(), { released: true, reason: null })
    assert.deepEqual([lease.released, lease.lost, lease.remainingMs], [true, false, 0])
    assert.throws(() => lease.assertHeld(), { code: 'ERR_LOCK_LEASE_LOST' })
    assert.equal(lease.signal.aborted, false, 'a release is no loss')
    assert.deepEqual(await lease.release(), { released: true, reason: null }, 'the second answers as the first')
  },

  async 'tokens grow with every grant'(t, place) {
    const [one, two] = pairFor(t, place)
    let last = 0
    for (let round = 0; round < 6; round += 1) {
      const lease = await (round % 2 ? one : two).acquire('grow')
      assert.ok(lease.token > last, `${lease.token} after ${last}`)
      last = lease.token
      await lease.release()
    }
  },

  async 'who comes second waits, and is granted when the first releases'(t, place) {
    const [one, two] = pairFor(t, place)
    const first = await one.acquire('turns')
    const waiting = two.acquire('turns', { timeoutMs: 30_000 })
    assert.equal(await two.tryAcquire('turns'), null)
    assert.equal(await stateOf(waiting), 'pending')
    await first.release()
    const second = await waiting
    assert.ok(second.token > first.token)
    await second.release()
  },

  async 'a wait ends with its timeout, which says who holds'(t, place) {
    const [one, two] = pairFor(t, place)
    const held = await one.acquire('late', { metadata: ['x'] })
    const error = await failure(two.acquire('late', { timeoutMs: 30 }))
    assert.ok(error instanceof ChainlockError)
    assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
    assert.equal(error.heldBy.token, held.token)
    assert.equal(error.heldBy.workerId, 'one')
    assert.equal(error.heldBy.pid, process.pid)
    assert.deepEqual(error.heldBy.metadata, ['x'])
    await held.release()
  },

  async 'an aborted wait rejects with the reason, and leaves the line'(t, place) {
    const [one, two] = pairFor(t, place)
    const held = await one.acquire('abort')
    const controller = new AbortController()
    const waiting = two.acquire('abort', { signal: controller.signal })
    await turn()
    const reason = { mine: true }
    controller.abort(reason)
    assert.equal(await failure(waiting), reason)
    assert.equal(await failure(two.acquire('abort', { signal: AbortSignal.abort(reason) })), reason)
    await held.release()
    const next = await one.acquire('abort', { timeoutMs: 30_000 })
    await next.release()
  },

  async 'withLease releases after a result, an error and a throw'(t, place) {
    const leases = managerFor(t, place)
    assert.equal(await leases.withLease('with', (lease) => lease.token > 0), true)
    const mine = new Error('mine')
    assert.equal(await failure(leases.withLease('with', { ttlMs: 9_000 }, async () => Promise.reject(mine))), mine)
    assert.equal(await failure(leases.withLease('with', () => { throw mine })), mine)
    assert.equal((await leases.status('with')).held, false)
  },

  async 'shared leases are together, and apart from exclusive ones'(t, place) {
    const [one, two] = pairFor(t, place)
    const readers = [await one.acquire('rw', { shared: true }), await two.acquire('rw', { shared: true })]
    assert.deepEqual(readers.map(({ mode }) => mode), ['shared', 'shared'])
    assert.equal(await one.tryAcquire('rw'), null)
    assert.equal((await one.status('rw')).holders.length, 2)
    for (const reader of readers) await reader.release()
    const writer = await one.acquire('rw')
    assert.equal(await two.tryAcquire('rw', { shared: true }), null)
    await writer.release()
  },

  async 'permits: so many and no more, and the same number for all'(t, place) {
    const [one, two] = pairFor(t, place)
    const held = [await one.acquire('pool', { permits: 2 }), await two.acquire('pool', { permits: 2 })]
    assert.equal(held[0].mode, 'permit')
    assert.notEqual(held[0].token, held[1].token)
    assert.equal(await one.tryAcquire('pool', { permits: 2 }), null)
    const error = await failure(one.acquire('pool', { permits: 3, timeoutMs: 5_000 }))
    assert.ok(error instanceof ChainlockError, String(error))
    for (const lease of held) await lease.release()
  },

  async 'several keys: all or none'(t, place) {
    const [one, two] = pairFor(t, place)
    const both = await one.acquire(['b', 'a'])
    assert.deepEqual(both.keys, ['b', 'a'])
    assert.equal(both.tokens.length, 2)
    assert.equal(both.token, both.tokens[0])
    assert.equal(await two.tryAcquire(['a', 'c']), null)
    assert.equal((await two.status('c')).held, false, 'what could be had was not kept')
    const waiting = two.acquire(['c', 'a'], { timeoutMs: 30_000 })
    await both.release()
    const next = await waiting
    assert.equal(await one.tryAcquire('c'), null)
    await next.release()
    assert.equal((await one.status('a')).held, false)
  },

  async 'others see who holds, and the list has every key'(t, place) {
    const [one, two] = pairFor(t, { ...place, nodeId: 'n1' })
    const before = Date.now()
    const lease = await one.acquire('seen:1', { metadata: { task: '“ünï” 🔒' }, ttlMs: 60_000 })
    await (await one.acquire('seen:2')).release()
    const status = await two.status('seen:1')
    assert.equal(status.held, true)
    assert.equal(status.lastToken, lease.token)
    const [holder] = status.holders
    assert.deepEqual([holder.workerId, holder.nodeId, holder.pid, holder.token, holder.mode], ['one', 'n1', process.pid, lease.token, 'exclusive'])
    assert.deepEqual(holder.metadata, { task: '“ünï” 🔒' })
    assert.ok(holder.acquiredAt >= before - 1_000 && holder.acquiredAt <= Date.now() + 1_000)
    assert.equal(holder.stale, false)
    const listed = await two.list({ prefix: 'seen:' })
    assert.deepEqual(listed.map(({ key, held }) => [key, held]), [['seen:1', true], ['seen:2', false]])
    assert.equal((await two.list({ prefix: 'seen:', limit: 1 })).length, 1)
    assert.deepEqual(await two.status('never'), { key: 'never', held: false, holders: [], waiters: 0, lastToken: 0, stolen: null })
    await lease.release()
  },

  async 'a steal names what it takes; the holder learns by whom'(t, place) {
    const [one, two] = pairFor(t, place)
    const held = await one.acquire('loot', { ttlMs: 60_000 })
    const told = new Promise((resolve) => one.once('lost', (lease, loss) => resolve({ lease, loss })))
    const aborted = new Promise((resolve) => held.signal.addEventListener('abort', resolve))
    const moved = await failure(two.steal('loot', { expectToken: held.token + 1 }))
    assert.equal(moved.code, 'ERR_LOCK_TOKEN_MOVED')
    held.assertHeld()
    const mine = await two.steal('loot', { expectToken: held.token, reason: 'hangs' })
    assert.ok(mine.token > held.token)
    const renewal = await failure(held.renew())
    assert.equal(renewal.code, 'ERR_LOCK_LEASE_LOST')
    const { lease, loss } = await told
    await aborted
    assert.equal(lease, held)
    assert.equal(held.lost, true)
    const { reason } = held.signal
    assert.deepEqual([reason.code, reason.cause, reason.token, reason.key], ['ERR_LOCK_LEASE_LOST', 'stolen', held.token, 'loot'])
    assert.equal(loss.cause, 'stolen')
    assert.equal(reason.by.workerId, 'two')
    assert.equal(reason.by.token, mine.token)
    assert.throws(() => held.assertHeld(), { code: 'ERR_LOCK_LEASE_LOST', cause: 'stolen' })
    assert.deepEqual(await held.release(), { released: false, reason: 'stolen' })
    const { stolen } = await one.status('loot')
    assert.deepEqual(stolen, { token: held.token, by: 'two', reason: 'hangs' })
    assert.equal((await one.status('loot')).holders[0].token, mine.token, 'the loser has released nothing')
    await mine.release()
  },
}

module.exports = { CASES }
