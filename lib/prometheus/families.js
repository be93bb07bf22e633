// Every metric that chainlock has: the one list of names, types, labels and meanings. docs/metrics.md shows it.
// @ts-check
'use strict'

/**
 * @typedef {{
 *   name: string,
 *   type: 'counter' | 'gauge' | 'histogram',
 *   labels: readonly string[],
 *   unit: 's' | null,
 *   help: string,
 *   together: 'sum' | 'max' | 'min',
 * }} Family `together` is what several processes' values make as one.
 */

const LOCK = ['lock', 'kind', 'scope']
const OF_THE_MOST = ['event_loop_silence_seconds', 'build_info']
const OF_THE_LEAST = ['lease_ttl_seconds', 'lease_store_up']

/** @type {readonly Family[]} */
const FAMILIES = [
  family('lock_wait_seconds', 'histogram', LOCK, 'How long granted requests had waited.'),
  family('lock_hold_seconds', 'histogram', LOCK, 'How long locks were held.'),
  family('lock_acquisitions_total', 'counter', [...LOCK, 'outcome', 'layer'],
    'How requests ended; layer only for send locks.'),
  family('lock_held', 'gauge', [...LOCK, 'mode'], 'Holds at this moment.'),
  family('lock_waiters', 'gauge', [...LOCK, 'mode'], 'Requests that wait at this moment.'),
  family('send_duplicates_suppressed_total', 'counter', [],
    'Requests refused because the lock was held, in its cooldown, or the message sent.'),
  family('forced_releases_total', 'counter', [...LOCK, 'reason'], 'Holds taken away from a living holder.'),
  family('stale_recoveries_total', 'counter', [...LOCK, 'cause'], 'Holds taken back from a holder that ended.'),
  family('deadlocks_total', 'counter', [], 'Deadlocks found.'),
  family('order_inversions_total', 'counter', [], 'Pairs of locks seen in both orders.'),
  family('lease_renew_seconds', 'histogram', ['store'], "From a lease renewal's request to its answer."),
  family('lease_acquisitions_total', 'counter', ['store', 'outcome'], 'How requests for leases ended.'),
  family('lease_conflicts_total', 'counter', ['store'], 'Requests for leases that were not granted at once.'),
  family('lease_lost_total', 'counter', ['store', 'reason'], 'Leases that ended without a release.'),
  family('lease_failed_renewals_total', 'counter', ['store'], 'Renewals without an answer, or refused.'),
  family('lease_held', 'gauge', ['lock', 'store'], 'Leases held at this moment.'),
  family('lease_waiters', 'gauge', ['lock', 'store'], 'Requests for leases that wait at this moment.'),
  family('lease_ttl_seconds', 'gauge', ['lock', 'store'],
    'Until the held lease that ends first is over, unless it is renewed.'),
  family('lease_store_up', 'gauge', ['store'], '1 when every store of that engine answered its last request.'),
  family('table_slots', 'gauge', ['state'], 'Places for locks in the lock table; unshown are locks without one.'),
  family('event_loop_silence_seconds', 'gauge', [], 'For how long the most silent event loop has not turned.'),
  family('journal_dropped_events_total', 'counter', [], 'Events that did not get into the journal.'),
  family('verdicts', 'gauge', ['rule'], 'Verdicts at this moment, by rule; OK is 1 when there is no other.'),
  family('label_overflow_total', 'counter', [],
    'Names that got the label "other", because there were too many classes.'),
  family('build_info', 'gauge', ['version'], 'Always 1; the version of chainlock is in the label.'),
]

/**
 * @param {string} name
 * @param {Family['type']} type
 * @param {readonly string[]} labels
 * @param {string} help
 * @returns {Family}
 */
function family(name, type, labels, help) {
  const together = OF_THE_MOST.includes(name) ? 'max' : OF_THE_LEAST.includes(name) ? 'min' : 'sum'
  return { name: `chainlock_${name}`, type, labels, unit: name.endsWith('_seconds') ? 's' : null, help, together }
}

module.exports = { FAMILIES }
