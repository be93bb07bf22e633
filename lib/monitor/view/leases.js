// The leases under the table of locks: whose they are, what is left of them, and when they were renewed.
// @ts-check
'use strict'

const { duration } = require('../../cli/text')
const { sortedLeases } = require('../../cli/views/lease')
const { fit, shown, span, table } = require('../frame')
const { STATE_STYLES } = require('./words')

/** @typedef {import('../types').Line} Line */

/**
 * @param {import('../types').Picture} picture @param {import('../types').Size} size @param {number} rows With the heading.
 * @returns {Line[]} Nothing without leases, or without room for one.
 */
function leaseTable({ snapshot }, { columns, ascii }, rows) {
  const all = sortedLeases(snapshot.leases)
  if (all.length === 0 || rows < 2) return []
  const fits = all.length <= rows - 1
  const leases = all.slice(0, fits ? all.length : Math.max(1, rows - 2))
  const none = ascii ? '-' : '–'
  const time = (/** @type {number | null} */ ms) => (ms === null ? none : duration(ms))
  const of = (/** @type {(lease: import('../types').LeaseView) => string} */ text) =>
    leases.map((lease) => span(text(lease)))
  const lines = table(
    [
      { title: 'LEASE', cells: of(({ key }) => shown(key, '')), give: 8 },
      { title: 'STORE', cells: of(({ engine }) => shown(engine, '')), drop: 4 },
      { title: 'STATE', cells: leases.map(({ state, cause }) => span(cause ?? state, STATE_STYLES[state])) },
      { title: 'HOLDER', cells: of(holderText), give: 10 },
      { title: 'HELD', cells: of(({ heldMs, waitedMs }) => time(heldMs ?? waitedMs)), side: 'right' },
      { title: 'LEFT', cells: of(({ leftMs }) => time(leftMs)), side: 'right' },
      { title: 'RENEWED', cells: of(({ renewedMsAgo }) => (renewedMsAgo === null ? none : `${duration(renewedMsAgo)} ago`)), side: 'right', drop: 2 },
      { title: 'TTL', cells: of(({ ttlMs }) => duration(ttlMs)), side: 'right', drop: 3 },
      { title: 'TOKEN', cells: of(({ token }) => (token === null ? none : String(token))), side: 'right', drop: 1 },
    ],
    columns,
    ascii,
  )
  if (!fits && rows > 2) lines.push([span(`and ${all.length - leases.length} more leases`, 'dim')])
  return lines.map((line) => fit(line, columns, { ascii })).slice(0, rows)
}

/** @param {import('../types').LeaseView} lease */
function holderText({ state, worker, other, pid }) {
  if (state === 'waiting') return `${shown(worker, '')} ${pid} waits for ${shown(other, 'somebody')}`
  return `${shown(worker, '')} ${pid}`
}

module.exports = { leaseTable }
