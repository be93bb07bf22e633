// The wait-for tree: at each root the lock whose holder waits for nobody, below it who waits, and below each of
// them the locks that it holds meanwhile and others wait for. A circle is cut where it closes.
// @ts-check
'use strict'

const { isSame } = require('../snapshot/waits')
const { trackName } = require('./recorder')

/** @typedef {import('./types').Snapshot} Snapshot */
/** @typedef {import('./types').LockView} LockView */
/** @typedef {import('./types').HolderView} HolderView */
/** @typedef {import('./types').WaiterView} WaiterView */
/** @typedef {import('./types').WaitNode} WaitNode */

const MAX_DEPTH = 32
/** Rows that anybody reads; the count of the others is told. */
const MAX_WAITERS = 50
const MAX_HOLDERS = 3

/**
 * @param {Snapshot} snapshot
 * @returns {WaitNode[]} The trees, circles first, then those in which most wait.
 */
function waitTrees({ locks }) {
  const waited = locks.filter((lock) => lock.waiterCount > 0)
  const byId = new Map(waited.map((lock) => [lock.id, lock]))
  /** The locks whose holders wait for a lock. @type {Map<string, LockView[]>} */
  const heldBelow = new Map()
  for (const lock of waited) {
    for (const target of new Set(lock.holders.map((holder) => holder.waitsFor))) {
      if (target === null || !byId.has(target)) continue
      heldBelow.set(target, [...(heldBelow.get(target) ?? []), lock])
    }
  }
  const isRoot = (/** @type {LockView} */ lock) => {
    return !lock.holders.some((holder) => holder.waitsFor !== null && byId.has(holder.waitsFor))
  }
  /** @type {Set<string>} */
  const seen = new Set()
  const trees = waited.filter(isRoot).map((lock) => nodeOf(lock, heldBelow, seen, []))
  // What no root leads to is part of a circle, or hangs below one.
  for (const lock of waited) if (!seen.has(lock.id)) trees.push(nodeOf(lock, heldBelow, seen, []))
  return trees.sort((a, b) => Number(b.circle) - Number(a.circle) || b.waiterCount - a.waiterCount)
}

/**
 * @param {LockView} lock
 * @param {Map<string, LockView[]>} heldBelow
 * @param {Set<string>} seen
 * @param {readonly string[]} path
 * @returns {WaitNode}
 */
function nodeOf(lock, heldBelow, seen, path) {
  seen.add(lock.id)
  const below = heldBelow.get(lock.id) ?? []
  const here = [...path, lock.id]
  let circle = false
  /** @type {Set<LockView>} */
  const placed = new Set()
  const waiters = lock.waiters.slice(0, MAX_WAITERS).map((waiter) => {
    const blocks = below
      .filter((held) => !placed.has(held) && held.holders.some((holder) => isSame(holder, waiter, lock.id)))
      .map((held) => {
        placed.add(held)
        if (here.includes(held.id)) circle = true
        return here.includes(held.id) || here.length >= MAX_DEPTH
          ? again(held, here.includes(held.id))
          : nodeOf(held, heldBelow, seen, here)
      })
    if (blocks.some((node) => node.circle)) circle = true
    const { pid, position, waitedMs, deadlineMs } = waiter
    return { who: trackName(waiter), where: whereOf(waiter), pid, position, waitedMs, deadlineMs, blocks }
  })
  return {
    lockId: lock.id,
    lock: lock.name,
    holders: lock.holders.slice(0, MAX_HOLDERS).map((holder) => {
      return { who: trackName(holder), where: whereOf(holder), pid: holder.pid, heldMs: holder.heldMs }
    }),
    holderCount: lock.holderCount,
    waiters,
    waiterCount: lock.waiterCount,
    more: lock.waiterCount - waiters.length,
    circle,
    again: false,
  }
}

/** A lock that stands above already. @param {LockView} lock @param {boolean} circle @returns {WaitNode} */
function again({ id, name, holderCount, waiterCount }, circle) {
  const none = { holders: [], waiters: [], more: 0 }
  return { lockId: id, lock: name, ...none, holderCount, waiterCount, circle, again: true }
}

/** Where somebody with a layer runs; null where the name says it. @param {HolderView | WaiterView} who */
function whereOf({ layer, pid, thread, threadId }) {
  return layer === null ? null : trackName({ layer: null, pid, thread, threadId })
}

module.exports = { waitTrees, whereOf }
