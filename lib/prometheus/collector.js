// From a snapshot to samples. A collector is kept from look to look, so that its counters only grow and a series
// keeps its labels; nothing here knows anything that the snapshot does not say.
// @ts-check
'use strict'

const { WIDTH, layOut } = require('./buckets')
const { LabelValues } = require('./labels')
const { LeaseTotals } = require('./leases')
const { Totals } = require('./totals')

/**
 * @typedef {import('../../index').Snapshot} Snapshot
 * @typedef {import('../../index').SnapshotLock} SnapshotLock
 *
 * One series at one moment; a histogram's numbers are laid out as in `buckets.js`.
 * @typedef {Record<string, string>} Labels
 * @typedef {{ labels: Labels, value: number } | { labels: Labels, histogram: Float64Array }} Sample
 * @typedef {Map<string, Sample[]>} Samples By the metric's name.
 */

/** Where a lock's numbers lie; the two histograms come last. */
const OUTCOMES = /** @type {const} */ (['granted', 'timeout', 'aborted', 'refused', 'deadlock'])
const FORCED = OUTCOMES.length
const RECOVERED = FORCED + 1
const WAIT = RECOVERED + 1
const HOLD = WAIT + WIDTH
const LOCK_NUMBERS = HOLD + WIDTH

const FORCE_REASONS = /** @type {const} */ (['manual', 'timeout', 'stale_timeout'])
const RECOVERY_CAUSES = /** @type {const} */ (['thread_exit', 'process_exit'])
const SEND_REASONS = [...FORCE_REASONS, ...RECOVERY_CAUSES]

const PROCESS_COUNTS = /** @type {const} */ ({
  chainlock_deadlocks_total: 0,
  chainlock_order_inversions_total: 1,
  chainlock_journal_dropped_events_total: 2,
})

class Collector {
  #classes = new LabelValues()
  #layers = new LabelValues()
  #versions = new LabelValues()
  #locks = new Totals()
  #layerCounts = new Totals()
  #sendReasons = new Totals()
  #processes = new Totals()
  #suppressed = new Totals()
  #leases = new LeaseTotals()
  #overflow = 0

