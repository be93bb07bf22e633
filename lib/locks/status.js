// Looking at the named locks, and changing their settings.
// @ts-check
'use strict'

const { native, face } = require('./face')
const options = require('./options')
const order = require('./order')
const { HOST, deadlockReport } = require('./report')
const waiters = require('./waiters')

/** @param {unknown} given @returns {Promise<import('../../index').LockManagerSnapshot>} */
async function query(given) {
  const isDetailed = typeof given === 'object' && given !== null && Boolean(/** @type {any} */ (given).detail)
  return JSON.parse(native.locksQuery(face, isDetailed))
}

/** Of a name, the native side knows a lock and a semaphore. @param {any[]} both */
const lockOf = (both) => both.find(({ kind }) => kind === 'lock')

/** @param {unknown} [name] */
function getStatistics(name) {
  const wanted = options.optionalName('getStatistics', name)
  const all = JSON.parse(native.lockStatistics(face, wanted))
  return wanted === null ? all : (lockOf(all) ?? null)
}

/** What was counted of an opened lock or semaphore. @param {import('./targets').Opened} target */
function statisticsOf({ ref }) {
  return JSON.parse(native.resourceStatistics(face, ref))
}

/** @param {unknown} [name] */
function getLockStatus(name) {
  const wanted = options.optionalName('getLockStatus', name)
  const all = JSON.parse(native.lockStatus(face, wanted)).map(withMode)
  return wanted === null ? all : (lockOf(all) ?? withMode({ name: wanted, kind: 'lock', holders: [], waiters: [] }))
}

/** All who hold a lock hold it in one mode; a semaphore has permits instead. @param {any} status */
function withMode({ name, kind, ...rest }) {
  return { name, kind, mode: kind === 'lock' ? (rest.holders[0]?.mode ?? null) : null, ...rest }
}

/** @param {unknown} [name] */
function resetStatistics(name) {
  native.resetLockStatistics(face, options.optionalName('resetStatistics', name))
}

/** @param {unknown} [given] @returns {import('../../index').LockDeadlocks} */
function detectDeadlocks(given) {
  const olderThanMs = options.olderThan(given)
  const { cycles, longWaits } = JSON.parse(native.lockDeadlocks(face, olderThanMs))
  return {
    cycles: cycles.map((/** @type {any} */ { cycle }) => ({ cycle, report: deadlockReport(cycle) })),
    longWaits: longWaits.map((/** @type {any} */ { request, inTheWay }) => ({
      ...request,
      holders: inTheWay.holders,
      holderCount: inTheWay.holderCount,
    })),
  }
}

/** @param {unknown} settings @returns {Readonly<Required<import('../../index').LocksSettings>>} */
function configure(settings) {
  native.configureLocks(face, options.configure('configure', settings))
  const { lockOrder, ...times } = native.locksSettings(face)
  order.setLevel(lockOrder)
  return Object.freeze({ lockOrder: options.ORDER[lockOrder], ...times })
}

/** @param {unknown} name @param {unknown} reason */
function forceRelease(name, reason) {
  // An emergency call: it does not fail over its own reason.
  const why = typeof reason === 'string' ? (options.cleanLabel('forceRelease', reason) ?? '') : ''
  const checked = options.lockName('forceRelease', name)
  // What stands in front of a host lock ends with the kernel's hold, not before.
  if (checked.startsWith(HOST)) return 0
  const count = native.forceReleaseName(face, checked, why)
  // Holders and waiters of this thread hear of it now.
  waiters.fetch()
  return count
}

module.exports = {
  query,
  getStatistics,
  statisticsOf,
  getLockStatus,
  resetStatistics,
  detectDeadlocks,
  configure,
  forceRelease,
}
