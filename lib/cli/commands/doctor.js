// `chainlock doctor`: checks the machine and what chainlock keeps there.
// @ts-check
'use strict'

const { EXIT } = require('../exit')
const { JSON_OPTION } = require('../args')

module.exports = {
  summary: 'checks the machine and what chainlock keeps there',
  usage: '[options]',
  details: [
    'Node.js, the native code, sealed memory, the private folder, clocks, namespaces, limits, sockets and locks left ' +
      'behind, other versions, the journal. Each line is ok, a warning or bad, with what helps.',
  ],
  options: {
    json: JSON_OPTION,
    fix: { type: 'boolean', help: 'does what is safe: closes the private folder, removes dead sockets' },
    journal: { type: 'string', value: 'PATH', help: 'the journal to check (default: CHAINLOCK_JOURNAL)' },
  },
  exits: [EXIT.bad],

  /** @param {import('../commands').Context} context */
  async run(context) {
    const { values, json, out, colour, glyphs } = context
    const { examine } = require('../doctor')
    const { pad, shown } = require('../text')
    const checks = await examine(context, values.fix === true)
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
