// What the monitor remembers: who held, waited for and cooled down which lock in the last minutes, and how the
// counters grew. It learns from one snapshot after the other, from their recent events and from journal rows.
// @ts-check
'use strict'

/** @typedef {import('./types').Snapshot} Snapshot */
/** @typedef {import('./types').LockView} LockView */
/** @typedef {import('./types').HolderView} HolderView */
/** @typedef {import('./types').RecentEvent} RecentEvent */
/** @typedef {import('./types').Recent} Recent */
/** @typedef {import('./types').Track} Track */
/** @typedef {import('./types').SpanKind} SpanKind */
/** @typedef {import('./types').Contention} Contention */

const MINUTE = 60_000
const KEEP_MS = 10 * MINUTE
const SAMPLE_EVERY_MS = 5_000
/** What one picture can use, and what a name in each event may not exceed: the oldest goes first. */
const MAX_TRACKS = 500
const MAX_SPANS = 2_000
const MAX_RECENT = 500
/** Two accounts of one hold, by a snapshot and by an event, differ by the rounding of their times. */
const TOUCHING_MS = 2

/** @type {Record<string, SpanKind>} */
const ENDS = {
  acquired: 'wait',
  timed_out: 'wait',
  aborted: 'wait',
  released: 'hold',
  forced: 'hold',
  recovered: 'hold',
  stolen: 'hold',
  failed: 'hold',
}

/**
 * The name under which a holder or a waiter appears: its layer, or else its thread.
 * @typedef {Partial<Pick<HolderView, 'thread' | 'command'>>} Where What an event does not tell.
 * @param {Pick<RecentEvent, 'layer' | 'threadId'> & { pid: number | null } & Where} who
 */
function trackName(who) {
  if (who.layer !== null) return who.layer
  if (who.pid === null) return 'unknown'
  const thread = who.thread ?? (who.threadId === null ? null : who.threadId === 0 ? 'main' : `w${who.threadId}`)
  if (thread === null) return who.command ? `${who.command} ${who.pid}` : String(who.pid)
  return `${who.pid}/${thread}`
}

class Recorder {
  /** @param {{ keepMs?: number }} [options] */
  constructor({ keepMs = KEEP_MS } = {}) {
    this.keepMs = keepMs
    /** @type {Map<string, Track>} */
    this.tracks = new Map()
    /** @type {{ atMs: number, counters: Map<string, Counters> }[]} */
    this.samples = []
    /**
     * Which event of a lock was the last one taken: events come again with each snapshot.
     * @type {Map<string, number>}
     */
    this.taken = new Map()
    /** Events of all locks, oldest first. @type {Recent[]} */
    this.recent = []
    this.startedMs = 0
  }

  /** @param {Snapshot} snapshot */
  take(snapshot) {
    const now = snapshot.takenAtMs
    if (this.startedMs === 0) this.startedMs = now
    /** @type {Recent[]} */
    const fresh = []
    for (const lock of snapshot.locks) {
      // What has ended comes before what lasts: a stretch of time continues the last one of its kind.
      this.takeEvents(lock, fresh)
      this.takePresent(lock, now)
    }
    this.remember(fresh)
    this.sample(snapshot)
    this.forget(now, snapshot)
  }

  /** @param {readonly import('./types').JournalEvent[]} events Rows of the journal, oldest first. */
  takeJournal(events) {
    const fresh = []
    /** @type {Map<string, number>} */
    const last = new Map()
    for (const event of events) {
      const lockId = `${event.pid}:${event.lockKind}:${event.lock}`
      if (event.atMs <= (this.taken.get(lockId) ?? 0)) continue
      this.takeEnd(lockId, event.lock, event.pid, event)
      fresh.push(event)
      last.set(lockId, event.atMs)
    }
    for (const [lockId, atMs] of last) this.taken.set(lockId, atMs)
    this.remember(fresh)
  }

  /** @private @param {LockView} lock @param {number} now */
  takePresent(lock, now) {
    for (const holder of lock.holders) {
      if (holder.heldMs !== null) this.add(trackName(holder), holder.pid, 'hold', lock, now - holder.heldMs, now)
    }
    for (const waiter of lock.waiters) {
      if (waiter.waitedMs !== null) this.add(trackName(waiter), waiter.pid, 'wait', lock, now - waiter.waitedMs, now)
    }
    if (lock.state === 'cooldown' && lock.send !== null) {
      const last = lock.events.findLast((event) => ENDS[event.kind] === 'hold')
      const began = now - Math.max(0, lock.send.cooldownMs - lock.send.cooldownLeftMs)
      // A cooldown that counts from the acquisition has begun under the hold, which is drawn over it.
      if (last)
        this.add(trackName({ ...last, pid: lock.pid }), lock.pid, 'cooldown', lock, Math.max(began, last.atMs), now)
    }
  }

  /** @private @param {LockView} lock @param {Recent[]} fresh */
  takeEvents(lock, fresh) {
    const before = this.taken.get(lock.id) ?? 0
    for (const event of lock.events) {
      if (event.atMs <= before) continue
      this.takeEnd(lock.id, lock.name, lock.pid, event)
      fresh.push({ ...event, pid: lock.pid, lock: lock.name })
      this.taken.set(lock.id, event.atMs)
    }
  }

