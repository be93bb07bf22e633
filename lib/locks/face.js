// This thread's face on the native locks: the raw calls, the array through which more than one number comes
// back, and what the numbers mean (`binding/locks_face.rs`).
// @ts-check
'use strict'

const { threadId } = require('node:worker_threads')
const { native } = require('../native')

const layout = native.locksLayout()
const scratch = new Float64Array(layout.scratchLength)
const { face, calls } = native.openLocksFace(threadId, scratch)

/** Doubles of one delivery, and how many fit: a fetch that brings fewer has emptied the mailbox. */
const TOLD_SIZE = layout.toldLength
const MOST_TOLD = Math.floor(scratch.length / TOLD_SIZE)

/** Where the tokens of the holds around a request lie, and how many are looked at. */
const { ancestorsAt: ANCESTORS_AT, mostAncestors: MOST_ANCESTORS } = layout

/** Answers of a request that is not granted at once. */
const Answer = Object.freeze({ QUEUE_FULL: -2, WAITING: -3, DEADLOCK: -4, SELF_DEADLOCK: -5, DISORDER: -6 })

/** Flags of a request. */
const Flag = Object.freeze({ STEAL: 1, WEB: 2, SYNC: 4 })

/** Bits of a release's answer. */
const RELEASED = 1
const FETCH = 2
/** A grant to a request of this thread lies in the scratch array, and there is nothing else to fetch. */
const HANDED = 4
const HANDED_AT = layout.handedAt

/** What a report says when it was dropped because hundreds of thousands had not been taken. */
const NO_REPORT = '{"holders":[],"holderCount":0,"cycle":[]}'

/** A report that the native side keeps until it is taken, once. @param {number} number */
const takeText = (number) => JSON.parse(native.locksText(face, number) || NO_REPORT)

module.exports = {
  native,
  face,
  calls,
  scratch,
  takeText,
  TOLD_SIZE,
  MOST_TOLD,
  ANCESTORS_AT,
  MOST_ANCESTORS,
  Answer,
  Flag,
  RELEASED,
  FETCH,
  HANDED,
  HANDED_AT,
}
