// One text for both ways to call the file system: a procedure is a generator that yields calls of `node:fs` by
// name, and is run with the synchronous ones or with those that wait elsewhere.
// @ts-check
'use strict'

const fs = require('node:fs')
const { promisify } = require('node:util')

/**
 * A call of `node:fs`: its name without `Sync`, and its arguments.
 * @typedef {[name: string, ...given: any[]]} Call
 */
/**
 * @template T
 * @typedef {Generator<Call, T, any>} Steps
 */

/** @template T @param {Steps<T>} steps @returns {T} */
function runSync(steps) {
  let turn = steps.next()
  while (!turn.done) {
    const [name, ...given] = turn.value
    let answer
    try {
      answer = /** @type {any} */ (fs)[`${name}Sync`](...given)
    } catch (error) {
      turn = steps.throw(error)
      continue
    }
    turn = steps.next(answer)
  }
  return turn.value
}

/** @template T @param {Steps<T>} steps @returns {Promise<T>} */
async function run(steps) {
  let turn = steps.next()
  while (!turn.done) {
    const [name, ...given] = turn.value
    let answer
    try {
      answer = await promisify(/** @type {any} */ (fs)[name])(...given)
    } catch (error) {
      turn = steps.throw(error)
      continue
    }
    // `read` answers with an object here, and with a number there.
    turn = steps.next(answer?.bytesRead ?? answer)
  }
  return turn.value
}

/**
 * The answer, or null for one of these errors.
 * @param {Call} call
 * @param {...string} codes
 * @returns {Steps<any>}
 */
function* unless(call, ...codes) {
  try {
    return yield call
  } catch (error) {
    if (codes.length === 0 || codes.includes(/** @type {any} */ (error).code)) return null
    throw error
  }
}

module.exports = { run, runSync, unless }
