// Lanes for spans: in a trace, the spans of one track lie inside of each other or beside each other. What overlaps
// in another way, as spans of asynchronous code do, gets a lane of its own.
// @ts-check
'use strict'

/** In how many lanes a place inside of another span is looked for; a lane that is empty is found without looking. */
const LOOKED_AT = 8

/**
 * @template {{ start: number, end: number }} T
 * @param {T[]} spans
 * @returns {T[][]} Each lane's spans, the outer before the inner.
 */
function lanesOf(spans) {
  const sorted = [...spans].sort((a, b) => a.start - b.start || b.end - a.end)
  /** @type {{ spans: T[], open: T[] }[]} */
  const lanes = []
  const empty = new Heap()
  const busy = new Heap()
  for (const span of sorted) {
    while (busy.least <= span.start) empty.add(busy.takeValue(), 0)
    let at = lanes.slice(0, LOOKED_AT).findIndex(({ open }) => {
      while (open.length > 0 && open[open.length - 1].end <= span.start) open.pop()
      return open.length > 0 && open[open.length - 1].end >= span.end
    })
    if (at === -1) {
      at = empty.size > 0 ? empty.takeValue() : lanes.push({ spans: [], open: [] }) - 1
      lanes[at].open = []
      busy.add(at, span.end)
    }
    lanes[at].spans.push(span)
    lanes[at].open.push(span)
  }
  return lanes.map((lane) => lane.spans)
}

/** Lanes by a number, the least first; among equals the lane that was made first. */
class Heap {
  /** @type {[rank: number, lane: number][]} */
  #items = []

  get size() {
    return this.#items.length
  }

  get least() {
    return this.#items.length > 0 ? this.#items[0][0] : Infinity
  }

  /** @param {number} lane @param {number} rank */
  add(lane, rank) {
    const items = this.#items
    let at = items.push([rank, lane]) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(items[at], items[parent])) break
      ;[items[at], items[parent]] = [items[parent], items[at]]
      at = parent
    }
  }

  takeValue() {
    const items = this.#items
    const [, lane] = items[0]
    const last = /** @type {[number, number]} */ (items.pop())
    if (items.length > 0) items[0] = last
    for (let at = 0; ; ) {
      const children = [2 * at + 1, 2 * at + 2].filter((child) => child < items.length)
      const least = children.reduce((found, child) => (isBefore(items[child], items[found]) ? child : found), at)
      if (least === at) return lane
      ;[items[at], items[least]] = [items[least], items[at]]
      at = least
    }
  }
}

/** @param {[number, number]} one @param {[number, number]} other */
function isBefore(one, other) {
  return one[0] - other[0] < 0 || (one[0] === other[0] && one[1] < other[1])
}

module.exports = { lanesOf }
