// Guards of named locks that nobody can reach any more: the hold is given back and reported with its label. What
// can still be reached, or still waits, is left alone.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { runNode } = require('./helpers/processes')

/** Runs the program with a garbage collector that it can call; answers what it says, and its warnings. */
async function told(program, data) {
  const wrapped = new Function('input', `
    const { chainlock } = input
    const warnings = []
    process.on('warning', (warning) => warnings.push({ code: warning.code, message: warning.message }))
    /** Collects until the condition holds, or for a while. */
    const collect = async (condition, limit = condition ? 6_000 : 200) => {
      for (let times = 0; times < limit && !condition?.(); times++) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const standing = (name) => chainlock.locks.getLockStatus(name).holders.length
    ;(${program})({ ...input, warnings, collect, standing, locks: chainlock.locks }).then(
      (answer) => console.log(JSON.stringify({ answer, warnings })))`)
  const { code, stdout, hung, stderr } = await runNode(wrapped, data, { nodeArgs: ['--expose-gc', '--no-warnings', '--no-concurrent-sweeping'] })
  assert.deepEqual({ code, stderr, hung }, { code: 0, stderr: '', hung: false })
  return JSON.parse(stdout)
}

describe('a guard that is collected while it holds', () => {
  for (const [what, take] of Object.entries({
    'of tryAcquire': (locks) => { locks.tryAcquire('lost', { label: 'the forgetful' }) },
    'of acquire': async (locks) => { await locks.acquire('lost', { label: 'the forgetful' }) },
    'of acquire after a wait': async (locks) => {
      const guard = locks.tryAcquire('lost')
      const waiting = locks.acquire('lost', { label: 'the forgetful' })
      guard.release()
      await waiting
    },
    'of a handle': (locks) => { locks.lock('lost', { label: 'the forgetful' }).tryAcquire() },
    'of acquireAll': async (locks) => { await locks.acquireAll(['lost', 'lost too'], { label: 'the forgetful' }) },
    'of a downgraded hold': (locks) => { locks.tryAcquire('lost', { label: 'the forgetful' }).downgrade() },
    'of a semaphore': (locks) => {
      locks.semaphore('lost', 1).tryAcquire({ label: 'the forgetful' })
      locks.tryAcquire('lost', { label: 'the forgetful' })
    },
  })) {
    test(`${what} is released and reported with name and label`, async () => {
      const expected = what === 'of a semaphore' ? 2 : 1
      const { answer, warnings } = await told(async ({ locks, collect, standing, warnings, data: { take, expected } }) => {
        await new Function('locks', `return (${take})(locks)`)(locks)
        const before = standing('lost')
        await collect(() => standing('lost') === 0 && warnings.length >= expected)
        return { before, after: standing('lost'), next: locks.tryAcquire('lost')?.release() }
      }, { take: String(take), expected })
      assert.deepEqual(answer, { before: 1, after: 0, next: true })
      const mine = warnings.filter((warning) => warning.code === 'CHAINLOCK_GUARD_COLLECTED')
      assert.equal(mine.length, expected)
      for (const { message } of mine) {
        assert.match(message, /lost/)
        assert.match(message, /the forgetful/)
      }
    })
  }

  test('lets those who wait go on', async () => {
    const { answer } = await told(async ({ locks, collect }) => {
      ;(() => { locks.tryAcquire('lost') })()
      let granted = false
      locks.acquire('lost').then(() => (granted = true))
      await collect(() => granted)
      return granted
    })
    assert.equal(answer, true)
  })

  test('among thousands that were released: only it is reported', async () => {
    const { answer, warnings } = await told(async ({ locks, collect, standing }) => {
      const handle = locks.lock('busy')
      for (let round = 0; round < 20_000; round++) {
        const guard = handle.tryAcquire()
        if (round === 10_000) locks.tryAcquire('lost', { label: 'the one' })
        guard.release()
      }
      await collect(() => standing('lost') === 0)
      await collect()
      return standing('busy')
    })
    assert.equal(answer, 0)
    assert.deepEqual(warnings.map((warning) => warning.code), ['CHAINLOCK_GUARD_COLLECTED'])
    assert.match(warnings[0].message, /the one/)
  })
})

