// Metrics out of snapshots: every number is the snapshot's, counters only grow, labels are few and clean, and the text
// is what Prometheus, promtool and prom-client take it for.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Collector } = require('../lib/prometheus/collector')
const { EDGES_MS } = require('../lib/prometheus/buckets')
const { textOf } = require('../lib/prometheus/text')
const { textOfSnapshot } = require('../lib/prometheus')
const { promtool, samplesOf, valueOf } = require('./helpers/prometheus')
const { PID, healthySnapshot, holder, lock, processView, sendLock, snapshotOf, times, waiter } = require('./helpers/snapshots')

/** A snapshot with something in every metric. */
function busySnapshot() {
  const send = {
    duplicatesSuppressed: 12, blockedHeld: 4, blockedCooldown: 5, refusedUnknownLayer: 6, queueFull: 1,
    forcedByReason: { manual: 1, timeout: 2, stale_timeout: 0, thread_exit: 7, process_exit: 0 },
    layers: [
      { layer: 'agent', acquisitions: 150, releases: 149, blocked: 8, forced: 3 },
      { layer: 'e2e-executor', acquisitions: 50, releases: 50, blocked: 4, forced: 0 },
    ],
  }
  return snapshotOf({
    locks: [
      sendLock({ send, holders: [holder({ layer: 'agent' })], timeouts: 2, aborts: 1, forced: 3, recoveries: 7 }),
      lock({ name: 'user-17', holders: [holder({ mode: 'shared' }), holder({ mode: 'shared', token: 42 })], waiters: [waiter()] }),
      lock({ name: 'user-18', acquisitions: 10, wait: times({ count: 3, totalMs: 700, buckets: [[0.5, 1], [300, 3]] }), deadlocks: 2 }),
      lock({ name: 'pool', kind: 'semaphore', forced: 4, recoveries: 2 }),
      lock({ name: 'deploy', kind: 'host', path: '/run/deploy.lock', recoveries: 1 }),
    ],
    processes: [processView({
      deadlocks: 2, orderInversions: 1,
      journal: { path: '/j', pending: 0, written: 9, dropped: 11, lagMs: 3 },
      threads: [{ threadId: 0, name: 'main', since: null, silentMs: 1_500 }, { threadId: 1, name: 'w1', since: null, silentMs: null }],
    })],
  })
}

test('every number of the snapshot arrives under its name', () => {
  const text = textOfSnapshot(busySnapshot())
  const at = (name, labels) => valueOf(text, `chainlock_${name}`, labels)
  const send = { lock: 'send', kind: 'send', scope: 'process' }
  const outcome = (labels) => at('lock_acquisitions_total', labels)
  assert.equal(outcome({ ...send, outcome: 'granted', layer: 'agent' }), 150)
  assert.equal(outcome({ ...send, outcome: 'granted', layer: 'e2e-executor' }), 50)
  assert.equal(outcome({ ...send, outcome: 'refused', layer: 'agent' }), 8)
  assert.equal(outcome({ ...send, outcome: 'timeout' }), 2)
  assert.equal(outcome({ ...send, outcome: 'aborted' }), 1)
  assert.equal(outcome({ lock: 'user-*', outcome: 'granted' }), 210)
  assert.equal(outcome({ lock: 'user-*', outcome: 'deadlock' }), 2)
  assert.equal(at('lock_held', { ...send, mode: 'exclusive' }), 1)
  assert.equal(at('lock_held', { lock: 'user-*', mode: 'shared' }), 2)
  assert.equal(at('lock_held', { lock: 'user-*', mode: 'exclusive' }), 0)
  assert.equal(at('lock_waiters', { lock: 'user-*', mode: 'exclusive' }), 1)
  assert.equal(at('forced_releases_total', { ...send, reason: 'timeout' }), 2)
  assert.equal(at('forced_releases_total', { lock: 'pool', reason: 'manual' }), 4)
  assert.equal(at('stale_recoveries_total', { ...send, cause: 'thread_exit' }), 7)
  assert.equal(at('stale_recoveries_total', { lock: 'pool', cause: 'thread_exit' }), 2)
  assert.equal(at('stale_recoveries_total', { lock: 'deploy', scope: 'host', cause: 'process_exit' }), 1)
  assert.equal(at('send_duplicates_suppressed_total'), 12)
  assert.equal(at('deadlocks_total'), 2)
  assert.equal(at('order_inversions_total'), 1)
  assert.equal(at('journal_dropped_events_total'), 11)
  assert.equal(at('table_slots', { state: 'used' }), 3)
  assert.equal(at('table_slots', { state: 'free' }), 4_093)
  assert.equal(at('table_slots', { state: 'unshown' }), 0)
  assert.equal(at('event_loop_silence_seconds'), 1.5)
  assert.equal(at('build_info', { version: '0.1.0' }), 1)
  assert.equal(at('label_overflow_total'), 0)
})

