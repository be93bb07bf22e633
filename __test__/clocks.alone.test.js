// F14: clocks. The wall clock jumps, the process runs in a time namespace, is stopped, or its event loop is
// blocked: nothing expires or is released early, and the cooldown lasts as long as it says.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { clockLibrary } = require('./helpers/faketime')
const { stateOf } = require('./helpers/host-kernel')
const { freshProcessLock, chainlock } = require('./helpers/package')
const { startNode, runNode, said } = require('./helpers/processes')
const { startWorker, message } = require('./helpers/threads')
const { pause, until } = require('./helpers/waiting')

const COOLDOWN_MS = 2_000
const LATEST_MS = 50
const ATTEMPTS = 6

/** The library that gives a process another wall clock, which can be changed while it runs. */
function fakeClockLibrary() {
  const found = clockLibrary()
  assert.ok(found, 'libfaketime is missing: install the package faketime')
  return found
}

/**
 * Lives through a cooldown and a forced release, and says at which monotonic times: the stamps are taken
 * before the beginning and after the end, so that no measured time is too short by itself.
 */
function liveThrough({ chainlock, data: { forceMs, timeoutMs } }) {
  const say = (what, details) => {
    const now = { ms: performance.now(), hr: Number(process.hrtime.bigint()) / 1e6, wall: Date.now() }
    console.log(JSON.stringify({ what, ...now, ...details }))
  }
  const other = new chainlock.SharedLock()
  other.configure({ timeoutMs, forceReleaseMs: forceMs })
  say('begun')
  chainlock.trySend('e2e-executor').guard.release()
  const { guard } = other.trySend('test-layer')
  guard.signal.addEventListener('abort', () => {
    const { action, duration } = other.lockHistory.at(-1)
    say('forced', { action, heldMs: duration })
    clearInterval(early)
  })
  chainlock.acquireSendLock('window-monitor').then(() => say('granted'))
  const early = setInterval(() => {
    if (other.getLockStatus().overdue) {
      say('overdue')
      clearInterval(early)
    }
  }, 1)
}

const FORCE_MS = 1_500
const TIMEOUT_MS = 1_000

/** Starts it, does `meanwhile` once it has begun, and answers what it said, by name. */
async function lifeTimes(options, meanwhile = () => {}) {
  const started = startNode(liveThrough, { forceMs: FORCE_MS, timeoutMs: TIMEOUT_MS }, options)
  await said(started, 'begun')
  await meanwhile(started.child)
  const { code, stdout, stderr } = await started.ended
  assert.equal(code, 0, stderr)
  return Object.fromEntries(stdout.trim().split('\n').map((line) => JSON.parse(line)).map((line) => [line.what, line]))
}

/**
 * Measures until all is within the bars, a few times at most; a machine may be busy, a clock may not. `check` answers
 * whether what was done meanwhile came in time.
 */
async function measure(t, name, options, meanwhile, check = () => true) {
  const seen = []
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const lines = await lifeTimes(typeof options === 'function' ? options() : options, meanwhile)
    const isDone = check(lines)
    // Whose event loop was not served in time has seen nothing overdue: that is late, not early.
    const after = (what) => (lines[what]?.ms ?? Infinity) - lines.begun.ms
    const times = { cooldown: after('granted'), overdue: after('overdue'), forced: after('forced') }
    assert.equal(lines.forced.action, 'force_released_stale_timeout')
    assert.ok(times.cooldown >= COOLDOWN_MS, `cooldown of ${times.cooldown} ms`)
    assert.ok(times.overdue >= TIMEOUT_MS && times.forced >= FORCE_MS, `early: ${JSON.stringify(times)}`)
    seen.push(`cooldown ${times.cooldown.toFixed(1)}, overdue ${times.overdue.toFixed(1)}, forced ${times.forced.toFixed(1)} ms`)
    const isInTime = times.cooldown <= COOLDOWN_MS + LATEST_MS && times.forced <= FORCE_MS + LATEST_MS
    if (isDone && isInTime && times.overdue < Infinity) break
    assert.notEqual(attempt, ATTEMPTS, `${name}: late every time: ${seen.join('; ')}`)
  }
  t.diagnostic(`F14: ${name}: ${seen.join('; ')}`)
}

