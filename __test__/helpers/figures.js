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

/**
 * What one `call` takes, in microseconds: the least of many short rounds. On a busy machine another process has the
 * processor in the middle of most long ones.
 * @param {() => void} call
 */
function leastUs(call) {
  const [ROUNDS, CALLS] = [300, 200]
  let least = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now()
    for (let count = 0; count < CALLS; count++) call()
    least = Math.min(least, performance.now() - started)
  }
  return (least / CALLS) * 1_000
}

const MB = 2 ** 20

/**
 * Resident memory after the garbage is gone, without the room that the JavaScript heap keeps free for itself,
 * in MB.
 */
function residentMb() {
  collectGarbage()
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return (rss - heapTotal + heapUsed) / MB
}

/**
 * Growth of resident memory over equal rounds of the same work, in MB. What the allocator or the collector
 * does on its own comes in some rounds; a leak comes in every one, so the least growth is the one to judge by.
 * @param {number} rounds
 * @param {(round: number) => unknown} work
 */
async function growthMb(rounds, work) {
  const each = []
  let before = residentMb()
  for (let round = 0; round < rounds; round++) {
    await work(round)
    const now = residentMb()
    each.push(now - before)
    before = now
  }
  const signed = (mb) => `${mb >= 0 ? '+' : ''}${mb.toFixed(2)}`
  return { least: Math.min(...each), text: `${each.map(signed).join(', ')} MB in ${rounds} equal rounds` }
}

function collectGarbage() {
  if (!globalThis.gc) {
    const v8 = require('node:v8')
    v8.setFlagsFromString('--expose-gc')
    // A sweeper on a thread of its own gives pages back by the megabyte while the next round runs: a round that
    // seems to shrink so would hide a leak.
    v8.setFlagsFromString('--no-concurrent-sweeping')
    globalThis.gc = require('node:vm').runInNewContext('gc')
    globalThis.gc()
  }
  globalThis.gc()
}

module.exports = { percentile, random, leastUs, residentMb, growthMb, collectGarbage }
