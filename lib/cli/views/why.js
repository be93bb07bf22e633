// What `chainlock why` prints of one lock: who holds it, who waits, what happened, what to type.
// @ts-check
'use strict'

const { clean, duration, pad } = require('../text')
const { lockName, typed, who, withWord } = require('../../snapshot/words')
const { verdictLines } = require('./verdict')
const { waitTree } = require('./tree')

/** @typedef {import('../../../index').SnapshotLock} Lock */
/** @typedef {import('../../../index').Snapshot} Snapshot */
/** @typedef {import('./verdict').Look} Look */

/** A server's clock and a reader's may be in two zones: the day is left to `history`. @param {string} iso */
const clockTime = (iso) => iso.slice(11, 23)

/**
 * @param {Lock} lock
 * @param {Snapshot} snapshot
 * @param {Look} look
 * @returns {string[]}
 */
function whyLines(lock, { verdict, locks, processes }, look) {
  const { glyphs, colour } = look
  const process = processes.find(({ pid }) => pid === lock.pid)
  // Whoever reads this has typed that command.
  const isHere = (/** @type {string | null} */ next) => next?.startsWith('chainlock why') === true
  const about = verdict
    .filter(({ lockId }) => lockId === lock.id)
    .map((one) => (isHere(one.next) ? { ...one, next: null } : one))
  const of = process ? ` of ${process.command ?? 'process'} ${process.pid}` : ''
  const where = lock.path ? `${of}, ${lock.path}` : of
  const part = (/** @type {string} */ head, /** @type {string[]} */ lines) =>
    lines.map((line, index) => `${colour.dim(pad(index === 0 ? head : '', 10))}${line}`)
  const next = nextCommand(lock, about.some(({ level }) => level === 'bad'))
  return [
    `${colour.strong(clean(lockName(lock)))}  ${lock.kind}${clean(where)}: ${stateOf(lock)}`,
    ...verdictLines(about, look),
    '',
    ...part('held by', holderLines(lock)),
    ...part('waiting', lock.waiterCount === 0 ? ['nobody'] : waitTree(lock, locks, glyphs)),
    ...part('holders', waitingHolders(lock, locks)),
    ...part('times', timeLines(lock)),
    ...part('counts', [countLine(lock)]),
    ...part(
      'layers',
      (lock.send?.layers ?? [])
        .filter(isUsed)
        .map(({ layer, acquisitions, blocked, forced }) =>
          clean(`${layer}: ${acquisitions} acquired, ${blocked} blocked, ${forced} forced`),
        ),
    ),
    ...part('events', lock.events.length === 0 ? ['none that is kept'] : lock.events.map(eventLine)),
    ...(next === null ? [] : part('next', [next])),
  ]
}

/** @param {import('../../../index').SnapshotLayer} layer */
const isUsed = ({ acquisitions, blocked, forced }) => acquisitions + blocked + forced > 0

/** @param {Lock} lock */
function stateOf({ state, mode, permits, used, send }) {
  if (state === 'cooldown') return `cools down for ${duration(send?.cooldownLeftMs ?? null)}`
  return state + (permits === null ? (mode === null ? '' : `, ${mode}`) : `, ${used} of ${permits} permits in use`)
}

/** @param {Lock} lock */
function holderLines({ holders, holderCount, send }) {
  const lines = holders.map((holder) => {
    const { token, heldMs, mode, weight, alive } = holder
    const marks = [
      ...(token === null ? [] : [`token ${token}`]),
      ...(heldMs === null ? [] : [`for ${duration(heldMs)}`]),
      ...(mode === 'shared' ? [weight > 1 ? `${weight} permits` : 'shared'] : []),
      ...(alive === false ? ['dead'] : []),
    ]
    return clean([who(holder), ...marks].join(', '))
  })
  if (holderCount > holders.length) lines.push(`and ${holderCount - holders.length} more`)
  if (send?.dueTimeoutMs != null && send.dueForceMs != null) {
    const limit =
      send.dueTimeoutMs > 0
        ? `overdue in ${duration(send.dueTimeoutMs)}`
        : `overdue for ${duration(-send.dueTimeoutMs)}`
    lines.push(`${limit}, forced free in ${duration(Math.max(0, send.dueForceMs))}`)
  }
  return lines.length === 0 ? ['nobody'] : lines
}

/** What the holders wait for themselves: there the reason lies. @param {Lock} lock @param {readonly Lock[]} locks */
function waitingHolders({ holders }, locks) {
  return holders.flatMap((holder) => {
    const wanted = locks.find(({ id }) => id === holder.waitsFor)
    if (!wanted) return []
    const by = wanted.holders.map(who).join(' and ') || 'nobody'
    return [clean(`${who(holder)} waits for ${lockName(wanted)}, held by ${by}`)]
  })
}

/** @param {Lock} lock */
function timeLines({ wait, hold }) {
  const line = (
    /** @type {string} */ what,
    /** @type {import('../../../index').SnapshotTimes} */ { count, p50Ms, p99Ms, maxMs },
  ) =>
    count === 0
      ? []
      : [`${what}: half within ${duration(p50Ms)}, 99 % in ${duration(p99Ms)}, longest ${duration(maxMs)} (${count})`]
  const lines = [...line('waits', wait), ...line('holds', hold)]
  return lines.length === 0 ? ['nothing measured yet'] : lines
}

/** @param {Lock} lock */
function countLine({ acquisitions, contended, timeouts, aborts, forced, recoveries, deadlocks, send }) {
  const share = acquisitions > 0 ? ` (${Math.min(100, Math.round((100 * contended) / acquisitions))} %)` : ''
  const rest = {
    'timed out': timeouts,
    aborted: aborts,
    forced,
    recovered: recoveries,
    deadlocks,
    ...(send && { duplicates: send.duplicatesSuppressed }),
  }
  const more = Object.entries(rest)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `, ${count} ${what}`)
  return `${acquisitions} acquired, ${contended} contended${share}${more.join('')}`
}

/** @param {import('../../../index').SnapshotEvent} event */
function eventLine({ at, kind, layer, label, token, spanMs, other }) {
  const parts = [
    layer ?? label ?? '',
    token === null ? '' : `token ${token}`,
    spanMs === null || kind === 'waiting' ? '' : `after ${duration(spanMs)}`,
    other ? `(${other})` : '',
  ]
  return clean(`${clockTime(at)}  ${pad(kind, 9)} ${parts.filter(Boolean).join(' ')}`.trimEnd())
}

/**
 * What makes it free, when somebody waits for it, it is overdue, or something else is wrong with it.
 * @param {Lock} lock
 * @param {boolean} isBad
 * @returns {string | null}
 */
function nextCommand({ name, nameCut, kind, pid, holders: [holder], waiterCount, send }, isBad) {
  const isOverdue = send?.dueTimeoutMs != null && send.dueTimeoutMs <= 0
  if (!holder || (waiterCount === 0 && !isOverdue && !isBad)) return null
  if (kind === 'host') return holder.pid === null ? null : `ps -o pid,stat,etime,args -p ${holder.pid}`
  const word = nameCut || name === null ? null : typed(name)
  if (word === null || holder.token === null) return null
  return withWord('chainlock release', word, ` --pid ${pid} --force --expect ${holder.token} --reason TEXT`)
}

module.exports = { whyLines }
