// Names: any text, compared by its UTF-16 code units and handed back as it was given.
'use strict'

const assert = require('node:assert/strict')
const stage = require('../stage')

const { locks, freshName, hold, standing, neverRuns } = stage
const { rejectsWith, rejectsWithTypeError, rejectsWithDomException } = stage

const ODD = {
  'the empty text': '',
  'a NUL': 'abc\u0000def',
  'a high surrogate alone': '\ud800',
  'a low surrogate alone': '\udc00',
  'surrogates the wrong way round': '\udc00\ud800',
  'a non-character': '\uffff',
  'the replacement character': '\ufffd',
  'an astral character': '\u{1f512}',
  'the name of an object member': '__proto__',
  'the name of an inherited member': 'constructor',
  'a name that holds a minus': 'x-anything',
  'a million characters': 'n'.repeat(1_000_000),
}

const odd = Object.fromEntries(
  Object.entries(ODD).map(([what, name]) => [
    `${what} is a name, and comes back unchanged`,
    async () => {
      const held = await hold(name)
      assert.equal(held.lock.name, name)
      assert.deepEqual((await standing(name)).held, ['exclusive'])
      assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock), null)
      await held.release()
      assert.deepEqual(await standing(name), { held: [], pending: [] })
    },
  ]),
)

module.exports = {
  ...odd,

  'names that differ in any code unit are different locks': async () => {
    const names = ['\ud800', '\ufffd', '\udc00', '', '\u0000', 'e\u0301', '\u00e9', 'A', 'a', 'a ', 'a\u0000']
    const holds = []
    for (const name of names) holds.push(await hold(name, { ifAvailable: true }))
    assert.deepEqual(holds.map(({ lock }) => lock.name), names)
    await Promise.all(holds.map((held) => held.release()))
  },

  'a name that begins with a minus is refused': async () => {
    for (const name of ['-', '-foo', '-\ud800']) {
      await rejectsWithDomException('NotSupportedError', locks.request(name, neverRuns))
    }
  },

  'what is no text becomes one': async () => {
    const others = [1, 1n, 1.5, null, undefined, true, ['a', 'b']]
    const texts = ['1', '1', '1.5', 'null', 'undefined', 'true', 'a,b']
    for (const [index, given] of others.entries()) {
      assert.equal(await locks.request(given, (lock) => lock.name), texts[index])
    }
    assert.equal(await locks.request({ toString: () => 'by toString' }, (lock) => lock.name), 'by toString')
  },

  'a symbol, or an object that has no text, is refused': async () => {
    await rejectsWithTypeError(locks.request(Symbol('s'), neverRuns))
    await rejectsWithTypeError(locks.request(Object.create(null), neverRuns))
  },

  'what making the text throws is what the promise rejects with': async () => {
    const thrown = { of: 'toString' }
    await rejectsWith(thrown, locks.request({ toString() { throw thrown } }, neverRuns))
  },

  'the text is made once': async () => {
    let made = 0
    const name = freshName()
    await locks.request({ toString: () => (made++, name) }, (lock) => assert.equal(lock.name, name))
    assert.equal(made, 1)
  },
}
