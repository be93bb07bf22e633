// The buckets of the histograms: those of the lock table, which are many, laid onto a short fixed list.
// @ts-check
'use strict'

/** The upper edges in ms; what is longer is only in the bucket of all. */
const EDGES_MS = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
]
/** One number a bucket, each without those before it, then the longer ones, then the sum in ms. */
const WIDTH = EDGES_MS.length + 2
const SUM = WIDTH - 1

/**
 * Writes one histogram's numbers into `into` from `at` on. A bucket of the table that lies over an edge counts as
 * longer than the edge: nothing is ever told to be shorter than it was.
 * @param {{ count: number, totalMs: number, buckets?: readonly (readonly [number, number])[] }} times
 * @param {Float64Array} into
 * @param {number} at
 */
function layOut(times, into, at) {
  let edge = 0
  let seen = 0
  for (const [le, cumulative] of times.buckets ?? []) {
    while (edge < EDGES_MS.length && EDGES_MS[edge] < le) edge++
    if (edge === EDGES_MS.length) break
    into[at + edge] += cumulative - seen
    seen = cumulative
  }
  into[at + EDGES_MS.length] = Math.max(0, times.count - seen)
  into[at + SUM] = times.totalMs
}

module.exports = { EDGES_MS, WIDTH, SUM, layOut }