describe('F14: the wall clock', { concurrency: 2 }, () => {
  const HOUR = 3_600_000
  const YEAR = 365 * 24 * HOUR
  const JUMPS = { '+1h': HOUR, '-1h': -HOUR, '+10y': 10 * YEAR, '-10y': -10 * YEAR }

  for (const [jump, ms] of Object.entries(JUMPS)) {
    test(`jumps by ${jump} in the middle`, async (t) => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-clock-'))
      t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
      const file = path.join(folder, 'offset')
      const options = () => {
        fs.writeFileSync(file, '+0')
        return {
          env: { LD_PRELOAD: fakeClockLibrary(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
        }
      }
      const leap = async () => {
        await pause(400)
        fs.writeFileSync(file, jump)
      }
      await measure(t, `wall clock ${jump}`, options, leap, ({ begun, granted }) => {
        const jumped = granted.wall - begun.wall - (granted.ms - begun.ms)
        return Math.abs(jumped - ms) < 5_000
      })
    })
  }

  test('stands still for chainlock: no jump at all', (t) => measure(t, 'no jump', {}))
})

describe('F14: a time namespace', () => {
  const refused = spawnSync('unshare', ['-T', '--monotonic', '1', 'true'], { encoding: 'utf8' })
  const skip = refused.status === 0 ? false : `unshare -T is refused here: ${refused.error?.message ?? refused.stderr.trim()}`
  if (skip) console.log(`SKIPPED, loudly: F14 time namespace. ${skip}`)
  // One whose monotonic clock is far ahead, one in which the machine has only just started.
  const justStarted = -Math.floor(os.uptime() - 3)

  for (const seconds of [100_000, justStarted]) {
    test(`${seconds > 0 ? '+' : ''}${seconds} s`, { skip }, async (t) => {
      const here = Number(process.hrtime.bigint()) / 1e6
      const command = ['unshare', '-T', '--monotonic', String(seconds), '--fork']
      await measure(t, `time namespace ${seconds} s`, { command }, undefined, ({ begun }) => {
        assert.ok(Math.abs(begun.hr - here - seconds * 1_000) < 60_000, 'the clock of the child is another one')
        return true
      })
    })
  }
})

describe('F14: a process that is stopped', () => {
  const stopFor = (beforeMs, ms) => async (child) => {
    await pause(beforeMs)
    child.kill('SIGSTOP')
    await pause(ms)
    child.kill('SIGCONT')
  }

  test('for less than the cooldown: it does not begin anew, nor end early', (t) =>
    measure(t, 'stopped for 0.5 s', {}, stopFor(300, 500)))

  test('for longer than everything: all is due when it goes on, and within 50 ms', async (t) => {
    const seen = []
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      let [stopped, resumed] = [0, 0]
      const lines = await lifeTimes({}, async (child) => {
        await pause(300)
        child.kill('SIGSTOP')
        await until(() => child.exitCode !== null || child.signalCode !== null || stateOf(child.pid) === 'T', 'it is stopped')
        stopped = Number(process.hrtime.bigint()) / 1e6
        await pause(3_000)
        child.kill('SIGCONT')
        resumed = Number(process.hrtime.bigint()) / 1e6
      })
      const late = Math.max(lines.granted.hr, lines.forced.hr) - resumed
      seen.push(`${late.toFixed(1)} ms`)
      // It may be so late that its time was over before.
      const isDone = stopped - lines.begun.hr < TIMEOUT_MS
      if (isDone) assert.ok(lines.forced.ms - lines.begun.ms >= 3_000 && lines.forced.heldMs >= 3_000)
      if (isDone && late <= LATEST_MS) break
      assert.notEqual(attempt, ATTEMPTS, `late every time: ${seen.join(', ')}`)
    }
    t.diagnostic(`F14: stopped for 3 s: all that was due came ${seen.join(', ')} after SIGCONT`)
  })
})

describe('F14: a blocked event loop', () => {
  test('its hold is taken away in time, as another thread sees it', async (t) => {
    const AGE_MS = 200
    const seen = []
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      freshProcessLock({ cooldownMs: 0, forceReleaseMs: AGE_MS })
      const worker = startWorker(({ chainlock, port }) => {
        const flag = new Int32Array(new SharedArrayBuffer(4))
        const begun = process.hrtime.bigint()
        const { guard } = chainlock.trySend('window-monitor')
        port.postMessage(begun)
        Atomics.wait(flag, 0, 0, 1_000)
        port.postMessage([guard.check(), guard.signal.aborted, guard.release()])
      })
      const begun = await message(worker)
      const after = message(worker)
      await until(() => !chainlock.isSendLocked())
      const age = Number(process.hrtime.bigint() - begun) / 1e6
      assert.deepEqual(await after, [false, true, false])
      const [{ action, duration }] = chainlock.sharedLock.lockHistory.slice(-1)
      assert.equal(action, 'force_released_stale_timeout')
      assert.ok(age >= AGE_MS && duration >= AGE_MS)
      seen.push(`${age.toFixed(1)} ms`)
      if (age <= AGE_MS + LATEST_MS) break
      assert.notEqual(attempt, ATTEMPTS, `late every time: ${seen.join(', ')}`)
    }
    t.diagnostic(`F14: a holder blocked in Atomics.wait lost the lock of ${AGE_MS} ms at an age of ${seen.join(', ')}`)
    freshProcessLock()
  })
})

describe('the clock of a lock that nobody calls', () => {
  const MOST_CPU_MS = 200

  test('costs next to no processor time while it is held with the default settings', async (t) => {
    const { code, stdout, stderr } = await runNode(({ chainlock }) => {
      chainlock.tryAcquireSendLock('e2e-executor')
      const before = process.cpuUsage()
      setTimeout(() => {
        const { user, system } = process.cpuUsage(before)
        console.log(JSON.stringify({ cpuMs: (user + system) / 1_000, held: chainlock.isSendLocked() }))
      }, 1_000)
    })
    assert.equal(code, 0, stderr)
    const { cpuMs, held } = JSON.parse(stdout)
    t.diagnostic(`an idle hold took ${cpuMs.toFixed(1)} ms of processor time in 1 s`)
    assert.equal(held, true)
    assert.ok(cpuMs < MOST_CPU_MS)
  })
})
