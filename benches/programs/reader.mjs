// @ts-check
// One of the threads of the read-mostly line: some readers that take a named lock shared, and exclusive once in
// a hundred times.
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as threads from 'node:worker_threads'
import { locks } from 'chainlock'
import { CELL, READERS } from '../reading.mjs'

const { parentPort, workerData } = threads
const NAME = 'skill-library'
const WRITE_EVERY = 100
/** Most reads last for a microtask, a few for a turn of the loop. */
const LONG_EVERY = 64
const PATIENCE_MS = 5_000

/** @typedef {(fn: () => Promise<void>) => Promise<void>} Run */
/** @typedef {{ shared: Run, exclusive: Run }} Lock */
/** @typedef {{ way: import('../reading.mjs').Way, task: 'read' | 'meet' }} Order */

/** @type {{ memory: SharedArrayBuffer, lanes: number }} */
const { memory, lanes } = workerData
const cells = new Int32Array(memory)
let atOnce = 0

const shared = locks.lock(NAME, { mode: 'shared' })
const exclusive = locks.lock(NAME)
/** @type {Record<import('../reading.mjs').Way, Lock>} */
const WAYS = {
  acquire: { shared: (fn) => between(shared, fn), exclusive: (fn) => between(exclusive, fn) },
  run: { shared: (fn) => shared.run(fn), exclusive: (fn) => exclusive.run(fn) },
  request: {
    shared: (fn) => locks.request(NAME, { mode: 'shared' }, fn),
    exclusive: (fn) => locks.request(NAME, fn),
  },
  // Typings of the oldest supported Node do not know these.
  node: {
    shared: (fn) => Reflect.get(threads, 'locks').request(NAME, { mode: 'shared' }, fn),
    exclusive: (fn) => Reflect.get(threads, 'locks').request(NAME, fn),
  },
}

/** @param {import('chainlock').LockHandle} handle @param {() => Promise<void>} fn */
async function between(handle, fn) {
  const guard = await handle.acquire()
  try {
    await fn()
  } finally {
    guard.release()
  }
}

/** @param {boolean} long */
async function read(long) {
  atOnce = Math.max(atOnce, Atomics.add(cells, CELL.inside, 1) + 1)
  const seen = cells[CELL.left]
  if (long) await nextTurn()
  else await undefined
  const whole = cells[CELL.left] === seen && cells[CELL.right] === seen && Atomics.load(cells, CELL.writers) === 0
  if (!whole) Atomics.add(cells, CELL.torn, 1)
  Atomics.sub(cells, CELL.inside, 1)
}

async function write() {
  const alone = Atomics.add(cells, CELL.writers, 1) === 0 && Atomics.load(cells, CELL.inside) === 0
  if (!alone) Atomics.add(cells, CELL.torn, 1)
  cells[CELL.left]++
  await undefined
  cells[CELL.right]++
  Atomics.sub(cells, CELL.writers, 1)
}

/** @param {Lock} lock @param {number} lane */
async function readMostly(lock, lane) {
  const short = () => read(false)
  const long = () => read(true)
  let done = 0
  // The lanes do not write in step.
  for (let turn = lane * 7; Atomics.load(cells, CELL.stop) === 0; turn++) {
    if (turn % WRITE_EVERY === 0) await lock.exclusive(write)
    else await lock.shared(turn % LONG_EVERY === 1 ? long : short)
    done++
  }
  return done
}

/** Stays inside until all others are inside, too, or one has lost patience. @param {Lock} lock */
async function meet(lock) {
  await lock.shared(async () => {
    const together = Atomics.add(cells, CELL.inside, 1) + 1
    atOnce = Math.max(atOnce, together)
    if (together === READERS) Atomics.store(cells, CELL.stop, 1)
    const giveUpAt = performance.now() + PATIENCE_MS
    while (Atomics.load(cells, CELL.stop) === 0 && performance.now() < giveUpAt) await nextTurn()
    Atomics.store(cells, CELL.stop, 1)
    Atomics.sub(cells, CELL.inside, 1)
  })
  return 0
}

parentPort?.on('message', async (/** @type {Order} */ { way, task }) => {
  atOnce = 0
  const work = task === 'read' ? readMostly : meet
  const done = await Promise.all(Array.from({ length: lanes }, (_, lane) => work(WAYS[way], lane)))
  parentPort?.postMessage({ done: done.reduce((sum, each) => sum + each, 0), atOnce })
})
parentPort?.postMessage('ready')
