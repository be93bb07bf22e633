// This thread's face on the registry of processes: the raw call, the array through which a state's numbers come back,
// and how a state becomes an object (`binding/registry_face.rs`).
// @ts-check
'use strict'

const { threadId } = require('node:worker_threads')
const { native } = require('../native')

/** @typedef {import('../../index').RegistryEntry} Entry */

const layout = native.registryLayout()
const scratch = new Float64Array(layout.scratchLength)
const { face, calls } = native.openRegistryFace(threadId, scratch)

// As keys they become the very strings of the programs that compare with them, so that comparing is quick.
const words = Object.keys(Object.fromEntries(layout.statuses.map((word) => [word, true])))

/** The statuses by their number; nobody has number 0. */
const STATUSES = Object.freeze([null, .../** @type {import('../../index').RegistryStatus[]} */ (words)])

const NO_ARGS = Object.freeze(/** @type {string[]} */ ([]))

/**
 * One state of many.
 * @param {ArrayLike<number>} numbers
 * @param {number} at Where its numbers begin.
 * @param {readonly string[]} texts
 * @param {number} from Where its texts begin.
 * @returns {Entry}
 */
function entryFrom(numbers, at, texts, from) {
  const id = texts[from]
  const args = texts[from + 7]
  const exitCode = numbers[at + 4]
  return Object.freeze({
    id,
    name: texts[from + 1] || id,
    command: texts[from + 5] || null,
    args: args === '' ? NO_ARGS : Object.freeze(args.slice(0, -1).split('\0')),
    dir: texts[from + 6] || null,
    kind: texts[from + 2] || null,
    pid: numbers[at + 3] || null,
    status: /** @type {import('../../index').RegistryStatus} */ (STATUSES[numbers[at]]),
    exitCode: Number.isNaN(exitCode) ? null : exitCode,
    signal: /** @type {NodeJS.Signals | null} */ (texts[from + 3] || null),
    reason: texts[from + 4] || null,
    registeredAt: numbers[at + 5],
    startedAt: numbers[at + 6] || null,
    endedAt: numbers[at + 7] || null,
    updatedAt: numbers[at + 8],
    threadId: numbers[at + 2],
    revision: numbers[at + 1],
  })
}

/** The state whose numbers a call has left in the scratch array. @param {string} texts */
const entryOf = (texts) => entryFrom(scratch, 0, texts.split('\n'), 0)

module.exports = { native, face, calls, scratch, layout, STATUSES, entryFrom, entryOf }