describe('left alone is', () => {
  test('a hold whose guard can be reached', async () => {
    const { answer, warnings } = await told(async ({ locks, collect, standing }) => {
      const kept = [locks.tryAcquire('a'), await locks.acquire('b'), await locks.acquireAll(['c', 'd']), locks.lock('e').tryAcquire('shared')]
      await collect()
      const standingNow = ['a', 'b', 'c', 'd', 'e'].map(standing)
      return { standingNow, released: kept.map((guard) => guard.release()) }
    })
    assert.deepEqual(answer, { standingNow: [1, 1, 1, 1, 1], released: [true, true, true, true] })
    assert.deepEqual(warnings, [])
  })

  test('a hold in a callback that still runs, though it ignores its guard', async () => {
    const { answer, warnings } = await told(async ({ locks, collect, standing }) => {
      let end
      const until = new Promise((resolve) => (end = resolve))
      const wait = () => until
      const all = [locks.withLock('a', wait), locks.request('b', wait), locks.lock('c').run(wait), locks.withAll(['d'], wait)]
      await collect()
      const during = ['a', 'b', 'c', 'd'].map(standing)
      end()
      await Promise.all(all)
      return { during, after: ['a', 'b', 'c', 'd'].map(standing) }
    })
    assert.deepEqual(answer, { during: [1, 1, 1, 1], after: [0, 0, 0, 0] })
    assert.deepEqual(warnings, [])
  })

  test('a request in line that nobody else knows of', async () => {
    const { answer, warnings } = await told(async ({ locks, collect }) => {
      const guard = locks.tryAcquire('a')
      let ran = false
      ;(() => { locks.withLock('a', { timeoutMs: Infinity }, () => (ran = true)) })()
      await collect()
      const { waiters } = locks.getLockStatus('a')
      guard.release()
      await new Promise(setImmediate)
      return { waiters: waiters.length, ran }
    })
    assert.deepEqual(answer, { waiters: 1, ran: true })
    assert.deepEqual(warnings, [])
  })

  test('a signal that somebody watches: it still tells of the loss', async () => {
    const { answer } = await told(async ({ locks, collect, standing }) => {
      let reason
      const { signal } = (() => {
        const guard = locks.tryAcquire('a')
        guard.signal.addEventListener('abort', () => (reason = guard.signal.reason.code))
        return guard
      })()
      await collect()
      const still = standing('a')
      locks.forceRelease('a')
      await new Promise(setImmediate)
      return { still, reason, aborted: signal.aborted }
    })
    assert.deepEqual(answer, { still: 1, reason: 'ERR_LOCK_LOST', aborted: true })
  })
})

describe('what is dropped costs nothing', () => {
  test('handles and semaphores are closed when they are collected, and their names go', async () => {
    const { answer } = await told(async ({ locks, chainlock, collect, data: figures }) => {
      const COUNT = 20_000
      const use = async (from) => {
        for (let number = from; number < from + COUNT; number++) {
          locks.lock(`handle-${number}`)
          locks.semaphore(`semaphore-${number}`, 2)
          new chainlock.Mutex().tryAcquire()?.()
        }
        for (let times = 0; times < 8; times++) {
          globalThis.gc()
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      }
      const { growthMb } = require(figures)
      await growthMb(2, (round) => use(round * COUNT))
      const { least, text } = await growthMb(4, (round) => use((2 + round) * COUNT))
      // What was found to be unreachable is closed in turns of the loop, and of these there were few.
      await collect(() => locks.getStatistics().length <= 1_000)
      return { least, text, names: locks.getStatistics().length }
    }, require.resolve('./helpers/figures'))
    assert.ok(answer.least <= 0.5, answer.text)
    assert.ok(answer.names <= 1_000, `${answer.names} names`)
  })

  test('10,000 guards forgotten at once are all given back, with a warning that does not flood', async () => {
    const { answer, warnings } = await told(async ({ locks, collect }) => {
      const COUNT = 10_000
      for (let number = 0; number < COUNT; number++) locks.tryAcquire(`lost-${number}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
      await collect(() => locks.getLockStatus().length === 0)
      return locks.getLockStatus().length
    })
    assert.equal(answer, 0)
    assert.ok(warnings.length > 0 && warnings.length <= 10_000)
  })
})
