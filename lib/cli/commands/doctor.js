// `chainlock doctor`: checks the machine and what chainlock keeps there, or a store of leases.
// @ts-check
'use strict'

const { EXIT, usageError } = require('../exit')
const { JSON_OPTION, STORE_OPTIONS } = require('../args')
const { placeOf } = require('../store')

module.exports = {
  summary: 'checks the machine and what chainlock keeps there',
  usage: '[options]',
  details: [
    'Node.js, the native code, sealed memory, the private folder, clocks, namespaces, limits, sockets and locks left ' +
      'behind, other versions, the journal. Each line is ok, a warning or bad, with what helps.',
    'With a store: is it reached, may it be written, does its clock run as ours, are waiters told? The key ' +
      'chainlock-doctor is taken and given back. A store in CHAINLOCK_STORE is always looked at.',
  ],
  options: {
    json: JSON_OPTION,
    fix: { type: 'boolean', help: 'does what is safe: closes the private folder, removes dead sockets' },
    journal: { type: 'string', value: 'PATH', help: 'the journal to check (default: CHAINLOCK_JOURNAL)' },
    ...STORE_OPTIONS,
  },
  exits: [EXIT.bad],

  /** @param {import('../commands').Context} context */
  async run(context) {
    const { values, json, out, colour, glyphs } = context
    const { examine } = require('../doctor')
    const { pad, shown } = require('../text')
    const place = placeOf(context)
    const extra = place !== null && (values.fix ? '--fix' : values.journal !== undefined ? '--journal' : null)
    if (extra) throw usageError(`${extra} is about this machine; it does not go with a store`)
    const checks = await examine(context, place, values.fix === true)
    const ok = checks.every(({ level }) => level !== 'bad')
    if (json) out(JSON.stringify({ schema: 1, ok, checks }))
    else {
      for (const { id, level, sentence, fix, fixed } of checks) {
        const mark = colour[level](`${pad(glyphs[level], 2)} ${pad(WORD[level], 4)}`)
        out(`${mark} ${pad(id, 10)}${shown(sentence, glyphs)}${fixed ? ' (mended)' : ''}`)
        if (level !== 'good' && fix !== null) out(`${' '.repeat(18)}${glyphs.arrow} ${shown(fix, glyphs)}`)
      }
    }
    return ok ? EXIT.ok : EXIT.bad
  },
}

/** Never colour or sign alone. */
const WORD = { good: 'ok', warn: 'warn', bad: 'bad' }
