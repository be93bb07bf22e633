// What holds of a send lock between machines over every engine that has a clock. Its other users are processes. Each case
// gets a test, the options of a manager, and the shortest ttl there.
'use strict'

const assert = require('node:assert/strict')
const { STEADY_MS, managerFor, failure } = require('./leases')
const { startNode, said } = require('./processes')
const { pause } = require('./waiting')

const ANY = { layers: 'any' }
const PATIENT = { timeoutMs: 60_000 }
const MOST_TRIES = 20

/** Ends with its test, whatever happens. */
function childFor(t, program, data) {
  const child = startNode(program, data)
  t.after(() => child.child.kill('SIGKILL'))
  return child
}

/** Holds the lock until it is killed, or its stdin ends. */
async function holding({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  const leases = new LeaseManager({ ...data.options, workerId: 'holder' })
  const lock = leases.sendLock('team', data.settings)
  const { guard } = await lock.trySend('holder', { messageKey: 'm1' })
  console.log(`holds ${guard.token}`)
  guard.signal.addEventListener('abort', () => console.log(`lost ${guard.signal.reason.cause}`))
  process.stdin.on('end', async () => {
    await leases.destroy()
    process.exit(0)
  }).resume()
}

/** Takes what there is to send, in line with others, each message once, and says what it has sent. */
async function sending({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  const leases = new LeaseManager(data.options)
  const lock = leases.sendLock('team', data.settings)
  for (const messageKey of data.messages) {
    try {
      await lock.withSendLock('sender', { messageKey, timeoutMs: 120_000 }, (guard) => {
        guard.assertHeld()
        console.log(`sent ${messageKey} ${guard.token}`)
      })
    } catch (error) {
      if (error.code !== 'ERR_LOCK_DUPLICATE_MESSAGE') throw error
    }
  }
  await leases.destroy()
}

/** Takes the lock and asks again while its cooldown lasts: so long that a busy machine misses it only now and then. */
async function seenCooling(lock, asked) {
  for (let tries = 1; ; tries += 1) {
    const guard = await lock.acquireSendLock('me', asked)
    const { reason } = await lock.trySend('me')
    if (reason === 'cooldown') return guard
    assert.ok(tries < MOST_TRIES, `${reason}: not its own cooldown, though it came with another`)
    await guard.release({ sent: false })
  }
}

const CASES = {
  async 'each message once, by three processes, and with growing tokens'(t, options) {
    const messages = Array.from({ length: 8 }, (_, at) => `m${at}`)
    const settings = { ...ANY, cooldownMs: 20, dedupWindowMs: 3_600_000 }
    const children = ['a', 'b', 'c'].map((workerId) => childFor(t, sending, { options: { ...options, workerId }, settings, messages }))
    const ends = await Promise.all(children.map(({ ended }) => ended))
    for (const { code, stderr } of ends) assert.equal(code, 0, stderr)
    const sent = ends.flatMap(({ stdout }) => stdout.trim().split('\n').filter(Boolean).map((line) => line.split(' ').slice(1)))
    assert.deepEqual(sent.map(([message]) => message).sort(), messages)
    assert.equal(new Set(sent.map(([, token]) => token)).size, messages.length)
    const metrics = await managerFor(t, options).sendLock('team').getMetrics()
    assert.equal(metrics.totalAcquisitions, messages.length)
    assert.equal(metrics.totalReleases, messages.length)
  },

  async 'a cooldown, a holder and a message are everybody’s'(t, options, leastMs = 0) {
    const settings = { ...ANY, cooldownMs: Math.max(600, leastMs), dedupWindowMs: 3_600_000 }
    const holder = childFor(t, holding, { options, settings })
    await said(holder, 'holds')
    const lock = managerFor(t, options).sendLock('team', { cooldownMs: 0 })
    let refused = await lock.trySend('me')
    while (refused.reason === 'cooldown') {
      assert.ok(refused.retryAfterMs > 0)
      await pause(refused.retryAfterMs)
      refused = await lock.trySend('me')
    }
    assert.equal(refused.reason, 'held')
    assert.deepEqual([refused.holder.layerId, refused.holder.pid], ['holder', holder.child.pid])
    assert.equal(await lock.isSendLocked(), true)
    holder.child.stdin.end()
    await holder.ended
    assert.equal((await lock.trySend('me', { messageKey: 'm1' })).reason, 'duplicate_message')
    const guard = await seenCooling(lock, { ...PATIENT, messageKey: 'm2' })
    assert.equal(await guard.release({ sent: false }), true)
    assert.equal(await guard.release(), false)
    const again = await lock.acquireSendLock('me', { ...PATIENT, messageKey: 'm2' })
    assert.ok(again.token > guard.token)
    await again.release()
    const error = await failure(lock.acquireSendLock('me', { ...PATIENT, messageKey: 'm2' }))
    assert.equal(error.code, 'ERR_LOCK_DUPLICATE_MESSAGE')
    assert.ok(error.retryAfterMs > 0)
  },

  async 'a killed holder is recovered, and its message counts as sent'(t, options, leastMs = 0) {
    const settings = { ...ANY, cooldownMs: 0, dedupWindowMs: 3_600_000, ttlMs: Math.max(1_500, leastMs) }
    const holder = childFor(t, holding, { options, settings })
    await said(holder, 'holds')
    const lock = managerFor(t, options).sendLock('team')
    const waiting = lock.acquireSendLock('me', PATIENT)
    holder.child.kill('SIGKILL')
    const guard = await waiting
    const [, dead] = /holds (\d+)/.exec(holder.output.stdout)
    assert.ok(guard.token > Number(dead))
    assert.equal((await lock.getMetrics()).forcedByReason.process_exit, 1)
    const past = await lock.lockHistory()
    assert.deepEqual(past.map(({ action }) => action), ['acquired', 'force_released_process_exit', 'acquired'])
    await guard.release()
    assert.equal((await lock.trySend('me', { messageKey: 'm1' })).reason, 'duplicate_message')
  },

  async 'a force release ends the hold, tells its holder, and lets the next one in'(t, options) {
    const settings = { ...ANY, cooldownMs: 0, ttlMs: STEADY_MS }
    const holder = childFor(t, holding, { options, settings })
    await said(holder, 'holds')
    const lock = managerFor(t, options).sendLock('team')
    const waiting = lock.acquireSendLock('me', PATIENT)
    assert.equal(await lock.forceReleaseLock('operator'), true)
    const guard = await waiting
    await said(holder, 'lost stolen')
    assert.equal(guard.check(), true)
    assert.equal((await lock.getMetrics()).forcedByReason.manual, 1)
    assert.ok((await lock.lockHistory()).some(({ action }) => action === 'force_released_operator'))
    await guard.release()
    assert.equal(await lock.forceReleaseLock(), false)
    holder.child.stdin.end()
    await holder.ended
  },

  async 'a hold that lasts too long is taken away, though it is renewed'(t, options) {
    const settings = { ...ANY, cooldownMs: 0, forceReleaseMs: 1.2 * STEADY_MS, ttlMs: STEADY_MS }
    const [one, two] = [managerFor(t, options), managerFor(t, { ...options, workerId: 'two' })]
    const { guard } = await one.sendLock('team', settings).trySend('slow')
    const lock = two.sendLock('team')
    const next = await lock.acquireSendLock('next', PATIENT)
    assert.equal(guard.check(), false)
    assert.throws(() => guard.assertHeld(), { code: 'ERR_LOCK_LEASE_LOST' })
    assert.equal((await lock.getMetrics()).forcedByReason.stale_timeout, 1)
    await next.release()
  },

  async 'the first one’s settings count, until somebody changes them for all'(t, options) {
    const [one, two] = [managerFor(t, options), managerFor(t, { ...options, workerId: 'two' })]
    const first = one.sendLock('team', { layers: ['a'], cooldownMs: 60_000 })
    await (await first.acquireSendLock('a', PATIENT)).release()
    const second = two.sendLock('team', { layers: 'any', cooldownMs: 0 })
    assert.equal((await second.trySend('b')).reason, 'unknown_layer')
    assert.equal((await failure(second.acquireSendLock('b', PATIENT))).code, 'ERR_LOCK_UNKNOWN_LAYER')
    assert.equal((await second.trySend('a')).reason, 'cooldown')
    const { settings } = await second.getLockStatus()
    assert.deepEqual([settings.layers, settings.cooldownMs], [['a'], 60_000])
    const changed = await second.configure({ layers: 'any', cooldownMs: 0 })
    assert.deepEqual([changed.layers, changed.cooldownMs, changed.forceReleaseMs], ['any', 0, 600_000])
    assert.equal((await first.trySend('b')).acquired, true)
    assert.equal((await second.getMetrics()).refusedByReason.unknown_layer, 2)
  },

  async 'names are apart, and what waits can be given up'(t, options) {
    const leases = managerFor(t, options)
    const [one, two] = [leases.sendLock('one', ANY), leases.sendLock('two', ANY)]
    const { guard } = await one.trySend('a')
    assert.equal((await two.trySend('a')).acquired, true)
    const error = await failure(one.acquireSendLock('b', { timeoutMs: 50 }))
    assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
    const controller = new AbortController()
    const waiting = failure(one.acquireSendLock('b', { signal: controller.signal }))
    controller.abort(new Error('enough'))
    assert.equal((await waiting).message, 'enough')
    await guard.release()
    const status = await one.getLockStatus()
    assert.deepEqual([status.isSendingToClaude, status.token, status.scope], [false, null, 'cluster'])
    assert.ok(status.lastSendTime > 0)
  },
}

module.exports = { CASES }
