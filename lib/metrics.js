// `getMetrics()`: the native numbers, given their names and the formats that the controller knows. Built
// from numbers because that is three times as fast as parsing a text.
// @ts-check
'use strict'

const { native } = require('./native')

/** The names of the first numbers, in order. @type {Record<string, number>} */
const AT = Object.fromEntries(native.metricNames().map((name, index) => [name, index]))
const NUMBERS = Object.keys(AT).length

/** The kinds of a record; see `table/ring.rs`. */
const ACQUIRED = 1
const RELEASED = 2

/**
 * @param {{
 *   face: number,
 *   calls: import('./binding.cjs').OpenedFace['calls'],
 *   scratch: Float64Array,
 *   layerName: (row: number) => string,
 * }} of
 * @returns {import('../index').SendMetrics}
 */
function readMetrics({ face, calls, scratch, layerName }) {
  calls.metrics()
  const totalAcquisitions = scratch[AT.totalAcquisitions]
  const totalReleases = scratch[AT.totalReleases]
  const duplicatesBlocked = scratch[AT.duplicatesBlocked]
  const attempts = totalAcquisitions === 0 ? 0 : totalAcquisitions + duplicatesBlocked
  const efficiency = ratio(totalReleases, totalAcquisitions)
  const duplicates = ratio(duplicatesBlocked, attempts)
  const duration = ratio(scratch[AT.historyDurationMs], scratch[AT.historyDurations])
  const firstRow = scratch[NUMBERS]
  const layerCount = scratch[NUMBERS + 1]
  return {
    scope: firstRow === 0 ? 'process' : 'host',
    totalAcquisitions,
    totalReleases,
    duplicatesBlocked,
    forceReleases: scratch[AT.forceReleases],
    lockEfficiency: percent(efficiency),
    duplicateRate: percent(duplicates),
    averageLockDuration: duration === null ? 'N/A' : `${duration.toFixed(0)}ms`,
    recentActivity: recent(face, scratch, NUMBERS + 2 + 4 * layerCount, layerName),
    lockEfficiencyRatio: efficiency,
    duplicateRateRatio: duplicates,
    averageLockDurationMs: duration,
    layers: perLayer(scratch, firstRow, layerCount, layerName),
    refusedByReason: {
      held: scratch[AT['refusedByReason.held']],
      cooldown: scratch[AT['refusedByReason.cooldown']],
      duplicate_message: scratch[AT['refusedByReason.duplicate_message']],
      unknown_layer: scratch[AT['refusedByReason.unknown_layer']],
    },
    forcedByReason: {
      manual: scratch[AT['forcedByReason.manual']],
      timeout: scratch[AT['forcedByReason.timeout']],
      stale_timeout: scratch[AT['forcedByReason.stale_timeout']],
      thread_exit: scratch[AT['forcedByReason.thread_exit']],
      process_exit: scratch[AT['forcedByReason.process_exit']],
    },
    waitTimes: summary(scratch, AT['waitTimes.count']),
    holdTimes: summary(scratch, AT['holdTimes.count']),
    lateReleases: scratch[AT.lateReleases],
    overdue: scratch[AT.overdue],
    joins: scratch[AT.joins],
    waits: scratch[AT.waits],
    waitTimeouts: scratch[AT.waitTimeouts],
    waitAborts: scratch[AT.waitAborts],
    queueFull: scratch[AT.queueFull],
  }
}

/** @param {number} part @param {number} whole */
function ratio(part, whole) {
  return whole > 0 ? part / whole : null
}

/** @param {number | null} share */
function percent(share) {
  return share === null ? 'N/A' : `${(share * 100).toFixed(2)}%`
}

/** @param {Float64Array} scratch @param {number} at */
function summary(scratch, at) {
  return {
    count: scratch[at],
    avgMs: scratch[at + 1],
    p50Ms: scratch[at + 2],
    p90Ms: scratch[at + 3],
    p99Ms: scratch[at + 4],
    maxMs: scratch[at + 5],
  }
}

/**
 * @param {Float64Array} scratch
 * @param {number} firstRow
 * @param {number} count
 * @param {(row: number) => string} layerName
 */
function perLayer(scratch, firstRow, count, layerName) {
  /** @type {Record<string, import('../index').SendMetrics['layers'][string]>} */
  const layers = Object.create(null)
  for (let row = firstRow, at = NUMBERS + 2; row < firstRow + count; row++, at += 4) {
    layers[layerName(row)] = {
      acquisitions: scratch[at],
      releases: scratch[at + 1],
      blocked: scratch[at + 2],
      forced: scratch[at + 3],
    }
  }
  return layers
}

/**
 * @param {number} face
 * @param {Float64Array} scratch
 * @param {number} at
 * @param {(row: number) => string} layerName
 * @returns {import('../index').SendHistoryEntry[]}
 */
function recent(face, scratch, at, layerName) {
  const first = scratch[at]
  const count = scratch[at + 1]
  const entries = []
  for (let index = 0, from = at + 2; index < count; index++, from += 5) {
    const [row, otherRow] = [scratch[from + 3], scratch[from + 4]]
    // A reason, or a layer without a row of its own: there is only the text.
    if (row === -1 || otherRow === -1) return JSON.parse(native.entriesJson(face, first, count))
    const kind = scratch[from]
    const layerId = layerName(row)
    const currentLayer = kind === ACQUIRED ? layerId : otherRow >= 0 ? layerName(otherRow) : null
    entries.push({
      timestamp: scratch[from + 1],
      layerId,
      success: kind === ACQUIRED || kind === RELEASED,
      action: kind === ACQUIRED ? 'acquired' : kind === RELEASED ? 'released' : 'duplicate_blocked',
      duration: scratch[from + 2] < 0 ? null : scratch[from + 2],
      lockState: { isSending: currentLayer !== null, currentLayer },
    })
  }
  return entries
}

module.exports = { readMetrics }
