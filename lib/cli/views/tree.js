// The tree of those who wait, as lines: at its root the lock, below it who waits, and below each of them the locks
// that it holds meanwhile and others wait for. A circle is cut where it closes.
// @ts-check
'use strict'

const { clean, duration } = require('../text')
const { isSame } = require('../../snapshot/waits')
const { lockName, who } = require('../../snapshot/words')

/** @typedef {import('../../../index').SnapshotLock} Lock */
/** @typedef {import('../../../index').SnapshotWaiter} Waiter */

/** As many of a queue are listed. */
const MOST = 10

/**
 * @param {Lock} lock
 * @param {readonly Lock[]} locks All of the snapshot.
 * @param {import('../text').Glyphs} glyphs
 * @returns {string[]}
 */
function waitTree(lock, locks, glyphs) {
  return below(lock, locks, glyphs, [lock.id])
}

/**
 * @param {Lock} lock
 * @param {readonly Lock[]} locks
 * @param {import('../text').Glyphs} glyphs
 * @param {string[]} above The locks that lead here.
 * @returns {string[]}
 */
function below(lock, locks, glyphs, above) {
  const shown = lock.waiters.slice(0, MOST)
  /** @type {string[]} */
  const lines = []
  shown.forEach((waiter, index) => {
    const isLast = index === shown.length - 1 && lock.waiterCount <= shown.length
    lines.push(`${isLast ? glyphs.last : glyphs.branch} ${waiterWords(waiter)}`)
    const indent = isLast ? '   ' : `${glyphs.pipe}  `
    for (const held of heldBy(waiter, lock, locks)) {
      const isCircle = above.includes(held.id)
      const then = isCircle ? 'which closes the circle' : `for which ${held.waiterCount} wait`
      const head = `holds ${lockName(held)}, ${then}`
      lines.push(`${indent}${glyphs.last} ${head}`)
      if (isCircle) continue
      lines.push(...below(held, locks, glyphs, [...above, held.id]).map((line) => `${indent}   ${line}`))
    }
  })
  if (lock.waiterCount > shown.length) lines.push(`${glyphs.last} and ${lock.waiterCount - shown.length} more`)
  return lines
}

/**
 * Locks that somebody who waits holds meanwhile, and for which others wait.
 * @param {Waiter} waiter
 * @param {Lock} lock
 * @param {readonly Lock[]} locks
 */
function heldBy(waiter, lock, locks) {
  return locks.filter((other) => other.waiterCount > 0 && other.holders.some((holder) => isSame(holder, waiter, lock.id)))
}

/** @param {Waiter} waiter */
function waiterWords(waiter) {
  const left = waiter.deadlineMs === null ? '' : `, gives up in ${duration(Math.max(0, waiter.deadlineMs))}`
  const mode = waiter.mode === 'shared' ? ', shared' : ''
  return clean(
    `${waiter.position}. ${who({ ...waiter, command: null })}, for ${duration(waiter.waitedMs)}${mode}${left}`,
  )
}

module.exports = { waitTree }
