// Re-entrant parts and the hold that they are of: which of them ends first, who hears of it, when a part may become
// exclusive, and how the wait for a turn ends.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, gate, stateOf } = require('./helpers/waiting')

const AGAIN = { reentrant: true, timeoutMs: Infinity }

/** The ways to hold a name while a function runs. */
const WAYS = {
  withWrite: (name, fn) => locks.withWrite(name, fn),
  'a handle': (name, fn) => locks.lock(name).run(fn),
  request: (name, fn) => locks.request(name, fn),
  'several names': (name, fn) => locks.withAll([name, freshName()], fn),
}

describe('a hold', () => {
  for (const [way, run] of Object.entries(WAYS)) {
    test(`stands until its last part has ended: ${way}`, async () => {
      for (const end of [() => 'done', async () => 'done', () => { throw new Error('failed') }, async () => { throw new Error('failed') }]) {
        const name = freshName()
        const { opened, open } = gate()
        let part
        const holding = run(name, () => {
          part = locks.withWrite(name, AGAIN, () => opened)
          return end()
        }).then((value) => value, (error) => error.message)
        const next = locks.withWrite(name, () => 'next')
        assert.deepEqual([await stateOf(holding), await stateOf(next)], ['pending', 'pending'])
        assert.deepEqual(standing(name), { holders: 1, waiters: 1 })
        open()
        assert.match(await holding, /^(done|failed)$/)
        await part
        assert.equal(await next, 'next')
        assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
      }
    })
  }

  test('stands for the parts in line, too, and for those of readers', async () => {
    const name = freshName()
    const log = []
    const { opened, open } = gate()
    const writers = locks.withWrite(name, () => {
      for (const who of [1, 2, 3]) {
        void locks.withWrite(name, AGAIN, async () => {
          await opened
          await turn()
          log.push(who)
        })
      }
    })
    const readers = locks.withRead(name, () => void locks.withRead(name, AGAIN, async () => {
      await turn()
      log.push('reader')
    }))
    const last = locks.withWrite(name, () => log.push('last'))
    open()
    await Promise.all([writers, readers, last])
    assert.deepEqual(log, [1, 2, 3, 'reader', 'last'])
  })

  test('that is released by hand ends at once, and the signals of its parts abort', async () => {
    const name = freshName()
    const { opened, open } = gate()
    const parts = []
    let over
    let waiting
    const begun = gate()
    const holding = locks.withWrite(name, async (guard) => {
      await locks.withWrite(name, AGAIN, (part) => (over = part).signal)
      void locks.withWrite(name, AGAIN, async (part) => {
        parts.push(part)
        part.signal.throwIfAborted()
        await locks.withRead(name, AGAIN, (inner) => {
          parts.push(inner)
          return opened
        })
      })
      waiting = locks.withWrite(name, AGAIN, (part) => part.token)
      await begun.opened
      assert.equal(parts.length, 2)
      guard.release()
      assert.equal(parts[0].signal.aborted, true)
      // In line for its turn, it asks for the lock itself now.
      assert.ok(await waiting > guard.token)
    })
    const next = locks.withWrite(name, () => 'next')
    begun.open()
    assert.equal(await next, 'next')
    await holding
    for (const part of parts) {
      // Also when the signal is asked for only now.
      assert.equal(part.signal.reason.code, 'ERR_LOCK_LOST')
      assert.equal(part.check(), false)
    }
    assert.equal(over.signal.aborted, false, 'what has ended by itself stays quiet')
    open()
  })

  test('that is taken away takes the parts along', async () => {
    const name = freshName()
    await locks.withWrite(name, () => locks.withWrite(name, AGAIN, async (part) => {
      const { signal } = part
      assert.equal(locks.forceRelease(name, 'test'), 1)
      await turn()
      assert.equal(signal.reason.code, 'ERR_LOCK_LOST')
      assert.throws(() => part.assertHeld(), { code: 'ERR_LOCK_LOST' })
    }))
  })
})

