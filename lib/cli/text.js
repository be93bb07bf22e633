// Text for terminals: widths, columns, colours and signs; cleaning and durations come along.
// @ts-check
'use strict'

const { clean, duration } = require('../snapshot/words')

/** @type {Intl.Segmenter | undefined} */
let segmenter

/** Letters, punctuation, arrows, lines and blocks that take one column each and join with nothing. */
const SINGLE = /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u259f]*$/

/** @param {string} text @returns {string[]} What a reader sees as single characters. */
function graphemes(text) {
  if (SINGLE.test(text)) return text.split('')
  segmenter ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  return Array.from(segmenter.segment(text), ({ segment }) => segment)
}

const WIDE = new RegExp(
  '^[\\u1100-\\u115f\\u231a\\u231b\\u2329\\u232a\\u2e80-\\u303e\\u3041-\\u33ff\\u3400-\\u4dbf\\u4e00-\\ua4cf' +
    '\\ua960-\\ua97c\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe10-\\ufe19\\ufe30-\\ufe6f\\uff00-\\uff60\\uffe0-\\uffe6' +
    '\\u{16fe0}-\\u{18cff}\\u{1aff0}-\\u{1b2fb}\\u{20000}-\\u{3fffd}]|\\p{Emoji_Presentation}|\\p{Emoji}\\ufe0f',
  'u',
)

/**
 * Terminals disagree about what joins: a flag or a syllable is two columns here and four there. The larger counts, so
 * that no line is wider than it is taken for.
 * @param {string} grapheme
 */
function graphemeWidth(grapheme) {
  let columns = 0
  for (const character of grapheme) {
    if (!/^[\p{Mn}\p{Me}\u1160-\u11ff]$/u.test(character)) columns += WIDE.test(character) ? 2 : 1
  }
  return grapheme.includes('\ufe0f') ? Math.max(2, columns) : columns
}

/** How many columns of a terminal a cleaned text takes. @param {string} text */
function width(text) {
  if (SINGLE.test(text)) return text.length
  return graphemes(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0)
}

/**
 * @param {string} text
 * @param {number} columns
 * @param {'left' | 'right'} [side] Where the text stands.
 */
function pad(text, columns, side = 'left') {
  const room = ' '.repeat(Math.max(0, columns - width(text)))
  return side === 'left' ? text + room : room + text
}

/**
 * The text in at most so many columns; a cut one ends in `mark`.
 * @param {string} text
 * @param {number} columns
 */
function cut(text, columns, mark = '…') {
  if (width(text) <= columns) return text
  let kept = ''
  let used = width(mark)
  if (used > columns) return ''
  for (const grapheme of graphemes(text)) {
    used += graphemeWidth(grapheme)
    if (used > columns) break
    kept += grapheme
  }
  return kept + mark
}

// ── Colours ──────────────────────────────────────────────────────────────────────────────────────────

const STYLES = /** @type {const} */ ({ bad: '31;1', warn: '33', good: '32', dim: '2', strong: '1' })

/** By meaning, never alone: each state has a word as well.
 * @typedef {{ on: boolean } & Record<keyof typeof STYLES, (text: string) => string>} Colour */

/** @param {boolean} on @returns {Colour} */
function colourIf(on) {
  const styles = Object.entries(STYLES).map(([name, code]) => [
    name,
    on ? (/** @type {string} */ text) => `\u001b[${code}m${text}\u001b[0m` : (/** @type {string} */ text) => text,
  ])
  return { on, ...Object.fromEntries(styles) }
}

/**
 * Whether a stream gets colours: `--color` decides, then FORCE_COLOR, then NO_COLOR, then what the stream is.
 * @param {{ isTTY?: boolean }} stream
 * @param {{ color?: string, json?: boolean }} values
 * @param {NodeJS.ProcessEnv} env
 */
function wantsColour(stream, values, env) {
  if (values.json) return false
  if (values.color === 'always') return true
  if (values.color === 'never') return false
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
}

// ── Signs ────────────────────────────────────────────────────────────────────────────────────────────

const SIGNS = {
  bad: '✖',
  warn: '▲',
  good: '✔',
  arrow: '→',
  dot: '·',
  times: '×',
  dash: '–',
  more: '…',
  branch: '├─',
  last: '└─',
  pipe: '│',
  held: '●',
  waiting: '○',
  cooldown: '◌',
  free: ' ',
}
/** @typedef {typeof SIGNS} Glyphs */

/** @type {Glyphs} */
const ASCII_SIGNS = {
  bad: 'x',
  warn: '!',
  good: 'ok',
  arrow: '->',
  dot: '-',
  times: 'x',
  dash: '-',
  more: '...',
  branch: '|-',
  last: '`-',
  pipe: '|',
  held: '*',
  waiting: 'o',
  cooldown: '~',
  free: ' ',
}

/** @param {boolean} ascii */
function glyphs(ascii) {
  return ascii ? ASCII_SIGNS : SIGNS
}

/**
 * A sentence as it is shown: cleaned, and with the signs that are asked for.
 * @param {string} text
 * @param {Glyphs} signs
 */
function shown(text, signs) {
  return clean(text).replaceAll(SIGNS.more, signs.more).replaceAll(SIGNS.dash, signs.dash)
}

/**
 * What somebody has typed, for a message: cleaned, and without what looks like the user and password of a URL.
 * @param {string} text
 */
function said(text) {
  return clean(text).replace(/:\/\/[^\s"]*@/g, '://…@')
}

module.exports = { shown, said, clean, graphemes, width, pad, cut, duration, colourIf, wantsColour, glyphs }
