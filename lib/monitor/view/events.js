// What happened last, a line for each event, the newest at the foot.
// @ts-check
'use strict'

const { duration } = require('../../cli/text')
const { shown, span } = require('../frame')
const { clock } = require('./words')
const { trackName } = require('../recorder')

/** @typedef {import('../types').Line} Line */
/** @typedef {import('../types').Recent} Recent */

/** @type {Record<string, import('../types').Style | undefined>} */
const STYLES = {
  acquired: 'hold',
  blocked: 'wait',
  waiting: 'wait',
  timed_out: 'bad',
  overdue: 'bad',
  forced: 'warn',
  stolen: 'warn',
  recovered: 'warn',
  deadlock: 'bad',
  order: 'warn',
  refused: 'warn',
  failed: 'bad',
  lost: 'bad',
}

/** Whether an event's span is a hold's or a wait's. @param {Recent} event */
function spanText({ kind, spanMs }) {
  // Who begins to wait has waited for nothing yet.
  if (spanMs === null || kind === 'waiting') return ''
  const isWait = kind === 'acquired' || kind === 'timed_out' || kind === 'aborted'
  return ` ${isWait ? 'after' : 'held'} ${duration(spanMs)}`
}

/**
 * @param {readonly Recent[]} events @param {import('../types').Size} size @param {number} [rows] With the heading.
 * @returns {Line[]}
 */
function eventLines(events, { ascii }, rows = Infinity) {
  /** @type {Line[]} */
  const lines = [[span('RECENT ACTIVITY', 'dim')]]
  if (events.length === 0) return [...lines, [span('nothing so far', 'dim')]]
  for (const event of events.slice(rows === Infinity ? 0 : -Math.max(1, rows - 1))) {
    const { atMs, kind, layer, lock, other } = event
    const who = trackName(event)
    const name = lock === null ? '' : `  ${shown(lock, '')}`
    lines.push([
      span(`${clock(atMs)}.${String(Math.floor(atMs % 1000)).padStart(3, '0')}  `, 'dim'),
      span(kind.padEnd(10), STYLES[kind]),
      span(`${name}  `),
      span(layer === null && event.threadId === null ? '' : shown(who, ''), 'strong'),
      span(spanText(event)),
      span(other === null ? '' : `  ${ascii ? '<-' : '←'} ${shown(other, '')}`, 'dim'),
    ])
  }
  return lines
}

module.exports = { eventLines }
