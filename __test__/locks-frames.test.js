// Named locks: what is around a call. Holds that are over neither crowd out those that stand nor stay in memory,
// and copies of the package understand each other's flows.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { root, chainlock } = require('./helpers/package')
const { locks, freshName, failure } = require('./helpers/locks')
const { gate, turn } = require('./helpers/waiting')

/** What copies of the package have in common. */
const { contexts } = AsyncLocalStorage[Symbol.for('chainlock.nesting.2')]

/** How many frames the caller's context keeps in memory. */
function kept() {
  let count = 0
  for (let at = contexts.getStore(); at !== undefined; at = at.outer) count += 1
  return count
}

/** The package once more, with modules of its own. */
function loadCopy() {
  const own = Object.keys(require.cache).filter((path) => path.startsWith(root) && path.endsWith('.js'))
  const mine = own.filter((path) => !path.includes('__test__')).map((path) => [path, require.cache[path]])
  for (const [path] of mine) delete require.cache[path]
  const copy = require(root)
  for (const [path, loaded] of mine) require.cache[path] = loaded
  return copy
}

/**
 * `first` holds the one lock in a flow and waits for the other, whose holder then wants the one.
 * @returns The answer to that.
 */
async function crossed(flowOf, acquireOf, after = () => {}) {
  const [one, other] = [freshName('one'), freshName('other')]
  const held = gate()
  const waits = gate()
  const first = flowOf.flow('crossed', async () => {
    const guard = await acquireOf.acquire(one)
    await after()
    held.open()
    await waits.opened
    // The other has this one by now.
    await locks.withLock(other, { timeoutMs: 60_000 }, () => {})
    guard.release()
  })
  await held.opened
  const answer = await locks.withLock(other, async () => {
    waits.open()
    await turn()
    return failure(locks.withLock(one, { timeoutMs: 60_000 }, () => {}))
  })
  await first
  return answer
}

describe('a cycle through a flow is found', () => {
  test('after a hundred holds in it that are over', async () => {
    const past = async () => {
      for (let count = 0; count < 100; count += 1) (await locks.acquire(freshName())).release()
    }
    assert.equal((await crossed(locks, locks, past)).code, 'ERR_LOCK_DEADLOCK')
  })

  test('through more calls that have given their holds back early than are looked at', async () => {
    const one = freshName()
    const other = freshName()
    /** Nested calls whose holds are over, and `fn` inside of all of them. */
    const nested = (depth, fn) =>
      depth === 0
        ? fn()
        : locks.withLock(freshName(), (guard) => {
            guard.release()
            return nested(depth - 1, fn)
          })
    const waits = gate()
    const first = locks.withLock(one, () =>
      nested(70, async () => {
        await waits.opened
        return locks.withLock(other, { timeoutMs: 60_000 }, () => {})
      }),
    )
    const error = await locks.withLock(other, async () => {
      waits.open()
      await turn()
      return failure(locks.withLock(one, { timeoutMs: 60_000 }, () => {}))
    })
    await first
    assert.equal(error.code, 'ERR_LOCK_DEADLOCK')
  })

  test('whichever copy of the package the flow and the guard are of', async () => {
    const copy = loadCopy()
    assert.notEqual(copy.locks, chainlock.locks)
    assert.equal((await crossed(copy.locks, locks)).code, 'ERR_LOCK_DEADLOCK')
    assert.equal((await crossed(locks, copy.locks)).code, 'ERR_LOCK_DEADLOCK')
  })
})

describe('calls that each start the next and do not wait for it', () => {
  const ways = {
    withLock: (fn) => locks.withLock(freshName(), fn),
    request: (fn) => locks.request(freshName(), fn),
    flow: (fn) => locks.flow(fn),
    runExclusive: (fn) => new chainlock.RWLock().withWrite(fn),
  }
  for (const [call, start] of Object.entries(ways)) {
    test(`keep no frames of those that are over: ${call}`, async () => {
      const done = gate()
      let most = 0
      const step = (left) =>
        void start(async () => {
          await null
          most = Math.max(most, kept())
          if (left > 0) step(left - 1)
          else done.open()
          await null
        })
      step(200)
      await done.opened
      assert.ok(most < 20, `${most} frames`)
    })
  }
})
