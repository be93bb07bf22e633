// Guards that nobody can reach any more though they hold: they are given back and reported.
//
// A FinalizationRegistry costs more than a whole lock and release, so a guard is registered only when it is
// still held a while after it was made. Until then it is kept in a list, from which a release takes it.
// @ts-check
'use strict'

const { release, unwatch } = require('./waiters')

// Taken now: test frameworks replace the globals by clocks of their own.
const { setTimeout } = globalThis

/** How long the youngest guards stay in the list, and how many are registered at a time. */
const FRESH_MS = 100
const BATCH = 2_000
const FEW = 1_024

/**
 * What is left to say and to give back when a guard is gone: of a host lock `before`, and the token that users know.
 * @typedef {{
 *   what: string, label: string | null, slot: number, token: number, shownToken?: number, before?: () => void
 * }} Rest
 */

/** @param {Rest} rest */
function collected({ what, label, slot, token, shownToken = token, before }) {
  unwatch(token)
  before?.()
  if (!release(slot, token, 0)) return
  const by = label === null ? '' : ` (label '${label}')`
  process.emitWarning(
    `a guard of ${what}${by}, token ${shownToken}, was garbage-collected while it held the lock, which is free again now. ` +
      'Call guard.release(), or let `using` or withLock() do it.',
    { code: 'CHAINLOCK_GUARD_COLLECTED' },
  )
}

/**
 * @template {object} G
 * @typedef {{ track(guard: G): void, forget(guard: G, isRegistered: boolean): void }} Tracker
 */

/**
 * @template {object} G
 * @param {{ isHeld(guard: G): boolean, register(guard: G): Rest }} of `register` is told that the guard is
 *   registered from now on.
 * @returns {Tracker<G>}
 */
function createTracker({ isHeld, register }) {
  /** @type {FinalizationRegistry<Rest>} */
  const registry = new FinalizationRegistry(collected)
  /** @type {G[]} */
  let fresh = []
  /** From how many on those are sorted out that were released in another order. */
  let many = FEW
  let isArmed = false

  function arm() {
    isArmed = true
    setTimeout(age, FRESH_MS).unref()
  }

  function age() {
    isArmed = false
    const aged = fresh.splice(0, BATCH)
    for (const guard of aged) if (isHeld(guard)) registry.register(guard, register(guard), guard)
    if (fresh.length > 0) arm()
  }

  function sortOut() {
    fresh = fresh.filter(isHeld)
    many = Math.max(FEW, 2 * fresh.length)
  }

  return {
    track(guard) {
      if (!isArmed) arm()
      if (fresh.length >= many) sortOut()
      fresh.push(guard)
    },

    forget(guard, isRegistered) {
      if (isRegistered) registry.unregister(guard)
      else if (fresh.length > 0 && fresh[fresh.length - 1] === guard) fresh.pop()
    },
  }
}

module.exports = { createTracker }