describe('a part', () => {
  test('becomes exclusive only while nothing runs beside it, and nothing enters meanwhile', async () => {
    const name = freshName()
    const outside = await locks.acquire(name, { mode: 'read' })
    await locks.withRead(name, async () => {
      const [ends, asked, goesOn] = [gate(), gate(), gate()]
      const reader = locks.withRead(name, AGAIN, () => ends.opened)
      const part = locks.withRead(name, AGAIN, async (guard) => {
        assert.equal(guard.tryUpgrade(), false)
        assert.equal((await failure(guard.upgrade())).code, 'ERR_LOCK_UNAVAILABLE')
        assert.equal(guard.mode, 'shared')
        ends.open()
        await reader
        const upgrade = guard.upgrade({ timeoutMs: Infinity })
        assert.equal(await locks.withRead(name, AGAIN, () => guard.mode), 'shared', 'inside of it')
        asked.open()
        await upgrade
        assert.equal(guard.mode, 'exclusive')
        assert.equal(guard.tryUpgrade(), true)
        await goesOn.opened
      })
      await asked.opened
      const sibling = locks.withRead(name, AGAIN, (guard) => guard.mode)
      assert.equal(await stateOf(sibling), 'pending')
      outside.release()
      assert.equal(await stateOf(sibling), 'pending')
      goesOn.open()
      await part
      assert.equal(await sibling, 'exclusive')
    })
    await locks.withRead(name, () => Promise.all([
      locks.withRead(name, AGAIN, turn),
      locks.withRead(name, AGAIN, (part) => assert.equal(part.tryUpgrade(), false, 'beside another part')),
    ]))
    await locks.withRead(name, () => locks.withRead(name, AGAIN, async (part) => {
      assert.equal(part.tryUpgrade(), true, 'alone')
      part.release()
      assert.equal((await failure(part.upgrade())).code, 'ERR_LOCK_LOST')
    }))
  })

  test('that waits in vain to become exclusive lets the others in again', async () => {
    const name = freshName()
    const outside = await locks.acquire(name, { mode: 'read' })
    await locks.withRead(name, async () => {
      const { opened, open } = gate()
      let upgrade
      const controller = new AbortController()
      const part = locks.withRead(name, AGAIN, async (guard) => {
        upgrade = failure(guard.upgrade({ timeoutMs: Infinity, signal: controller.signal }))
        await opened
      })
      const sibling = locks.withRead(name, AGAIN, () => 'in')
      assert.equal(await stateOf(sibling), 'pending')
      controller.abort()
      await upgrade
      assert.equal(await sibling, 'in')
      open()
      await part
    })
    outside.release()
  })

  test('is named in its errors without what would steer a terminal', async () => {
    const name = `\x1b[31m${'x'.repeat(200)}${freshName()}`
    let late
    await locks.withWrite(name, () => locks.withWrite(name, AGAIN, (part) => (late = part)))
    assert.throws(() => late.assertHeld(), ({ message }) => !message.includes('\x1b') && message.length < 200)
  })
})

describe('the wait for a turn', () => {
  test('of many with one signal: no warning of a leak, and the abort ends all', async () => {
    const warnings = []
    const listen = (warning) => warnings.push(warning)
    process.on('warning', listen)
    const name = freshName()
    const controller = new AbortController()
    const { opened, open } = gate()
    await locks.withWrite(name, async () => {
      const running = locks.withWrite(name, AGAIN, () => opened)
      const waiting = Array.from({ length: 50 }, () =>
        failure(locks.withWrite(name, { ...AGAIN, signal: controller.signal }, () => assert.fail('ran'))))
      await turn()
      controller.abort()
      for (const error of await Promise.all(waiting)) assert.equal(error.name, 'AbortError')
      open()
      await running
    })
    process.off('warning', listen)
    assert.deepEqual(warnings, [])
  })

  test('may be longer than a timer of Node.js, and so may all waits that are timed here', (t) => {
    const path = require.resolve('../lib/locks/timer')
    const known = require.cache[path]
    delete require.cache[path]
    const steps = []
    t.mock.method(globalThis, 'setTimeout', (fn, ms) => {
      steps.push([fn, ms])
      return { unref() {} }
    })
    const { startTimer } = require(path)
    require.cache[path] = known
    let fired = 0
    startTimer(2 ** 32 + 5, false, () => (fired += 1))
    // The list grows as they fire.
    for (const [fn, ms] of steps) {
      assert.equal(fired, 0)
      assert.ok(ms < 2 ** 31)
      fn()
    }
    assert.equal(fired, 1)
    assert.equal(steps.reduce((sum, [, ms]) => sum + ms, 0), 2 ** 32 + 5)
  })
})
