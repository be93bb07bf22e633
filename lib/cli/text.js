// Text for terminals: cleaning, widths, columns, durations, colours and signs.
// @ts-check
'use strict'

// The characters that `src/name.rs` keeps off screens, and halves of characters.
const UNPRINTABLE =
  /[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Cs}/gu

/**
 * A text from outside, with nothing in it that moves a cursor, hides or reorders text, or forges a line.
 * @param {string} text
 */
function clean(text) {
  return text.replace(UNPRINTABLE, '\ufffd')
}

/** @type {Intl.Segmenter | undefined} */
let segmenter

/** @param {string} text @returns {string[]} What a reader sees as single characters. */
function graphemes(text) {
  if (/^[\x20-\x7e]*$/.test(text)) return text.split('')
  segmenter ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  return Array.from(segmenter.segment(text), ({ segment }) => segment)
}

const WIDE = new RegExp(
  '^[\\u1100-\\u115f\\u231a\\u231b\\u2329\\u232a\\u2e80-\\u303e\\u3041-\\u33ff\\u3400-\\u4dbf\\u4e00-\\ua4cf\\ua960-\\ua97c' +
    '\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe10-\\ufe19\\ufe30-\\ufe6f\\uff00-\\uff60\\uffe0-\\uffe6' +
    '\\u{16fe0}-\\u{18cff}\\u{1aff0}-\\u{1b2fb}\\u{20000}-\\u{3fffd}]|\\p{Emoji_Presentation}|\\p{Emoji}\\ufe0f',
  'u',
)

/** @param {string} grapheme */
function graphemeWidth(grapheme) {
  if (grapheme.length === 1 && grapheme >= ' ' && grapheme <= '~') return 1
  if (/^\p{M}+$/u.test(grapheme)) return 0
  return WIDE.test(grapheme) ? 2 : 1
}

/** How many columns of a terminal a cleaned text takes. @param {string} text */
function width(text) {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
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

/**
 * A time span in two units at most: '0.4ms', '12ms', '4.1s', '5m12s', '3h7m', '2d4h'.
 * @param {number | null} ms
 * @returns {string}
 */
function duration(ms) {
  if (ms === null || !Number.isFinite(ms)) return '–'
  if (ms < 0) return `-${duration(-ms)}`
  if (ms < 9.95) return `${Number(ms.toFixed(1))}ms`
  if (ms < 999.5) return `${Math.round(ms)}ms`
  if (ms < 9_950) return `${Number((ms / 1_000).toFixed(1))}s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return two(seconds, 60, 'm', 1, 's')
  if (seconds < 86_400) return two(seconds, 3_600, 'h', 60, 'm')
  return two(seconds, 86_400, 'd', 3_600, 'h')
}

/**
 * @param {number} seconds
 * @param {number} large
 * @param {string} largeUnit
 * @param {number} small
 * @param {string} smallUnit
 */
function two(seconds, large, largeUnit, small, smallUnit) {
  const rest = Math.floor((seconds % large) / small)
  return `${Math.floor(seconds / large)}${largeUnit}${rest > 0 ? `${rest}${smallUnit}` : ''}`
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
  bad: '✖', warn: '▲', good: '✔', arrow: '→', dot: '·', times: '×', dash: '–', more: '…',
  branch: '├─', last: '└─', pipe: '│', held: '●', waiting: '○', cooldown: '◌', free: ' ',
}
/** @typedef {typeof SIGNS} Glyphs */

/** @type {Glyphs} */
const ASCII_SIGNS = {
  bad: 'x', warn: '!', good: 'ok', arrow: '->', dot: '-', times: 'x', dash: '-', more: '...',
  branch: '|-', last: '`-', pipe: '|', held: '*', waiting: 'o', cooldown: '~', free: ' ',
}

/** @param {boolean} ascii */
function glyphs(ascii) {
  return ascii ? ASCII_SIGNS : SIGNS
}

module.exports = { clean, graphemes, width, pad, cut, duration, colourIf, wantsColour, glyphs }
