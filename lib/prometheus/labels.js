// The values that labels may take. Names come from users and have no end; series cost memory wherever they are kept.
// So the first hundred values of a label have series of their own, and the rest is `other`.
// @ts-check
'use strict'

const { clean, cut } = require('../cli/text')

const MOST_VALUES = 100
const LONGEST = 64
const OTHER = 'other'

class LabelValues {
  /** @type {Map<string, string>} */
  #shown = new Map()

  /**
   * The value for that text: its own while there is room, and then for good.
   * @param {string} text
   */
  of(text) {
    const known = this.#shown.get(text)
    if (known !== undefined) return known
    if (this.#shown.size >= MOST_VALUES) return OTHER
    const value = cut(clean(text), LONGEST)
    this.#shown.set(text, value)
    return value
  }

  /** Whether that text has to be counted under `other`. @param {string} text */
  overflows(text) {
    return this.#shown.size >= MOST_VALUES && !this.#shown.has(text)
  }
}

module.exports = { LabelValues, MOST_VALUES, OTHER }
