// @ts-check
// Two worker threads fight for the lock through `withSendLock`: what a grant costs, whether the line is
// first come, first served, and whether the lock protects a counter that nothing else protects.
import { configureSendLock } from 'chainlock'
import { exact, fightOf, inOrder, microsecondsAGrant, words } from '../fighting.mjs'

const FEWER = 100_000
/** Requests that each thread has under way in the crowded fight. */
const LANES = 4

/** @param {{ grants: number }} effort */
export async function fight({ grants }) {
  configureSendLock({ cooldownMs: 0 })
  const fewer = Math.min(grants, FEWER)
  const duel = await fightOf({ grants, lanes: 1, way: 'send' })
  const crowd = await fightOf({ grants: fewer, lanes: LANES, way: 'send' })
  const unlocked = await fightOf({ grants: fewer, lanes: 1, way: 'none' })
  /** @type {import('../figure.mjs').Figure[]} */
  const figures = [
    {
      id: 'two-threads',
      what: 'two worker threads fighting through withSendLock, per grant',
      value: microsecondsAGrant(duel),
      unit: 'µs',
      bar: { most: 25 },
      detail: `${words(grants)} grants`,
    },
    {
      id: 'two-threads-crowded',
      what: `… with ${LANES} requests under way in each`,
      value: microsecondsAGrant(crowd),
      unit: 'µs',
      bar: { most: 25 },
      detail: `${words(fewer)} grants`,
    },
  ]
  return { figures, facts: [exact([duel, crowd], unlocked), inOrder([duel, crowd])] }
}
