// This thread's face on the native leases: the raw calls, the array through which deliveries come, and what the
// numbers mean (`binding/lease_face.rs`).
// @ts-check
'use strict'

const { threadId } = require('node:worker_threads')
const { native } = require('../native')

const layout = native.leaseLayout()
const scratch = new Float64Array(layout.scratchLength)
const { face, calls } = native.openLeaseFace(threadId, scratch)

/** Doubles of one delivery, and how many fit: a fetch that brings fewer has emptied the mailbox. */
const TOLD_SIZE = layout.toldLength
const MOST_TOLD = Math.floor(scratch.length / TOLD_SIZE)

/** The kinds of a delivery, as the native side numbers them. */
const Told = Object.freeze(layout.kinds)

/** A text that the native side keeps until it is taken, once; 0 is none. @param {number} number */
const takeText = (number) => (number === 0 ? '' : native.leaseText(face, number))

module.exports = { native, face, calls, scratch, takeText, TOLD_SIZE, MOST_TOLD, Told }
