// A frame of the terminal: a picture, what the person chose, and a size, as exactly so many lines.
// @ts-check
'use strict'

const { beside, ends, fit, span } = require('../frame')
const { header, verdicts } = require('./head')
const { leaseTable } = require('./leases')
const { lockTable, shownLocks } = require('./locks')
const { contention, timeline, waits } = require('./pictures')
const { eventLines } = require('./events')
const { lockDetails } = require('./lock')
const { healthView } = require('./health')
const { glyphs } = require('../../cli/text')

/** @typedef {import('../types').Line} Line */
/** @typedef {import('../types').Picture} Picture */
/** @typedef {import('../types').Size} Size */
/** @typedef {import('../types').ViewState} ViewState */

/** From here on two blocks stand side by side. */
const WIDE = 100
/** The frame of `--once` shows at most so many locks. */
const NATURAL = { verdicts: 12, locks: 51, leases: 21, tracks: 17, waits: 24, events: 16 }

/** @type {[string, string][]} */
const HELP = [
  ['↑ ↓ j k', 'choose a lock; page up, page down, home, end as well'],
  ['enter', 'why: the chosen lock in full'],
  ['t', 'timeline of every layer and thread'],
  ['e', 'recent activity'],
  ['h', 'health: score, issues, verdicts, processes'],
  ['/', 'filter by name, state or holder'],
  ['s', 'sort: urgency, wait-total, wait-max, contended, hold, name'],
  ['p', 'pause and go on'],
  ['w', 'open the page; its address is shown below'],
  ['esc', 'back; clears the filter'],
  ['ctrl-l', 'draw anew'],
  ['ctrl-z', 'suspend'],
  ['q', 'quit'],
]

/**
 * @param {Picture} picture
 * @param {ViewState} state
 * @param {Size} size
 * @returns {Line[]} `size.rows` lines, none wider than `size.columns`.
 */
function frameOf(picture, state, size) {
  const { columns, rows, ascii } = size
  const top = header(picture, state, size)
  const body =
    rows === null ? natural(picture, state, size) : bodyOf(picture, state, { ...size, rows: Math.max(1, rows - 2) })
  const lines = rows === null ? [top, ...body] : [top, ...page(body, rows - 2), footer(state, size)]
  return lines.slice(0, rows ?? Infinity).map((line) => fit(line, columns, { ascii }))
}

/** @param {Line[]} lines @param {number} rows */
function page(lines, rows) {
  const kept = lines.slice(0, rows)
  while (kept.length < rows) kept.push([])
  return kept
}

/** @param {Picture} picture @param {ViewState} state @param {Size & { rows: number }} size @returns {Line[]} */
function bodyOf(picture, state, size) {
  const { mode, scroll } = state
  if (mode === 'main') return mainView(picture, state, size)
  if (mode === 'timeline') return timeline(picture, size, size.rows, scroll)
  if (mode === 'events') {
    const last = Math.max(0, picture.recent.length - scroll)
    return eventLines(picture.recent.slice(0, Math.max(last, size.rows - 1)), size, size.rows)
  }
  const lines =
    mode === 'why'
      ? lockDetails(picture, chosen(picture, state), size)
      : mode === 'health'
        ? healthView(picture, size)
        : helpLines(size)
  return scrolled(lines, scroll, size)
}

/** @param {Line[]} lines @param {number} scroll @param {Size & { rows: number }} size */
function scrolled(lines, scroll, { rows, ascii }) {
  const first = Math.min(scroll, Math.max(0, lines.length - rows))
  const shown = lines.slice(first, first + rows)
  const below = lines.length - first - rows
  if (below > 0) shown.splice(-1, 1, [span(`${ascii ? 'v' : '↓'} ${below + 1} more`, 'dim')])
  return shown
}

/** The lock under the cursor. @param {Picture} picture @param {ViewState} state */
function chosen(picture, state) {
  if (state.selectedId !== null) return picture.snapshot.locks.find((lock) => lock.id === state.selectedId)
  return shownLocks(picture, state)[0]
}

/**
 * The blocks share the rows: verdict first, then locks, then the pictures, then what happened.
 * @param {Picture} picture @param {ViewState} state @param {Size & { rows: number }} size
 * @returns {Line[]}
 */
