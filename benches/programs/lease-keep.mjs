// @ts-check
// Holds many leases and says what that costs: bytes of one, which threads there are, and how much of a core the
// leases' thread takes while it renews them. Needs `--expose-gc`.
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { loadNoop } from '../baselines.mjs'

const { LeaseManager } = createRequire(import.meta.url)('chainlock/leases')

const { url, count, ttlMs, watchMs } = JSON.parse(process.argv[2])
const AT_ONCE = 100
/** A lease that was granted on the calling thread is the leases' thread's before this. */
const KEPT_MS = 300
const noop = loadNoop()
const threadsBefore = threads()

const leases = new LeaseManager({ store: url, ttlMs })
// Kept beforehand: connections and tables are there, code is compiled, and the names are the user's.
const before = Math.ceil(count / 10)
const names = Array.from({ length: before + count }, (_, i) => `task:${i}`)
/** @type {any[]} */
const held = new Array(before + count).fill(null)
await hold(0, before)
const start = await settledSizes()
await hold(before, before + count)
const end = await settledSizes()

const own = threads().filter(({ id }) => !threadsBefore.some((other) => other.id === id))
const worker = own.find(({ name }) => name.startsWith('chainlock'))
const renewalsBefore = leases.getMetrics().renewals
const [ranBefore, from] = [ranNs(worker?.id), process.hrtime.bigint()]
const cpuBefore = process.cpuUsage()
await pause(watchMs)
const wall = Number(process.hrtime.bigint() - from)
const { user, system } = process.cpuUsage(cpuBefore)
const share = (ranNs(worker?.id) - ranBefore) / wall
const { renewals, failedRenewals, lost } = leases.getMetrics()

process.stdout.write(
  JSON.stringify({
    native: (end.native - start.native) / count,
    javascript: (end.javascript - start.javascript) / count,
    threads: own.map(({ name }) => name),
    share,
    processShare: ((user + system) * 1_000) / wall,
    renewals: renewals - renewalsBefore,
    failedRenewals,
    lost,
    held: held.filter((lease) => !lease.lost).length - before,
    seconds: wall / 1e9,
  }),
)
await leases.destroy()

/** @param {number} first @param {number} after */
async function hold(first, after) {
  for (let at = first; at < after; at += AT_ONCE) {
    const some = names.slice(at, Math.min(at + AT_ONCE, after))
    const granted = await Promise.all(some.map((name) => leases.acquire(name)))
    granted.forEach((lease, i) => (held[at + i] = lease))
  }
}

/** Node's own helpers come and go with it; what is named is looked for by name. */
function threads() {
  return readdirSync('/proc/self/task').map((id) => ({ id, name: readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim() }))
}

/** How long a thread has run. @param {string | undefined} id */
function ranNs(id) {
  return id === undefined ? 0 : Number(readFileSync(`/proc/self/task/${id}/schedstat`, 'utf8').split(' ')[0])
}

async function settledSizes() {
  await pause(KEPT_MS)
  for (let times = 0; times < 4; times++) {
    await nextTurn()
    globalThis.gc?.()
  }
  return { native: noop.allocated(), javascript: process.memoryUsage().heapUsed }
}
