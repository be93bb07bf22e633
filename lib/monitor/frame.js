// Lines of styled text, by columns of the terminal. Whatever a line says passes `span`, where it is cleaned once.
// @ts-check
'use strict'

const { clean, cut, pad, width } = require('../cli/text')

/** @typedef {import('./types').Line} Line */
/** @typedef {import('./types').Span} Span */
/** @typedef {import('./types').Style} Style */

/** Beyond the meanings that every command knows. @type {Partial<Record<Style, string>>} */
const MORE_STYLES = { selected: '7', hold: '36', wait: '33', cooldown: '34' }

/** Letters that are written from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u
/** Keep such a text from reordering what stands beside it; a terminal gives them no column. */
const ISOLATE = '\u2066'
const END_ISOLATE = '\u2069'
/** A name is shown up to here and full only in JSON. */
const MAX_SHOWN = 64

/** @param {string} text @param {Style} [style] @returns {Span} */
function span(text, style) {
  return style === undefined ? { text: clean(text) } : { text: clean(text), style }
}

/** A name from outside, as long as one is shown. @param {string | null} text @param {string} instead */
function shown(text, instead, most = MAX_SHOWN) {
  return text === null ? instead : cut(clean(text), most)
}

/** @param {Line} line */
function lineWidth(line) {
  return line.reduce((sum, { text }) => sum + width(text), 0)
}

/**
 * The line in exactly so many columns, cut or filled up.
 * @param {Line} line
 * @param {number} columns
 * @param {{ ascii?: boolean, fill?: boolean }} [how]
 * @returns {Line}
 */
function fit(line, columns, { ascii = false, fill = false } = {}) {
  const mark = ascii ? '...' : '…'
  /** @type {Line} */
  const kept = []
  let used = 0
  const all = lineWidth(line)
  for (const [index, part] of line.entries()) {
    const room = columns - used
    const isLast = index === line.length - 1
    const size = width(part.text)
    // A part that ends at the edge while others follow has to tell of them.
    if (all <= columns || size < room || (isLast && size <= room)) {
      kept.push(part)
      used += size
      continue
    }
    const text = cut(part.text + (isLast ? '' : '  '), room, mark)
    kept.push({ ...part, text })
    used += width(text)
    break
  }
  if (fill && used < columns) kept.push({ text: ' '.repeat(columns - used) })
  return kept
}

/**
 * Left and right on one line; the left gives way.
 * @param {Line} left @param {Line} right @param {number} columns @param {boolean} ascii
 * @returns {Line}
 */
function ends(left, right, columns, ascii) {
  const size = lineWidth(right)
  if (size + 8 > columns) return fit(left, columns, { ascii })
  return [...fit(left, columns - size - 1, { ascii, fill: true }), { text: ' ' }, ...right]
}

/**
 * Two blocks of lines side by side.
 * @param {Line[]} left @param {Line[]} right @param {number} leftColumns @param {number} columns @param {boolean} ascii
 * @returns {Line[]}
 */
function beside(left, right, leftColumns, columns, ascii) {
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => [
    ...fit(left[index] ?? [], leftColumns, { ascii, fill: true }),
    { text: '  ' },
    ...fit(right[index] ?? [], columns - leftColumns - 2, { ascii }),
  ])
}

/**
 * Words over as many lines as they need.
 * @param {string} text @param {number} columns @param {Style} [style]
 * @returns {Line[]}
 */
function wrap(text, columns, style) {
  const lines = ['']
  for (const word of clean(text).split(' ')) {
    const last = /** @type {string} */ (lines.at(-1))
    if (last === '') lines[lines.length - 1] = word
    else if (width(last) + 1 + width(word) <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.map((line) => [span(line, style)])
}

/**
 * @typedef {{
 *   title: string,
 *   cells: Span[],
 *   side?: 'left' | 'right',
 *   drop?: number,
 *   give?: number,
 * }} Column Columns with the highest `drop` go first when there is no room; `give` is the least that a long one keeps.
 */

/**
 * Columns as lines, a heading first.
 * @param {Column[]} all @param {number} columns @param {boolean} ascii
 * @returns {Line[]}
 */
function table(all, columns, ascii) {
  const sized = all.map((column) => {
    const size = column.cells.reduce((most, { text }) => Math.max(most, width(text)), width(column.title))
    return { ...column, size, least: Math.min(size, column.give ?? size) }
  })
  let kept = sized
  const needs = (/** @type {'size' | 'least'} */ what) => kept.reduce((sum, column) => sum + column[what] + 2, -2)
  while (needs('least') > columns && kept.some((column) => column.drop)) {
    const most = Math.max(...kept.map((column) => column.drop ?? 0))
    kept = kept.filter((column) => column.drop !== most)
  }
  // Long columns give what is missing, each by what it has to give.
  const missing = needs('size') - columns
  if (missing > 0) {
    const slack = kept.reduce((sum, { size, least }) => sum + size - least, 0)
    kept = kept.map((column) => {
      const part = slack === 0 ? 0 : Math.ceil((missing * (column.size - column.least)) / slack)
      return { ...column, size: Math.max(column.least, column.size - part) }
    })
  }
  const line = (/** @type {(column: typeof sized[number]) => Span} */ cellOf) => {
    return kept.flatMap((column, index) => {
      const { text, style } = cellOf(column)
      const short = cut(text, column.size, ascii ? '..' : '…')
      const isLast = index === kept.length - 1 && column.side !== 'right'
      const part = { text: isLast ? short : pad(short, column.size, column.side), ...(style && { style }) }
      return index === 0 ? [part] : [{ text: '  ' }, part]
    })
  }
  const count = all[0]?.cells.length ?? 0
  return [
    line(({ title }) => ({ text: title, style: 'dim' })),
    ...Array.from({ length: count }, (_, row) => line(({ cells }) => cells[row] ?? { text: '' })),
  ]
}

/**
 * A line as it is written to a terminal.
 * @param {Line} line
 * @param {import('../cli/text').Colour} colour
 */
function paint(line, colour) {
  let painted = ''
  for (const { text, style } of line) {
    if (text === '') continue
    const safe = RIGHT_TO_LEFT.test(text) ? text.replace(/^.*\S/u, `${ISOLATE}$&${END_ISOLATE}`) : text
    painted += style === undefined ? safe : styled(safe, style, colour)
  }
  return painted.trimEnd()
}

/** @param {string} text @param {Style} style @param {import('../cli/text').Colour} colour */
function styled(text, style, colour) {
  const code = MORE_STYLES[style]
  if (code === undefined) return colour[/** @type {'bad'} */ (style)](text)
  return colour.on ? `\u001b[${code}m${text}\u001b[0m` : text
}

module.exports = { span, shown, lineWidth, fit, ends, beside, wrap, table, paint }
