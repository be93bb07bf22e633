// The top of each frame: what is looked at and when, then the verdicts, worst first, with what to type next.
// @ts-check
'use strict'

const { glyphs, width } = require('../../cli/text')
const { ends, fit, span, wrap } = require('../frame')
const { clock, counted } = require('./words')

/** @typedef {import('../types').Line} Line */
/** @typedef {import('../types').Picture} Picture */
/** @typedef {import('../types').Size} Size */

/**
 * @param {Picture} picture @param {import('../types').ViewState} state @param {Size} size
 * @returns {Line}
 */
function header({ snapshot, locks, health }, state, { columns, ascii }) {
  const { dot } = glyphs(ascii)
  const leases = snapshot.leases.length > 0 ? ` ${dot} ${counted(snapshot.leases.length, 'lease')}` : ''
  const processes = counted(snapshot.processes.length, 'process', 'processes')
  const counts = `${processes} ${dot} ${counted(locks.length, 'lock')}${leases}`
  const worst = snapshot.verdict[0]
  const rule = worst?.rule ?? 'OK'
  const level = worst?.level ?? 'good'
  const paused = state.paused ? [span(' PAUSED ', 'selected'), span('  ')] : []
  /** @type {Line} */
  const right = [...paused, span(rule, level), span(`   ${clock(snapshot.takenAtMs)}`)]
  const tone = health.score >= 80 ? 'good' : health.score >= 50 ? 'warn' : 'bad'
  /** @type {Line} */
  const left = [span('chainlock', 'strong'), span(`  ${counts}`)]
  // On a narrow terminal the number goes first; the verdict says it in words.
  if (columns >= 70) left.push(span(`   health ${health.score} ${health.word}`, tone))
  return ends(left, right, columns, ascii)
}

/**
 * @param {Picture} picture @param {Size} size
 * @param {number} most So many lines at most.
 * @returns {Line[]}
 */
function verdicts({ snapshot }, { columns, ascii }, most) {
  const signs = glyphs(ascii)
  /** @type {Line[]} */
  const lines = []
  const indent = Math.max(width(signs.bad), width(signs.good)) + 1
  for (const [index, verdict] of snapshot.verdict.entries()) {
    const left = snapshot.verdict.length - index
    if (lines.length > 0 && lines.length >= most - (left > 1 ? 1 : 0)) {
      lines.push([span(`${' '.repeat(indent)}and ${counted(left, 'more', 'more')} (h shows all)`, 'dim')])
      break
    }
    const { rule, level, sentence, next } = verdict
    const sign = signs[level] + ' '.repeat(Math.max(1, indent - width(signs[level])))
    const [first, ...rest] = wrap(sentence, columns - indent - rule.length - 2)
    lines.push(fit([span(`${sign}${rule}`, level), span('  '), ...(first ?? [])], columns, { ascii }))
    const room = most - lines.length - (next === null ? 0 : 1)
    for (const line of rest.slice(0, Math.max(0, room))) {
      lines.push(fit([span(' '.repeat(indent + rule.length + 2)), ...line], columns, { ascii }))
    }
    if (next !== null && lines.length < most) {
      lines.push(fit([span(' '.repeat(indent)), span(`${signs.arrow} ${next}`, 'strong')], columns, { ascii }))
    }
  }
  return lines.slice(0, Math.max(1, most))
}

module.exports = { header, verdicts }
