// How a hold ends while somebody still relies on it: taken away, given back early, or past its time. Whoever
// joined it, waits beside it or watches it hears of that, and nothing of it reaches into the next hold.
'use strict'

const { test, describe, beforeEach, afterEach } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock, freshProcessLock } = require('./helpers/package')
const { runNode } = require('./helpers/processes')
const { startWorker, message } = require('./helpers/threads')
const { turn, until, block } = require('./helpers/waiting')

const inOuter = (lock, body) => lock.withSendLock('chain-loop-monitor', body)

/** A promise that the test itself fulfils. */
function latch() {
  let open
  const opened = new Promise((resolve) => (open = resolve))
  return { open, opened }
}

let keepAlive
beforeEach(() => (keepAlive = setInterval(() => {}, 1_000)))
afterEach(() => clearInterval(keepAlive))

describe('a layer that joined by the drop-in calls, and whose outer hold', () => {
  const ENDS = {
    'was given back early': (lock, guard) => assert.equal(guard.release(), true),
    'was forced away': (lock) => assert.equal(lock.forceReleaseLock('by hand'), true),
  }
  for (const [how, end] of Object.entries(ENDS)) {
    test(`${how}, releases its next hold for real`, async () => {
      const lock = freshLock()
      const { open, opened } = latch()
      const outer = inOuter(lock, async (guard) => {
        assert.equal(lock.tryAcquireSendLock('e2e-executor'), true)
        end(lock, guard)
        await opened
      })
      await turn()
      for (let round = 0; round < 2; round++) {
        assert.equal(lock.tryAcquireSendLock('e2e-executor'), true)
        assert.equal(lock.releaseSendLock('e2e-executor'), true)
        assert.equal(lock.isSendLocked(), false, 'the answer was true, so it is free')
      }
      open()
      await outer
    })
  }
})

describe('a guard whose hold was taken away', () => {
  test('aborts its signal, and the joined guards abort theirs', async () => {
    const lock = freshLock()
    await inOuter(lock, async (outer) => {
      const outerSignal = outer.signal
      const joined = await lock.acquireSendLock('e2e-executor')
      const joinedSignal = joined.signal
      lock.forceReleaseLock('by hand')
      await until(() => outerSignal.aborted && joinedSignal.aborted, 'both signals have aborted')
      for (const { reason } of [outerSignal, joinedSignal]) assert.equal(reason.code, 'ERR_LOCK_LOST')
      assert.equal(joined.release(), false)
    })
  })

  test('shows an aborted signal to whoever first reads it after the late release', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    lock.forceReleaseLock('by hand')
    assert.equal(guard.release(), false)
    assert.equal(guard.signal.aborted, true)
    assert.equal(guard.signal.reason.code, 'ERR_LOCK_LOST')
  })

  test('but not where the release came in time', () => {
    const lock = freshLock()
    const { guard } = lock.trySend('e2e-executor')
    assert.equal(guard.release(), true)
    lock.trySend('window-monitor')
    lock.forceReleaseLock('by hand')
    assert.equal(guard.signal.aborted, false)
  })

  test('a joined release that comes late answers false and keeps the message of a later send', async () => {
    const lock = freshLock({ dedupWindowMs: 10 })
    await inOuter(lock, async () => {
      const joined = await lock.acquireSendLock('e2e-executor', { message: 'hello' })
      assert.equal(joined.joined, true)
      lock.forceReleaseLock('by hand')
      block(20)
      const later = lock.trySend('window-monitor', { message: 'hello' })
      assert.equal(later.acquired, true, 'the window is over')
      lock.configure({ dedupWindowMs: 3_600_000 })
      assert.equal(later.guard.release({ sent: true }), true)
      assert.equal(joined.release({ sent: false }), false)
      assert.equal(lock.trySend('test-layer', { message: 'hello' }).reason, 'duplicate_message')
    })
  })
})

