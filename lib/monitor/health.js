// Health as one number, for who looks from far away: 100 less what each verdict and each bad end of the last
// minute costs. The sentences behind it come along as issues.
// @ts-check
'use strict'

/** @typedef {import('./types').Snapshot} Snapshot */
/** @typedef {import('./types').Growth} Growth */

const COSTS = Object.freeze({
  bad: 40,
  warn: 10,
  /** Each one of the last minute, up to the limit. */
  timeout: 5,
  forced: 10,
  limit: 20,
  /** More than half of at least so many acquisitions had to wait. */
  contention: 10,
  contentionFrom: 20,
})

/**
 * @param {Snapshot} snapshot
 * @param {Growth} growth
 * @returns {import('./types').Health}
 */
function healthOf({ verdict }, growth) {
  const issues = []
  let cost = 0
  for (const { level, sentence } of verdict) {
    if (level === 'good') continue
    cost += COSTS[level]
    issues.push(sentence)
  }
  const over =
    growth.overMs >= 59_000 ? 'the last minute' : `the last ${Math.max(1, Math.round(growth.overMs / 1000))} s`
  if (growth.timeouts > 0) {
    cost += Math.min(COSTS.limit, COSTS.timeout * growth.timeouts)
    issues.push(`${growth.timeouts} ${growth.timeouts === 1 ? 'request' : 'requests'} timed out in ${over}`)
  }
  if (growth.forced > 0) {
    cost += Math.min(COSTS.limit, COSTS.forced * growth.forced)
    issues.push(`${growth.forced} forced ${growth.forced === 1 ? 'release' : 'releases'} in ${over}`)
  }
  if (growth.acquisitions >= COSTS.contentionFrom && growth.contended * 2 > growth.acquisitions) {
    cost += COSTS.contention
    const share = Math.round((100 * Math.min(growth.contended, growth.acquisitions)) / growth.acquisitions)
    issues.push(`${share} % of the acquisitions of ${over} had to wait`)
  }
  const score = Math.max(0, 100 - cost)
  return { score, word: score >= 80 ? 'healthy' : score >= 50 ? 'degraded' : 'critical', issues }
}

module.exports = { healthOf, COSTS }
