// F5, first half: the vectors that Rust runs, on the drop-in object. Those for any clock; the others need the
// clock in hand, which only Rust has.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock } = require('./helpers/package')
const { vectors } = require('./vectors/send-rules.json')

/** Every key of `expected` must be in `answer` with that value; arrays item by item. */
function assertAgrees(answer, expected, at) {
  if (Array.isArray(expected)) {
    assert.equal(answer?.length, expected.length, `${at}.length`)
    expected.forEach((item, index) => assertAgrees(answer[index], item, `${at}[${index}]`))
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [key, value] of Object.entries(expected)) assertAgrees(answer?.[key], value, `${at}.${key}`)
  } else {
    assert.deepEqual(answer, expected, at)
  }
}

/** One vector under way: the lock and the grants by name. */
class Play {
  lock = new chainlock.SharedLock()
  guards = new Map()

  constructor(settings) {
    this.lock.configure(settings)
  }

  token(token) {
    return typeof token === 'string' ? this.guards.get(token).token : token
  }

  try({ layer, message, as, token, holder, retryAfterMs }) {
    const attempt = this.lock.trySend(layer, message === undefined ? undefined : { message })
    if (attempt.acquired) {
      if (as !== undefined) this.guards.set(as, attempt.guard)
      if (token !== undefined) assert.equal(attempt.guard.token, token)
      return 'acquired'
    }
    if (holder !== undefined) assert.equal(attempt.holder?.layerId ?? null, holder)
    if (retryAfterMs !== undefined) assert.equal(attempt.retryAfterMs, retryAfterMs)
    return attempt.reason
  }

  answer(step) {
    const { lock } = this
    switch (step.op) {
      case 'try': return this.try(step)
      case 'release': return lock.releaseSendLock(step.layer, this.token(step.token))
      case 'releaseGuard': return this.guards.get(step.grant).release(step.sent === undefined ? undefined : { sent: step.sent })
      case 'check': return this.guards.get(step.grant).check()
      case 'locked': return lock.isSendLocked()
      case 'force': return lock.forceReleaseLock(step.reason)
      case 'checkAndForce': return lock.checkAndForceRelease()
      case 'setLastSendTime': return void (lock.lastSendTime = step.to)
      case 'configure': return void lock.configure(step.settings)
      case 'reset': return lock.resetMetrics()
      case 'status': return lock.getLockStatus()
      case 'metrics': return lock.getMetrics()
      case 'history': return lock.lockHistory.map(({ action, layerId }) => `${action} ${layerId}`)
      default: throw new Error(`no such op: ${step.op}`)
    }
  }
}

describe('F5: the vectors', () => {
  const forAnyClock = vectors.filter(({ clock }) => clock === 'any')
  let steps = 0
  for (const { name, settings, steps: list } of forAnyClock) {
    test(name, () => {
      const play = new Play(settings)
      list.forEach((step, index) => {
        const answer = play.answer(step)
        const at = `step ${index + 1} (${step.op})`
        if ('expect' in step) assertAgrees(answer, step.expect, at)
        else assert.equal(answer, undefined, at)
        steps++
      })
    })
  }
  test('the bar', (t) => {
    t.diagnostic(`F5: ${forAnyClock.length} vectors, ${steps} steps, as Rust answers them`)
    assert.ok(forAnyClock.length >= 40)
  })
})
