// What a fault run has to say, for people.
'use strict'

const ms = (value) => (value === undefined ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)}`)
const spread = ({ count, p50, p99, max }) => `p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)} ms of ${count}`

/** @param {any} outcome */
function linesOf({ engine, seed, ttlMs, recoveryMs, report, recoveryAlone, healedMs, faults, blocks, judged, slow, lostWhileBlocked, drift, metrics, surprises, crashed }) {
  const sum = (name) => metrics.reduce((total, each) => total + each[name], 0)
  return [
    `${engine}, ttl ${ttlMs} ms, seed ${seed}: ${Object.entries(faults).map(([name, count]) => `${name} ${count}`).join(', ')}`,
    `grants ${report.grants}; token duplicates ${report.duplicates.length}, regressions ${report.regressions.length}`,
    `writes ${report.writes}, fenced off ${report.fencedOff}; accepted stale ${report.staleAccepted.length}`,
    `overlapping beliefs ${report.overlaps.length}; stuck keys ${report.stuck.length}`,
    `notice of loss after the deadline: ${spread(report.notice)}`,
    `loops blocked ${blocks}, of which ${judged} could be judged: leases lost by that ${lostWhileBlocked.length}; the store or the machine was slow ${slow} times`,
    `recovery after SIGKILL among faults: ${spread(report.recovery)}; alone: ${spread(recoveryAlone)}, where ${recoveryMs} ms are the bar; all keys granted ${ms(healedMs)} ms after the last fault`,
    `statistics of who lived to the end: lost ${sum('lost')}, failed renewals ${sum('failedRenewals')}, unknown answers ${sum('unknownAnswers')}, drift ${drift}`,
    ...surprises.map((text) => `unexpected: ${text}`),
    ...crashed.map((text) => `ended by itself: ${text}`),
  ]
}

module.exports = { linesOf }
