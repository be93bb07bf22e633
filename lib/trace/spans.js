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
 *   startMs: number,
 *   endMs: number,
 *   token: number | null,
 *   blockedBy: string | null,
 *   isOpen: boolean,
 *   handedTo: string[],
 *   handedBy: string | null,
 * }} Span `track` is the layer, or else the thread. `isOpen`: it lasts still. A hand-off's name stands at both ends.
 * @typedef {{ pid: number, lock: string, points: [atMs: number, waiters: number][] }} Line
 * @typedef {{ what: string, pid: number, lock: string, atMs: number, token: number | null, other: string | null }} Moment
 * @typedef {{ startMs: number, endMs: number, spans: Span[], lines: Line[], moments: Moment[] }} Picture
 */

const ENDS_HOLD = ['released', 'failed', 'forced', 'stolen', 'recovered', 'lost']
const ENDS_WAIT = ['acquired', 'timed_out', 'aborted', 'deadlock', 'recovered']
const MOMENTS = ['forced', 'stolen', 'recovered', 'deadlock', 'lost']
/** Between the end of a hold and the next one; what is longer, though somebody waits, is a cooldown. */
const HAND_OFF_MS = 1

/**
 * @param {readonly JournalEvent[]} events The oldest first.
 * @param {number} [endMs] What lasts still is drawn up to here. Default: the last event.
 * @returns {Picture}
 */
function pictureOf(events, endMs) {
  const startMs = events[0]?.atMs ?? endMs ?? 0
  const drawing = new Drawing(startMs, Math.max(startMs, events.at(-1)?.atMs ?? startMs, endMs ?? startMs))
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

  /** @param {number} startMs @param {number} endMs */
  constructor(startMs, endMs) {
    this.startMs = startMs
    this.endMs = endMs
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
    if (kind === 'blocked' && other === 'cooldown') this.#coolUntil.set(id, atMs)
    if (MOMENTS.includes(kind)) this.#moments.push({ what: kind, pid, lock, atMs, token, other })
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
    const startMs = begin?.atMs ?? Math.max(this.startMs, event.atMs - (event.spanMs ?? 0))
    return this.#span('wait', event, lock, startMs, event.atMs, begin?.other ?? null)
  }

  /**
   * @param {JournalEvent} event
   * @param {string} lock
   * @param {string} id
   * @param {string} holdId
   * @param {Span | null} waited
   */
  #hold(event, lock, id, holdId, waited) {
    const hold = this.#span('hold', event, lock, event.atMs, this.endMs, null)
    hold.isOpen = true
    this.#holding.set(holdId, hold)
    const before = this.#ended.get(id)
    if (before && waited && before.endMs >= waited.startMs) {
      // Tokens are counted by kind of lock; the name of a hand-off is that of no other.
      hold.handedBy = holdId
      before.handedTo.push(holdId)
    }
    if (event.lockKind === 'send') this.#endCooldown(id, waited ? event.atMs : null)
  }

  /** @param {JournalEvent} event @param {string} lock @param {string} id @param {string} holdId */
  #endHold(event, lock, id, holdId) {
    let hold = this.#holding.get(holdId)
    if (!hold) {
      if (event.spanMs === null || event.token === null) return
      hold = this.#span('hold', event, lock, Math.max(this.startMs, event.atMs - event.spanMs), event.atMs, null)
    }
    hold.endMs = event.atMs
    hold.isOpen = false
    this.#holding.delete(holdId)
    this.#ended.set(id, hold)
    this.#coolUntil.delete(id)
  }

  /**
   * A cooldown leaves no event of its own; it shows in who was refused for it, and in who had to wait for no holder.
   * @param {string} id
   * @param {number | null} untilMs When a waiter was granted.
   */
  #endCooldown(id, untilMs) {
    const before = this.#ended.get(id)
    const endMs = Math.max(untilMs ?? 0, this.#coolUntil.get(id) ?? 0)
    this.#coolUntil.delete(id)
    if (!before || endMs - before.endMs <= HAND_OFF_MS) return
    const { pid, track, lock, endMs: startMs } = before
    this.#put({ what: 'cooldown', pid, track, lock, startMs, endMs, token: null, blockedBy: null })
  }

  /**
   * @param {Span['what']} what
   * @param {JournalEvent} event
   * @param {string} lock
   * @param {number} startMs
   * @param {number} endMs
   * @param {string | null} blockedBy
   */
  #span(what, event, lock, startMs, endMs, blockedBy) {
    const token = what === 'hold' ? event.token : null
    return this.#put({ what, pid: event.pid, track: trackOf(event), lock, startMs, endMs, token, blockedBy })
  }

  /** @param {Omit<Span, 'isOpen' | 'handedTo' | 'handedBy'>} span @returns {Span} */
  #put(span) {
    const whole = { ...span, isOpen: false, handedTo: [], handedBy: null }
    this.#spans.push(whole)
    return whole
  }

  /** @param {JournalEvent} event @param {string} lock @param {number} change */
  #count({ pid, lockKind, atMs }, lock, change) {
    const key = `${pid}:${lockKind}:${lock}`
    let line = this.#lines.get(key)
    if (!line) this.#lines.set(key, (line = { pid, lock, points: [] }))
    const last = line.points.at(-1)
    const waiters = (last?.[1] ?? 0) + change
    if (last && last[0] === atMs) last[1] = waiters
    else line.points.push([atMs, waiters])
  }

  /** @returns {Picture} */
  finish() {
    for (const [id] of this.#coolUntil) this.#endCooldown(id, null)
    for (const queue of this.#waiting.values()) {
      for (const event of queue) {
        const lock = /** @type {string} */ (event.lock)
        this.#span('wait', event, lock, event.atMs, this.endMs, event.other).isOpen = true
      }
    }
    const { startMs, endMs } = this
    return { startMs, endMs, spans: this.#spans, lines: [...this.#lines.values()], moments: this.#moments }
  }
}

/** @param {JournalEvent} event @param {string} id */
function whoAsks({ pid, threadId, layer, label, mode }, id) {
  return JSON.stringify([id, pid, threadId, layer, label, mode])
}

module.exports = { pictureOf }
