// This thread's face on the host locks: the raw calls, the array through which more than one number comes back, and
// what the numbers mean (`binding/host_face.rs`).
// @ts-check
'use strict'

const { threadId } = require('node:worker_threads')
const { native } = require('../native')

const layout = native.hostLayout()
const scratch = new Float64Array(layout.scratchLength)
const { face, calls } = native.openHostFace(threadId, scratch)

/** Doubles of one delivery, and how many fit: a fetch that brings fewer has emptied the mailbox. */
const TOLD_SIZE = layout.toldLength
const MOST_TOLD = Math.floor(scratch.length / TOLD_SIZE)

/** Answers of a call that grants nothing; a grant is its fencing token. */
const Answer = Object.freeze({ UNAVAILABLE: -1, FAULT: -2, WAITING: -3 })

/** The kinds of a delivery. */
const Told = Object.freeze({ GRANTED: 1, TIMED_OUT: 2, FAILED: 3, DEADLOCKED: 4 })

/**
 * What the native side says of a fault; it keeps the text until it is taken, once.
 * @param {number} number
 * @returns {import('./errors').Fault}
 */
const takeFault = (number) => {
  const text = native.hostText(face, number)
  return text === '' ? { code: 'ERR_LOCK_INTERNAL', message: 'it is not known any more why' } : JSON.parse(text)
}

module.exports = { native, face, calls, scratch, takeFault, TOLD_SIZE, MOST_TOLD, Answer, Told }
