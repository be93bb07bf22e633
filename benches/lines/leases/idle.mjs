// @ts-check
// What leases do to a process that does not use them yet, and to an event loop while they are used on SQLite.
import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chainlockPeer, peerOf, urlFor } from '../../chainlock-lease.mjs'
import { startPlace } from '../../lease-servers.mjs'

/** @typedef {import('../../figure.mjs').Figure} Figure */
/** @typedef {import('../../figure.mjs').Fact} Fact */
/** @typedef {{ threads: number, files: number, modules: number, resident: number }} Look */

const PROGRAM = fileURLToPath(new URL('../../programs/lease-load.cjs', import.meta.url))
const RIVAL = fileURLToPath(new URL('../../programs/lease-rival.mjs', import.meta.url))
const AT_ONCE = 16
const RIVALS = 3

/** @param {{ leaseWatchMs: number }} effort */
export async function idle({ leaseWatchMs }) {
  const place = await startPlace('sqlite')
  try {
    return { figures: await delays(place.url, Math.min(leaseWatchMs, 4_000)), facts: process.platform === 'linux' ? [firstUse(place.url)] : [] }
  } finally {
    await place.stop()
  }
}

/** @param {string} url @returns {Fact} */
function firstUse(url) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, url], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${PROGRAM} ended with ${status}: ${stderr}`)
  /** @type {Record<'start' | 'main' | 'leases' | 'opened' | 'held', Look>} */
  const { main, leases, opened, held } = JSON.parse(stdout)
  return {
    id: 'lease-first-use',
    what: 'nothing of leases is there before the first request',
    holds: main.modules === 0 && opened.threads === main.threads && opened.files === main.files,
    detail: `threads ${main.threads}, with a manager ${opened.threads}, with a lease ${held.threads}; files ${main.files}, ${opened.files}, ${held.files}; modules ${main.modules}, ${leases.modules}`,
  }
}

/**
 * While leases are acquired and released one after the other, and many at once; beside an idle loop on the same
 * machine, and better-sqlite3, which does its work in the loop.
 * @param {string} url @param {number} ms @returns {Promise<Figure[]>}
 */
async function delays(url, ms) {
  const ours = await chainlockPeer('sqlite').open(url)
  const many = await Promise.all(Array.from({ length: AT_ONCE }, () => chainlockPeer('sqlite').open(url)))
  const peer = peerOf('sqlite', 'better-sqlite3 immediate')
  const theirs = await peer.open(urlFor(peer, url))
  const idleMs = await delayed(ms, () => pause(10))
  const singleMs = await delayed(ms, () => pair(ours, 'loop'))
  const manyMs = await delayed(ms, () => Promise.all(many.map((lock, i) => pair(lock, `loop:${i}`))))
  const rivals = await Promise.all(Array.from({ length: RIVALS }, () => rival(url, 'loop')))
  const rivalsMs = await delayed(ms, () => pair(ours, 'loop'))
  await Promise.all(rivals.map((stop) => stop()))
  // Its promises alone never let the loop turn: that is the caller's part.
  const peerMs = await delayed(ms, async () => {
    await pair(theirs, 'loop')
    await nextTurn()
  })
  await Promise.all([ours, theirs, ...many].map((lock) => lock.close()))
  // On a machine that is busy with something else an idle loop is late, too.
  const bar = { most: Math.max(1, 2 * idleMs) }
  const detail = `an idle loop ${idleMs.toFixed(2)} ms`
  return [
    { id: 'lease-loop-sqlite', what: 'sqlite: event loop delay while acquiring and releasing, 99 of 100', value: singleMs, unit: 'ms', bar, detail },
    { id: 'lease-loop-sqlite-many', what: `… ${AT_ONCE} at once`, value: manyMs, unit: 'ms', bar, detail },
    { id: 'lease-loop-sqlite-rivals', what: `… against ${RIVALS} other processes`, value: rivalsMs, unit: 'ms', bar, detail },
    { id: 'lease-loop-better-sqlite3', what: '… of better-sqlite3', value: peerMs, unit: 'ms' },
  ]
}

/** Another process that wants the same. @param {string} url @param {string} key @returns {Promise<() => Promise<unknown>>} */
async function rival(url, key) {
  const child = fork(RIVAL, [JSON.stringify({ url, key })])
  await once(child, 'message')
  return () => {
    const ended = once(child, 'exit')
    child.disconnect()
    return ended
  }
}

/** @param {import('../../lease-peers.mjs').Lock} lock @param {string} key */
async function pair(lock, key) {
  await lock.acquire(key)
  await lock.release()
}

/**
 * How long whatever comes in at some instant waits at most for the loop to turn, in 99 of 100 cases. Timers count whole
 * milliseconds; so the loop is kept turning, and the time from turn to turn is looked at.
 * @param {number} ms @param {() => Promise<unknown>} work
 */
async function delayed(ms, work) {
  /** @type {number[]} */
  const turns = []
  let last = performance.now()
  const end = last + ms
  const turn = () => {
    const now = performance.now()
    turns.push(now - last)
    last = now
    if (now < end) setImmediate(turn)
  }
  setImmediate(turn)
  while (performance.now() < end) await work()
  // The last turn may have been the longest.
  await nextTurn()
  turns.sort((a, b) => a - b)
  let left = 0.99 * turns.reduce((sum, one) => sum + one, 0)
  return turns.find((one) => (left -= one) <= 0) ?? 0
}
