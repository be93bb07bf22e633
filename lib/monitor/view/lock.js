// One lock in full: holder, queue, figures, what happened last, what to type next.
// @ts-check
'use strict'

const { duration, glyphs } = require('../../cli/text')
const { shown, span, table } = require('../frame')
const { waits } = require('./pictures')
const { eventLines } = require('./events')
const { lockName, stateOf, STATE_STYLES, holderText, counted, ordinal, percent, place } = require('./words')

/** @typedef {import('../types').Line} Line */
/** @typedef {import('../types').LockView} LockView */
/** @typedef {import('../types').Size} Size */

const MAX_LISTED = 200
const LAST_EVENTS = 10

/**
 * @param {import('../types').Picture} picture @param {LockView | undefined} lock @param {Size} size
 * @returns {Line[]}
 */
function lockDetails(picture, lock, size) {
  if (lock === undefined) return [[span('this lock is free by now, and nothing is known of it', 'dim')]]
  const { ascii } = size
  const { dot } = glyphs(ascii)
  const pid = lock.pid === null ? '' : ` ${dot} pid ${lock.pid}`
  /** @type {Line[]} */
  const lines = [
    [
      span(lockName(lock), 'strong'),
      span(`  ${lock.kind} ${dot} scope ${lock.scope}${pid} ${dot} `),
      span(stateOf(lock, ascii), STATE_STYLES[lock.state]),
    ],
  ]
  if (lock.path !== null) lines.push([span(`file ${shown(lock.path, '')}`, 'dim')])
  for (const verdict of picture.snapshot.verdict) {
    if (verdict.lockId !== lock.id || verdict.level === 'good') continue
    lines.push([span(`${glyphs(ascii)[verdict.level]} ${verdict.rule}`, verdict.level), span(`  ${verdict.sentence}`)])
    for (const line of verdict.evidence) lines.push([span(`  ${line}`, 'dim')])
    if (verdict.next !== null) lines.push([span(`  ${glyphs(ascii).arrow} ${verdict.next}`, 'strong')])
  }
  lines.push([], ...holders(lock, size), [], ...queue(lock, size))
  if (lock.waiterCount > 0) lines.push([], ...waits(picture, size, 40, lock.id))
  lines.push([], ...figures(lock, size))
  if (lock.send !== null) lines.push([], ...sendLines(lock.send))
  lines.push(
    [],
    ...eventLines(
      lock.events.slice(-LAST_EVENTS).map((event) => ({ ...event, pid: lock.pid, lock: null })),
      size,
    ),
  )
  return lines
}

/** @param {LockView} lock @param {Size} size @returns {Line[]} */
function holders({ holders: all, holderCount }, { columns, ascii }) {
  if (all.length === 0) return [[span('HOLDER', 'dim')], [span('nobody')]]
  const listed = all.slice(0, MAX_LISTED)
  const none = ascii ? '-' : '–'
  const lines = table(
    [
      {
        title: 'HOLDER',
        cells: listed.map((holder) => span(holderText(holder), holder.alive === false ? 'bad' : undefined)),
        give: 12,
      },
      {
        title: 'HELD',
        cells: listed.map(({ heldMs }) => span(heldMs === null ? none : duration(heldMs))),
        side: 'right',
      },
      {
        title: 'MODE',
        cells: listed.map(({ mode, weight }) =>
          span(weight > 1 ? `${mode} ×${weight}`.replace('×', ascii ? 'x' : '×') : mode),
        ),
      },
      {
        title: 'TOKEN',
        cells: listed.map(({ token }) => span(token === null ? none : String(token))),
        side: 'right',
        drop: 1,
      },
      { title: 'COMMAND', cells: listed.map(({ command }) => span(shown(command, none))), give: 8, drop: 2 },
      { title: 'LABEL', cells: listed.map(({ label }) => span(shown(label, none))), give: 8, drop: 3 },
    ],
    columns,
    ascii,
  )
  if (holderCount > listed.length) lines.push([span(`and ${holderCount - listed.length} more`, 'dim')])
  return lines
}

