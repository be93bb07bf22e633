// Verdicts as lines: the sentence, what it rests on, what to type.
// @ts-check
'use strict'

const { pad, shown } = require('../text')

/** @typedef {Pick<import('../commands').Context, 'colour' | 'glyphs' | 'columns' | 'isTty'>} Look */

/** As many are printed in full; the JSON has all. */
const MOST = 8

/**
 * @param {readonly import('../../../index').Verdict[]} verdicts
 * @param {Look} look
 * @returns {string[]}
 */
function verdictLines(verdicts, { colour, glyphs }) {
  const lines = verdicts.slice(0, MOST).flatMap(({ rule, level, sentence, evidence, next }) => {
    const head = `${colour[level](`${glyphs[level]} ${pad(rule, 8)}`)} ${shown(sentence, glyphs)}`
    const more = evidence.map((line) => `    ${colour.dim(shown(line, glyphs))}`)
    return [head, ...more, ...(next === null ? [] : [`    ${glyphs.arrow} ${shown(next, glyphs)}`])]
  })
  if (verdicts.length > MOST) lines.push(`  and ${verdicts.length - MOST} more: chainlock status --json`)
  return lines
}

module.exports = { verdictLines }
