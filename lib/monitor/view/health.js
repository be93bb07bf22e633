// Health in full: the score and its issues, every verdict, the processes with their threads and room, what is unseen.
// @ts-check
'use strict'

const { duration, glyphs, width } = require('../../cli/text')
const { shown, span, table, wrap } = require('../frame')

/** @typedef {import('../types').Line} Line */
/** @typedef {import('../types').Picture} Picture */
/** @typedef {import('../types').Size} Size */

/**
 * @param {Picture} picture @param {Size} size
 * @returns {Line[]}
 */
function healthView({ snapshot, health, growth }, size) {
  const { ascii, columns } = size
  const tone = health.score >= 80 ? 'good' : health.score >= 50 ? 'warn' : 'bad'
  /** @type {Line[]} */
  const lines = [[span('HEALTH  ', 'dim'), span(`${health.score} ${health.word}`, tone)]]
  const issues = health.issues.length === 0 ? ['no issue'] : health.issues
  for (const issue of issues) lines.push(...hanging(`${glyphs(ascii).dot} `, issue, columns))
  const over = duration(Math.max(1_000, growth.overMs))
  const { acquisitions, contended, timeouts, forced } = growth
  lines.push(
    [],
    [
      span(`LAST ${over}  `, 'dim'),
      span(`${acquisitions} acquired, ${contended} contended, ${timeouts} timed out, ${forced} forced`),
    ],
  )
  lines.push([], [span('VERDICTS', 'dim')])
  for (const { rule, level, sentence, evidence, next } of snapshot.verdict) {
    const [first, ...rest] = hanging(`${glyphs(ascii)[level]} ${rule}  `, sentence, columns)
    lines.push(
      [
        { text: `${glyphs(ascii)[level]} ${rule}`, style: level },
        { text: (first?.[0]?.text ?? '').slice(`${glyphs(ascii)[level]} ${rule}`.length) },
      ],
      ...rest,
    )
    for (const line of evidence) lines.push([span(`    ${line}`, 'dim')])
    if (next !== null) lines.push([span(`    ${glyphs(ascii).arrow} ${next}`, 'strong')])
  }
  lines.push([], ...processes(snapshot.processes, size))
  if (snapshot.unseen.length > 0) lines.push([], [span('UNSEEN', 'dim')])
  for (const { pid, command, reason, advice } of snapshot.unseen) {
    lines.push(...hanging(`${pid} `, `${shown(command, '')} ${reason}: ${advice}`, columns))
  }
  return lines
}

/**
 * A text whose further lines stand below its first word.
 * @param {string} lead
 * @param {string} text
 * @param {number} columns
 * @returns {Line[]}
 */
function hanging(lead, text, columns) {
  return wrap(text, columns - width(lead)).map((line, index) => {
    return [span(`${index === 0 ? lead : ' '.repeat(width(lead))}${line[0]?.text ?? ''}`)]
  })
}

/** @param {readonly import('../types').ProcessView[]} all @param {Size} size @returns {Line[]} */
function processes(all, { columns, ascii }) {
  const listed = all.slice(0, 200)
  const none = ascii ? '-' : '–'
  const of = (/** @type {(process: import('../types').ProcessView) => string} */ text) =>
    listed.map((process) => span(text(process)))
  const lines = table(
    [
      { title: 'PROCESS', cells: of(({ pid, isOwn }) => `${pid}${isOwn ? ' (this)' : ''}`) },
      { title: 'COMMAND', cells: of(({ command }) => shown(command, none)), give: 10 },
      {
        title: 'STATE',
        cells: listed.map(({ state }) => span(state, state === 'stopped' || state === 'zombie' ? 'bad' : undefined)),
      },
      { title: 'THREADS', cells: of(({ threads }) => String(threads.length)), side: 'right', drop: 5 },
      {
        title: 'LOOP SILENT',
        cells: of(({ threads }) => {
          const silent = threads.reduce((most, { silentMs }) => Math.max(most, silentMs ?? 0), 0)
          return silent === 0 ? none : duration(silent)
        }),
        side: 'right',
        drop: 2,
      },
      { title: 'SLOTS', cells: of(({ table: { used, slots } }) => `${used}/${slots}`), side: 'right', drop: 3 },
      {
        title: 'CLAIMS',
        cells: of(({ table: { claimsUsed, claims } }) => `${claimsUsed}/${claims}`),
        side: 'right',
        drop: 4,
      },
      {
        title: 'JOURNAL',
        cells: of(({ journal }) =>
          journal === null ? none : `${duration(journal.lagMs)} behind, ${journal.dropped} dropped`,
        ),
        drop: 1,
      },
    ],
    columns,
    ascii,
  )
  if (all.length > listed.length) lines.push([span(`and ${all.length - listed.length} more`, 'dim')])
  return lines
}

module.exports = { healthView }
