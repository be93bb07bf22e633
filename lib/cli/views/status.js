// What `chainlock status` prints: verdicts, then the locks that are held or waited for, then leases. A view computes no facts.
// @ts-check
'use strict'

const { clean, cut, duration } = require('../text')
const { leaseTable } = require('./lease')
const { table } = require('./table')
const { verdictLines } = require('./verdict')

/** @typedef {import('../../../index').SnapshotLock} Lock */
/** @typedef {import('../../../index').Snapshot} Snapshot */
/** @typedef {import('./verdict').Look} Look */

const LONGEST_NAME = 40

/** @type {Record<string, (lock: Lock) => number>} */
const MEASURES = {
  'wait-total': ({ wait }) => wait.totalMs,
  'wait-max': ({ wait, waiters }) => Math.max(wait.maxMs, ...waiters.map(({ waitedMs }) => waitedMs ?? 0)),
  contended: ({ contended, acquisitions }) => contended / Math.max(1, acquisitions),
  hold: ({ hold, holders }) => Math.max(hold.maxMs, ...holders.map(({ heldMs }) => heldMs ?? 0)),
}
const SORTS = [...Object.keys(MEASURES), 'name']

/**
 * Without an order: the most waited for first, then the longest held.
 * @param {readonly Lock[]} locks
 * @param {string} [by]
 * @returns {Lock[]}
 */
function sorted(locks, by) {
  const name = (/** @type {Lock} */ lock) => lock.name ?? lock.path ?? ''
  if (by === 'name') return [...locks].sort((a, b) => (name(a) < name(b) ? -1 : 1))
  if (by !== undefined) return [...locks].sort((a, b) => MEASURES[by](b) - MEASURES[by](a))
  return [...locks].sort((a, b) => b.waiterCount - a.waiterCount || MEASURES.hold(b) - MEASURES.hold(a))
}

/**
 * @param {Snapshot} snapshot
 * @param {Look & { sort?: string }} look
 * @returns {string[]}
 */
function statusLines({ verdict, processes, locks, leases, unseen }, look) {
  const commands = new Map(processes.map(({ pid, command }) => [pid, command]))
  const columns = look.isTty ? look.columns : Infinity
  const rows = sorted(locks, look.sort).map((lock) => rowOf(lock, commands, look))
  const [heads, ...lines] =
    rows.length > 0 ? table(HEADS, rows, { right: NUMBERS, columns, more: look.glyphs.more }) : []
  return [
    ...verdictLines(verdict, look),
    '',
    ...(heads === undefined ? [] : [look.colour.dim(heads), ...lines, '']),
    ...leaseTable(leases, look),
    ...(leases.length > 0 ? [''] : []),
    look.colour.dim(counted({ processes, locks, leases, unseen })),
  ]
}

// What matters most stands left: a narrow terminal cuts the right.
const HEADS = ['LOCK', 'KIND', 'STATE', 'HELD', 'HOLDER', 'WAIT', 'LONGEST', 'PROCESS', 'P50/P99 WAIT', 'P99 HOLD']
const NUMBERS = [5, 6]

/**
 * @param {Lock} lock
 * @param {Map<number, string | null>} commands
 * @param {Look} look
 */
function rowOf(lock, commands, { glyphs }) {
  const { holders, holderCount, waiters, waiterCount, wait, hold } = lock
  const [first] = holders
  const time = (/** @type {number | null | undefined} */ ms) => (ms == null ? glyphs.dash : duration(ms))
  const longest = waiters.reduce((most, { waitedMs }) => Math.max(most, waitedMs ?? 0), 0)
  return [
    cut(clean(lock.name === '' ? '""' : (lock.name ?? lock.path ?? glyphs.dash)), LONGEST_NAME, glyphs.more),
    lock.kind,
    stateWords(lock, glyphs),
    time(first?.heldMs),
    first === undefined ? glyphs.dash : holderWords(lock) + (holderCount > 1 ? ` +${holderCount - 1}` : ''),
    String(waiterCount),
    waiterCount === 0 ? glyphs.dash : duration(longest),
    cut(clean(processWords(lock, commands)), LONGEST_NAME, glyphs.more),
    wait.count === 0 ? glyphs.dash : `${duration(wait.p50Ms)}/${duration(wait.p99Ms)}`,
    hold.count === 0 ? glyphs.dash : duration(hold.p99Ms),
  ]
}

/** @param {Lock} lock @param {Map<number, string | null>} commands */
function processWords({ pid, scope }, commands) {
  return pid === null ? scope : `${commands.get(pid) ?? 'process'} ${pid}`
}

/** @param {Lock} lock @param {import('../text').Glyphs} glyphs */
function stateWords({ state, mode, holderCount, permits, used, send }, glyphs) {
  if (state === 'cooldown') return `cooldown ${duration(send?.cooldownLeftMs ?? null)}`
  if (permits !== null) return `${state} ${used}/${permits}`
  return mode === 'shared' ? `${state} ${glyphs.times}${holderCount} shared` : state
}

/** @param {Lock} lock */
function holderWords({ pid: ofLock, holders: [{ layer, label, pid, thread, foreign, command }] }) {
  const name = layer ?? label
  const where =
    pid === null ? 'unknown' : ofLock === pid && thread !== null ? thread : `${clean(command ?? 'process')} ${pid}`
  const place = foreign ? `${where} (no chainlock)` : where
  return name === null ? place : `${cut(clean(name), LONGEST_NAME)} ${place}`
}

/** @param {Pick<Snapshot, 'processes' | 'locks' | 'leases' | 'unseen'>} snapshot */
function counted({ processes, locks, leases, unseen }) {
  const count = (/** @type {number} */ number, /** @type {string} */ one, /** @type {string} */ many) =>
    `${number} ${number === 1 ? one : many}`
  const parts = [count(processes.length, 'process', 'processes'), count(locks.length, 'lock', 'locks')]
  if (leases.length > 0) parts.push(count(leases.length, 'lease', 'leases'))
  if (unseen.length > 0) parts.push(`${unseen.length} not seen`)
  return parts.join(', ')
}

module.exports = { statusLines, sorted, SORTS }
