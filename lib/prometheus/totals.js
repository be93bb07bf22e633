// Counters that only grow. A lock that nobody uses any more is forgotten by its process, and its counts with it; a
// counter must not fall with them. So what a source has counted since the last look is added to a total.
// @ts-check
'use strict'

/** @typedef {{ key: string, numbers: Float64Array, pid: number | null }} Source */

class Totals {
  /** By series. @type {Map<string, Float64Array>} */
  #totals = new Map()
  /** What each source said last. @type {Map<string, Source>} */
  #last = new Map()
  /** What each source says in this round. @type {Map<string, Source>} */
  #now = new Map()

  /**
   * @param {string} id The source: one lock of one process, say.
   * @param {string} key The series that it counts in.
   * @param {Float64Array} numbers Its counts. They are kept.
   * @param {number | null} pid Its process; null for what several processes count together.
   * @returns {boolean} Whether the source is new.
   */
  add(id, key, numbers, pid) {
    const before = this.#last.get(id)
    let total = this.#totals.get(key)
    if (!total) this.#totals.set(key, (total = new Float64Array(numbers.length)))
    // A count that fell began anew. What processes count together falls when one of them ends: nothing came anew.
    const restarted = before !== undefined && numbers.some((number, at) => number < before.numbers[at])
    for (let at = 0; at < numbers.length; at++) {
      const since = before && !(restarted && pid !== null) ? before.numbers[at] : 0
      total[at] += Math.max(0, numbers[at] - since)
    }
    this.#now.set(id, { key, numbers, pid })
    return before === undefined
  }

  /**
   * Ends a round. Sources that were not there are forgotten, but not those of processes that could not be looked at.
   * @param {ReadonlySet<number>} unseen
   */
  settle(unseen) {
    for (const [id, source] of this.#last) {
      if (source.pid !== null && unseen.has(source.pid) && !this.#now.has(id)) this.#now.set(id, source)
    }
    this.#last = this.#now
    this.#now = new Map()
  }

  entries() {
    return this.#totals.entries()
  }

  /** @param {string} key */
  get(key) {
    return this.#totals.get(key)
  }
}

module.exports = { Totals }
