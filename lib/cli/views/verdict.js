// Verdicts as lines: the sentence, what it rests on, what to type.
// @ts-check
'use strict'

const { clean, pad } = require('../text')

/** @typedef {Pick<import('../commands').Context, 'colour' | 'glyphs' | 'columns' | 'isTty'>} Look */

/** As many are printed in full; the JSON has all. */
const MOST = 8

/**
 * @param {readonly import('../../../index').Verdict[]} verdicts
 * @param {Look} look
 * @returns {string[]}
 */
function verdictLines(verdicts, { colour, glyphs }) {
  // Sentences come with signs of their own.
  const said = (/** @type {string} */ text) => clean(text).replaceAll('…', glyphs.more).replaceAll('–', glyphs.dash)
  const lines = verdicts.slice(0, MOST).flatMap(({ rule, level, sentence, evidence, next }) => {
    const head = `${colour[level](`${glyphs[level]} ${pad(rule, 8)}`)} ${said(sentence)}`
    const more = evidence.map((line) => `    ${colour.dim(said(line))}`)
    return [head, ...more, ...(next === null ? [] : [`    ${glyphs.arrow} ${clean(next)}`])]
  })
  if (verdicts.length > MOST) lines.push(`  and ${verdicts.length - MOST} more: chainlock status --json`)
  return lines
}

module.exports = { verdictLines }
