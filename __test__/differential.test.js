// The native lock against its twin in plain JavaScript: the same random calls, the same answers, the same
// numbers.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock, deep } = require('./helpers/package')
const { random } = require('./helpers/figures')
const { Twin } = require('./helpers/twin')

const SEQUENCES = deep(20_000, 400)
const LENGTH = 250
const IDS = ['e2e-executor', 'window-monitor', 'chain-loop-monitor', 'chain-keyword-monitor', 'test-layer', 'added',
  'stranger', '', null]
const HUGE_MS = 3_600_000

/** The calls, each on both; what both answer must be equal. */
const CALLS = {
  acquire: (lock, twin, id) => [lock.tryAcquireSendLock(id), twin.tryAcquireSendLock(id)],
  explained: (lock, twin, id) => [id ? lock.trySend(id).acquired : false, id ? twin.tryAcquireSendLock(id) : false],
  release: (lock, twin, id) => [lock.releaseSendLock(id), twin.releaseSendLock(id)],
  releaseHolder: (lock, twin) => [lock.releaseSendLock(lock.sendingLayerId), twin.releaseSendLock(twin.holder)],
  force: (lock, twin) => [lock.forceReleaseLock('why'), twin.forceReleaseLock('why')],
  checkAndForce: (lock) => [lock.checkAndForceRelease(), false],
  locked: (lock, twin) => [lock.isSendLocked(), twin.isSendLocked()],
  skipCooldown: (lock, twin) => [(lock.lastSendTime = 0), twin.skipCooldown() ?? 0],
  reset: (lock, twin) => [lock.resetMetrics(), twin.reset()],
  addLayer: (lock, twin) => [lock.validLayerIds.add('added').size, twin.layers.add('added').size],
  deleteLayer: (lock, twin) => [lock.validLayerIds.delete('added'), twin.layers.delete('added')],
  limit: (lock, twin, _, chance) => {
    twin.limit = Math.max(twin.limit, Math.floor(chance * 150) + 1)
    return [lock.configure({ historyLimit: twin.limit }).historyLimit, twin.limit]
  },
}
/** How often each comes. */
const MIX = [
  ...Array(8).fill('acquire'), ...Array(4).fill('explained'), ...Array(4).fill('release'), ...Array(8).fill('releaseHolder'),
  'force', 'checkAndForce', 'locked', 'skipCooldown', 'skipCooldown', 'reset', 'addLayer', 'deleteLayer', 'limit',
]

function seen(lock) {
  const { totalAcquisitions, totalReleases, duplicatesBlocked, forceReleases, lockEfficiency, duplicateRate, recentActivity } =
    lock.getMetrics()
  return {
    totalAcquisitions, totalReleases, duplicatesBlocked, forceReleases, lockEfficiency, duplicateRate,
    recentActivity: recentActivity.map(({ layerId, success, action, lockState }) => ({ layerId, success, action, lockState })),
    sendingLayerId: lock.sendingLayerId,
    historyLength: lock.lockHistory.length,
  }
}

test(`${SEQUENCES} sequences of ${LENGTH} calls`, (t) => {
  const counts = {}
  for (let seed = 1; seed <= SEQUENCES; seed++) {
    const next = random(seed)
    const pick = (list) => list[Math.floor(next() * list.length)]
    const [lock, twin] = [new chainlock.SharedLock(), new Twin()]
    twin.cooldown = seed % 4 === 0
    lock.configure({ cooldownMs: twin.cooldown ? HUGE_MS : 0 })
    const log = []
    for (let step = 0; step < LENGTH; step++) {
      const name = pick(MIX)
      const id = pick(IDS)
      const [answer, expected] = CALLS[name](lock, twin, id, next())
      log.push(`${name}(${id}) → ${answer}`)
      counts[`${name} ${answer}`] = (counts[`${name} ${answer}`] ?? 0) + 1
      assert.equal(answer, expected, `seed ${seed}: ${log.slice(-12).join(', ')}`)
      if (step % 25 === 24) assert.deepEqual(seen(lock), twin.seen(), `seed ${seed}, step ${step}`)
    }
  }
  t.diagnostic(`differential: ${SEQUENCES * LENGTH} calls, 0 differences`)
  for (const common of ['acquire true', 'acquire false', 'releaseHolder true', 'release true', 'force true']) {
    assert.ok(counts[common] > SEQUENCES / 2, `${common}: ${counts[common]}`)
  }
})
