// F14: an event loop that is blocked for a minute. The hold is taken away at its age by the native timer, and
// until then, and after, the process uses no processor time.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { runNode } = require('./helpers/processes')

const BLOCKED_MS = 60_000
const FORCE_MS = 30_000
const MOST_CPU_MS = 200

test('F14: 60 s blocked', async (t) => {
  const { code, stdout, stderr } = await runNode(({ chainlock, data: { blockedMs, forceMs } }) => {
    chainlock.configureSendLock({ timeoutMs: forceMs / 2, forceReleaseMs: forceMs })
    const { guard } = chainlock.trySend('e2e-executor')
    const before = process.cpuUsage()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockedMs)
    const held = guard.check()
    const { user, system } = process.cpuUsage(before)
    const { action, duration } = chainlock.sharedLock.lockHistory.at(-1)
    console.log(JSON.stringify({ held, action, duration, cpuMs: (user + system) / 1_000, overdue: chainlock.getMetrics().overdue }))
  }, { blockedMs: BLOCKED_MS, forceMs: FORCE_MS }, { limitMs: BLOCKED_MS + 60_000 })
  assert.equal(code, 0, stderr)
  const { held, action, duration, cpuMs, overdue } = JSON.parse(stdout)
  t.diagnostic(`F14: blocked for 60 s: forced at ${duration} ms (bar: ${FORCE_MS} to ${FORCE_MS + 50}), ${cpuMs.toFixed(1)} ms of processor time`)
  assert.equal(held, false)
  assert.equal(action, 'force_released_stale_timeout')
  assert.equal(overdue, 1)
  assert.ok(duration >= FORCE_MS && duration <= FORCE_MS + 50)
  assert.ok(cpuMs <= MOST_CPU_MS)
})
