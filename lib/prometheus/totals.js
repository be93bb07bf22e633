// Counters that only grow. A lock that nobody uses any more is forgotten by its process, and its counts with it; a
// counter must not fall with them. So what a source has counted since the last look is added to a total.
// @ts-check
'use strict'

/** @typedef {{ key: string, numbers: Float64Array, pid: number | null }} Source */

/** What is remembered of sources that are not there; those that are there bound themselves. */
const MOST_SOURCES = 10_000

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
    const hasFallen = before !== undefined && numbers.some((number, at) => number < before.numbers[at])
    // A count that fell began anew, also with a new process of the same id: start times are no help, because they move
    // with the clock on the wall. But what processes count together falls when one of them ends.
    if (!hasFallen || pid !== null) {
      for (let at = 0; at < numbers.length; at++) {
        total[at] += before && !hasFallen ? numbers[at] - before.numbers[at] : numbers[at]
      }
    }
    this.#now.set(id, { key, numbers, pid })
    return before === undefined
  }

  /**
   * Ends a round. A lock that is gone counts from 0 when it comes back, so it is forgotten; but what could not be
   * looked at, and what processes share, is there still.
   * @param {ReadonlySet<number>} unseen The processes that could not be looked at.
   */
  settle(unseen) {
    for (const [id, source] of this.#last) {
      if (this.#now.has(id) || this.#now.size >= MOST_SOURCES) continue
      if (source.pid === null || unseen.has(source.pid)) this.#now.set(id, source)
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
