// Figures: percentiles of measured times, and how they are printed.
'use strict'

/** The value below which `share` of the values lie. */
function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** Repeatable random numbers: the same seed gives the same sequence of [0, 1). */
function random(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32
  }
}

/** Resident memory after the garbage is gone, in MB. Needs --expose-gc or gets it. */
function residentMb() {
  collectGarbage()
  return process.memoryUsage.rss() / 2 ** 20
}

function collectGarbage() {
  if (!globalThis.gc) {
    require('node:v8').setFlagsFromString('--expose-gc')
    globalThis.gc = require('node:vm').runInNewContext('gc')
  }
  globalThis.gc()
}

module.exports = { percentile, random, residentMb, collectGarbage }
