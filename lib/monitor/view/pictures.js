// The pictures of the terminal: the timeline of each layer or thread, the wait-for tree, the locks most fought over.
// @ts-check
'use strict'

const { duration, glyphs, pad, width } = require('../../cli/text')
const { fit, shown: shorten, span, table } = require('../frame')
const { cellsOf } = require('../timeline')
const { counted, ordinal } = require('./words')

/** @typedef {import('../types').Line} Line */
/** @typedef {import('../types').Size} Size */
/** @typedef {import('../types').Picture} Picture */
/** @typedef {import('../types').WaitNode} WaitNode */

const CELLS = { hold: '█', wait: '▒', cooldown: '░', idle: '▁' }
const ASCII_CELLS = { hold: '#', wait: '+', cooldown: '.', idle: '_' }
const MAX_TITLE = 20
/** In a tree a name leaves room for what is said of it. */
const MAX_IN_TREE = 28

/**
 * @param {Picture} picture @param {Size} size
 * @param {number} rows With the heading.
 * @param {number | null} [scroll] Null: where there is no room for all, those that held or waited longest.
 * @returns {Line[]}
 */
function timeline(picture, { columns, ascii }, rows, scroll = null) {
  const { tracks } = picture
  const { fromMs, toMs } = picture.timeline
  const cells = ascii ? ASCII_CELLS : CELLS
  const line = ascii ? '-' : '─'
  const shown =
    scroll === null
      ? busiest(tracks, rows - 1)
      : tracks.slice(Math.min(scroll, Math.max(0, tracks.length - (rows - 1)))).slice(0, rows - 1)
  const titles = shown.map((track) =>
    fit([span(shorten(track.title, ''))], Math.min(MAX_TITLE, Math.floor(columns / 3)), { ascii }),
  )
  const gutter = titles.reduce((most, [part]) => Math.max(most, width(part?.text ?? '')), 'TIMELINE'.length)
  const count = Math.max(1, columns - gutter - 1)
  const start = `-${Math.round((toMs - fromMs) / 1000)}s `
  const legend = columns >= 70 ? ` ${cells.hold} hold ${cells.wait} wait ${cells.cooldown} cooldown` : ''
  const rule = line.repeat(Math.max(0, count - start.length - ' now'.length - legend.length))
  /** @type {Line[]} */
  const lines = [[span(pad('TIMELINE', gutter + 1), 'dim'), span(`${start}${rule} now${legend}`, 'dim')]]
  if (tracks.length === 0) lines.push([span('nobody held a lock or waited', 'dim')])
  shown.forEach((track, index) => {
    const title = titles[index]?.[0]?.text ?? ''
    lines.push([span(pad(title, gutter + 1)), ...runs(cellsOf(track, fromMs, toMs, count), cells)])
  })
  const more = tracks.length - shown.length
  if (more > 0 && rows > 3)
    lines.splice(-1, 1, [span(`and ${more + 1} more${scroll === null ? ' (t shows all)' : ''}`, 'dim')])
  return lines.map((part) => fit(part, columns, { ascii }))
}

/** @param {Picture['tracks']} tracks @param {number} count */
function busiest(tracks, count) {
  if (tracks.length <= count) return tracks
  const chosen = new Set([...tracks].sort((a, b) => b.busyMs - a.busyMs).slice(0, count))
  return tracks.filter((track) => chosen.has(track))
}

/**
 * Neighbours of one kind as one span.
 * @param {import('../types').CellKind[]} kinds
 * @param {typeof CELLS} cells
 * @returns {Line}
 */
function runs(kinds, cells) {
  /** @type {Line} */
  const line = []
  for (const kind of kinds) {
    const style = kind === 'idle' ? 'dim' : kind
    const last = line.at(-1)
    if (last && last.style === style) last.text += cells[kind]
    else line.push({ text: cells[kind], style })
  }
  return line
}

/**
 * @param {Picture} picture
 * @param {Size} size
 * @param {number} rows
 * @param {string | null} [lockId] Only the tree with this lock.
 * @returns {Line[]}
 */
