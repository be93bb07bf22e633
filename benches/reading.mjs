// @ts-check
// Eight readers on two worker threads, one operation in a hundred a write: how many operations they get
// done in a given time, how many were inside at once, and whether any saw half a write. The threads
// themselves are programs/reader.mjs.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const THREADS = 2
export const READERS = 8

/** @typedef {'acquire' | 'run' | 'request' | 'node'} Way How a reader takes the lock. */

/** Where things stand in the memory that the threads share. */
export const CELL = { stop: 0, inside: 1, writers: 2, torn: 3, left: 4, right: 5 }
const CELLS = 6

/**
 * @typedef {object} Reading
 * @property {number} perSecond
 * @property {number} atOnce The most that were seen inside together.
 * @property {number} torn Operations that saw half a write, or a writer beside them.
 */

export async function startReaders() {
  const memory = new SharedArrayBuffer(4 * CELLS)
  const cells = new Int32Array(memory)
  const workers = Array.from(
    { length: THREADS },
    () =>
      new Worker(new URL('./programs/reader.mjs', import.meta.url), {
        workerData: { memory, lanes: READERS / THREADS },
      }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'message')))

  /** @param {{ way: Way, task: 'read' | 'meet' }} order @returns {Promise<{ done: number, atOnce: number }[]>} */
  async function answers(order) {
    for (const worker of workers) worker.postMessage(order)
    const replies = await Promise.all(workers.map((worker) => once(worker, 'message')))
    return replies.map(([reply]) => reply)
  }

  return {
    /** @param {Way} way @param {number} ms @returns {Promise<Reading>} */
    async read(way, ms) {
      cells.fill(0)
      const start = process.hrtime.bigint()
      const answered = answers({ way, task: 'read' })
      await pause(ms)
      Atomics.store(cells, CELL.stop, 1)
      const replies = await answered
      const seconds = Number(process.hrtime.bigint() - start) / 1e9
      return {
        perSecond: replies.reduce((sum, { done }) => sum + done, 0) / seconds,
        atOnce: Math.max(...replies.map(({ atOnce }) => atOnce)),
        torn: cells[CELL.torn],
      }
    },

    /** Each reader stays inside until all are. @param {Way} way @returns {Promise<number>} How many have met. */
    async meet(way) {
      cells.fill(0)
      const replies = await answers({ way, task: 'meet' })
      return Math.max(...replies.map(({ atOnce }) => atOnce))
    },

    end: () => Promise.all(workers.map((worker) => worker.terminate())),
  }
}
