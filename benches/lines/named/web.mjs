// @ts-check
// Against Node's own `worker_threads.locks`: a free lock in one thread, then two threads over one. Runs in a Node
// that has them.
import * as threads from 'node:worker_threads'
import { locks } from 'chainlock'
import { fightOf, microsecondsAGrant, words } from '../../fighting.mjs'
import { LONG_ROUND_MS, compare, median } from '../../measure.mjs'
import { READERS, startReaders } from '../../reading.mjs'

const NAME = 'episodic-memory'
const LANES = 4
const one = () => 1

/** @typedef {import('../../figure.mjs').Figure} Figure */

/** @param {{ longRounds: number, webGrants: number, readingMs: number, readingRounds: number }} effort */
export async function web({ longRounds, ...effort }) {
  const rounds = { rounds: longRounds, roundMs: LONG_ROUND_MS }
  const acquired = await acquiring(rounds)
  const requested = await requesting(rounds)
  const read = await reading(effort)
  const fought = await fighting(effort)
  return { figures: [...acquired, ...requested, ...read.figures, ...fought.figures], facts: read.facts }
}

/** Typings of the oldest supported Node do not know these. */
const nodeLocks = /** @type {{ request<T>(name: string, fn: () => T): Promise<T> }} */ (Reflect.get(threads, 'locks'))

/** @returns {import('../../measure.mjs').Candidate} */
const nodeLoop = () => ({
  name: 'node',
  async loop(count) {
    let right = 0
    for (let i = 0; i < count; i++) right += await nodeLocks.request(NAME, one)
    return right
  },
})

/** @param {{ rounds: number, roundMs: number }} effort @returns {Promise<Figure[]>} */
async function acquiring(effort) {
  const handle = locks.lock(NAME)
  const times = await compare(
    [
      {
        name: 'handle',
        async loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            const guard = await handle.acquire()
            right += Number(guard.release())
          }
          return right
        },
      },
      nodeLoop(),
    ],
    effort,
  )
  return [versusNode('node-to-acquire', 'await handle.acquire() + release', times, 'handle', 20)]
}

/** @param {{ rounds: number, roundMs: number }} effort @returns {Promise<Figure[]>} */
async function requesting(effort) {
  const handle = locks.lock(NAME)
  const times = await compare(
    [
      {
        name: 'request',
        async loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += await locks.request(NAME, one)
          return right
        },
      },
      nodeLoop(),
      {
        name: 'run',
        async loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += await handle.run(one)
          return right
        },
      },
    ],
    effort,
  )
  return [
    versusNode('node-to-request', 'await locks.request(name, fn)', times, 'request', 6),
    versusNode('node-to-run', 'await handle.run(fn)', times, 'run'),
  ]
}

/**
 * @param {string} id
 * @param {string} what
 * @param {import('../../measure.mjs').Comparison} times
 * @param {string} name
 * @param {number} [least]
 * @returns {Figure}
 */
function versusNode(id, what, times, name, least) {
  const us = (/** @type {string} */ each) => `${(times.ns(each) / 1_000).toFixed(2)} µs`
  return {
    id,
    what: `worker_threads.locks of Node ${process.version} ÷ ${what}`,
    value: times.ratio('node', name),
    unit: 'x',
    bar: least === undefined ? undefined : { least },
    detail: `${us('node')} against ${us(name)}`,
  }
}

/** @param {{ readingMs: number, readingRounds: number }} effort */
async function reading({ readingMs, readingRounds }) {
  const readers = await startReaders()
  /** @type {Record<import('../../reading.mjs').Way, import('../../reading.mjs').Reading>[]} */
  const rounds = []
  // The first round is for the optimiser.
  for (let round = 0; round <= readingRounds; round++) {
    const acquire = await readers.read('acquire', readingMs)
    const node = await readers.read('node', readingMs)
    const run = await readers.read('run', readingMs)
    const request = await readers.read('request', readingMs)
    if (round > 0) rounds.push({ acquire, node, run, request })
  }
  await readers.end()
  /** @param {import('../../reading.mjs').Way} way */
  const perSecond = (way) => median(rounds.map((round) => round[way].perSecond))
  /** @param {import('../../reading.mjs').Way} way */
  const torn = (way) => rounds.reduce((sum, round) => sum + round[way].torn, 0)
  const thousands = (/** @type {number} */ value) => `${words(Math.round(value / 1_000))} thousand a second`
  /** @param {import('../../reading.mjs').Way} way */
  const toNode = (way) => median(rounds.map((round) => round[way].perSecond / round.node.perSecond))
  /** @type {Figure[]} */
  const figures = [
    {
      id: 'readers-to-node',
      what: `${READERS} readers on 2 threads, 99 reads to a write: acquire() + release ÷ worker_threads.locks, throughput`,
      value: toNode('acquire'),
      unit: 'x',
      bar: { least: 20 },
      detail:
        `${thousands(perSecond('acquire'))} against ${thousands(perSecond('node'))}, ` +
        `which let ${words(torn('node'))} operations see half a write`,
    },
    {
      id: 'readers-run-to-node',
      what: '… handle.run(fn)',
      value: toNode('run'),
      unit: 'x',
      detail: thousands(perSecond('run')),
    },
    {
      id: 'readers-request-to-node',
      what: '… locks.request',
      value: toNode('request'),
      unit: 'x',
      detail: thousands(perSecond('request')),
    },
  ]
  const broken = torn('acquire') + torn('run') + torn('request')
  /** @type {import('../../figure.mjs').Fact[]} */
  const facts = [
    { id: 'web-readers-whole', what: 'no reader sees half a write', holds: broken === 0, detail: `${broken} did` },
  ]
  return { figures, facts }
}

/** @param {{ webGrants: number }} effort */
async function fighting({ webGrants: grants }) {
  const own = await fightOf({ grants, lanes: LANES, way: 'request' })
  const node = await fightOf({ grants, lanes: LANES, way: 'node' })
  /** @type {Figure[]} */
  const figures = [
    {
      id: 'node-two-threads',
      what: `two worker threads, ${LANES} requests each: worker_threads.locks ÷ locks.request, per grant`,
      value: node.ns / own.ns,
      unit: 'x',
      detail:
        `${microsecondsAGrant(node).toFixed(1)} µs against ${microsecondsAGrant(own).toFixed(1)} µs; ` +
        `of ${words(grants)} updates ${words(grants - node.counted)} against ${words(grants - own.counted)} lost`,
    },
  ]
  return { figures }
}
