// @ts-check
// One of the worker threads that fight for the lock: takes it again and again, and each time adds one to a
// counter that nothing else protects.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { withSendLock } from 'chainlock'
import { fieldsOf } from '../fight-fields.mjs'

/** @type {{ memory: SharedArrayBuffer, grants: number, first: number, count: number, lanes: number, layer: string, locked: boolean }} */
const { memory, grants, first, count, lanes, layer, locked } = workerData
const { cells, stamp, before, after, order } = fieldsOf(memory, grants)

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
    const done = locked ? withSendLock(layer, () => addOne(id)) : addOne(id)
    after[id] = Atomics.add(stamp, 0, 1)
    await done
  }
}

parentPort?.once('message', async () => {
  await Promise.all(Array.from({ length: lanes }, (_, lane) => fight(lane)))
  parentPort?.postMessage('done')
})
parentPort?.postMessage('ready')
