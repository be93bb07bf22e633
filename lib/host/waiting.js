// Those of this thread who wait for the kernel's lock on a file, by ticket, and the thread's mailbox. Each has the
// process's own lock of the file already: of a process one at a time waits here, or readers together.
// @ts-check
'use strict'

const waiters = require('../locks/waiters')
const { NumberTable } = require('../locks/number-table')
const { native, face, calls, scratch, takeFault, TOLD_SIZE, MOST_TOLD, Told } = require('./face')

/**
 * @typedef {{ token: number, at: number, hold: number, died: number }} Grant
 * @typedef {{
 *   file: import('./file').HostFile,
 *   granted(grant: Grant): void, timedOut(waitedMs: number): void, failed(fault: import('./errors').Fault): void,
 * }} Waiter
 */

/** @type {NumberTable<Waiter>} */
const pending = new NumberTable()

/** How often is looked for an answer that is just being laid into the mailbox. */
const LOOKS = 1_000

let isOpen = false
/** An answer to a mailbox that is not open would be lost. */
function open() {
  if (isOpen) return
  // Its wait keeps the event loop alive.
  waiters.open()
  native.openMailbox(face, fetch)
  isOpen = true
}

/** @param {number} ticket @param {Waiter} waiter */
function add(ticket, waiter) {
  pending.set(ticket, waiter)
  // Its grant goes by the file's number.
  waiter.file.waitBegins()
  waiters.keep()
}

/** @param {number} ticket */
function remove(ticket) {
  const waiter = pending.take(ticket)
  if (waiter === undefined) return undefined
  waiters.letGo()
  return waiter
}

/** Of those who want nothing any more, and whose answer is on its way. */
class Unwanted {
  /** @param {import('./file').HostFile} file */
  constructor(file) {
    this.file = file
  }

  /** @param {Grant} grant */
  granted({ hold }) {
    calls.refuse(hold)
  }

  timedOut() {}

  failed() {}
}

/**
 * Ends a wait. What it is granted in this very moment is given back.
 * @param {number} ticket
 */
function cancel(ticket) {
  const waiter = pending.get(ticket)
  if (waiter === undefined) return
  if (calls.cancel(ticket)) {
    remove(ticket)
    waiter.file.waitEnds()
    return
  }
  pending.set(ticket, new Unwanted(waiter.file))
  // Nearly always there already.
  for (let looks = 0; looks < LOOKS; looks += 1) if (look(ticket)) return
}

/** Tells that one alone, for who stands still: whether its answer was there. @param {number} ticket */
function look(ticket) {
  if (calls.poll(ticket) === 0) return false
  tell(scratch, 0)
  return true
}

/** Takes everything out of the mailbox and tells it. */
function fetch() {
  let count
  do {
    count = calls.fetch()
    // What is told may lead to further calls: the scratch array is then another.
    const told = scratch.slice(0, count * TOLD_SIZE)
    for (let at = 0; at < told.length; at += TOLD_SIZE) tell(told, at)
  } while (count === MOST_TOLD)
}

/** Reads all of a delivery before it calls anybody. @param {Float64Array} from @param {number} at */
function tell(from, at) {
  const [kind, ticket, first, second, third, fourth] = from.subarray(at, at + TOLD_SIZE)
  const waiter = remove(ticket)
  if (waiter === undefined) return
  if (kind === Told.GRANTED) waiter.granted({ hold: first, token: second, at: third, died: fourth })
  else if (kind === Told.TIMED_OUT) waiter.timedOut(first)
  else waiter.failed(takeFault(first))
  waiter.file.waitEnds()
}

module.exports = { open, add, cancel, look }
