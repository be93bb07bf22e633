// @ts-check
// Two worker threads fight for the lock through `withSendLock`: what a grant costs, whether the line is
// first come, first served, and whether the lock protects a counter that nothing else protects.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { configureSendLock } from 'chainlock'
import { fieldsOf, newFightMemory } from '../fight-fields.mjs'

const LAYERS = ['window-monitor', 'chain-loop-monitor']
const FEWER = 100_000
/** Requests that each thread has under way in the crowded fight. */
const LANES = 4

/** @param {{ grants: number }} effort */
export async function fight({ grants }) {
  configureSendLock({ cooldownMs: 0 })
  const fewer = Math.min(grants, FEWER)
  const duel = await run({ grants, lanes: 1, locked: true })
  const crowd = await run({ grants: fewer, lanes: LANES, locked: true })
  const unlocked = await run({ grants: fewer, lanes: 1, locked: false })
  /** @type {import('../figure.mjs').Figure[]} */
  const figures = [
    {
      id: 'two-threads',
      what: 'two worker threads fighting through withSendLock, per grant',
      value: duel.ns / grants / 1_000,
      unit: 'µs',
      bar: { most: 25 },
      detail: `${words(grants)} grants`,
    },
    {
      id: 'two-threads-crowded',
      what: `… with ${LANES} requests under way in each`,
      value: crowd.ns / fewer / 1_000,
      unit: 'µs',
      bar: { most: 25 },
      detail: `${words(fewer)} grants`,
    },
  ]
  return { figures, facts: [exact(duel, crowd, unlocked), inOrder(duel, crowd)] }
}

/** @typedef {Awaited<ReturnType<typeof run>>} Fight */

/** @param {Fight} duel @param {Fight} crowd @param {Fight} unlocked @returns {import('../figure.mjs').Fact} */
function exact(duel, crowd, unlocked) {
  const counted = (/** @type {Fight} */ { counted, grants }) => `${words(counted)} of ${words(grants)}`
  return {
    id: 'counter-exact',
    what: 'a counter that nothing else protects is exact',
    holds: duel.counted === duel.grants && crowd.counted === crowd.grants,
    detail: `${counted(duel)} and ${counted(crowd)}; without the lock ${counted(unlocked)}`,
  }
}

/** @param {Fight} duel @param {Fight} crowd @returns {import('../figure.mjs').Fact} */
function inOrder(duel, crowd) {
  const overtaken = countOvertaken(duel.fields) + countOvertaken(crowd.fields)
  return {
    id: 'fifo',
    what: 'first come, first served over both threads',
    holds: overtaken === 0,
    detail: `${words(overtaken)} of ${words(duel.grants + crowd.grants)} grants overtook an earlier request`,
  }
}

/** @param {number} count */
const words = (count) => count.toLocaleString('en-US')

/** @param {{ grants: number, lanes: number, locked: boolean }} how */
async function run({ grants, lanes, locked }) {
  const memory = newFightMemory(grants)
  const count = grants / LAYERS.length
  const workers = LAYERS.map(
    (layer, index) =>
      new Worker(new URL('../programs/fighter.mjs', import.meta.url), {
        workerData: { memory, grants, first: index * count, count, lanes, layer, locked },
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
