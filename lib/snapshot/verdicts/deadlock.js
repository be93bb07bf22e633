// DEADLOCK: flows that wait for each other for good; and requests that were refused because they would have.
// @ts-check
'use strict'

const { duration, lockName, who, short } = require('../words')
const { onLock, recent } = require('./finding')

/** @typedef {import('./finding').Seen} Seen */
/** @typedef {import('./finding').Lock} Lock */
/** @typedef {import('./finding').Holder} Holder */
/** @typedef {import('../../../index').SnapshotWaiter} Waiter */
/** @typedef {{ lock: Lock, holder: Holder, wants: Lock, request: Waiter | undefined }} Wait
 *   A hold whose flow waits for another lock. */

/** @param {Seen} seen @returns {Wait[]} */
function waitsOf({ locks }) {
  if (!locks.some(({ holders }) => holders.some(({ waitsFor }) => waitsFor !== null))) return []
  const byId = new Map(locks.map((lock) => [lock.id, lock]))
  return locks.flatMap((lock) =>
    lock.holders.flatMap((holder) => {
      const wants = holder.waitsFor === null ? undefined : byId.get(holder.waitsFor)
      if (!wants) return []
      const request = wants.waiters.find(
        ({ pid, insideOf }) => pid === holder.pid && insideOf.includes(holder.token ?? -1),
      )
      // What began after the moment of the snapshot was not there yet when the rest was read.
      return request?.waitedMs === 0 ? [] : [{ lock, holder, wants, request }]
    }),
  )
}

/**
 * Those that can never go on. A circle alone proves nothing where there are permits: whoever could still be granted is
 * taken out, until nothing changes (R. Holt, 1972).
 * @param {Wait[]} waits
 */
function stuckOf(waits) {
  let stuck = waits
  for (;;) {
    const holds = new Set(stuck.map(({ holder }) => holder))
    const left = stuck.filter((wait) => !couldBeGranted(wait, holds))
    if (left.length === stuck.length) return stuck
    stuck = left
  }
}

/** @param {Wait} wait @param {Set<Holder>} stuck */
function couldBeGranted({ holder, wants, request }, stuck) {
  const mode = request?.mode ?? 'exclusive'
  // A shared hold that wants all is an upgrade, which does not wait for itself.
  const inTheWay = wants.holders.filter(
    (other) => stuck.has(other) && !(other === holder && holder.mode === 'shared'),
  )
  if (wants.permits !== null) {
    const taken = inTheWay.reduce((sum, { weight }) => sum + weight, 0)
    return wants.permits - taken >= (request?.weight ?? 1)
  }
  return !inTheWay.some((other) => mode === 'exclusive' || other.mode === 'exclusive')
}

/**
 * The circles among the stuck: from each on to one that is in its way.
 * @param {Wait[]} stuck
 */
function circles(stuck) {
  const next = (/** @type {Wait} */ { wants, holder }) =>
    stuck.find((other) => other.lock === wants && (other.holder !== holder || stuck.length === 1)) ??
    stuck.find((other) => other.lock === wants)
  /** @type {Set<Wait>} */
  const done = new Set()
  const found = []
  for (const start of stuck) {
    /** @type {Wait[]} */
    const path = []
    let at = /** @type {Wait | undefined} */ (start)
    while (at && !done.has(at) && !path.includes(at)) {
      path.push(at)
      at = next(at)
    }
    if (at && path.includes(at)) found.push(path.slice(path.indexOf(at)))
    for (const one of path) done.add(one)
  }
  return found
}

/** @param {Wait[]} circle */
function ofCircle(circle) {
  const [{ lock, holder }] = circle
  const names = circle.map((wait) => lockName(wait.lock))
  const sentence =
    circle.length === 1
      ? `deadlock: ${who(holder)} waits for ${names[0]}, which it holds itself`
      : `deadlock of ${circle.length}: ${names.join(', ')} are held by those who wait for them`
  const evidence = circle.flatMap(({ lock: held, holder: by, wants, request }, index) => [
    `${who(by)}:`,
    `  waiting to lock ${lockName(wants)}${request ? ` for ${duration(request.waitedMs)}` : ''},`,
    `  which is held by ${who(circle[(index + 1) % circle.length].holder)}`,
    `  - locked ${lockName(held)} ${duration(by.heldMs)} ago, token ${by.token ?? '?'}`,
  ])
  const since = circle
    .map(({ request }) => request?.since ?? null)
    .filter((one) => one !== null)
    .sort()
    .at(-1)
  return onLock('DEADLOCK', 'bad', lock, { sentence, evidence, pid: holder.pid, since: since ?? holder.since })
}

const MOST_HOLDERS = 3

/** @param {Seen} seen @param {Lock} lock */
function refused(seen, lock) {
  const event = recent(seen, lock, ['deadlock'])
  if (!event) return []
  const by = event.layer ?? event.label
  const sentence =
    `a request for ${lockName(lock)}${by ? ` by "${short(by)}"` : ''} was refused ` +
    `${duration(seen.takenAtMs - event.atMs)} ago: it would have waited for ever`
  const evidence = [
    ...(event.other === null ? [] : [short(event.other)]),
    ...lock.holders.slice(0, MOST_HOLDERS).map((holder) => `held for ${duration(holder.heldMs)} by ${who(holder)}`),
  ]
  return [onLock('DEADLOCK', 'warn', lock, { sentence, evidence, since: event.at })]
}

/** @type {import('./finding').Rule} */
module.exports = {
  id: 'DEADLOCK',
  check: (seen) => [
    ...circles(stuckOf(waitsOf(seen))).map(ofCircle),
    ...seen.locks.flatMap((lock) => refused(seen, lock)),
  ],
}
