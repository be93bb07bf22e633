// F5, second half: four workers mix the raw fast path and the waiting path on one lock, with a plain counter
// that must come out exact.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { freshProcessLock, chainlock, deep } = require('./helpers/package')
const { runWorker } = require('./helpers/threads')

const WORKERS = 4
const PAIRS = deep(2_000_000_000, 100_000_000)
/** Fewer, where the machine takes longer for them: a busy one takes ten times as long. */
const ENOUGH_MS = deep(Infinity, 120_000)
const FEWEST = PAIRS / 100
/** One pair in so many goes through the line. */
const WAITED_ONE_IN = 5_000

async function mix({ chainlock, data: { cells, pairs, fewest, enoughMs, waitedOneIn }, port }) {
  const { tryAcquireSendLock, releaseSendLock, withSendLock } = chainlock
  const add = () => {
    cells[0] = cells[0] + 1
    // 2^32 is not enough for the deep tier.
    if (cells[0] === 1_000_000_000) {
      cells[0] = 0
      cells[1]++
    }
  }
  let refused = 0
  let left = pairs
  const begun = performance.now()
  while (left > 0 && (pairs - left < fewest || performance.now() - begun < enoughMs)) {
    for (let fast = Math.min(waitedOneIn - 1, left); fast > 0; ) {
      if (!tryAcquireSendLock('window-monitor')) {
        refused++
        continue
      }
      add()
      releaseSendLock('window-monitor')
      fast--
      left--
    }
    if (left === 0) break
    await withSendLock('e2e-executor', add)
    left--
  }
  port.postMessage({ refused, made: pairs - left })
}

test(`F5: up to ${PAIRS} pairs over ${WORKERS} threads, fast path and waiting path mixed`, async (t) => {
  freshProcessLock({ cooldownMs: 0, historyLimit: 100 })
  const cells = new Int32Array(new SharedArrayBuffer(8))
  const started = performance.now()
  const told = await Promise.all(Array.from({ length: WORKERS }, () =>
    runWorker(mix, { cells, pairs: PAIRS / WORKERS, fewest: FEWEST / WORKERS, enoughMs: ENOUGH_MS, waitedOneIn: WAITED_ONE_IN })))
  const seconds = (performance.now() - started) / 1_000
  const counted = cells[1] * 1_000_000_000 + cells[0]
  const { totalAcquisitions, totalReleases, waits } = chainlock.getMetrics()
  const sum = (what) => told.flat().reduce((total, one) => total + one[what], 0)
  const made = sum('made')
  t.diagnostic(`F5: ${made.toLocaleString('en-US')} pairs in ${seconds.toFixed(1)} s (${((seconds / made) * 1e9).toFixed(0)} ns a pair), ` +
    `${waits} waited, ${sum('refused')} tries refused; the counter is exact`)
  freshProcessLock()
  assert.ok(made >= FEWEST && (made === PAIRS || seconds * 1_000 >= ENOUGH_MS), `${made} pairs`)
  assert.equal(counted, made)
  assert.equal(totalAcquisitions, made)
  assert.equal(totalReleases, made)
  assert.ok(waits > 0)
})
