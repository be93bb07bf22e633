// The metrics of leases: counters that only grow, whatever becomes of stores; the least of what is left; engines as labels.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { Collector } = require('../lib/prometheus/collector')
const { textOf } = require('../lib/prometheus/text')
const { samplesOf } = require('./helpers/prometheus')
const { lease, snapshotOf, store, times } = require('./helpers/snapshots')

/** What a collector says of these leases and stores. */
const told = (collector, parts) => samplesOf(textOf(collector.collect(snapshotOf(parts))))
const valueOf = (samples, name, labels = {}) => {
  const isIt = (one) => one.name === `chainlock_${name}` && Object.entries(labels).every(([key, value]) => one.labels[key] === value)
  return samples.find(isIt)?.value
}
const NO_LOSS = { expired: 0, stolen: 0, gone: 0, session: 0, maxHold: 0, loop: 0, closed: 0 }

test('what a store counts is told by its engine, and never by its address', () => {
  const renew = times({ count: 3, totalMs: 60, buckets: [[4, 2], [56, 3]] })
  const stores = [
    store({ acquisitions: 5, timeouts: 2, conflicts: 4, lost: { ...NO_LOSS, stolen: 1 }, renew }),
    store({ id: '7:store:1', pid: 7, store: 'redis://other:6379/0', acquisitions: 2 }),
    store({ id: '7:store:2', engine: 'etcd', store: 'etcd://there:2379', failed: 1, failedRenewals: 6 }),
  ]
  const samples = told(new Collector(), { stores })
  assert.equal(valueOf(samples, 'lease_acquisitions_total', { store: 'redis', outcome: 'granted' }), 7)
  assert.equal(valueOf(samples, 'lease_acquisitions_total', { store: 'redis', outcome: 'timeout' }), 2)
  assert.equal(valueOf(samples, 'lease_acquisitions_total', { store: 'etcd', outcome: 'failed' }), 1)
  assert.equal(valueOf(samples, 'lease_conflicts_total', { store: 'redis' }), 6)
  assert.equal(valueOf(samples, 'lease_lost_total', { store: 'redis', reason: 'stolen' }), 1)
  assert.equal(valueOf(samples, 'lease_failed_renewals_total', { store: 'etcd' }), 6)
  assert.equal(valueOf(samples, 'lease_renew_seconds_bucket', { store: 'redis', le: '0.005' }), 2)
  assert.ok(!JSON.stringify(samples).includes('://'))
})

test('counters do not fall when a store is closed, forgotten, or its row becomes that of another', () => {
  const collector = new Collector()
  const granted = (stores) => valueOf(told(collector, { stores }), 'lease_acquisitions_total', { store: 'redis', outcome: 'granted' })
  assert.equal(granted([store({ acquisitions: 5 })]), 5)
  assert.equal(granted([store({ acquisitions: 6, open: false })]), 6)
  assert.equal(granted([store({ acquisitions: 7, store: 'redis://other:6379/0' })]), 13)
  assert.equal(granted([]), 13)
})

test('gauges: what is held by class, the least that is left, and whether every store answers', () => {
  const leases = [
    lease({ key: 'task-1', leftMs: 9_000 }),
    lease({ key: 'task-2', leftMs: 4_000 }),
    lease({ key: 'task-3', state: 'waiting', leftMs: 1_000 }),
    lease({ key: 'deploy', state: 'lost' }),
  ]
  const stores = [store(), store({ id: '7:store:0', state: 'down' }), store({ engine: 'etcd', state: 'unused' })]
  const samples = told(new Collector(), { leases, stores })
  const tasks = { lock: 'task-*', store: 'redis' }
  assert.deepEqual(
    ['lease_held', 'lease_waiters', 'lease_ttl_seconds'].map((name) => valueOf(samples, name, tasks)), [2, 1, 4],
  )
  assert.equal(valueOf(samples, 'lease_held', { lock: 'deploy' }), 0)
  assert.equal(valueOf(samples, 'lease_ttl_seconds', { lock: 'deploy' }), undefined)
  assert.equal(valueOf(samples, 'lease_store_up', { store: 'redis' }), 0)
  assert.equal(valueOf(samples, 'lease_store_up', { store: 'etcd' }), undefined, 'nothing was asked yet')
})
