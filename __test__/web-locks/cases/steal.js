// `steal`: takes the lock from whoever holds it, ahead of everybody who waits.
'use strict'

const assert = require('node:assert/strict')
const { locks, freshName, deferred, hold, standing, rejectsWith, rejectsWithDomException } = require('../stage')
const { turn } = require('../../helpers/waiting')

const steal = (name, callback = (lock) => lock.mode) => locks.request(name, { steal: true }, callback)

module.exports = {
  'a free lock is granted': async () => {
    assert.equal(await steal(freshName()), 'exclusive')
  },

  'a held lock is granted': async () => {
    const name = freshName()
    const held = await hold(name)
    assert.equal(await steal(name), 'exclusive')
    await rejectsWithDomException('AbortError', held.done)
  },

  'the promise of the request that lost it rejects at once with an AbortError': async () => {
    const name = freshName()
    const held = await hold(name)
    const end = deferred()
    const thief = steal(name, () => end.promise)
    await rejectsWithDomException('AbortError', held.done)
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: [] })
    end.resolve()
    await thief
  },

  'all shared holds are taken': async () => {
    const name = freshName()
    const holds = [await hold(name, { mode: 'shared' }), await hold(name, { mode: 'shared' })]
    await steal(name)
    for (const held of holds) await rejectsWithDomException('AbortError', held.done)
    assert.deepEqual(await standing(name), { held: [], pending: [] })
  },

  'those who wait come after the thief, in their order': async () => {
    const name = freshName()
    const held = await hold(name)
    held.done.catch(() => {})
    const log = []
    const waiting = ['first', 'second'].map((who) => locks.request(name, () => log.push(who)))
    const thief = steal(name, async () => {
      await turn()
      log.push('thief')
    })
    await Promise.all([thief, ...waiting])
    assert.deepEqual(log, ['thief', 'first', 'second'])
  },

  'the last thief wins': async () => {
    const name = freshName()
    const held = await hold(name)
    held.done.catch(() => {})
    const first = steal(name, () => new Promise(() => {}))
    const second = steal(name)
    await rejectsWithDomException('AbortError', first)
    assert.equal(await second, 'exclusive')
  },

  'many thieves in one tick: each loses it to the next, the last one keeps it': async () => {
    const name = freshName()
    const thieves = Array.from({ length: 20 }, (_, index) => steal(name, async () => (await turn(), index)))
    const answers = await Promise.allSettled(thieves)
    assert.deepEqual(answers.at(-1), { status: 'fulfilled', value: 19 })
    for (const { reason } of answers.slice(0, -1)) assert.equal(reason?.name, 'AbortError')
    assert.deepEqual(await standing(name), { held: [], pending: [] })
  },

  'what the callback that lost it does later changes nothing': async () => {
    for (const settle of ['resolve', 'reject']) {
      const name = freshName()
      const lost = deferred()
      const victim = locks.request(name, () => lost.promise)
      await turn()
      const thief = deferred()
      const stolen = steal(name, () => thief.promise)
      const waiting = locks.request(name, () => 'waited')
      await rejectsWithDomException('AbortError', victim)
      lost[settle](new Error('too late'))
      await turn()
      assert.deepEqual(await standing(name), { held: ['exclusive'], pending: ['exclusive'] })
      thief.resolve('answer')
      assert.equal(await stolen, 'answer')
      assert.equal(await waiting, 'waited')
    }
  },

  'a lock stolen inside of its own callback': async () => {
    const name = freshName()
    let inner
    const outer = locks.request(name, async () => {
      inner = await steal(name)
      return 'outer'
    })
    await rejectsWithDomException('AbortError', outer)
    await turn()
    assert.equal(inner, 'exclusive')
    assert.deepEqual(await standing(name), { held: [], pending: [] })
  },

  'what the thief throws is the thief’s own': async () => {
    const name = freshName()
    const held = await hold(name)
    held.done.catch(() => {})
    const thrown = { of: 'the thief' }
    await rejectsWith(thrown, steal(name, () => { throw thrown }))
    assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock?.mode), 'exclusive')
  },

  'a stolen hold cannot be stolen again, or given back': async () => {
    const name = freshName()
    const first = await hold(name)
    first.done.catch(() => {})
    const second = await hold(name, { steal: true })
    first.release()
    await turn()
    assert.deepEqual((await standing(name)).held, ['exclusive'])
    assert.equal(await second.release('kept'), 'kept')
  },
}
