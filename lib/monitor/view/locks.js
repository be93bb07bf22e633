// The table of locks: which are shown, in which order, and a row for each.
// @ts-check
'use strict'

const { duration } = require('../../cli/text')
const { fit, span, table } = require('../frame')
const { STATE_STYLES, lockName, stateOf, holdersText, heldMs } = require('./words')

/** @typedef {import('../types').LockView} LockView */
/** @typedef {import('../types').Line} Line */
/** @typedef {import('../types').Sort} Sort */

/** @type {Record<Exclude<Sort, 'urgency' | 'name'>, (lock: LockView) => number>} */
const WEIGHTS = {
  'wait-total': (lock) => lock.wait.totalMs,
  'wait-max': (lock) => lock.wait.maxMs,
  contended: (lock) => lock.contended,
  hold: (lock) => heldMs(lock) ?? 0,
}
const STATES = ['lost', 'stale', 'forced', 'waiting', 'held', 'cooldown', 'free']

/**
 * The locks that pass the filter, in the chosen order.
 * @param {import('../types').Picture} picture
 * @param {import('../types').ViewState} state
 * @returns {LockView[]}
 */
function shownLocks({ snapshot, locks: all }, { filter, sort }) {
  const wanted = filter.toLowerCase()
  const locks = all.filter((lock) => wanted === '' || matches(lock, wanted))
  const byName = (/** @type {LockView} */ a, /** @type {LockView} */ b) => {
    const [left, right] = [a.name ?? '', b.name ?? '']
    return left < right ? -1 : left > right ? 1 : a.id < b.id ? -1 : 1
  }
  if (sort === 'name') return locks.sort(byName)
  if (sort !== 'urgency') return locks.sort((a, b) => WEIGHTS[sort](b) - WEIGHTS[sort](a) || byName(a, b))
  /** @type {Map<string, number>} */
  const judged = new Map()
  snapshot.verdict.forEach(({ lockId, level }, index) => {
    if (lockId !== null && level !== 'good' && !judged.has(lockId)) judged.set(lockId, index)
  })
  const rank = (/** @type {LockView} */ lock) => judged.get(lock.id) ?? Infinity
  const place = (/** @type {LockView} */ lock) => STATES.indexOf(lock.state)
  return locks.sort((a, b) => {
    const [left, right] = [rank(a), rank(b)]
    if (left !== right) return left - right
    return b.waiterCount - a.waiterCount || place(a) - place(b) || byName(a, b)
  })
}

/** @param {LockView} lock @param {string} wanted */
function matches(lock, wanted) {
  const has = (/** @type {string | null} */ text) => text !== null && text.toLowerCase().includes(wanted)
  return has(lock.name) || has(lock.state) || lock.holders.some(({ layer, command }) => has(layer) || has(command))
}

/**
 * @param {readonly LockView[]} locks As `shownLocks` answers.
 * @param {import('../types').ViewState} state
 * @param {import('../types').Size} size
 * @param {number} rows With the heading.
 * @returns {Line[]}
 */
function lockTable(locks, { selectedId, filter }, { columns, ascii }, rows) {
  if (locks.length === 0) {
    const text = filter === '' ? 'no lock is held or waited for' : `no lock matches "${filter}"`
    return [[span(text, 'dim')]]
  }
  const selected = Math.max(
    0,
    locks.findIndex((lock) => lock.id === selectedId),
  )
  const room = Math.max(1, rows - 1)
  // With a line for how many there are beyond, where some are.
  const count = locks.length <= room ? room : Math.max(1, room - 1)
  const first = Math.max(0, Math.min(selected - Math.floor(count / 2), locks.length - count))
  const page = locks.slice(first, first + count)
  const lines = lockRows(page, selected - first, columns - 2, ascii)
  const marked = lines.map((line, index) => {
    const isSelected = index - 1 === selected - first
    const mark = isSelected ? span(ascii ? '> ' : '▸ ', 'strong') : span('  ')
    return [mark, ...line]
  })
  const more = locks.length - page.length
  if (more > 0 && rows > 2) {
    marked.push([
      span(`  ${first + 1}${ascii ? '-' : '–'}${first + page.length} of ${locks.length} locks`, 'dim'),
    ])
  }
  return marked.map((line) => fit(line, columns, { ascii }))
}

/** @param {readonly LockView[]} locks @param {number} selected @param {number} columns @param {boolean} ascii */
function lockRows(locks, selected, columns, ascii) {
  const none = ascii ? '-' : '–'
  const times = (/** @type {number | null} */ ms) => (ms === null ? none : duration(ms))
  const of = (/** @type {(lock: LockView) => string} */ text) => locks.map((lock) => span(text(lock)))
  return table(
    [
      {
        title: 'LOCK',
        cells: locks.map((lock, index) => span(lockName(lock), index === selected ? 'strong' : undefined)),
        give: 8,
      },
      { title: 'SCOPE', cells: of((lock) => lock.scope), drop: 6 },
      { title: 'STATE', cells: locks.map((lock) => span(stateOf(lock, ascii), STATE_STYLES[lock.state])), drop: 1 },
      { title: 'HOLDER', cells: of((lock) => holdersText(lock) || `(${lock.state})`), give: 10 },
      { title: 'HELD', cells: of((lock) => times(heldMs(lock))), side: 'right' },
      {
        title: 'WAIT',
        cells: locks.map((lock) => span(String(lock.waiterCount), lock.waiterCount > 0 ? 'wait' : 'dim')),
        side: 'right',
      },
      {
        title: 'p50/p99 wait',
        cells: of(({ wait }) => (wait.count === 0 ? none : `${duration(wait.p50Ms)}/${duration(wait.p99Ms)}`)),
        side: 'right',
        drop: 4,
      },
      {
        title: 'p99 hold',
        cells: of(({ hold }) => (hold.count === 0 ? none : duration(hold.p99Ms))),
        side: 'right',
        drop: 5,
      },
      {
        title: 'FORCED',
        cells: locks.map((lock) => span(String(lock.forced), lock.forced > 0 ? 'warn' : 'dim')),
        side: 'right',
        drop: 3,
      },
      {
        title: 'TIMEOUTS',
        cells: locks.map((lock) => span(String(lock.timeouts), lock.timeouts > 0 ? 'warn' : 'dim')),
        side: 'right',
        drop: 7,
      },
      { title: 'COUNT', cells: of((lock) => String(lock.acquisitions)), side: 'right', drop: 8 },
    ],
    columns,
    ascii,
  )
}

module.exports = { shownLocks, lockTable }