function mainView(picture, state, size) {
  const { rows, columns, ascii } = size
  const locks = shownLocks(picture, state)
  const lines = verdicts(picture, size, Math.max(1, Math.min(6, Math.floor(rows / 4))))
  const gap = rows >= 14
  if (gap) lines.push([])
  const left = rows - lines.length
  if (left < 12) {
    const leases = leaseTable(picture, size, Math.min(picture.snapshot.leases.length + 1, Math.floor(left / 3)))
    return [...lines, ...lockTable(locks, state, size, left - leases.length), ...leases].slice(0, rows)
  }

  const isWide = columns >= WIDE
  const lockRows = Math.min(locks.length + 1, Math.max(4, Math.floor(left * 0.4)))
  const trackRows = Math.min(picture.tracks.length + 1, Math.max(3, Math.floor(left * 0.3)))
  const leases = leaseTable(picture, size, Math.floor(left * 0.2))
  lines.push(...lockTable(locks, state, size, lockRows), [])
  if (leases.length > 0) lines.push(...leases, [])
  lines.push(...timeline(picture, size, Math.max(2, trackRows)), [])
  const rest = rows - lines.length
  if (rest < 2) return lines
  if (!isWide) return [...lines, ...stacked(picture, size, rest)]
  const half = Math.floor((columns - 2) * 0.55)
  const leftSide = waits(picture, { ...size, columns: half }, rest)
  const right = { ...size, columns: columns - half - 2 }
  const top = contention(picture, right, Math.max(3, Math.floor(rest / 2)))
  const events = rest - top.length - 1
  const rightSide = events >= 3 ? [...top, [], ...eventLines(picture.recent, right, events)] : top
  return [...lines, ...beside(leftSide, rightSide.slice(0, rest), half, columns, ascii)]
}

/** @param {Picture} picture @param {Size} size @param {number} rest */
function stacked(picture, size, rest) {
  const some = rest < 8 ? rest : Math.ceil(rest / 2)
  const tree = waits(picture, size, picture.trees.length === 0 ? 2 : some)
  const events = rest - tree.length - 1
  return events >= 2 ? [...tree, [], ...eventLines(picture.recent, size, events)] : tree.slice(0, rest)
}

/**
 * Everything that is worth a line, for a frame without an end.
 * @param {Picture} picture
 * @param {ViewState} state
 * @param {Size} size
 */
function natural(picture, state, size) {
  const locks = shownLocks(picture, state)
  return [
    ...verdicts(picture, size, NATURAL.verdicts),
    [],
    ...lockTable(locks, { ...state, selectedId: null }, size, NATURAL.locks),
    [],
    ...spaced(leaseTable(picture, size, NATURAL.leases)),
    ...timeline(picture, size, Math.min(picture.tracks.length + 1, NATURAL.tracks)),
    [],
    ...waits(picture, size, NATURAL.waits),
    [],
    ...contention(picture, size, 6),
    [],
    ...eventLines(picture.recent, size, NATURAL.events),
  ]
}

/** With a line below, where there are any. @param {Line[]} lines @returns {Line[]} */
const spaced = (lines) => (lines.length === 0 ? [] : [...lines, []])

/** @param {Size} size @returns {Line[]} */
function helpLines({ ascii }) {
  return [
    [span('KEYS', 'dim')],
    ...HELP.map(([key, text]) => {
      const name = ascii ? key.replace('↑ ↓', 'up down') : key
      return [span(`  ${name.padEnd(11)} `, 'strong'), span(text)]
    }),
    [],
    [
      span(
        'Reading changes nothing in the processes looked at. In the timeline a cell shows what took most of its time.',
        'dim',
      ),
    ],
  ]
}

/** @param {ViewState} state @param {Size} size @returns {Line} */
function footer(state, { columns, ascii }) {
  if (state.typing)
    return [
      span('filter: ', 'strong'),
      span(`${state.filter}${ascii ? '_' : '▏'}`),
      span('  enter keeps, esc clears', 'dim'),
    ]
  const arrows = ascii ? 'up/down' : '↑↓'
  const views = `${arrows} lock  enter why  t timeline  e events  h health`
  const keys = `${views}  / filter  s sort  p pause  w web  ? help  q quit`
  const brief = `${arrows} enter t e h / s p w  ? help  q quit`
  const note = state.note !== '' ? state.note : state.filter !== '' ? `filter: ${state.filter}` : ''
  const { dot } = glyphs(ascii)
  if (note === '') return [span(keys.length <= columns ? keys : brief, 'dim')]
  return ends([span(note, 'strong')], [span(`${dot} ? help  q quit`, 'dim')], columns, ascii)
}

module.exports = { frameOf, shownLocks }
