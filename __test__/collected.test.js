// What nobody can reach any more is given back: locks of their own, and the nested contexts of calls that
// start each other. What somebody still waits for, or has kept, stays.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { runNode } = require('./helpers/processes')

/** Runs the program with a garbage collector that it can call; answers what it says at its end. */
async function told(program, data) {
  const { code, stdout, stderr, hung } = await runNode(program, data, { nodeArgs: ['--expose-gc'] })
  assert.deepEqual({ code, stderr, hung }, { code: 0, stderr: '', hung: false })
  return JSON.parse(stdout)
}

describe('independent locks', () => {
  const WARM_UP = 500
  const LOCKS = 1_000
  const LEFT_OVER = 10
  // Kept, each would take nearly half a megabyte.
  const MOST_GROWTH_MB = 40

  /** Many locks, one after the other, each used once as `use` says. */
  const program = async ({ chainlock, data: { use, warmUp, locks } }) => {
    const uses = {
      waiting: async (lock) => (await lock.acquireSendLock('e2e-executor')).release(),
      watching: (lock) => {
        const { guard } = lock.trySend('e2e-executor')
        guard.signal.addEventListener('abort', () => {})
        guard.release()
      },
    }
    let collected = 0
    const registry = new FinalizationRegistry(() => collected++)
    const collect = async () => {
      for (let times = 0; times < 4; times++) {
        globalThis.gc()
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const useMany = async (count) => {
      for (let number = 0; number < count; number++) {
        const lock = new chainlock.SharedLock()
        registry.register(lock, number)
        await uses[use](lock)
        if (number % 50 === 49) await collect()
      }
      await collect()
      return process.memoryUsage.rss() / 2 ** 20
    }
    const before = await useMany(warmUp)
    const after = await useMany(locks)
    console.log(JSON.stringify({ collected, growthMb: after - before }))
  }

  for (const use of ['waiting', 'watching']) {
    test(`are collected after ${use}, with their native part`, async (t) => {
      const { collected, growthMb } = await told(program, { use, warmUp: WARM_UP, locks: LOCKS })
      t.diagnostic(`${use}: ${collected} of ${WARM_UP + LOCKS} locks collected, ${growthMb.toFixed(1)} MB more after the last ${LOCKS}`)
      assert.ok(collected >= WARM_UP + LOCKS - LEFT_OVER)
      assert.ok(growthMb < MOST_GROWTH_MB)
    })
  }

  test('stay while somebody waits for them', async () => {
    const { layerId } = await told(async ({ chainlock }) => {
      const waiting = (() => {
        const lock = new chainlock.SharedLock()
        lock.configure({ cooldownMs: 0, forceReleaseMs: 200 })
        lock.tryAcquireSendLock('e2e-executor')
        return lock.acquireSendLock('window-monitor')
      })()
      const collecting = setInterval(() => globalThis.gc(), 10)
      const guard = await waiting
      clearInterval(collecting)
      console.log(JSON.stringify({ layerId: guard.layerId }))
    })
    assert.equal(layerId, 'window-monitor')
  })

  test('keep their set of layers to themselves: one that was kept touches no other lock', async () => {
    const seen = await told(async ({ chainlock }) => {
      const kept = (() => new chainlock.SharedLock().validLayerIds)()
      for (let times = 0; times < 5; times++) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      const others = Array.from({ length: 10 }, () => new chainlock.SharedLock())
      kept.add('intruder')
      console.log(JSON.stringify({ has: kept.has('intruder'), letIn: others.some((lock) => lock.validateLayerId('intruder')) }))
    })
    assert.deepEqual(seen, { has: true, letIn: false })
  })
})

describe('a chain of withSendLock calls, each scheduling the next', () => {
  const STEPS = 20_000
  const MOST_GROWTH_MB = 5

  test(`does not grow the heap in ${STEPS} steps`, async (t) => {
    const { growthMb } = await told(({ chainlock, data: { steps } }) => {
      chainlock.configureSendLock({ cooldownMs: 0 })
      const heapMb = () => {
        globalThis.gc()
        return process.memoryUsage().heapUsed / 2 ** 20
      }
      let step = 0
      let before = 0
      const next = () => chainlock.withSendLock('e2e-executor', async () => {
        step++
        if (step === steps / 10) before = heapMb()
        if (step < steps) setImmediate(next)
        else console.log(JSON.stringify({ growthMb: heapMb() - before }))
      })
      next()
    }, { steps: STEPS })
    t.diagnostic(`the heap is ${growthMb.toFixed(2)} MB larger after ${STEPS} steps`)
    assert.ok(growthMb < MOST_GROWTH_MB)
  })
})
