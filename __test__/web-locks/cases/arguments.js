// What `request` takes and refuses: everything as a rejection, in the order in which the standard reads it.
'use strict'

const assert = require('node:assert/strict')
const { locks, freshName, hold, rejectsWith, rejectsWithTypeError, rejectsWithDomException, neverRuns } = require('../stage')

const signal = () => new AbortController().signal
const NO_OBJECTS = [5, 'text', true, 1n, Symbol('s')]

/** An object that writes down which of its members are read, in which order. */
function watched(members, log) {
  return new Proxy(members, {
    get(target, key) {
      log.push(key)
      return target[key]
    },
  })
}

module.exports = {
  'a call without a name, or without a callback, is refused': async () => {
    await rejectsWithTypeError(locks.request())
    await rejectsWithTypeError(locks.request(freshName()))
    await rejectsWithTypeError(locks.request({ toString: () => assert.fail('must not be asked') }))
  },

  'the callback has to be a function': async () => {
    for (const callback of [undefined, null, 123, 'abc', [], {}, new Promise(() => {}), Symbol('s')]) {
      await rejectsWithTypeError(locks.request(freshName(), callback))
      await rejectsWithTypeError(locks.request(freshName(), {}, callback))
    }
  },

  'a class is a function, and calling it fails as calling a class does': async () => {
    await rejectsWithTypeError(locks.request(freshName(), class {}))
  },

  'the modes are exclusive, which is the default, and shared': async () => {
    const name = freshName()
    const modeOf = (options) => locks.request(name, options, (lock) => lock.mode)
    assert.equal(await locks.request(name, (lock) => lock.mode), 'exclusive')
    assert.equal(await modeOf({ mode: undefined }), 'exclusive')
    assert.equal(await modeOf({ mode: 'exclusive' }), 'exclusive')
    assert.equal(await modeOf({ mode: 'shared' }), 'shared')
    assert.equal(await modeOf({ mode: { toString: () => 'shared' } }), 'shared')
  },

  'any other mode is refused': async () => {
    for (const mode of ['foo', null, '', 'Shared', 1, {}, Symbol('shared')]) {
      await rejectsWithTypeError(locks.request(freshName(), { mode }, neverRuns))
    }
  },

  'options may be left out, undefined, null or any object': async () => {
    for (const options of [undefined, null, {}, [], () => {}, Object.create(null), new Date()]) {
      assert.equal(await locks.request(freshName(), options, (lock) => lock.mode), 'exclusive')
    }
  },

  'options that are no object are refused': async () => {
    for (const options of NO_OBJECTS) await rejectsWithTypeError(locks.request(freshName(), options, neverRuns))
  },

  'options are read through their prototypes': async () => {
    const options = Object.create({ mode: 'shared' })
    assert.equal(await locks.request(freshName(), options, (lock) => lock.mode), 'shared')
  },

  'switches take any value as true or false': async () => {
    const name = freshName()
    const held = await hold(name)
    assert.equal(await locks.request(name, { ifAvailable: 'yes' }, (lock) => lock), null)
    const waiting = locks.request(name, { ifAvailable: 0, steal: '' }, (lock) => lock.mode)
    held.release()
    assert.equal(await waiting, 'exclusive')
  },

  'the name is read first, then ifAvailable, mode, signal, steal, and the callback last': async () => {
    const log = []
    const name = { toString: () => (log.push('name'), freshName()) }
    await rejectsWithTypeError(locks.request(name, watched({}, log), 'no function'))
    const standard = ['name', 'ifAvailable', 'mode', 'signal', 'steal']
    assert.deepEqual(log.filter((key) => standard.includes(key)), standard)
  },

  'what reading an option throws is what the promise rejects with': async () => {
    for (const key of ['ifAvailable', 'mode', 'signal', 'steal']) {
      const thrown = { of: key }
      const options = { get [key]() { throw thrown } }
      await rejectsWith(thrown, locks.request(freshName(), options, neverRuns))
    }
  },

  'an option that asks for locks while it is read does no harm': async () => {
    const name = freshName()
    let inner
    const options = { get mode() { inner = locks.request(name, () => 'inner'); return 'shared' } }
    assert.equal(await locks.request(name, options, () => 'outer'), 'outer')
    assert.equal(await inner, 'inner')
  },

  'steal and ifAvailable exclude each other': async () => {
    const options = { steal: true, ifAvailable: true }
    await rejectsWithDomException('NotSupportedError', locks.request(freshName(), options, neverRuns))
  },

  'only exclusive requests steal': async () => {
    const options = { steal: true, mode: 'shared' }
    await rejectsWithDomException('NotSupportedError', locks.request(freshName(), options, neverRuns))
  },

  'signal and steal exclude each other': async () => {
    const options = { signal: signal(), steal: true }
    await rejectsWithDomException('NotSupportedError', locks.request(freshName(), options, neverRuns))
  },

  'signal and ifAvailable exclude each other': async () => {
    const options = { signal: signal(), ifAvailable: true }
    await rejectsWithDomException('NotSupportedError', locks.request(freshName(), options, neverRuns))
  },

  'a wrong type is told before a wrong combination, a wrong combination before an abort': async () => {
    const aborted = AbortSignal.abort()
    const options = { steal: true, ifAvailable: true, signal: aborted }
    await rejectsWithTypeError(locks.request('-kept', { ...options, mode: 'foo' }, neverRuns))
    await rejectsWithTypeError(locks.request('-kept', options, 'no function'))
    await rejectsWithDomException('NotSupportedError', locks.request(freshName(), options, neverRuns))
    await rejectsWithDomException('NotSupportedError', locks.request('-kept', { signal: aborted }, neverRuns))
  },

  'a refused request leaves nothing behind': async () => {
    const name = freshName()
    await rejectsWithTypeError(locks.request(name, { mode: 'foo' }, neverRuns))
    await rejectsWithDomException('NotSupportedError', locks.request(name, { steal: true, mode: 'shared' }, neverRuns))
    await locks.request(name, { ifAvailable: true }, (lock) => assert.equal(lock.mode, 'exclusive'))
  },
}
