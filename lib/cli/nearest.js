// The nearest name to a misspelt one.
// @ts-check
'use strict'

/**
 * How many letters have to be put in, taken out, changed or swapped with their neighbour.
 * @param {string} a
 * @param {string} b
 */
function distance(a, b) {
  let before = /** @type {number[]} */ ([])
  let above = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + same)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) row[j] = Math.min(row[j], before[j - 2] + 1)
    }
    before = above
    above = row
  }
  return above[b.length]
}

/** What is compared of a long name; the work grows with the square. */
const LONGEST = 64

/**
 * The known name that was probably meant, or null when none is near: a third of the letters may be wrong, or the
 * beginning is right.
 * @param {string} wrong
 * @param {readonly string[]} known
 * @returns {string | null}
 */
function nearest(wrong, known) {
  const plain = wrong.slice(0, LONGEST).toLowerCase()
  let best = { name: /** @type {string | null} */ (null), far: Infinity }
  for (const name of known) {
    const other = name.slice(0, LONGEST).toLowerCase()
    const far = plain.length > 1 && other.startsWith(plain) ? 0 : distance(plain, other)
    if (far < best.far) best = { name, far }
  }
  const most = Math.max(1, Math.floor(Math.min(plain.length, LONGEST) / 3))
  return best.far <= most ? best.name : null
}

module.exports = { nearest }
