// Those who wait for a named lock in this thread, by ticket; the thread's mailbox; and whether somebody's
// waiting keeps the event loop alive.
// @ts-check
'use strict'

const { native, face, calls, scratch, takeText, TOLD_SIZE, MOST_TOLD } = require('./face')
const { RELEASED, FETCH, HANDED, HANDED_AT } = require('./face')
const { NumberTable } = require('./number-table')
const { warnDeadlock, warnDisorder } = require('./report')

// Taken now: test frameworks replace the globals by clocks of their own.
const { setImmediate } = globalThis

/** The kinds of a delivery. */
const GRANTED = 1
const TIMED_OUT = 2
const LOST = 3
const DEADLOCKED = 4
const WARNED = 5
/** Of a warning. */
const DEADLOCK = 1

/**
 * A request that waits. `granted` answers false when nobody wants the lock any more.
 * @typedef {{
 *   wait: { ref?: boolean },
 *   granted(token: number, slot: number, at: number): boolean,
 *   timedOut(position: number, report: any, waitedMs: number): void,
 *   deadlocked(report: any): void,
 * }} Waiter
 * @typedef {{ taken(how: number): void }} Watcher Wants to know when its hold is taken away.
 */

/** By ticket. @type {NumberTable<Waiter>} */
const pending = new NumberTable()
/** By token. @type {NumberTable<Watcher>} */
const watched = new NumberTable()

let isOpen = false
/** An answer to a mailbox that is not open would be lost. */
function open() {
  if (isOpen) return
  native.openMailbox(face, fetch)
  isOpen = true
}

/** How many wait and want the event loop to go on; whether it was told so; whether that is looked at soon. */
let wanting = 0
let isKept = false
let isChecking = false

function keep() {
  wanting += 1
  if (isKept) return
  isKept = true
  native.keepAlive(face, true)
}

/** Not at once: the next request is often on its way already. */
function letGo() {
  wanting -= 1
  if (wanting > 0 || isChecking) return
  isChecking = true
  setImmediate(checkKept)
}

function checkKept() {
  isChecking = false
  if (wanting > 0 || !isKept) return
  isKept = false
  native.keepAlive(face, false)
}

/** @param {number} ticket @param {Waiter} waiter */
function add(ticket, waiter) {
  pending.set(ticket, waiter)
  if (waiter.wait.ref !== false) keep()
}

/** @param {number} ticket @returns {Waiter | undefined} The waiter, which is no longer one. */
function remove(ticket) {
  const waiter = pending.take(ticket)
  if (waiter !== undefined && waiter.wait.ref !== false) letGo()
  return waiter
}

/**
 * Takes a request out of the line. False when its answer is on the way: then it goes on waiting for that.
 * @param {number} ticket
 */
function cancel(ticket) {
  if (!calls.cancel(ticket)) return false
  remove(ticket)
  // Those behind it may be granted now, in this very thread.
  fetch()
  return true
}

/** The mailbox must be open. @param {number} token @param {Watcher} watcher */
function watch(token, watcher) {
  watched.set(token, watcher)
}

/** @param {number} token */
function unwatch(token) {
  watched.take(token)
}

/**
 * Gives a hold back.
 * @param {number} slot
 * @param {number} token
 * @param {0 | 1} failed Whether its callback threw.
 * @returns {boolean} False when it had been taken away before.
 */
function release(slot, token, failed) {
  const answer = calls.release(slot, token, failed)
  goOn(answer)
  return (answer & RELEASED) !== 0
}

/**
 * The next in line may be of this very thread: it goes on without a trip through the event loop.
 * @param {number} answer Of the native release, which was called just now.
 */
function goOn(answer) {
  if ((answer & HANDED) !== 0) {
    if (isTelling) untold.push(scratch.slice(HANDED_AT, HANDED_AT + TOLD_SIZE))
    else tell(scratch, HANDED_AT)
  } else if ((answer & FETCH) !== 0) fetch()
}

/**
 * Deliveries that are taken out of the mailbox and yet to be told. What is told may run code of users, and that may
 * call locks: the scratch array is then another, and what they bring comes after what is there.
 * @type {Float64Array[]}
 */
let untold = []
let isTelling = false

/** Takes everything out of the mailbox and tells it. */
function fetch() {
  let count = calls.fetch()
  if (count === 1 && !isTelling) {
    tell(scratch, 0)
    return
  }
  while (count > 0) {
    untold.push(scratch.slice(0, count * TOLD_SIZE))
    count = count === MOST_TOLD ? calls.fetch() : 0
  }
  if (!isTelling && untold.length > 0) tellAll()
}

function tellAll() {
  isTelling = true
  try {
    for (const told of untold) for (let at = 0; at < told.length; at += TOLD_SIZE) tell(told, at)
  } finally {
    untold = []
    isTelling = false
  }
}

/** Reads all of a delivery before it calls anybody. @param {Float64Array} from @param {number} at */
function tell(from, at) {
  const kind = from[at]
  const first = from[at + 1]
  const second = from[at + 2]
  const third = from[at + 3]
  if (kind === GRANTED) {
    const since = from[at + 5]
    if (!remove(first)?.granted(second, third, since)) release(third, second, 0)
  } else if (kind === TIMED_OUT) {
    const waitedMs = from[at + 4]
    const report = takeText(third)
    remove(first)?.timedOut(second, report, waitedMs)
  } else if (kind === DEADLOCKED) {
    const report = takeText(second)
    remove(first)?.deadlocked(report)
  } else if (kind === LOST) {
    watched.take(second)?.taken(third)
  } else if (kind === WARNED) {
    const warn = second === DEADLOCK ? warnDeadlock : warnDisorder
    warn(takeText(first))
  }
}

module.exports = { open, add, remove, cancel, watch, unwatch, release, goOn, fetch, keep, letGo }
