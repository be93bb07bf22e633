// @ts-check
// The process registry: what a look costs in JavaScript while a worker writes, and the figures of the native core,
// beside the same facts in a map behind a mutex (`src/tests/registry_figures.rs`).
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { loadNoop } from '../baselines.mjs'
import { clocked, compare, median } from '../measure.mjs'

/** @typedef {import('../figure.mjs').Figure} Figure */

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const { registry } = /** @type {typeof import('chainlock')} */ (createRequire(import.meta.url)('chainlock'))

const ID = 'e2e-executor'
const LISTED = 10_000
const LISTS = 31

/** Changes one process after another until it is told to stop. */
const WRITER = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { registry } = require(workerData)
  parentPort.on('message', () => process.exit())
  let turn = 0
  const write = () => {
    for (let count = 0; count < 100; count++) registry.update('process ' + turn % 100, { pid: ++turn })
    setImmediate(write)
  }
  write()
  parentPort.postMessage('writing')`

/** @param {{ rounds: number }} effort */
export async function processes(effort) {
  for (let number = 0; number < 100; number++) registry.register({ id: `process ${number}` })
  registry.register({ id: ID, command: 'node', args: ['-e', 'work()'], dir: '/srv/work', kind: 'job' })
  const writer = new Worker(WRITER, { eval: true, workerData: ROOT })
  await once(writer, 'message')
  const figures = [...(await looking(effort)), listing()]
  writer.postMessage('stop')
  await once(writer, 'exit')
  return { figures: [...figures, ...native(effort)], facts: [] }
}

/** @param {{ rounds: number }} effort @returns {Promise<Figure[]>} */
async function looking(effort) {
  const noop = loadNoop()
  const times = await compare(
    [
      {
        name: 'no-op with a string',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(noop.text(ID))
          return right
        },
      },
      {
        name: 'status',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(registry.status(ID) === 'pending')
          return right
        },
      },
      {
        name: 'get',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(registry.get(ID)?.status === 'pending')
          return right
        },
      },
    ],
    effort,
  )
  return [
    {
      id: 'registry-status',
      what: 'registry.status(id) ÷ one raw no-op with the same string, while a worker writes',
      value: times.ratio('status', 'no-op with a string'),
      unit: 'x',
      bar: { most: 1.5 },
      detail: `${times.ns('status').toFixed(1)} ns against ${times.ns('no-op with a string').toFixed(1)} ns`,
    },
    { id: 'registry-get', what: 'registry.get(id), a frozen object', value: times.ns('get') / 1_000, unit: 'µs' },
  ]
}

/** @returns {Figure} */
function listing() {
  for (let number = 100; number < LISTED; number++) {
    registry.register({ id: `process ${number}`, command: 'node', args: ['-e', String(number)], kind: 'job' })
  }
  const times = Array.from({ length: LISTS }, () => clocked(() => registry.list()) / 1e6)
  return {
    id: 'registry-list',
    what: `registry.list() of ${LISTED.toLocaleString('en-US')} processes, while a worker writes`,
    value: median(times),
    unit: 'ms',
    bar: { most: 10 },
    detail: `at best ${Math.min(...times).toFixed(1)} ms`,
  }
}

/** What each line of the native program is, with the bars: nanoseconds at best, and the least ratio to its twin. */
const NATIVE = {
  fields: ['fields of a state, 1 thread', 10, undefined],
  'concurrent-fields': ['… 4 threads', 5, undefined],
  read: ['a whole state, copied, 1 thread', undefined, 5.6],
  'concurrent-read': ['… 4 threads', undefined, 8.3],
  status: ['the status of an id', undefined, undefined],
  'look-up': ['a look-up by id', 22, 3],
  mixed: ['by id, 9 readings to a change, 4 threads', 82, 1.7],
  get: ['get(id), 4 threads beside a writer', undefined, 3],
}

/** @param {{ rounds: number }} effort @returns {Figure[]} */
function native({ rounds }) {
  const program = ['run', '--release', '--quiet', '--no-default-features', '--features', 'figures', '--bin', 'registry-figures']
  const ran = spawnSync('cargo', [...program, '--', String(Math.ceil(rounds / 4))], { cwd: ROOT, encoding: 'utf8' })
  if (ran.status !== 0) throw new Error(`the registry's figures: ${ran.stderr}`)
  const lines = ran.stdout.trim().split('\n').map((line) => JSON.parse(line))
  return lines.flatMap(({ name, leastNs, ns, twinNs, ratio, ms, count }) => {
    if (name === 'list') {
      return [{ id: 'registry-native-list', what: 'native: 10,000 states while one is changed', value: ms, unit: 'ms', bar: { most: 10 } }]
    }
    if (name === 'allocations') {
      return [{ id: 'registry-allocations', what: 'native: allocations of 300,000 readings', value: count, unit: '', bar: { most: 0 } }]
    }
    const [what, most, least] = NATIVE[/** @type {keyof typeof NATIVE} */ (name)]
    return [
      { id: `registry-${name}`, what: `native: ${what}, at best`, value: leastNs, unit: 'ns', ...(most ? { bar: { most: Number(most) } } : {}) },
      {
        id: `registry-${name}-twin`,
        what: `native: … twin behind a mutex ÷ that`,
        value: ratio,
        unit: 'x',
        ...(least ? { bar: { least: Number(least) } } : {}),
        detail: `${twinNs} ns against ${ns} ns`,
      },
    ]
  })
}
