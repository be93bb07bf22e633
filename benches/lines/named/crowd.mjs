// @ts-check
// Two worker threads with four requests each under way fight for one named lock.
import { exact, fightOf, inOrder, microsecondsAGrant, words } from '../../fighting.mjs'

const LANES = 4
const FEWER = 50_000

/** @param {{ namedGrants: number }} effort */
export async function crowd({ namedGrants: grants }) {
  const fewer = Math.min(grants, FEWER)
  const ran = await fightOf({ grants, lanes: LANES, way: 'run' })
  const requested = await fightOf({ grants: fewer, lanes: LANES, way: 'request' })
  const duel = await fightOf({ grants: fewer, lanes: 1, way: 'run' })
  const unlocked = await fightOf({ grants: fewer, lanes: 1, way: 'none' })
  /** @type {import('../../figure.mjs').Figure[]} */
  const figures = [
    {
      id: 'named-two-threads-crowded',
      what: `two worker threads, ${LANES} handle.run(fn) under way in each, per grant`,
      value: microsecondsAGrant(ran),
      unit: 'µs',
      bar: { most: 25 },
      detail: `${words(grants)} grants`,
    },
    {
      id: 'named-two-threads-requests',
      what: '… through locks.request',
      value: microsecondsAGrant(requested),
      unit: 'µs',
      bar: { most: 25 },
      detail: `${words(fewer)} grants`,
    },
    {
      id: 'named-two-threads',
      what: '… one handle.run(fn) under way in each',
      value: microsecondsAGrant(duel),
      unit: 'µs',
      detail: `${words(fewer)} grants`,
    },
  ]
  return { figures, facts: [exact([ran, requested, duel], unlocked), inOrder([ran, requested, duel])] }
}