  /**
   * @param {Snapshot} snapshot Of the same processes at every look.
   * @returns {Samples}
   */
  collect(snapshot) {
    const gauges = new Gauges()
    // The busiest first, as long as there are labels to give.
    const locks = [...snapshot.locks].sort((a, b) => b.acquisitions - a.acquisitions)
    for (const lock of locks) this.#countLock(lock, gauges)
    for (const process of snapshot.processes) this.#countProcess(process, gauges)
    this.#leases.collect(snapshot, gauges, (name) => this.#classes.of(name))
    const unseen = new Set(snapshot.unseen.map(({ pid }) => pid))
    const all = [this.#locks, this.#layerCounts, this.#sendReasons, this.#processes, this.#suppressed]
    for (const totals of all) totals.settle(unseen)
    return this.#samples(snapshot, gauges)
  }

  /** @param {SnapshotLock} lock @param {Gauges} gauges */
  #countLock(lock, gauges) {
    const name = classIn(lock)
    const isOther = this.#classes.overflows(name)
    const labels = { lock: this.#classes.of(name), kind: lock.kind, scope: lock.scope }
    const key = JSON.stringify(labels)
    const isNew = this.#locks.add(lock.id, key, numbersOf(lock), lock.pid)
    if (isNew && isOther) this.#overflow += 1
    if (lock.send) this.#countSend(lock.send, lock.id, labels, lock.pid)
    for (const [mode, holders, waiters] of byMode(lock)) {
      gauges.add('chainlock_lock_held', { ...labels, mode }, holders)
      gauges.add('chainlock_lock_waiters', { ...labels, mode }, waiters)
    }
  }

  /**
   * @param {NonNullable<SnapshotLock['send']>} send
   * @param {string} id
   * @param {Record<string, string>} labels
   * @param {number | null} pid
   */
  #countSend(send, id, labels, pid) {
    const key = JSON.stringify(labels)
    this.#suppressed.add(id, '', Float64Array.of(send.duplicatesSuppressed), pid)
    this.#sendReasons.add(id, key, Float64Array.from(SEND_REASONS, (reason) => send.forcedByReason[reason]), pid)
    for (const { layer, acquisitions, blocked } of send.layers) {
      const layerKey = JSON.stringify({ ...labels, layer: this.#layers.of(layer) })
      this.#layerCounts.add(`${id}:${layer}`, layerKey, Float64Array.of(acquisitions, blocked), pid)
    }
  }

  /** @param {Snapshot['processes'][number]} process @param {Gauges} gauges */
  #countProcess({ pid, version, deadlocks, orderInversions, journal, table, threads }, gauges) {
    const counts = Float64Array.of(deadlocks, orderInversions, journal?.dropped ?? 0)
    this.#processes.add(String(pid), '', counts, pid)
    gauges.add('chainlock_table_slots', { state: 'used' }, table.used)
    gauges.add('chainlock_table_slots', { state: 'free' }, table.slots - table.used)
    gauges.add('chainlock_table_slots', { state: 'unshown' }, table.unshown)
    gauges.most('chainlock_build_info', { version: this.#versions.of(version ?? 'unknown') }, 1)
    const silences = threads.map(({ silentMs }) => silentMs ?? 0)
    gauges.most('chainlock_event_loop_silence_seconds', {}, Math.max(0, ...silences) / 1_000)
  }

  /** @param {Snapshot} snapshot @param {Gauges} gauges @returns {Samples} */
  #samples(snapshot, gauges) {
    for (const { rule } of snapshot.verdict) gauges.add('chainlock_verdicts', { rule }, 1)
    const samples = gauges.samples
    const put = (/** @type {string} */ name, /** @type {Sample} */ sample) => void listOf(samples, name).push(sample)
    for (const [key, numbers] of this.#locks.entries()) {
      const labels = JSON.parse(key)
      put('chainlock_lock_wait_seconds', { labels, histogram: numbers.slice(WAIT, WAIT + WIDTH) })
      put('chainlock_lock_hold_seconds', { labels, histogram: numbers.slice(HOLD, HOLD + WIDTH) })
      this.#putOutcomes(labels, numbers, put)
      this.#putEnds(labels, key, numbers, put)
    }
    this.#leases.samples(put)
    const processes = this.#processes.get('')
    for (const [name, at] of Object.entries(PROCESS_COUNTS)) put(name, { labels: {}, value: processes?.[at] ?? 0 })
    const suppressed = this.#suppressed.get('')?.[0] ?? 0
    put('chainlock_send_duplicates_suppressed_total', { labels: {}, value: suppressed })
    put('chainlock_label_overflow_total', { labels: {}, value: this.#overflow })
    return samples
  }

  /**
   * How requests ended. What a send lock knows by layer is told by layer, and the rest without.
   * @param {Record<string, string>} labels
   * @param {Float64Array} numbers
   * @param {(name: string, sample: Sample) => void} put
   */
  #putOutcomes(labels, numbers, put) {
    const layered = [0, 0]
    if (labels.kind === 'send') {
      for (const [key, counts] of this.#layerCounts.entries()) {
        const { layer, ...of } = JSON.parse(key)
        if (of.lock !== labels.lock || of.scope !== labels.scope) continue
        for (const [at, outcome] of /** @type {const} */ (['granted', 'refused']).entries()) {
          layered[at] += counts[at]
          put('chainlock_lock_acquisitions_total', { labels: { ...labels, outcome, layer }, value: counts[at] })
        }
      }
    }
    for (const [at, outcome] of OUTCOMES.entries()) {
      const byLayer = outcome === 'granted' ? layered[0] : outcome === 'refused' ? layered[1] : 0
      const rest = Math.max(0, numbers[at] - byLayer)
      if (rest === 0 && byLayer > 0) continue
      put('chainlock_lock_acquisitions_total', { labels: { ...labels, outcome }, value: rest })
    }
  }

  /**
   * Holds that did not end by a release. A send lock knows why; elsewhere only a program or a person takes a hold
   * away, and only the end of its thread, or with a host lock of its process, gives one back.
   * @param {Record<string, string>} labels
   * @param {string} key
   * @param {Float64Array} numbers
   * @param {(name: string, sample: Sample) => void} put
   */
  #putEnds(labels, key, numbers, put) {
    const known = this.#sendReasons.get(key)
    const of = (/** @type {string} */ reason) => known?.[SEND_REASONS.indexOf(/** @type {any} */ (reason))] ?? 0
    const reasons = known ? FORCE_REASONS.map((reason) => [reason, of(reason)]) : [['manual', numbers[FORCED]]]
    const usual = labels.scope === 'host' ? 'process_exit' : 'thread_exit'
    const causes = known ? RECOVERY_CAUSES.map((cause) => [cause, of(cause)]) : [[usual, numbers[RECOVERED]]]
    for (const [reason, value] of reasons) {
      put('chainlock_forced_releases_total', { labels: { ...labels, reason: String(reason) }, value: Number(value) })
    }
    for (const [cause, value] of causes) {
      put('chainlock_stale_recoveries_total', { labels: { ...labels, cause: String(cause) }, value: Number(value) })
    }
  }
}

/** Gauges of one look, those with the same labels together. */
class Gauges {
  /** @type {Samples} */
  samples = new Map()
  /** @type {Map<string, { labels: Record<string, string>, value: number }>} */
  #byLabels = new Map()

  /** @param {string} name @param {Record<string, string>} labels @param {number} value */
  add(name, labels, value) {
    this.#at(name, labels).value += value
  }

  /** @param {string} name @param {Record<string, string>} labels @param {number} value */
  most(name, labels, value) {
    const sample = this.#at(name, labels)
    sample.value = Math.max(sample.value, value)
  }

  /** @param {string} name @param {Record<string, string>} labels @param {number} value */
  least(name, labels, value) {
    const sample = this.#at(name, labels, Infinity)
    sample.value = Math.min(sample.value, value)
  }

  /** @param {string} name @param {Record<string, string>} labels */
  #at(name, labels, first = 0) {
    const key = name + JSON.stringify(labels)
    let sample = this.#byLabels.get(key)
    if (!sample) {
      this.#byLabels.set(key, (sample = { labels, value: first }))
      listOf(this.samples, name).push(sample)
    }
    return sample
  }
}

/** @param {Samples} samples @param {string} name */
function listOf(samples, name) {
  let list = samples.get(name)
  if (!list) samples.set(name, (list = []))
  return list
}

/** A host lock may be called by its path; which folder that is is nobody's business. @param {SnapshotLock} lock */
function classIn(lock) {
  return lock.kind === 'host' ? lock.class.replace(/^.*[/\\]/, '') : lock.class
}

/** @param {SnapshotLock} lock */
function numbersOf(lock) {
  const numbers = new Float64Array(LOCK_NUMBERS)
  const { send } = lock
  const refused = send ? send.duplicatesSuppressed + send.refusedUnknownLayer + send.queueFull : 0
  numbers.set([lock.acquisitions, lock.timeouts, lock.aborts, refused, lock.deadlocks, lock.forced, lock.recoveries])
  layOut(lock.wait, numbers, WAIT)
  layOut(lock.hold, numbers, HOLD)
  return numbers
}

/**
 * Holds and waiters by mode, with those modes that the lock can have: a free lock's gauges are 0 and not gone.
 * @param {SnapshotLock} lock
 * @returns {[mode: string, holders: number, waiters: number][]}
 */
function byMode({ kind, mode, holders, holderCount, waiters, waiterCount }) {
  if (kind === 'send') return [['exclusive', holderCount, waiterCount]]
  if (kind === 'semaphore') return [['shared', holderCount, waiterCount]]
  // All who hold a lock hold it in one mode. Of long lines not everybody is listed: the rest counts like the last.
  const exclusive = waiters.filter((waiter) => waiter.mode === 'exclusive').length
  const unlisted = Math.max(0, waiterCount - waiters.length)
  const isRestExclusive = waiters.at(-1)?.mode !== 'shared'
  return [
    ['exclusive', mode === 'shared' ? 0 : holderCount, exclusive + (isRestExclusive ? unlisted : 0)],
    ['shared', mode === 'shared' ? holderCount : 0, waiters.length - exclusive + (isRestExclusive ? 0 : unlisted)],
  ]
}

module.exports = { Collector }
