// @ts-check
// Worker threads that fight for one lock over a counter that nothing else protects, and what can be said
// about the fight afterwards. The threads themselves are programs/fighter.mjs.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { fieldsOf, newFightMemory } from './fight-fields.mjs'

const LAYERS = ['window-monitor', 'chain-loop-monitor']

/**
 * How a fighter takes the lock: `send` through withSendLock, `run` through a handle of a named lock,
 * `request` through locks.request, `node` through Node's own locks, `none` not at all.
 * @typedef {'send' | 'run' | 'request' | 'node' | 'none'} Way
 */

/** @typedef {Awaited<ReturnType<typeof fightOf>>} Fight */

/** @param {{ grants: number, lanes: number, way: Way }} how `grants` are even numbers. */
export async function fightOf({ grants, lanes, way }) {
  const memory = newFightMemory(grants)
  const count = grants / LAYERS.length
  const workers = LAYERS.map(
    (layer, index) =>
      new Worker(new URL('./programs/fighter.mjs', import.meta.url), {
        workerData: { memory, grants, first: index * count, count, lanes, layer, way },
      }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const start = process.hrtime.bigint()
  for (const worker of workers) worker.postMessage('go')
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const ns = Number(process.hrtime.bigint() - start)
  await Promise.all(workers.map((worker) => worker.terminate()))
  const fields = fieldsOf(memory, grants)
  return { ns, grants, fields, counted: fields.cells[0] }
}

/** @param {Fight} fight */
export const microsecondsAGrant = ({ ns, grants }) => ns / grants / 1_000

/** @param {readonly Fight[]} fights @param {Fight} unlocked @returns {import('./figure.mjs').Fact} */
export function exact(fights, unlocked) {
  const counted = (/** @type {Fight} */ fight) => `${words(fight.counted)} of ${words(fight.grants)}`
  return {
    id: 'counter-exact',
    what: 'a counter that nothing else protects is exact',
    holds: fights.every((fight) => fight.counted === fight.grants),
    detail: `${fights.map(counted).join(' and ')}; without the lock ${counted(unlocked)}`,
  }
}

/** @param {readonly Fight[]} fights @returns {import('./figure.mjs').Fact} */
export function inOrder(fights) {
  const overtaken = fights.reduce((sum, { fields }) => sum + countOvertaken(fields), 0)
  const grants = fights.reduce((sum, fight) => sum + fight.grants, 0)
  return {
    id: 'fifo',
    what: 'first come, first served over both threads',
    holds: overtaken === 0,
    detail: `${words(overtaken)} of ${words(grants)} grants overtook an earlier request`,
  }
}

/**
 * Grants that came before an older request's: one that was made after the other was already in line.
 * @param {ReturnType<typeof fieldsOf>} fields
 */
function countOvertaken({ order, before, after }) {
  let newest = -1
  let overtaken = 0
  for (const id of order) {
    if (after[id] < newest) overtaken++
    newest = Math.max(newest, before[id])
  }
  return overtaken
}

/** @param {number} count */
export const words = (count) => count.toLocaleString('en-US')
