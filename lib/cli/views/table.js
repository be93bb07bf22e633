// Rows as columns that are as wide as they must be; on a terminal no line is wider than it.
// @ts-check
'use strict'

const { cut, pad, width } = require('../text')

/**
 * @param {string[]} heads
 * @param {string[][]} rows Cleaned texts.
 * @param {{ right?: number[], columns?: number, more?: string }} [how] `right`: columns of numbers; `columns`: how wide
 *   the terminal is, not given where there is none.
 * @returns {string[]}
 */
function table(heads, rows, { right = [], columns = Infinity, more } = {}) {
  const widths = heads.map((head, at) => Math.max(width(head), ...rows.map((row) => width(row[at]))))
  return [heads, ...rows].map((row) => {
    const line = row
      .map((cell, at) => pad(cell, widths[at], right.includes(at) ? 'right' : 'left'))
      .join('  ')
      .trimEnd()
    return columns === Infinity ? line : cut(line, columns, more)
  })
}

module.exports = { table }
