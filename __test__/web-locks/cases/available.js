// `ifAvailable`: the lock at once, or null.
'use strict'

const assert = require('node:assert/strict')
const { locks, freshName, deferred, hold, standing, rejectsWith } = require('../stage')

const ask = (name, mode = 'exclusive') => locks.request(name, { mode, ifAvailable: true }, (lock) => lock && lock.mode)

/** What a request that does not wait gets while the name is held in a mode. */
async function askWhileHeld(heldMode, mode) {
  const name = freshName()
  return locks.request(name, { mode: heldMode }, () => ask(name, mode))
}

module.exports = {
  'a free lock is granted': async () => {
    assert.equal(await ask(freshName()), 'exclusive')
    assert.equal(await ask(freshName(), 'shared'), 'shared')
  },

  'the hold of a granted one is like any other': async () => {
    const name = freshName()
    const held = await hold(name, { ifAvailable: true })
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: [] })
    assert.equal(await ask(name), null)
    await held.release()
  },

  'an exclusive hold is in the way of both modes': async () => {
    assert.equal(await askWhileHeld('exclusive', 'exclusive'), null)
    assert.equal(await askWhileHeld('exclusive', 'shared'), null)
  },

  'a shared hold is in the way of an exclusive request only': async () => {
    assert.equal(await askWhileHeld('shared', 'exclusive'), null)
    assert.equal(await askWhileHeld('shared', 'shared'), 'shared')
  },

  'a hold of another name is not in the way': async () => {
    const other = freshName()
    assert.equal(await locks.request(freshName(), () => ask(other)), 'exclusive')
  },

  'a request that waits is in the way, although the lock could be shared': async () => {
    const name = freshName()
    const reader = await hold(name, { mode: 'shared' })
    const writer = locks.request(name, () => {})
    assert.equal(await ask(name, 'shared'), null)
    reader.release()
    await writer
    assert.equal(await ask(name, 'shared'), 'shared')
  },

  'the answer is what the callback returned, granted or not': async () => {
    const name = freshName()
    const answer = (lock) => [lock === null, 123]
    assert.deepEqual(await locks.request(name, { ifAvailable: true }, answer), [false, 123])
    await locks.request(name, async () => {
      assert.deepEqual(await locks.request(name, { ifAvailable: true }, answer), [true, 123])
      assert.deepEqual(await locks.request(name, { ifAvailable: true }, async (lock) => answer(lock)), [true, 123])
    })
  },

  'what a callback without a lock throws is what the promise rejects with': async () => {
    const name = freshName()
    await locks.request(name, async () => {
      const thrown = { name: 'of the callback' }
      const options = { ifAvailable: true }
      await rejectsWith(thrown, locks.request(name, options, () => { throw thrown }))
      await rejectsWith(thrown, locks.request(name, options, async () => { throw thrown }))
      await rejectsWith(123, locks.request(name, options, async () => { throw 123 }))
    })
  },

  'a callback without a lock holds nothing, however long it takes': async () => {
    const name = freshName()
    const end = deferred()
    const held = await hold(name)
    const without = locks.request(name, { ifAvailable: true }, () => end.promise)
    await held.release()
    assert.equal(await ask(name), 'exclusive')
    end.resolve('done')
    assert.equal(await without, 'done')
  },

  'it neither waits nor stands in line': async () => {
    const name = freshName()
    const held = await hold(name)
    const asked = ask(name)
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: [] })
    assert.equal(await asked, null)
    await held.release()
  },

  'a name that was used and given back is available': async () => {
    const [outer, inner] = [freshName(), freshName()]
    await locks.request(outer, async () => {
      await locks.request(inner, () => {})
      assert.equal(await ask(inner), 'exclusive')
    })
  },
}
