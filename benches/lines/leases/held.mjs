// @ts-check
// A thousand leases held by one process: what one of them keeps in memory, which threads that takes, and how much of
// a core their renewals do.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { missing, startPlace } from '../../lease-servers.mjs'

/** @typedef {import('../../figure.mjs').Figure} Figure */
/** @typedef {import('../../figure.mjs').Fact} Fact */
/** @typedef {{ native: number, javascript: number, threads: string[], share: number, processShare: number, renewals: number, failedRenewals: number, lost: number, held: number, seconds: number }} Kept */

const PROGRAM = fileURLToPath(new URL('../../programs/lease-keep.mjs', import.meta.url))
const KIBIBYTE = 1_024
/** Ten times shorter than the default: a ten times harder case, that can be watched in seconds. */
const TTL_MS = 30_000

/** @param {{ leases: number, leaseWatchMs: number }} effort */
export async function held({ leases, leaseWatchMs }) {
  if (process.platform !== 'linux') return { figures: [], facts: [], missing: 'threads are looked at in /proc' }
  /** @type {Figure[]} */
  const figures = []
  /** @type {Fact[]} */
  const facts = []
  for (const engine of /** @type {const} */ (['sqlite', 'redis'])) {
    if (missing(engine)) continue
    const place = await startPlace(engine)
    try {
      const kept = await keep({ url: place.url, count: leases, ttlMs: TTL_MS, watchMs: leaseWatchMs })
      figures.push(...figuresOf(engine, leases, kept))
      facts.push(...factsOf(engine, leases, kept))
    } finally {
      await place.stop()
    }
  }
  return { figures, facts }
}

/** @param {string} engine @param {number} count @param {Kept} kept @returns {Figure[]} */
function figuresOf(engine, count, { native, javascript, share, processShare, renewals, seconds }) {
  const many = count.toLocaleString('en-US')
  return [
    {
      id: `lease-bytes-${engine}`,
      what: `${engine}: a held lease, of ${many}`,
      value: (native + javascript) / KIBIBYTE,
      unit: 'KiB',
      bar: { most: 1 },
      detail: `${Math.round(native)} bytes native, ${Math.round(javascript)} JavaScript`,
    },
    {
      id: `lease-share-${engine}`,
      what: `${engine}: ${many} leases of ${TTL_MS / 1_000} s, of a core`,
      value: share * 100,
      unit: '%',
      bar: { most: 1 },
      detail: `${renewals.toLocaleString('en-US')} renewals in ${seconds.toFixed(1)} s; the whole process ${(processShare * 100).toFixed(2)} %`,
    },
  ]
}

/** @param {string} engine @param {number} count @param {Kept} kept @returns {Fact[]} */
function factsOf(engine, count, { threads, held: alive, lost, failedRenewals }) {
  return [
    { id: `lease-threads-${engine}`, what: `${engine}: one thread for all of them`, holds: threads.filter((name) => name.startsWith('chainlock')).length === 1, detail: threads.join(', ') || 'none' },
    {
      id: `lease-kept-${engine}`,
      what: `${engine}: all of them are held on`,
      holds: alive === count && lost === 0,
      detail: `${alive} of ${count}, ${failedRenewals} renewals failed`,
    },
  ]
}

/** @param {{ url: string, count: number, ttlMs: number, watchMs: number }} what @returns {Promise<Kept>} */
async function keep(what) {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, ['--expose-gc', PROGRAM, JSON.stringify(what)], { encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`${PROGRAM} ended with ${status}: ${stderr}`)
  return JSON.parse(stdout)
}
