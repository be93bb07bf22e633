// F5, second half: four workers mix the raw fast path and the waiting path on one lock, with a plain counter
// that must come out exact.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { freshProcessLock, chainlock, deep } = require('./helpers/package')
const { runWorker } = require('./helpers/threads')

const WORKERS = 4
const PAIRS = deep(2_000_000_000, 100_000_000)
/** One pair in so many goes through the line. */
const WAITED_ONE_IN = 5_000

async function mix({ chainlock, data: { cells, pairs, waitedOneIn }, port }) {
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
  for (let left = pairs; left > 0; ) {
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
  port.postMessage(refused)
}

test(`F5: ${PAIRS} pairs over ${WORKERS} threads, fast path and waiting path mixed`, async (t) => {
  freshProcessLock({ cooldownMs: 0, historyLimit: 100 })
  const cells = new Int32Array(new SharedArrayBuffer(8))
  const started = performance.now()
  const refused = await Promise.all(Array.from({ length: WORKERS }, () =>
    runWorker(mix, { cells, pairs: PAIRS / WORKERS, waitedOneIn: WAITED_ONE_IN })))
  const seconds = (performance.now() - started) / 1_000
  const counted = cells[1] * 1_000_000_000 + cells[0]
  const { totalAcquisitions, totalReleases, waits } = chainlock.getMetrics()
  t.diagnostic(`F5: ${PAIRS.toLocaleString('en-US')} pairs in ${seconds.toFixed(1)} s (${((seconds / PAIRS) * 1e9).toFixed(0)} ns a pair), ` +
    `${waits} waited, ${refused.flat().reduce((sum, count) => sum + count, 0)} tries refused; the counter is exact`)
  freshProcessLock()
  assert.equal(counted, PAIRS)
  assert.equal(totalAcquisitions, PAIRS)
  assert.equal(totalReleases, PAIRS)
  assert.ok(waits > 0)
})
