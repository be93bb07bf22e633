// `signal`: a request that waits can be called back; one that was granted cannot.
'use strict'

const assert = require('node:assert/strict')
const { getEventListeners, setMaxListeners } = require('node:events')
const { turn } = require('../../helpers/waiting')
const stage = require('../stage')

const { locks, freshName, deferred, hold, standing, neverRuns } = stage
const { rejectsWith, rejectsWithTypeError, rejectsWithDomException } = stage

const listeners = (signal) => getEventListeners(signal, 'abort').length

module.exports = {
  'the signal has to be an AbortSignal': async () => {
    const values = ['text', 12.34, false, null, Symbol('s')]
    const objects = [{}, () => {}, globalThis, new EventTarget(), new AbortController(), Object.create(AbortSignal.prototype)]
    for (const signal of [...values, ...objects]) {
      await rejectsWithTypeError(locks.request(freshName(), { signal }, neverRuns))
    }
  },

  'undefined is no signal': async () => {
    assert.equal(await locks.request(freshName(), { signal: undefined }, () => 'ran'), 'ran')
  },

  'an aborted signal rejects with an AbortError, and takes no lock': async () => {
    const name = freshName()
    await rejectsWithDomException('AbortError', locks.request(name, { signal: AbortSignal.abort() }, neverRuns))
    assert.deepEqual(await standing(name), { held: [], pending: [] })
  },

  'an aborted signal rejects with its own reason': async () => {
    for (const reason of ['words', 0, null, { of: 'the user' }, new Error('of the user')]) {
      await rejectsWith(reason, locks.request(freshName(), { signal: AbortSignal.abort(reason) }, neverRuns))
    }
    const signal = AbortSignal.abort()
    await rejectsWith(signal.reason, locks.request(freshName(), { signal }, neverRuns))
  },

  'a request that waits rejects when its signal aborts, and leaves the line': async () => {
    const name = freshName()
    const held = await hold(name)
    const controller = new AbortController()
    const asked = locks.request(name, { signal: controller.signal }, neverRuns)
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: ['exclusive'] })
    controller.abort()
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: [] })
    await rejectsWithDomException('AbortError', asked)
    await held.release()
  },

  'a request that waits rejects with the reason of the abort': async () => {
    const name = freshName()
    const held = await hold(name)
    for (const reason of ['words', { of: 'the user' }, undefined]) {
      const controller = new AbortController()
      const asked = locks.request(name, { signal: controller.signal }, neverRuns)
      controller.abort(reason)
      await rejectsWith(controller.signal.reason, asked)
    }
    await held.release()
  },

  'a signal that aborts by time ends the wait': async () => {
    const name = freshName()
    const held = await hold(name)
    const asked = locks.request(name, { signal: AbortSignal.timeout(10) }, neverRuns)
    await rejectsWithDomException('TimeoutError', asked)
    await held.release()
  },

  'a signal made of others ends the wait': async () => {
    const name = freshName()
    const held = await hold(name)
    const controller = new AbortController()
    const signal = AbortSignal.any([new AbortController().signal, controller.signal])
    const asked = locks.request(name, { signal }, neverRuns)
    controller.abort('by the second')
    await rejectsWith('by the second', asked)
    await held.release()
  },

  'a signal that never aborts changes nothing': async () => {
    const { signal } = new AbortController()
    assert.equal(await locks.request(freshName(), { signal }, async () => 'ran'), 'ran')
    assert.equal(listeners(signal), 0)
  },

  'an abort in the same tick wins over a lock that is free': async () => {
    const name = freshName()
    const controller = new AbortController()
    const asked = locks.request(name, { signal: controller.signal }, neverRuns)
    controller.abort()
    await rejectsWithDomException('AbortError', asked)
    assert.equal(await locks.request(name, () => 'next'), 'next')
  },

  'an abort in the same tick lets the next in line go': async () => {
    const name = freshName()
    const controller = new AbortController()
    const first = locks.request(name, { signal: controller.signal }, neverRuns)
    const next = locks.request(name, () => 'next')
    controller.abort('first')
    await rejectsWith('first', first)
    assert.equal(await next, 'next')
  },

  'an abort after the grant is ignored': async () => {
    const controller = new AbortController()
    const held = await hold(freshName(), { signal: controller.signal })
    controller.abort()
    await turn()
    assert.deepEqual((await standing(held.lock.name)).held, ['exclusive'])
    assert.equal(await held.release('answer'), 'answer')
  },

  'an abort after the release is ignored': async () => {
    const controller = new AbortController()
    const held = await hold(freshName(), { signal: controller.signal })
    const answer = held.release('answer')
    controller.abort()
    assert.equal(await answer, 'answer')
  },

  'an abort inside of the callback is ignored': async () => {
    const controller = new AbortController()
    const answer = locks.request(freshName(), { signal: controller.signal }, () => {
      controller.abort()
      return 'answer'
    })
    assert.equal(await answer, 'answer')
  },

  'an abort lets the next in line go': async () => {
    const name = freshName()
    const reader = await hold(name, { mode: 'shared' })
    const controller = new AbortController()
    const writer = rejectsWithDomException('AbortError', locks.request(name, { signal: controller.signal }, neverRuns))
    const next = locks.request(name, { mode: 'shared' }, () => 'next')
    controller.abort()
    await writer
    assert.equal(await next, 'next', 'while the first reader still holds')
    await reader.release()
  },

  'one signal calls back many requests, and keeps no listener': async () => {
    const name = freshName()
    const held = await hold(name)
    const controller = new AbortController()
    const { signal } = controller
    setMaxListeners(0, signal)
    const asked = Array.from({ length: 200 }, () => locks.request(name, { signal }, neverRuns))
    controller.abort('all')
    for (const one of asked) await rejectsWith('all', one)
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: [] })
    assert.equal(listeners(signal), 0)
    await held.release()
  },

  'no listener is left after a wait that ended with a grant': async () => {
    const name = freshName()
    const held = await hold(name)
    const { signal } = new AbortController()
    const end = deferred()
    const asked = locks.request(name, { signal }, () => end.promise)
    await turn()
    assert.ok(listeners(signal) > 0)
    await held.release()
    await turn()
    assert.equal(listeners(signal), 0, 'an abort could not do anything any more')
    end.resolve()
    await asked
  },

  'another listener may ask for the same lock': async () => {
    const name = freshName()
    const held = await hold(name)
    const controller = new AbortController()
    let again
    controller.signal.addEventListener('abort', () => {
      again = locks.request(name, () => 'again')
    })
    const asked = locks.request(name, { signal: controller.signal }, neverRuns)
    controller.abort('now')
    await rejectsWith('now', asked)
    held.release()
    assert.equal(await again, 'again')
  },
}