test('what a send lock counts by layer and what it does not make its total', () => {
  const text = textOfSnapshot(busySnapshot())
  const refused = samplesOf(text).filter(({ labels }) => labels.kind === 'send' && labels.outcome === 'refused')
  assert.equal(refused.reduce((sum, { value }) => sum + value, 0), 12 + 6 + 1)
})

test('the verdicts of the snapshot are counted by rule', () => {
  const bad = { ...snapshotOf(), verdict: [{ rule: 'STUCK' }, { rule: 'STUCK' }, { rule: 'HOT' }] }
  const text = textOfSnapshot(bad)
  assert.equal(valueOf(text, 'chainlock_verdicts', { rule: 'STUCK' }), 2)
  assert.equal(valueOf(text, 'chainlock_verdicts', { rule: 'HOT' }), 1)
  assert.equal(valueOf(textOfSnapshot(snapshotOf()), 'chainlock_verdicts', { rule: 'OK' }), 1)
})

test('a duration is never counted as shorter than it was, and none is lost', () => {
  for (const le of [0.001, 0.4, 0.5, 0.512, 1, 3, 700, 599_999, 600_000, 600_001, 4_000_000]) {
    const text = textOfSnapshot(snapshotOf({ locks: [lock({ hold: times({ count: 5, totalMs: 5 * le, buckets: [[le, 5]] }) })] }))
    const buckets = samplesOf(text).filter(({ name }) => name === 'chainlock_lock_hold_seconds_bucket')
    assert.equal(buckets.length, EDGES_MS.length + 1)
    for (const { labels, value } of buckets) {
      const edgeMs = labels.le === '+Inf' ? Infinity : Number(labels.le) * 1_000
      assert.equal(value, edgeMs >= le ? 5 : 0, `${le} ms in the bucket up to ${edgeMs} ms`)
    }
    assert.equal(valueOf(text, 'chainlock_lock_hold_seconds_count'), 5)
    assert.ok(Math.abs(valueOf(text, 'chainlock_lock_hold_seconds_sum') - (5 * le) / 1_000) < 1e-9)
  }
})

test('counters only grow, though locks are forgotten, counts are reset and processes end', () => {
  const collector = new Collector()
  const total = (locks, more = {}) => {
    const text = textOf(collector.collect(snapshotOf({ locks, ...more })))
    const granted = samplesOf(text).filter(({ name, labels }) => name === 'chainlock_lock_acquisitions_total' && labels.outcome === 'granted')
    return granted.reduce((sum, { value }) => sum + value, 0)
  }
  const user = (number, acquisitions, over) => lock({ name: `user-${number}`, acquisitions, ...over })
  assert.equal(total([user(1, 10), user(2, 5)]), 15)
  assert.equal(total([user(1, 12)]), 17, 'a lock was forgotten')
  assert.equal(total([user(1, 12), user(2, 1)]), 18, 'it came back and counts anew')
  assert.equal(total([user(1, 2), user(2, 1)]), 20, 'the counts were reset')
  assert.equal(total([], { processes: [], unseen: [{ pid: PID, command: null, reason: 'torn', advice: '' }] }), 20)
  assert.equal(total([user(1, 3), user(2, 1)]), 21, 'a process that could not be looked at did not begin anew')
  const later = [processView({ startTimeMs: 1 })]
  assert.equal(total([user(1, 3), user(2, 1)], { processes: later }), 21, 'the clock on the wall was set')
  assert.equal(total([user(1, 100), user(2, 0)], { processes: later }), 118, 'another process with the same id')
  const host = (acquisitions) => user(7, acquisitions, { kind: 'host', scope: 'host', pid: null, id: 'host:/run/user-7' })
  assert.equal(total([host(50)], { processes: later }), 168)
  assert.equal(total([host(20)], { processes: later }), 168, 'one of its processes ended')
  assert.equal(total([], { processes: later }), 168)
  assert.equal(total([host(22)], { processes: later }), 170)
})