function waits({ trees }, { columns, ascii }, rows, lockId = null) {
  /** @type {Line[]} */
  const lines = [[span('WAITS', 'dim')]]
  for (const tree of trees) {
    if (lines.length > rows) break
    if (lockId === null || contains(tree, lockId)) branch(tree, '', ascii, lines, rows)
  }
  if (lines.length === 1) lines.push([span('nobody waits', 'dim')])
  if (lines.length > rows) lines.splice(rows - 1, Infinity, [span('and more', 'dim')])
  return lines.map((line) => fit(line, columns, { ascii }))
}

/** @param {WaitNode} node @param {string} lockId @returns {boolean} */
function contains(node, lockId) {
  return node.lockId === lockId || node.waiters.some(({ blocks }) => blocks.some((below) => contains(below, lockId)))
}

/**
 * @param {WaitNode} node @param {string} indent What stands before the node's waiters.
 * @param {boolean} ascii @param {Line[]} lines @param {number} rows
 */
function branch(node, indent, ascii, lines, rows, isRoot = true) {
  const signs = glyphs(ascii)
  const name = shorten(node.lock, '(no name)', MAX_IN_TREE)
  if (isRoot) {
    const holds = span(` ${ascii ? '-' : '─'} holds `)
    lines.push([...holderSpans(node), holds, span(name, 'strong'), ...circleSpans(node)])
  }
  if (node.again) return
  node.waiters.forEach((waiter, index) => {
    if (lines.length > rows) return
    const isLast = index === node.waiters.length - 1 && node.more === 0
    const { who, where, position, waitedMs, deadlineMs, blocks } = waiter
    const left = deadlineMs === null ? '' : `  ${duration(deadlineMs)} left`
    lines.push([
      span(`${indent}${isLast ? signs.last : signs.branch} `, 'dim'),
      span(shorten(who, '', MAX_IN_TREE)),
      span(`${where === null ? '' : ` ${where}`}  ${ordinal(position)}  ${duration(waitedMs)}${left}`, 'dim'),
    ])
    const below = indent + (isLast ? '   ' : `${pad(signs.pipe, 3)}`)
    for (const held of blocks) {
      if (lines.length > rows) return
      lines.push([
        span(`${below}${signs.last} `, 'dim'),
        span('holds '),
        span(shorten(held.lock, '(no name)', MAX_IN_TREE), 'strong'),
        span(held.again ? '  (above)' : `  ${counted(held.waiterCount, 'waiter')}`, 'dim'),
        ...circleSpans(held),
      ])
      branch(held, `${below}   `, ascii, lines, rows, false)
    }
  })
  if (node.more > 0) lines.push([span(`${indent}${signs.last} and ${node.more} more`, 'dim')])
}

/** @param {WaitNode} node @returns {Line} */
function holderSpans({ holders, holderCount }) {
  const [first] = holders
  if (first === undefined) return [span('nobody')]
  const more = holderCount > 1 ? ` +${holderCount - 1}` : ''
  return [
    span(shorten(first.who, '', MAX_IN_TREE), 'strong'),
    span(`${first.where === null ? '' : ` ${first.where}`}${more}`),
  ]
}

/** @param {WaitNode} node @returns {Line} */
function circleSpans({ circle, again }) {
  return circle && !again ? [span('  circle', 'bad')] : []
}

/**
 * @param {Picture} picture @param {Size} size @param {number} rows
 * @returns {Line[]}
 */
function contention({ growth }, { columns, ascii }, rows) {
  const over = growth.overMs >= 59_000 ? '1m' : duration(Math.max(1_000, growth.overMs))
  const locks = growth.locks.slice(0, Math.max(1, rows - 1))
  if (locks.length === 0) return [[span('TOP CONTENTION', 'dim')], [span('no lock was fought over', 'dim')]]
  const of = (/** @type {(lock: import('../types').Contention) => string} */ text) =>
    locks.map((lock) => span(text(lock)))
  return table(
    [
      { title: `TOP CONTENTION (${over})`, cells: of(({ name }) => shorten(name, '(no name)')), give: 12 },
      { title: 'waits', cells: of(({ waits }) => String(waits)), side: 'right' },
      { title: 'total', cells: of(({ totalMs }) => duration(totalMs)), side: 'right', drop: 2 },
      { title: 'max', cells: of(({ maxMs }) => duration(maxMs)), side: 'right', drop: 1 },
    ],
    columns,
    ascii,
  )
}

module.exports = { timeline, waits, contention, CELLS, ASCII_CELLS }
