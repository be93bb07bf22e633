// Those who wait: the native line's tickets and their promises, and the thread's mailbox.
// @ts-check
'use strict'

const { native } = require('./native')
const nesting = require('./nesting')

// Taken now: test frameworks replace the globals by clocks of their own.
const { setTimeout, clearTimeout } = globalThis

/** The kinds of a delivery; see `binding/face.rs`. */
const GRANTED = 1
const REFUSED = 2
const TIMED_OUT = 3
const LOST = 4
const KINDS = { [GRANTED]: 'granted', [REFUSED]: 'refused', [TIMED_OUT]: 'timed-out' }

/**
 * The answer to a waiter: a token, a refusal's code or a place in line, and what the delivery says of the
 * holder.
 * @typedef {{ kind: 'granted' | 'refused' | 'timed-out', value: number, rest: number[] }} Told
 */

/** The wake-ups of the locks that somebody waits for: reachable from here though nobody else holds them. */
const rooted = new Set()

/**
 * A wake-up that does not keep its lock: the native side holds it as long as the thread lives. Made out here,
 * so that it closes over nothing but the reference.
 * @param {() => void} wake
 */
function weakly(wake) {
  const reference = new WeakRef(wake)
  return () => reference.deref()?.()
}

/**
 * @param {{
 *   face: number,
 *   calls: import('./binding.cjs').OpenedFace['calls'],
 *   scratch: Float64Array,
 *   onWake: () => void,
 * }} of
 */
function createWaiters({ face, calls, scratch, onWake }) {
  const told = native.toldLength()
  /** @type {Map<number, (answer: Told) => void>} */
  const pending = new Map()
  /** @type {(token: number) => void} */
  let lost = () => {}
  let isOpen = false
  /** What waits or is watched: while there is any, the lock must not be collected. */
  const roots = new Set()
  /** Requests and turns: while there are any, the event loop goes on. */
  let waiting = 0

  function open() {
    if (isOpen) return
    native.openMailbox(face, weakly(wake))
    isOpen = true
  }

  /** @param {unknown} reason */
  function root(reason) {
    roots.add(reason)
    rooted.add(wake)
  }

  /** @param {unknown} reason */
  function unroot(reason) {
    roots.delete(reason)
    if (roots.size === 0) rooted.delete(wake)
  }

  /** @param {1 | -1} change */
  function count(change) {
    waiting += change
    if (waiting === (change === 1 ? 1 : 0)) native.keepAlive(face, change === 1)
  }

  function wake() {
    fetch()
    onWake()
  }

  /** Takes everything out of the mailbox, and only then lets anybody know: they may call us again. */
  function fetch() {
    const deliveries = []
    for (let count = calls.fetch(); count > 0; count = calls.fetch()) {
      for (let at = 0; at < count * told; at += told) deliveries.push(Array.from(scratch.subarray(at, at + told)))
    }
    for (const [kind, number, value, ...rest] of deliveries) {
      if (kind === LOST) lost(number)
      else settle(number, { kind: /** @type {Told['kind']} */ (KINDS[/** @type {1} */ (kind)]), value, rest })
    }
  }

  /** @param {number} ticket @param {Told} answer */
  function settle(ticket, answer) {
    const resolve = pending.get(ticket)
    forget(ticket)
    resolve?.(answer)
  }

  /** @param {number} ticket */
  function forget(ticket) {
    if (!pending.delete(ticket)) return
    unroot(ticket)
    count(-1)
  }

  /**
   * Waits for the answer to a ticket.
   * @param {number} ticket
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<Told>}
   */
  function wait(ticket, signal) {
    return new Promise((resolve, reject) => {
      const abort = () => {
        // Too late when the answer is on its way: then it counts.
        if (!calls.cancel(ticket)) return
        forget(ticket)
        signal?.removeEventListener('abort', abort)
        reject(signal?.reason)
      }
      pending.set(ticket, (answer) => {
        signal?.removeEventListener('abort', abort)
        resolve(answer)
      })
      root(ticket)
      count(1)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  /**
   * Waits until the frame is on top again, or its hold has ended; then `join` says what comes of it, before
   * anybody else gets the chance.
   * @template T
   * @param {import('./nesting').Frame} frame
   * @param {{ timeoutMs: number, signal: AbortSignal | undefined }} wait
   * @param {() => Error} timedOut
   * @param {(context: import('./nesting').Frame | undefined) => T} join
   * @returns {Promise<T>}
   */
  function turn(frame, { timeoutMs, signal }, timedOut, join) {
    return new Promise((resolve, reject) => {
      /** @type {NodeJS.Timeout | undefined} */
      let timer
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        count(-1)
      }
      // Its end must be heard of, and nothing else may keep the loop alive until then.
      frame.hold.watch()
      open()
      count(1)
      const leave = nesting.queue(frame, (context) => {
        end()
        try {
          resolve(join(context))
        } catch (error) {
          reject(error)
        }
      })
      /** @param {() => unknown} why */
      const giveUp = (why) => {
        if (!leave()) return
        end()
        reject(why())
      }
      const abort = () => giveUp(() => signal?.reason)
      if (timeoutMs >= 0) timer = setTimeout(() => giveUp(timedOut), Math.min(timeoutMs, 2 ** 31 - 1))
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  return {
    /** Kept by the lock, which keeps it alive. */
    wake,
    open,
    root,
    unroot,
    fetch,
    /** @param {(token: number) => void} listener */
    onLost(listener) {
      lost = listener
    },
    /** @param {number} ticket @param {AbortSignal | undefined} signal */
    wait,
    turn,
  }
}

module.exports = { createWaiters }