test('a hundred classes have series of their own, the rest is other and counted, and that stays so', () => {
  const collector = new Collector()
  const word = (number) => `lock-${[...String(number)].map((digit) => 'abcdefghij'[digit]).join('')}`
  const locks = Array.from({ length: 5_000 }, (_, number) => lock({ name: word(number), acquisitions: 1 }))
  const first = textOf(collector.collect(snapshotOf({ locks })))
  const classesOf = (text) => new Set(samplesOf(text).map(({ labels }) => labels.lock).filter(Boolean))
  assert.equal(classesOf(first).size, 101)
  assert.equal(valueOf(first, 'chainlock_label_overflow_total'), 4_900)
  assert.equal(valueOf(first, 'chainlock_lock_acquisitions_total', { lock: 'other', outcome: 'granted' }), 4_900)
  assert.ok(first.length < 5e6, `${first.length} bytes`)
  const again = textOf(collector.collect(snapshotOf({ locks: locks.reverse() })))
  assert.deepEqual([...classesOf(again)].sort(), [...classesOf(first)].sort())
  assert.equal(valueOf(again, 'chainlock_label_overflow_total'), 4_900)
})

test('no process id, token, label of a hold, path or escape sequence gets into the text', () => {
  const secret = 'label-that-nobody-may-see'
  const names = ['\u001b]0;title\u0007', 'two\nlines', 'quo"te', 'back\\slash', '\u202eright', '\ud800half']
  const held = [holder({ pid: 31_337, token: 987_654, label: secret })]
  const locks = names.map((name, at) => lock({ name, pid: PID, holders: at === 0 ? held : [] }))
  const text = textOfSnapshot(snapshotOf({ locks: [...locks, lock({ name: '/run/secret/x.lock', kind: 'host', path: '/run/secret/x.lock' })] }))
  for (const word of [String(PID), '31337', '987654', secret, '/run']) assert.ok(!text.includes(word), word)
  assert.doesNotMatch(text, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]|\p{Cs}/u)
  const told = new Set(samplesOf(text).map(({ labels }) => labels.lock).filter(Boolean))
  assert.deepEqual([...told].sort(), ['\ufffd]*;title\ufffd', 'two\ufffdlines', 'quo"te', 'back\\slash', '\ufffdright', '\ufffdhalf', 'x.lock'].sort())
})

test('promtool has nothing to say', (t) => {
  for (const seen of [snapshotOf({ processes: [] }), busySnapshot(), ...Array.from({ length: 5 }, (_, seed) => healthySnapshot(seed))]) {
    const said = promtool(['check', 'metrics'], textOfSnapshot(seen))
    if (said === null) return t.skip('NOT TESTED: there is no promtool here (Debian: prometheus)')
    assert.deepEqual(said, { status: 0, output: '' })
  }
})

test('where there are more classes than labels, the busiest have theirs', () => {
  const locks = Array.from({ length: 300 }, (_, number) =>
    lock({ name: `lock-${String.fromCharCode(0x4e00 + number)}`, acquisitions: number }))
  const text = textOfSnapshot(snapshotOf({ locks }))
  assert.equal(valueOf(text, 'chainlock_lock_acquisitions_total', { lock: `lock-${String.fromCharCode(0x4e00 + 299)}`, outcome: 'granted' }), 299)
  assert.ok(!text.includes(`lock-${String.fromCharCode(0x4e00)}`))
})
