// Calls of one thread for one path take turns, in the order in which they were made.
// @ts-check
'use strict'

/** The last turn of each path that has any. @type {Map<string, Promise<unknown>>} */
const last = new Map()

/**
 * @template T
 * @param {string} key
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
function inTurn(key, work) {
  const before = last.get(key)
  const turn = before === undefined ? work() : before.then(work, work)
  last.set(key, turn)
  const leave = () => {
    if (last.get(key) === turn) last.delete(key)
  }
  turn.then(leave, leave)
  return turn
}

module.exports = { inTurn }
