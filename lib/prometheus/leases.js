// From the leases and stores of a snapshot to samples. The label `store` is the engine's name: addresses are nobody's
// business.
// @ts-check
'use strict'

const { CAUSES } = require('../snapshot/leases')
const { WIDTH, layOut } = require('./buckets')
const { Totals } = require('./totals')

/** @typedef {import('../../index').SnapshotStore} SnapshotStore */

/** Where a store's numbers lie; the histogram comes last. */
const OUTCOMES = /** @type {const} */ (['granted', 'timeout', 'aborted', 'refused', 'failed'])
const CONFLICTS = OUTCOMES.length
const FAILED_RENEWALS = CONFLICTS + 1
const LOST = FAILED_RENEWALS + 1
const RENEW = LOST + CAUSES.length

class LeaseTotals {
  #stores = new Totals()

  /**
   * @param {import('../../index').Snapshot} snapshot
   * @param {{ add: Gauge, least: Gauge }} gauges
   * @param {(name: string) => string} classOf The label of a class.
   * @typedef {(name: string, labels: Record<string, string>, value: number) => void} Gauge
   */
  collect({ leases, stores, unseen }, gauges, classOf) {
    for (const store of stores) {
      const labels = { store: store.engine }
      // A row may have become another store's.
      this.#stores.add(`${store.id}:${store.store}`, JSON.stringify(labels), numbersOf(store), store.pid)
      if (store.open && store.state !== 'unused') {
        gauges.least('chainlock_lease_store_up', labels, store.state === 'up' ? 1 : 0)
      }
    }
    for (const { class: name, engine, state, leftMs } of leases) {
      const labels = { lock: classOf(name), store: engine }
      gauges.add('chainlock_lease_held', labels, state === 'held' ? 1 : 0)
      gauges.add('chainlock_lease_waiters', labels, state === 'waiting' ? 1 : 0)
      if (state === 'held' && leftMs !== null) gauges.least('chainlock_lease_ttl_seconds', labels, leftMs / 1_000)
    }
    this.#stores.settle(new Set(unseen.map(({ pid }) => pid)))
  }

  /** @param {(name: string, sample: import('./collector').Sample) => void} put */
  samples(put) {
    for (const [key, numbers] of this.#stores.entries()) {
      const labels = JSON.parse(key)
      put('chainlock_lease_renew_seconds', { labels, histogram: numbers.slice(RENEW, RENEW + WIDTH) })
      for (const [at, outcome] of OUTCOMES.entries()) {
        put('chainlock_lease_acquisitions_total', { labels: { ...labels, outcome }, value: numbers[at] })
      }
      put('chainlock_lease_conflicts_total', { labels, value: numbers[CONFLICTS] })
      put('chainlock_lease_failed_renewals_total', { labels, value: numbers[FAILED_RENEWALS] })
      for (const [at, reason] of CAUSES.entries()) {
        put('chainlock_lease_lost_total', { labels: { ...labels, reason }, value: numbers[LOST + at] })
      }
    }
  }
}

/** @param {SnapshotStore} store */
function numbersOf(store) {
  const numbers = new Float64Array(RENEW + WIDTH)
  const { acquisitions, timeouts, aborts, refused, failed, conflicts, failedRenewals, lost } = store
  numbers.set([acquisitions, timeouts, aborts, refused, failed, conflicts, failedRenewals])
  numbers.set(CAUSES.map((cause) => lost[cause]), LOST)
  layOut(store.renew, numbers, RENEW)
  return numbers
}

module.exports = { LeaseTotals }
