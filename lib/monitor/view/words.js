// How the views of the terminal say what stands in a snapshot: states, holders, places in time.
// @ts-check
'use strict'

const { duration } = require('../../cli/text')
const { trackName } = require('../recorder')
const { shown } = require('../frame')

/** @typedef {import('../types').LockView} LockView */
/** @typedef {import('../types').HolderView} HolderView */
/** @typedef {import('../types').Style} Style */

/** @type {Record<string, Style | undefined>} */
const STATE_STYLES = {
  held: undefined,
  cooldown: 'cooldown',
  waiting: 'wait',
  free: 'dim',
  stale: 'bad',
  lost: 'bad',
  forced: 'warn',
}

/** @param {LockView} lock */
function lockName(lock) {
  return shown(lock.name, '(no name)') + (lock.nameCut ? '…' : '')
}

/**
 * The state, with what makes it: how many share it, how long a cooldown lasts.
 * @param {LockView} lock
 * @param {boolean} ascii
 */
function stateOf(lock, ascii) {
  const times = ascii ? 'x' : '×'
  if (lock.state === 'cooldown' && lock.send !== null) return `cooldown ${duration(lock.send.cooldownLeftMs)}`
  if (lock.state !== 'held') return lock.state
  if (lock.permits !== null && lock.kind === 'semaphore') return `held ${lock.used}/${lock.permits}`
  if (lock.mode === 'shared') return `held ${times}${lock.holderCount}r`
  return 'held'
}

/**
 * Where somebody runs: '4242/w3'.
 * @param {{ pid: number | null, threadId: number | null, thread: string | null }} who
 */
function place({ pid, threadId, thread }) {
  return pid === null ? '' : trackName({ layer: null, pid, threadId, thread })
}

/** @param {HolderView} holder */
function holderText(holder) {
  const { command, foreign, layer, label, pid } = holder
  if (foreign) return `${shown(command, '?')} ${pid ?? ''} (foreign)`
  const who = layer ?? label
  const where = place(holder)
  const gone = holder.alive === false ? ' (gone)' : ''
  if (who === null) return (where || shown(command, 'unknown')) + gone
  return `${shown(who, '')}${where && `  ${where}`}${gone}`
}

/** @param {LockView} lock */
function holdersText({ holders, holderCount }) {
  const [first] = holders
  if (first === undefined) return ''
  if (holderCount === 1) return holderText(first)
  const texts = holders.slice(0, 3).map((holder) => {
    return holder.layer === null || holder.foreign ? holderText(holder) : shown(holder.layer, '')
  })
  const more = holderCount - texts.length
  return texts.join(', ') + (more > 0 ? ` +${more}` : '')
}

/** The longest hold of a lock. @param {LockView} lock */
function heldMs({ holders }) {
  const times = holders.flatMap(({ heldMs }) => heldMs ?? [])
  return times.length === 0 ? null : times.reduce((most, ms) => Math.max(most, ms))
}

/** The hour of the day, here. @param {number} atMs */
function clock(atMs) {
  return new Date(atMs).toTimeString().slice(0, 8)
}

/** @param {number} count @param {string} one @param {string} [many] */
function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`
}

/** The place in a queue: '1st'. @param {number} position */
function ordinal(position) {
  const last = position % 100 > 10 && position % 100 < 14 ? 0 : position % 10
  return `${position}${['th', 'st', 'nd', 'rd'][last] ?? 'th'}`
}

/** A part of a whole, in percent. @param {number} part @param {number} whole */
function percent(part, whole) {
  return whole === 0 ? '–' : `${Math.round((100 * part) / whole)} %`
}

module.exports = {
  STATE_STYLES,
  lockName,
  stateOf,
  place,
  holderText,
  holdersText,
  heldMs,
  clock,
  counted,
  ordinal,
  percent,
}
