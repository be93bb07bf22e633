// LOST, STALE: holds that ended without their holder: taken away while its code may still run, or left behind by
// the dead.
// @ts-check
'use strict'

const { duration, lockName, short, who } = require('../words')
const { longestWait, onLock, recent } = require('./finding')
const { lostLeases } = require('./leases')

/** @typedef {import('./finding').Rule} Rule */

/** @type {Record<string, string>} */
const HOW = { forced: 'was taken away by force', stolen: 'was stolen', lost: 'was lost' }

/** @type {Rule} */
const lost = {
  id: 'LOST',
  check: (seen) => [
    ...lostLeases(seen),
    ...seen.locks.flatMap((lock) => {
      const event = recent(seen, lock, ['forced', 'stolen', 'lost'])
      const ago = event ? seen.takenAtMs - event.atMs : 0
      if (!event) return []
      const by = event.layer ?? event.label
      const from = by === null ? '' : ` from "${short(by)}"`
      const why = event.other === null ? '' : ` (${short(event.other)})`
      const sentence = `${lockName(lock)} ${HOW[event.kind]}${from} ${duration(ago)} ago${why}; its code may still run`
      const evidence =
        event.spanMs === null ? [] : [`held for ${duration(event.spanMs)} until then, token ${event.token ?? '?'}`]
      return [
        onLock('LOST', event.kind === 'lost' ? 'bad' : 'warn', lock, {
          sentence,
          evidence,
          pid: lock.pid,
          since: event.at,
        }),
      ]
    }),
  ],
}

/** @type {Rule} */
const stale = {
  id: 'STALE',
  check: (seen) =>
    seen.locks.flatMap((lock) => {
      const dead = lock.holders.find(({ alive }) => alive === false)
      if (dead) {
        const waits = lock.waiterCount > 0 ? `, and ${lock.waiterCount} wait` : '; the next request recovers it'
        const sentence = `${lockName(lock)} is held by the dead: ${who(dead)} ended without releasing it${waits}`
        const evidence = [`held since ${dead.since ?? 'an unknown time'}, token ${dead.token ?? '?'}`]
        if (lock.waiterCount > 0) evidence.push(`the longest wait is ${duration(longestWait(lock))}`)
        return [
          onLock('STALE', lock.waiterCount > 0 ? 'bad' : 'warn', lock, {
            sentence,
            evidence,
            pid: dead.pid,
            since: dead.since,
          }),
        ]
      }
      const event = recent(seen, lock, ['recovered'])
      if (!event) return []
      const by = event.layer ?? event.label
      const sentence =
        `${lockName(lock)} was recovered ${duration(seen.takenAtMs - event.atMs)} ago: ` +
        `${by === null ? 'its holder' : `"${short(by)}"`} ended without releasing it`
      const evidence = event.other === null ? [] : [short(event.other)]
      return [onLock('STALE', 'warn', lock, { sentence, evidence, since: event.at })]
    }),
}

module.exports = { lost, stale }
