// From events to what a picture of time shows: spans of waiting, holding and cooldown, hand-offs between holds, counts
// of waiters, and moments at which something went wrong.
// @ts-check
'use strict'

/**
 * @typedef {import('../../index').JournalEvent} JournalEvent
 *
 * @typedef {{
 *   what: 'wait' | 'hold' | 'cooldown',
 *   pid: number,
 *   track: string,
 *   lock: string,
 *   start: number,
 *   end: number,
 *   token: number | null,
 *   blockedBy: string | null,
 *   isOpen: boolean,
 *   handedTo: string[],
 *   handedBy: string | null,
 * }} Span `track` is the layer, or else the thread. `isOpen`: it lasts still. A hand-off's name stands at both ends.
 * @typedef {{ pid: number, lock: string, points: [at: number, waiters: number][] }} Line
 * @typedef {{ what: string, pid: number, lock: string, at: number, token: number | null, other: string | null }} Moment
 * @typedef {{ originMs: number, end: number, spans: Span[], lines: Line[], moments: Moment[] }} Picture `originMs` is
 *   the first event's time since 1970; all other times are whole microseconds from there.
 */

const ENDS_HOLD = ['released', 'failed', 'forced', 'stolen', 'recovered', 'lost']
const ENDS_WAIT = ['acquired', 'timed_out', 'aborted', 'deadlock', 'recovered']
const MOMENTS = ['forced', 'stolen', 'recovered', 'deadlock', 'lost']
/** Between the end of a hold and the next one; what is longer, though somebody waits, is a cooldown. */
const HAND_OFF = 1_000

/**
 * @param {readonly JournalEvent[]} events The oldest first.
 * @param {number} [endMs] What lasts still is drawn up to here. Default: the last event.
 * @returns {Picture}
 */
function pictureOf(events, endMs) {
  const originMs = events[0]?.atMs ?? endMs ?? 0
  const drawing = new Drawing(originMs, Math.max(originMs, events.at(-1)?.atMs ?? originMs, endMs ?? originMs))
  for (const event of events) if (event.lock !== null && event.lockKind !== 'registry') drawing.add(event, event.lock)
  return drawing.finish()
}

/** @param {JournalEvent} event */
function trackOf({ layer, threadId }) {
  if (layer !== null) return layer
  return threadId === null ? 'unknown thread' : threadId === 0 ? 'main' : `w${threadId}`
}

class Drawing {
  /** @type {Span[]} */
  #spans = []
  /** @type {Moment[]} */
  #moments = []
  /** @type {Map<string, Line>} */
  #lines = new Map()
  /** Requests that wait, the oldest first, by who asks for what. @type {Map<string, JournalEvent[]>} */
  #waiting = new Map()
  /** By lock and token. @type {Map<string, Span>} */
  #holding = new Map()
  /** The last hold of each lock that ended. @type {Map<string, Span>} */
  #ended = new Map()
  /** Until when a send lock was seen in its cooldown. @type {Map<string, number>} */
  #coolUntil = new Map()
  #originMs
  #end

  /** @param {number} originMs @param {number} endMs */
  constructor(originMs, endMs) {
    this.#originMs = originMs
    this.#end = this.#place(endMs)
  }

  /** A time in the picture; what was before it is at its beginning. @param {number} atMs */
  #place(atMs) {
    return Math.max(0, Math.round((atMs - this.#originMs) * 1_000))
  }

  /** @param {JournalEvent} event @param {string} lock */
  add(event, lock) {
    const { kind, pid, lockKind, atMs, token, other } = event
    // A host lock is one lock, whichever process tells of it.
    const id = lockKind === 'host' ? `host:${lock}` : `${pid}:${lockKind}:${lock}`
    const holdId = `${id}:${token ?? `${pid}:${trackOf(event)}`}`
    if (kind === 'waiting') this.#wait(event, lock, id)
    const waited = ENDS_WAIT.includes(kind) ? this.#endWait(event, lock, id) : null
    if (ENDS_HOLD.includes(kind)) this.#endHold(event, lock, id, holdId)
    if (kind === 'acquired') this.#hold(event, lock, id, holdId, waited)
    if (kind === 'blocked' && other === 'cooldown') this.#coolUntil.set(id, this.#place(atMs))
    if (MOMENTS.includes(kind)) this.#moments.push({ what: kind, pid, lock, at: this.#place(atMs), token, other })
  }

  /** @param {JournalEvent} event @param {string} lock @param {string} id */
  #wait(event, lock, id) {
    const key = whoAsks(event, id)
    const queue = this.#waiting.get(key)
    if (queue) queue.push(event)
    else this.#waiting.set(key, [event])
    this.#count(event, lock, 1)
  }

  /**
   * The wait that this event ends. Without its beginning among the events, the event knows how long it was.
   * @param {JournalEvent} event
   * @param {string} lock
   * @param {string} id
   */
  #endWait(event, lock, id) {
    const isOfHold = event.kind === 'recovered' && event.token !== null && event.token > 0
    if (isOfHold) return null
    const key = whoAsks(event, id)
    const queue = this.#waiting.get(key)
    const begin = queue?.shift()
    if (queue?.length === 0) this.#waiting.delete(key)
    if (begin) this.#count(event, lock, -1)
    else if (!event.spanMs) return null
    const startMs = begin?.atMs ?? event.atMs - (event.spanMs ?? 0)
    return this.#span('wait', event, lock, this.#place(startMs), this.#place(event.atMs), begin?.other ?? null)
  }

