// The errors of those who asked for a named lock, in words and as data.
// @ts-check
'use strict'

const { ChainlockError, DeadlockError } = require('../errors')
const { native, Answer, scratch, takeText } = require('./face')
const { together, whole, thing, heldBy, deadlockReport, orderReport } = require('./report')

/**
 * What a request is for, in words.
 * @param {import('./targets').Target} target
 * @param {number} weight
 */
function wanted(target, weight) {
  if (typeof target === 'string') return thing({ name: target, kind: 'lock', mode: modeOf(weight), weight })
  if (target.modes) return together([...target.modes.keys()])
  const name = target.isNamed ? target.name : null
  return thing({ name, kind: target.kind, mode: modeOf(weight), weight })
}

/** @param {number} weight @returns {import('../../index').LockMode} */
const modeOf = (weight) => (weight === 0 ? 'exclusive' : 'shared')

/**
 * @param {string} what
 * @param {number} waitedMs
 * @param {number} position
 * @param {{ holders: import('../../index').LockHolder[], holderCount: number }} report
 */
function timedOut(what, waitedMs, position, report) {
  const { holders, holderCount } = report
  return new ChainlockError(
    'ERR_LOCK_TIMEOUT',
    `waited ${whole(waitedMs)} ms for ${what}, place ${position} in line; ${heldBy(report)}`,
    { waitedMs, position, holders, holderCount },
  )
}

/** @param {string} what @param {{ cycle: import('../../index').DeadlockEdge[] }} report */
function deadlock(what, { cycle }) {
  if (cycle.length === 1) {
    const hold = cycle[0].heldBy === null ? 'the very hold' : `the hold (token ${cycle[0].heldBy.token})`
    return new DeadlockError(
      'ERR_LOCK_SELF_DEADLOCK',
      `${what} would be waited for for ever: it was requested inside of ${hold} that it waits for`,
      { cycle, report: deadlockReport(cycle) },
    )
  }
  const report = deadlockReport(cycle)
  return new DeadlockError('ERR_LOCK_DEADLOCK', `${what} would be waited for for ever. ${report}`, { cycle, report })
}

/**
 * The error of a request that was refused; its details are in the scratch array.
 * @param {number} answer
 * @param {() => string} what
 */
function refused(answer, what) {
  if (answer === Answer.QUEUE_FULL) {
    return new ChainlockError('ERR_LOCK_QUEUE_FULL', `${what()} cannot be waited for: too many requests wait already`)
  }
  const report = takeText(scratch[0])
  if (answer === Answer.DISORDER) {
    return new ChainlockError('ERR_LOCK_ORDER', orderReport(report), { first: report.first, now: report.now })
  }
  return deadlock(what(), report)
}

/** How a hold was taken away, as the native side tells it. */
const STOLEN = 1

/**
 * @param {string} what
 * @param {number} token
 * @param {number} how 0 when nobody has been told yet.
 * @param {Function} [above] Left out of the stack.
 */
function lost(what, token, how, above) {
  const message = `${what} is no longer held with token ${token}: ${how === STOLEN ? 'it was stolen' : taken(token)}`
  const error = new ChainlockError('ERR_LOCK_LOST', message, { token })
  if (above) Error.captureStackTrace(error, above)
  return error
}

/** @param {number} token */
function taken(token) {
  const reason = native.lostReason(token)
  if (reason === null) return 'it was taken away'
  return reason === '' ? 'it was force-released' : `it was force-released (${reason})`
}

/** @param {string} what @param {number} token */
function givenBack(what, token) {
  return new ChainlockError('ERR_LOCK_LOST', `${what} is no longer held with token ${token}: it was released`, { token })
}

module.exports = { wanted, modeOf, timedOut, deadlock, refused, lost, givenBack }
