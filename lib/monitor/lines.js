// The monitor where there is no terminal: a line for each change, nothing while all stays as it is.
// @ts-check
'use strict'

const { duration } = require('../cli/text')
const { shown } = require('./frame')
const { holdersText, stateOf } = require('./view/words')

/** @typedef {import('./types').Snapshot} Snapshot */
/**
 * @typedef {{ at: string, change: 'verdict' | 'lock', lock: string | null, lockId: string | null, text: string }}
 * Change
 */

class Changes {
  constructor() {
    /** @private @type {Map<string, { key: string, name: string | null, isFree: boolean }>} */
    this.locks = new Map()
    /** @private @type {Map<string, string>} */
    this.verdicts = new Map()
  }

  /**
   * What is otherwise than in the last snapshot; all verdicts and all locks in use the first time.
   * @param {Snapshot} snapshot
   * @returns {Change[]}
   */
  take({ takenAt: at, verdict, locks }) {
    /** @type {Change[]} */
    const changes = []
    const judged = new Map(verdict.map((one) => [`${one.rule} ${one.lockId} ${one.pid}`, one]))
    for (const [key, { rule, sentence, next, lock, lockId }] of judged) {
      if (this.verdicts.has(key)) continue
      const text = `${rule} ${sentence}${next === null ? '' : ` -> ${next}`}`
      changes.push({ at, change: 'verdict', lock, lockId, text })
    }
    for (const [key, text] of this.verdicts) {
      // That all is well needs no end.
      if (judged.has(key) || text === '') continue
      changes.push({ at, change: 'verdict', lock: null, lockId: null, text: `over: ${text}` })
    }
    this.verdicts = new Map(
      [...judged].map(([key, one]) => [key, one.level === 'good' ? '' : `${one.rule} ${one.sentence}`]),
    )
    const before = this.locks
    this.locks = new Map()
    for (const lock of locks) {
      // What only ages is no change: a cooldown's rest, the time of a hold.
      const state = lock.state === 'cooldown' ? 'cooldown' : stateOf(lock, true)
      const holders = holdersText(lock)
      const key = `${state}${holders} ${lock.holders[0]?.token} ${lock.waiterCount}`
      this.locks.set(lock.id, { key, name: lock.name, isFree: lock.state === 'free' })
      if (before.get(lock.id)?.key === key || (!before.has(lock.id) && lock.state === 'free')) continue
      const waits = lock.waiterCount > 0 ? `, ${lock.waiterCount} waiting up to ${duration(longest(lock))}` : ''
      const text = `${shown(lock.name, '(no name)')} ${state}${holders === '' ? '' : ` by ${holders}`}${waits}`
      changes.push({ at, change: 'lock', lock: lock.name, lockId: lock.id, text })
    }
    // A lock that nobody holds or waits for is in no snapshot any more.
    for (const [lockId, { name, isFree }] of before) {
      if (isFree || this.locks.has(lockId)) continue
      changes.push({ at, change: 'lock', lock: name, lockId, text: `${shown(name, '(no name)')} free` })
    }
    return changes
  }
}

/** @param {import('./types').LockView} lock */
function longest({ waiters }) {
  return waiters.reduce((most, { waitedMs }) => Math.max(most, waitedMs ?? 0), 0)
}

module.exports = { Changes }
