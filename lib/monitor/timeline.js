// A track of the recorder as a row of cells: for each stretch of time what its layer or thread mostly did.
// @ts-check
'use strict'

/** @typedef {import('./types').Track} Track */
/** @typedef {import('./types').CellKind} CellKind */

/**
 * Where two kinds fill a cell alike, the one that others wait for is shown.
 * @type {readonly import('./types').SpanKind[]}
 */
const BY_WEIGHT = ['hold', 'wait', 'cooldown']

/**
 * @param {Track} track
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} count
 * @param {string | null} [lockId] Only this lock's spans.
 * @returns {CellKind[]}
 */
function cellsOf(track, fromMs, toMs, count, lockId = null) {
  const perCell = (toMs - fromMs) / count
  const shares = BY_WEIGHT.map(() => new Float64Array(count))
  for (const span of track.spans) {
    if (lockId !== null && span.lockId !== lockId) continue
    // The present moment belongs to the last cell.
    if (span.toMs < fromMs || span.fromMs > toMs) continue
    const share = /** @type {Float64Array} */ (shares[BY_WEIGHT.indexOf(span.kind)])
    const first = Math.max(0, Math.min(count - 1, Math.floor((span.fromMs - fromMs) / perCell)))
    const last = Math.max(first, Math.min(count - 1, Math.ceil((span.toMs - fromMs) / perCell) - 1))
    for (let cell = first; cell <= last; cell += 1) {
      const start = fromMs + cell * perCell
      const covered = Math.min(span.toMs, start + perCell) - Math.max(span.fromMs, start)
      // Even what lasted for no time at all is seen.
      share[cell] = Number(share[cell]) + Math.max(covered, Number.EPSILON)
    }
  }
  return Array.from({ length: count }, (_, cell) => {
    /** @type {CellKind} */
    let kind = 'idle'
    let most = 0
    BY_WEIGHT.forEach((name, index) => {
      const share = Number(shares[index]?.[cell])
      if (share > most) [kind, most] = [name, share]
    })
    return kind
  })
}

/**
 * The tracks worth a row, those with something in the stretch of time, in a steady order.
 * @param {Iterable<Track>} tracks
 * @param {number} fromMs
 * @param {string | null} [lockId]
 * @returns {import('./types').Picture['tracks']} `busyMs`: how long it held or waited in that time.
 */
function shownTracks(tracks, fromMs, lockId = null) {
  const shown = []
  /** @type {Map<string, number>} */
  const names = new Map()
  for (const track of tracks) {
    if (track.lastMs < fromMs) continue
    if (!track.spans.some((span) => span.toMs >= fromMs && (lockId === null || span.lockId === lockId))) continue
    shown.push(track)
    names.set(track.name, (names.get(track.name) ?? 0) + 1)
  }
  shown.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : (a.pid ?? 0) - (b.pid ?? 0)))
  // A layer of the same name in two processes is two rows, and says whose each is.
  return shown.map((track) => {
    const alone = names.get(track.name) === 1 || track.pid === null
    return { ...track, title: alone ? track.name : `${track.name} ${track.pid}`, busyMs: busyMs(track, fromMs) }
  })
}

/** @param {Track} track @param {number} fromMs */
function busyMs({ spans }, fromMs) {
  return spans.reduce((sum, { fromMs: from, toMs }) => sum + Math.max(0, toMs - Math.max(fromMs, from)), 0)
}

module.exports = { cellsOf, shownTracks }