  /**
   * @private @param {string} id @param {string | null} name @param {number | null} pid
   * @param {Omit<RecentEvent, 'kind'> & { kind: string }} event
   */
  takeEnd(id, name, pid, event) {
    const kind = ENDS[event.kind]
    if (kind === undefined || event.spanMs === null) return
    if (event.layer === null && event.threadId === null) return
    this.add(trackName({ ...event, pid }), pid, kind, { id, name }, event.atMs - event.spanMs, event.atMs)
  }

  /**
   * Adds a stretch of time to a track, or lengthens the one that it continues.
   * @private @param {string} name @param {number | null} pid @param {SpanKind} kind
   * @param {{ id: string, name: string | null }} lock @param {number} fromMs @param {number} toMs
   */
  add(name, pid, kind, lock, fromMs, toMs) {
    const key = `${pid} ${name}`
    let track = this.tracks.get(key)
    if (track === undefined) {
      track = { key, name, pid, spans: [], lastMs: 0, latest: new Map() }
      this.tracks.set(key, track)
    }
    track.lastMs = Math.max(track.lastMs, toMs)
    const kindAndLock = `${kind} ${lock.id}`
    const latest = track.latest.get(kindAndLock)
    if (latest && fromMs <= latest.toMs + TOUCHING_MS && toMs >= latest.fromMs - TOUCHING_MS) {
      latest.fromMs = Math.min(latest.fromMs, fromMs)
      latest.toMs = Math.max(latest.toMs, toMs)
      return
    }
    const span = { kind, lockId: lock.id, lock: lock.name, fromMs, toMs }
    track.spans.push(span)
    if (!latest || latest.toMs < toMs) track.latest.set(kindAndLock, span)
    if (track.spans.length > MAX_SPANS) track.spans.shift()
  }

  /** @private @param {Recent[]} events */
  remember(events) {
    if (events.length === 0) return
    this.recent = [...this.recent, ...events].sort((a, b) => a.atMs - b.atMs).slice(-MAX_RECENT)
  }

  /** @private @param {Snapshot} snapshot */
  sample(snapshot) {
    const last = this.samples.at(-1)
    if (last && snapshot.takenAtMs - last.atMs < SAMPLE_EVERY_MS) return
    this.samples.push({ atMs: snapshot.takenAtMs, counters: countersOf(snapshot) })
  }

  /** @private @param {number} now @param {Snapshot} snapshot */
  forget(now, snapshot) {
    while (this.samples.length > 1 && /** @type {any} */ (this.samples[1]).atMs <= now - MINUTE) this.samples.shift()
    const oldestMs = now - this.keepMs
    for (const [key, track] of this.tracks) {
      if (track.lastMs < oldestMs) this.tracks.delete(key)
      else if ((track.spans[0]?.toMs ?? now) < oldestMs) {
        track.spans = track.spans.filter((span) => span.toMs >= oldestMs)
        for (const [lock, span] of track.latest) if (span.toMs < oldestMs) track.latest.delete(lock)
      }
    }
    if (this.tracks.size > MAX_TRACKS) {
      const oldest = [...this.tracks.values()].sort((a, b) => a.lastMs - b.lastMs)
      for (const track of oldest.slice(0, this.tracks.size - MAX_TRACKS)) this.tracks.delete(track.key)
    }
    if (this.taken.size > 2 * snapshot.locks.length + MAX_TRACKS) {
      const here = new Set(snapshot.locks.map((lock) => lock.id))
      for (const id of this.taken.keys()) if (!here.has(id)) this.taken.delete(id)
    }
  }

  /**
   * How the counters grew in the last minute, or since the monitor began to look.
   * @param {Snapshot} snapshot
   * @returns {import('./types').Growth}
   */
  growth(snapshot) {
    const first = this.samples[0]
    const overMs = first ? snapshot.takenAtMs - first.atMs : 0
    const total = { acquisitions: 0, contended: 0, timeouts: 0, forced: 0 }
    /** @type {Contention[]} */
    const locks = []
    for (const lock of snapshot.locks) {
      const then = first?.counters.get(lock.id)
      // A lock that was not there yet when the minute began has grown from nothing.
      const grown = (/** @type {keyof Counters} */ name, /** @type {number} */ value) => {
        return first === undefined ? 0 : Math.max(0, value - (then?.[name] ?? 0))
      }
      const contended = grown('contended', lock.contended)
      total.acquisitions += grown('acquisitions', lock.acquisitions)
      total.contended += contended
      total.timeouts += grown('timeouts', lock.timeouts)
      total.forced += grown('forced', lock.forced)
      const waiting = lock.waiters.map((waiter) => waiter.waitedMs ?? 0)
      if (contended === 0 && lock.waiterCount === 0) continue
      locks.push({
        id: lock.id,
        name: lock.name,
        waits: contended + lock.waiterCount,
        totalMs: grown('waitMs', lock.wait.totalMs) + waiting.reduce((sum, ms) => sum + ms, 0),
        maxMs: Math.max(lock.wait.maxMs, ...waiting.slice(0, 100)),
      })
    }
    locks.sort((a, b) => b.totalMs - a.totalMs || b.waits - a.waits)
    return { overMs, ...total, locks }
  }
}

/** @typedef {{ acquisitions: number, contended: number, timeouts: number, forced: number, waitMs: number }} Counters */

/** @param {Snapshot} snapshot @returns {Map<string, Counters>} */
function countersOf({ locks }) {
  return new Map(
    locks.map((lock) => {
      const { acquisitions, contended, timeouts, forced } = lock
      return [lock.id, { acquisitions, contended, timeouts, forced, waitMs: lock.wait.totalMs }]
    }),
  )
}

module.exports = { Recorder, trackName, KEEP_MS }
