// @ts-check
// Keeps many of something alive and says how many bytes one of them takes, inside the JavaScript heap and
// outside of it. Needs `--expose-gc`.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Mutex } from 'async-mutex'
import { locks } from 'chainlock'
import { loadNoop } from '../baselines.mjs'

const [what, text] = process.argv.slice(2)
const noop = loadNoop()
const count = Number(text)
/** Kept beforehand: buffers and tables have reached a size that counts for all, and code is compiled. */
const before = Math.ceil(count / 10)

/** The names, their array and the array of what is kept are the user's: they are there from the beginning. */
const names = Array.from({ length: before + count }, (_, index) => `episode:${index}`)
/** @type {unknown[]} */
const kept = new Array(before + count).fill(null)
/** @type {unknown[]} */
const held = []
/** Names as they are after use: flat, and known to be strings of their own. */
const known = new Map(names.map((name) => [name, 0]))

const KEEPERS = { names: keepName, waiters: waiterKeeper(), 'async-mutex': peersWaiterKeeper() }
const keep = KEEPERS[/** @type {keyof typeof KEEPERS} */ (what)]
keepMore(0, before)
const start = await settledSizes()
keepMore(before, before + count)
const end = await settledSizes()
const of = (/** @type {'native' | 'javascript'} */ part) => (end[part] - start[part]) / count
if (known.size !== kept.length || held.length === 0) throw new Error('not everything was kept')
// Those who wait would keep the process alive.
process.stdout.write(JSON.stringify({ native: of('native'), javascript: of('javascript') }), () => process.exit())

/** @param {number} from @param {number} to */
function keepMore(from, to) {
  for (let index = from; index < to; index++) kept[index] = keep(names[index])
}

/** @param {string} name */
function keepName(name) {
  const handle = locks.lock(name)
  if (!handle.tryAcquire()?.release()) throw new Error(`${name} is not free`)
  return handle
}

function waiterKeeper() {
  const handle = locks.lock('skill-library')
  if (what === 'waiters') held.push(handle.tryAcquire())
  return () => handle.acquire()
}

function peersWaiterKeeper() {
  const mutex = new Mutex()
  held.push(mutex.acquire())
  return () => mutex.acquire()
}

async function settledSizes() {
  for (let times = 0; times < 4; times++) {
    await nextTurn()
    globalThis.gc?.()
  }
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  const allocated = noop.allocated()
  // Where nobody can say, the resident memory has to do; it is coarse, as the collector keeps pages back.
  return { native: allocated >= 0 ? allocated : rss - heapTotal, javascript: heapUsed }
}