describe('a call that waits for its turn beside a joined call', () => {
  test('goes on when the hold is forced away, with a hold of its own', async () => {
    const lock = freshLock()
    const { open, opened } = latch()
    let second
    const outer = inOuter(lock, async (guard) => {
      await lock.acquireSendLock('e2e-executor')
      second = lock.acquireSendLock('window-monitor').then((got) => (second = { outer: guard, got }))
      await opened
    })
    await turn()
    lock.forceReleaseLock('by hand')
    await until(() => second.got, 'the waiting call goes on')
    assert.equal(second.got.joined, false)
    assert.ok(second.got.token > second.outer.token)
    assert.equal(lock.getLockStatus().sendingLayerId, 'window-monitor')
    assert.equal(second.got.release(), true)
    open()
    await outer
  })

  test('keeps the process alive until then', async () => {
    const { code, stdout, hung } = await runNode(({ chainlock }) => {
      chainlock.configureSendLock({ cooldownMs: 0, forceReleaseMs: 200 })
      chainlock.withSendLock('chain-loop-monitor', async () => {
        await chainlock.acquireSendLock('e2e-executor')
        chainlock.acquireSendLock('window-monitor').then(({ joined }) => console.log(`joined: ${joined}`))
        await new Promise(() => {})
      })
    })
    assert.deepEqual({ code, stdout, hung }, { code: 0, stdout: 'joined: false\n', hung: false })
  })

  test('hears an abort on its way from the nested line to the real one', async () => {
    const lock = freshLock()
    const controller = new AbortController()
    let outcome
    await inOuter(lock, async () => {
      const first = await lock.acquireSendLock('e2e-executor')
      lock.acquireSendLock('window-monitor', { signal: controller.signal }).then(
        () => (outcome = 'granted'),
        (error) => (outcome = error.name),
      )
      lock.configure({ cooldownMs: 3_600_000 })
      lock.forceReleaseLock('by hand')
      first.release()
      controller.abort()
      await until(() => outcome !== undefined, 'the aborted call is answered')
    })
    assert.equal(outcome, 'AbortError')
    assert.equal(lock.getLockStatus().waiters, 0)
  })
})

describe('a hold past its time', () => {
  test('is not overdue any more when timeoutMs is raised, and ends at the new one', async () => {
    // Longer than a machine may stand still between the two calls.
    const NEW_TIMEOUT_MS = 4_000
    const lock = freshLock({ timeoutMs: 20 })
    const { signal } = lock.trySend('e2e-executor').guard
    await until(() => lock.getLockStatus().overdue)
    lock.configure({ timeoutMs: NEW_TIMEOUT_MS, onTimeout: 'release' })
    assert.equal(lock.getLockStatus().overdue, false)
    assert.equal(lock.isSendLocked(), true)
    // Nobody calls the lock meanwhile: its own clock alone must end the hold.
    await until(() => signal.aborted, 'the hold ends')
    const { action, duration } = lock.lockHistory.at(-1)
    assert.equal(action, 'force_released_timeout')
    assert.ok(duration >= NEW_TIMEOUT_MS, `after ${duration} ms`)
  })
})

describe('the time of a grant', () => {
  const CLOSE_MS = 5
  const BLOCKED_MS = 300

  test('acquiredAt is when the hold began, though the event loop was blocked', async (t) => {
    t.after(() => freshProcessLock())
    // The machine may pause between the readings of two clocks, but not every time.
    const ATTEMPTS = 5
    const apart = []
    while (apart.length < ATTEMPTS && !(Math.min(...apart) <= CLOSE_MS)) apart.push(await apartMs())
    assert.ok(Math.min(...apart) <= CLOSE_MS, `${apart.join(', ')} ms apart`)
  })

  /** How far guard and status, or guard and clock, are apart about the beginning of a hold that a blocked loop got. */
  async function apartMs() {
    const lock = freshProcessLock({ cooldownMs: 0 })
    lock.tryAcquireSendLock('e2e-executor')
    const waiting = lock.acquireSendLock('window-monitor')
    const cells = new Int32Array(new SharedArrayBuffer(8))
    const worker = startWorker(({ chainlock, port, data }) => {
      port.postMessage('ready')
      Atomics.wait(data, 0, 0)
      chainlock.forceReleaseLock('by hand')
      Atomics.store(data, 1, 1)
      Atomics.notify(data, 1)
    }, cells)
    await message(worker)
    Atomics.store(cells, 0, 1)
    Atomics.notify(cells, 0)
    Atomics.wait(cells, 1, 0)
    block(BLOCKED_MS)
    const guard = await waiting
    const { lockStartTime } = lock.getLockStatus()
    const ageMs = Date.now() - guard.acquiredAt
    assert.equal(guard.release(), true)
    return Math.max(Math.abs(guard.acquiredAt - lockStartTime), BLOCKED_MS - ageMs)
  }
})
