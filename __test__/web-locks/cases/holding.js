// How long a lock is held: from the callback's start until what it returned has settled, and what `request`
// then answers.
'use strict'

const assert = require('node:assert/strict')
const { locks, freshName, deferred, hold, rejectsWith, standing } = require('../stage')
const { turn } = require('../../helpers/waiting')

/** Has the lock held by a callback that returned `end.promise`, with a second request behind it. */
async function inFrontOf(end) {
  const name = freshName()
  const log = []
  const first = locks.request(name, () => end.promise)
  const second = locks.request(name, () => log.push('second granted'))
  await turn()
  assert.deepEqual(await standing(name), { held: ['exclusive'], pending: ['exclusive'] })
  return { first, second, log }
}

module.exports = {
  'the answer is what the callback returned, or what that became': async () => {
    assert.equal(await locks.request(freshName(), () => 123), 123)
    assert.equal(await locks.request(freshName(), async () => 'later'), 'later')
    assert.equal(await locks.request(freshName(), () => {}), undefined)
  },

  'a callback may answer with the lock itself': async () => {
    const name = freshName()
    const lock = await locks.request(name, (given) => given)
    assert.equal(lock.name, name)
  },

  'the callback is called once, with the lock and nothing else, and without a this': async () => {
    const calls = []
    await locks.request(freshName(), function (...given) {
      calls.push([this ?? 'nothing', given.length])
    })
    assert.deepEqual(calls, [['nothing', 1]])
  },

  'the lock is held until the promise of the callback is fulfilled': async () => {
    const end = deferred()
    const { first, second, log } = await inFrontOf(end)
    await turn()
    log.push('fulfilling')
    end.resolve('answer')
    assert.equal(await first, 'answer')
    await second
    assert.deepEqual(log, ['fulfilling', 'second granted'])
  },

  'the lock is held until the promise of the callback is rejected': async () => {
    const end = deferred()
    const { first, second, log } = await inFrontOf(end)
    await turn()
    log.push('rejecting')
    const thrown = { of: 'the promise' }
    end.reject(thrown)
    await rejectsWith(thrown, first)
    await second
    assert.deepEqual(log, ['rejecting', 'second granted'])
  },

  'the answer comes after the lock was given back': async () => {
    const name = freshName()
    const end = deferred()
    const order = []
    const answer = locks.request(name, () => end.promise).then(() => order.push('answered'))
    end.promise.then(() => order.push('held until here'))
    end.resolve()
    await answer
    assert.deepEqual(order, ['held until here', 'answered'])
    assert.deepEqual(await standing(name), { held: [], pending: [] })
    await locks.request(name, { ifAvailable: true }, (lock) => assert.notEqual(lock, null))
  },

  'whoever asks again in the moment of the answer finds the lock free, or in the hands of the next': async () => {
    const name = freshName()
    await locks.request(name, () => {})
    assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock?.mode), 'exclusive')
    const held = await hold(name)
    const next = locks.request(name, () => 'next')
    await held.release()
    assert.equal(await next, 'next')
    assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock?.mode), 'exclusive')
  },

  'an error thrown at once is what the promise rejects with': async () => {
    const thrown = { name: 'of the callback' }
    await rejectsWith(thrown, locks.request(freshName(), () => { throw thrown }))
    await rejectsWith(undefined, locks.request(freshName(), () => { throw undefined }))
  },

  'an error thrown later is what the promise rejects with': async () => {
    const thrown = { name: 'of the callback' }
    await rejectsWith(thrown, locks.request(freshName(), async () => { throw thrown }))
  },

  'a thrown thenable is handed on as it is': async () => {
    const thrown = { then: () => assert.fail('nobody may wait for it') }
    await rejectsWith(thrown, locks.request(freshName(), async () => { throw thrown }))
    await rejectsWith(thrown, locks.request(freshName(), () => { throw thrown }))
  },

  'a rejection nobody looks at yet does not keep the lock': async () => {
    const name = freshName()
    const answer = locks.request(name, () => Promise.reject(new Error('of the test')))
    answer.catch(() => {})
    await locks.request(name, (lock) => assert.notEqual(lock, null))
  },

  'the same thread cannot have it twice': async () => {
    const name = freshName()
    await locks.request(name, () => locks.request(name, { ifAvailable: true }, (lock) => assert.equal(lock, null)))
  },
}