  /**
   * @param {JournalEvent} event
   * @param {string} lock
   * @param {string} id
   * @param {string} holdId
   * @param {Span | null} waited
   */
  #hold(event, lock, id, holdId, waited) {
    const hold = this.#span('hold', event, lock, this.#place(event.atMs), this.#end, null)
    hold.isOpen = true
    this.#holding.set(holdId, hold)
    const before = this.#ended.get(id)
    if (before && waited && before.end >= waited.start) {
      // Tokens are counted by kind of lock; the name of a hand-off is that of no other.
      hold.handedBy = holdId
      before.handedTo.push(holdId)
    }
    if (event.lockKind === 'send') this.#endCooldown(id, waited ? waited.end : 0)
  }

  /** @param {JournalEvent} event @param {string} lock @param {string} id @param {string} holdId */
  #endHold(event, lock, id, holdId) {
    let hold = this.#holding.get(holdId)
    if (!hold) {
      if (event.spanMs === null || event.token === null) return
      hold = this.#span('hold', event, lock, this.#place(event.atMs - event.spanMs), 0, null)
    }
    hold.end = this.#place(event.atMs)
    hold.isOpen = false
    this.#holding.delete(holdId)
    this.#ended.set(id, hold)
    this.#coolUntil.delete(id)
  }

  /**
   * A cooldown leaves no event of its own; it shows in who was refused for it, and in who had to wait for no holder.
   * @param {string} id
   * @param {number} granted When a waiter got it; 0 for none.
   */
  #endCooldown(id, granted) {
    const before = this.#ended.get(id)
    const end = Math.max(granted, this.#coolUntil.get(id) ?? 0)
    this.#coolUntil.delete(id)
    if (!before || end - before.end <= HAND_OFF) return
    this.#put('cooldown', before.pid, before.track, before.lock, before.end, end, null, null)
  }

  /**
   * @param {Span['what']} what
   * @param {JournalEvent} event
   * @param {string} lock
   * @param {number} start
   * @param {number} end
   * @param {string | null} blockedBy
   */
  #span(what, event, lock, start, end, blockedBy) {
    return this.#put(what, event.pid, trackOf(event), lock, start, end, what === 'hold' ? event.token : null, blockedBy)
  }

  /**
   * @param {Span['what']} what
   * @param {number} pid
   * @param {string} track
   * @param {string} lock
   * @param {number} start
   * @param {number} end
   * @param {number | null} token
   * @param {string | null} blockedBy
   * @returns {Span}
   */
  #put(what, pid, track, lock, start, end, token, blockedBy) {
    const span = { what, pid, track, lock, start, end, token, blockedBy, isOpen: false, handedTo: [], handedBy: null }
    this.#spans.push(span)
    return span
  }

  /** @param {JournalEvent} event @param {string} lock @param {number} change */
  #count({ pid, lockKind, atMs }, lock, change) {
    const key = `${pid}:${lockKind}:${lock}`
    let line = this.#lines.get(key)
    if (!line) this.#lines.set(key, (line = { pid, lock, points: [] }))
    const at = this.#place(atMs)
    const last = line.points.at(-1)
    const waiters = (last?.[1] ?? 0) + change
    if (last && last[0] === at) last[1] = waiters
    else line.points.push([at, waiters])
  }

  /** @returns {Picture} */
  finish() {
    for (const id of this.#coolUntil.keys()) this.#endCooldown(id, 0)
    for (const queue of this.#waiting.values()) {
      for (const event of queue) {
        const lock = /** @type {string} */ (event.lock)
        this.#span('wait', event, lock, this.#place(event.atMs), this.#end, event.other).isOpen = true
      }
    }
    const lines = [...this.#lines.values()]
    return { originMs: this.#originMs, end: this.#end, spans: this.#spans, lines, moments: this.#moments }
  }
}

/** @param {JournalEvent} event @param {string} id */
function whoAsks({ pid, threadId, layer, label, mode }, id) {
  // No layer and no label has a NUL in it.
  return `${id}\0${pid}\0${threadId}\0${layer}\0${label}\0${mode}`
}

module.exports = { pictureOf }
