// @ts-check
// One of the worker threads that fight for the lock: takes it again and again, and each time adds one to a
// counter that nothing else protects.
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as threads from 'node:worker_threads'
import { locks, withSendLock } from 'chainlock'
import { fieldsOf } from '../fight-fields.mjs'

const { parentPort, workerData } = threads
const NAME = 'episodic-memory'

/**
 * @type {{
 *   memory: SharedArrayBuffer, grants: number, first: number, count: number, lanes: number, layer: string,
 *   way: import('../fighting.mjs').Way
 * }}
 */
const { memory, grants, first, count, lanes, layer, way } = workerData
const { cells, stamp, before, after, order } = fieldsOf(memory, grants)
const inLock = wayIn()

/** @returns {(fn: () => Promise<void>) => Promise<void>} */
function wayIn() {
  if (way === 'none') return (fn) => fn()
  if (way === 'send') return (fn) => withSendLock(layer, fn)
  if (way === 'request') return (fn) => locks.request(NAME, fn)
  // Typings of the oldest supported Node do not know this one.
  if (way === 'node') return (fn) => Reflect.get(threads, 'locks').request(NAME, fn)
  const handle = locks.lock(NAME)
  return (fn) => handle.run(fn)
}

/** @param {number} id */
async function addOne(id) {
  const seen = cells[0]
  order[seen] = id
  if (id % 8 === 0) await undefined
  if (id % 1024 === 0) await nextTurn()
  cells[0] = seen + 1
}

/** One request after the other. @param {number} lane */
async function fight(lane) {
  for (let id = first + lane; id < first + count; id += lanes) {
    // The stamps enclose the moment at which this request went into the line.
    before[id] = Atomics.add(stamp, 0, 1)
    const done = inLock(() => addOne(id))
    after[id] = Atomics.add(stamp, 0, 1)
    await done
  }
}

// Listening all the time keeps the thread alive, which a request that waits for Node's own locks does not.
parentPort?.on('message', async () => {
  await Promise.all(Array.from({ length: lanes }, (_, lane) => fight(lane)))
  parentPort?.postMessage('done')
})
parentPort?.postMessage('ready')