/** @param {LockView} lock @param {Size} size @returns {Line[]} */
function queue({ waiters, waiterCount }, { columns, ascii }) {
  if (waiterCount === 0) return [[span('QUEUE', 'dim')], [span('nobody waits')]]
  const listed = waiters.slice(0, MAX_LISTED)
  const none = ascii ? '-' : '–'
  const lines = table(
    [
      { title: 'QUEUE', cells: listed.map(({ position }) => span(ordinal(position))) },
      {
        title: 'WHO',
        cells: listed.map((waiter) => span(shown(waiter.layer ?? waiter.label ?? place(waiter), ''))),
        give: 8,
      },
      { title: 'WHERE', cells: listed.map((waiter) => span(place(waiter))) },
      { title: 'WAITED', cells: listed.map(({ waitedMs }) => span(duration(waitedMs), 'wait')), side: 'right' },
      {
        title: 'LEFT',
        cells: listed.map(({ deadlineMs }) => span(deadlineMs === null ? none : duration(deadlineMs))),
        side: 'right',
      },
      { title: 'MODE', cells: listed.map(({ mode }) => span(mode)), drop: 2 },
      { title: 'PRIORITY', cells: listed.map(({ priority }) => span(String(priority))), side: 'right', drop: 1 },
    ],
    columns,
    ascii,
  )
  if (waiterCount > listed.length) lines.push([span(`and ${waiterCount - listed.length} more`, 'dim')])
  return lines
}

/** @param {LockView} lock @param {Size} size @returns {Line[]} */
function figures(lock, { columns, ascii }) {
  const rows = /** @type {const} */ (['wait', 'hold'])
  const of = (/** @type {(times: LockView['wait']) => string} */ text) => rows.map((row) => span(text(lock[row])))
  const { acquisitions, contended, timeouts, aborts, forced, recoveries, deadlocks, lastToken } = lock
  return [
    ...table(
      [
        { title: 'TIMES', cells: rows.map((row) => span(row)) },
        { title: 'count', cells: of(({ count }) => String(count)), side: 'right' },
        { title: 'p50', cells: of(({ p50Ms }) => duration(p50Ms)), side: 'right' },
        { title: 'p99', cells: of(({ p99Ms }) => duration(p99Ms)), side: 'right' },
        { title: 'max', cells: of(({ maxMs }) => duration(maxMs)), side: 'right' },
        { title: 'total', cells: of(({ totalMs }) => duration(totalMs)), side: 'right', drop: 1 },
      ],
      columns,
      ascii,
    ),
    [
      span(
        `${counted(acquisitions, 'acquisition')}, ${percent(contended, acquisitions)} of them contended; ` +
          `last token ${lastToken}`,
      ),
    ],
    [
      span(
        `${counted(timeouts, 'timeout')}, ${counted(aborts, 'abort')}, ${forced} forced, ` +
          `${counted(recoveries, 'recovery', 'recoveries')}, ${counted(deadlocks, 'deadlock')}`,
      ),
    ],
  ]
}

/** @param {NonNullable<LockView['send']>} send @returns {Line[]} */
function sendLines(send) {
  const due = (/** @type {number | null} */ ms) => (ms === null ? 'not due' : `in ${duration(ms)}`)
  return [
    [span('SEND LOCK', 'dim')],
    [
      span(
        `cooldown ${duration(send.cooldownMs)}, left ${duration(send.cooldownLeftMs)}; ` +
          `duplicates suppressed ${send.duplicatesSuppressed}`,
      ),
    ],
    [
      span(
        `timeout ${due(send.dueTimeoutMs)}, forced free ${due(send.dueForceMs)}; ` +
          `overdue ${send.overdue}, late releases ${send.lateReleases}`,
      ),
    ],
    [
      span(
        `blocked while held ${send.blockedHeld}, while cooling down ${send.blockedCooldown}; ` +
          `unknown layers refused ${send.refusedUnknownLayer}`,
      ),
    ],
    ...send.layers.slice(0, MAX_LISTED).map(({ layer, acquisitions, releases, blocked, forced }) => {
      return [
        span(`  ${shown(layer, '')}: `),
        span(`acquired ${acquisitions}, released ${releases}, blocked ${blocked}, forced ${forced}`, 'dim'),
      ]
    }),
  ]
}

module.exports = { lockDetails }
