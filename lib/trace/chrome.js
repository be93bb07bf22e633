// A picture as the trace format of Chrome, which Perfetto opens. Times are microseconds from the first event on.
// @ts-check
'use strict'

const { clean } = require('../cli/text')
const { lanesOf } = require('./lanes')

/** Arrows and points beyond these cover each other on any screen; spans are never left out. */
const MOST_ARROWS = 1_000
const MOST_POINTS = 4_000

/** @typedef {import('./spans').Picture} Picture */
/** @typedef {import('./spans').Span} Span */

/**
 * The text of a trace, piece by piece.
 * @param {Picture} picture
 * @param {ReadonlyMap<number, string>} [commands] What processes are called.
 * @returns {Generator<string, void>}
 */
function* traceOf(picture, commands = new Map()) {
  const otherData = { origin: new Date(picture.originMs).toISOString(), originMs: picture.originMs, tool: 'chainlock' }
  yield `{"displayTimeUnit":"ms","otherData":${JSON.stringify(otherData)},"traceEvents":[`
  let separator = '\n'
  for (const event of eventsOf(picture, commands)) {
    yield separator + JSON.stringify(event)
    separator = ',\n'
  }
  yield '\n]}\n'
}

/**
 * @param {Picture} picture
 * @param {ReadonlyMap<number, string>} commands
 * @returns {Generator<object, void>}
 */
function* eventsOf(picture, commands) {
  const handOffs = picture.spans.reduce((sum, { handedTo }) => sum + handedTo.length, 0)
  const arrows = new Arrows(Math.ceil(handOffs / MOST_ARROWS))
  const processes = new Set([...picture.spans, ...picture.lines, ...picture.moments].map(({ pid }) => pid))
  for (const pid of processes) yield named('process_name', pid, 0, `${clean(commands.get(pid) ?? 'process')} ${pid}`)
  /** @type {Map<number, number>} */
  const tracksOfPid = new Map()
  for (const { pid, track, spans } of tracksOf(picture.spans)) {
    for (const [at, lane] of lanesOf(spans).entries()) {
      const tid = (tracksOfPid.get(pid) ?? 0) + 1
      tracksOfPid.set(pid, tid)
      yield named('thread_name', pid, tid, clean(at === 0 ? track : `${track} (${at + 1})`))
      yield* laneEvents(lane, tid, arrows)
    }
  }
  yield* counters(picture)
  for (const { what, pid, lock, at, token, other } of picture.moments) {
    const args = { lock, ...(token !== null && { token }), ...(other !== null && { reason: other }) }
    yield { ph: 'i', s: 'p', name: clean(`${what} ${lock}`), pid, tid: 0, ts: at, args }
  }
}

/** @param {'process_name' | 'thread_name'} what @param {number} pid @param {number} tid @param {string} name */
function named(what, pid, tid, name) {
  return { ph: 'M', name: what, pid, tid, args: { name } }
}

/** @param {readonly Span[]} spans */
function tracksOf(spans) {
  /** @type {Map<string, { pid: number, track: string, spans: Span[] }>} */
  const tracks = new Map()
  for (const span of spans) {
    const { pid, track } = span
    const key = `${pid}:${track}`
    const of = tracks.get(key)
    if (of) of.spans.push(span)
    else tracks.set(key, { pid, track, spans: [span] })
  }
  return tracks.values()
}

/**
 * Begins and ends of a lane, in order of time and as parentheses.
 * @param {readonly Span[]} lane
 * @param {number} tid
 * @param {Arrows} arrows
 * @returns {Generator<object, void>}
 */
function* laneEvents(lane, tid, arrows) {
  /** @type {Span[]} */
  const open = []
  function* close(/** @type {number} */ until) {
    while (open.length > 0 && open[open.length - 1].end <= until) {
      const span = /** @type {Span} */ (open.pop())
      for (const id of arrows.shown(span.handedTo)) yield arrow('s', id, span, tid, span.end)
      yield { ph: 'E', pid: span.pid, tid, ts: span.end }
    }
  }
  for (const span of lane) {
    yield* close(span.start)
    yield { ph: 'B', name: clean(`${span.what} ${span.lock}`), pid: span.pid, tid, ts: span.start, args: argsOf(span) }
    for (const id of arrows.shown(span.handedBy === null ? [] : [span.handedBy])) {
      yield { ...arrow('f', id, span, tid, span.start), bp: 'e' }
    }
    open.push(span)
  }
  yield* close(Infinity)
}

/** @param {Span} span */
function argsOf({ lock, token, blockedBy, isOpen }) {
  return {
    lock,
    ...(token !== null && { token }),
    ...(blockedBy !== null && { blocked_by: blockedBy }),
    ...(isOpen && { open: true }),
  }
}

/** @param {'s' | 'f'} ph @param {string} id @param {Span} span @param {number} tid @param {number} ts */
function arrow(ph, id, span, tid, ts) {
  return { ph, cat: 'lock', name: 'hand-off', id, pid: span.pid, tid, ts }
}

/** Every so many arrows are shown; both ends of one ask here. */
class Arrows {
  /** @type {Map<string, number>} */
  #numbers = new Map()

  /** @param {number} every */
  constructor(every) {
    this.every = every
  }

  /** @param {readonly string[]} ids */
  shown(ids) {
    if (this.every <= 1) return ids
    return ids.filter((id) => {
      const number = this.#numbers.get(id) ?? this.#numbers.size
      this.#numbers.set(id, number)
      return number % this.every === 0
    })
  }
}

/**
 * How many wait, lock by lock. Of points that lie too close the last one stays.
 * @param {Picture} picture
 * @returns {Generator<object, void>}
 */
function* counters({ lines, end }) {
  const count = lines.reduce((sum, { points }) => sum + points.length, 0)
  const apart = count > MOST_POINTS ? (end * lines.length) / MOST_POINTS : 0
  for (const { pid, lock, points } of lines) {
    const name = clean(`waiting for ${lock}`)
    for (const [index, [ts, waiters]] of points.entries()) {
      const next = points[index + 1]
      const isCovered = apart > 0 && next && Math.floor(next[0] / apart) === Math.floor(ts / apart)
      if (!isCovered) yield { ph: 'C', name, pid, tid: 0, ts, args: { waiters } }
    }
  }
}

module.exports = { traceOf }
