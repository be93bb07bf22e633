// A map from positive safe integers (tickets, tokens) to objects, for entries that come and go all the time.
//
// A `Map` would link each of its outgrown tables to the next. Once one of them is in the old space, it keeps
// all that ever waited alive until the next full collection: with a hundred waiters that took half of the time.
// @ts-check
'use strict'

const SMALLEST = 64
/** Above this many places an empty table gives its memory back. */
const LARGE = 65_536
/** No key. */
const FREE = 0
/** 2^32 by the golden ratio: spreads keys that follow each other, so that no long run of full places comes about. */
const SPREAD = 0x9e3779b1

/** @template V */
class NumberTable {
  #keys = new Float64Array(SMALLEST)
  /** @type {(V | undefined)[]} */
  #values = new Array(SMALLEST).fill(undefined)
  #mask = SMALLEST - 1
  #size = 0

  /** The place at which a key would best be. @param {number} key */
  #home(key) {
    return (Math.imul(key, SPREAD) >>> 11) & this.#mask
  }

  /** The place of that key, or the free one where it would be. @param {number} key */
  #find(key) {
    let at = this.#home(key)
    while (this.#keys[at] !== key && this.#keys[at] !== FREE) at = (at + 1) & this.#mask
    return at
  }

  /** @param {number} key */
  get(key) {
    return this.#values[this.#find(key)]
  }

  /** @param {number} key @param {V} value */
  set(key, value) {
    if (2 * this.#size > this.#mask) this.#resize(2 * this.#keys.length)
    const at = this.#find(key)
    if (this.#keys[at] === FREE) this.#size += 1
    this.#keys[at] = key
    this.#values[at] = value
  }

  /** Takes the entry out. @param {number} key @returns {V | undefined} */
  take(key) {
    const at = this.#find(key)
    const value = this.#values[at]
    if (this.#keys[at] === FREE) return undefined
    this.#close(at)
    this.#size -= 1
    if (this.#size === 0 && this.#keys.length > LARGE) this.#resize(SMALLEST)
    return value
  }

  /** Closes the gap: moves up what a search would no longer find behind it. @param {number} gap */
  #close(gap) {
    const mask = this.#mask
    for (let at = (gap + 1) & mask; this.#keys[at] !== FREE; at = (at + 1) & mask) {
      const home = this.#home(this.#keys[at])
      // How far each is from its own place, going round.
      if (((at - home) & mask) < ((at - gap) & mask)) continue
      this.#keys[gap] = this.#keys[at]
      this.#values[gap] = this.#values[at]
      gap = at
    }
    this.#keys[gap] = FREE
    this.#values[gap] = undefined
  }

  /** @param {number} length A power of two. */
  #resize(length) {
    const [keys, values] = [this.#keys, this.#values]
    this.#keys = new Float64Array(length)
    this.#values = new Array(length).fill(undefined)
    this.#mask = length - 1
    keys.forEach((key, at) => {
      if (key === FREE) return
      const place = this.#find(key)
      this.#keys[place] = key
      this.#values[place] = values[at]
    })
  }
}

module.exports = { NumberTable }
