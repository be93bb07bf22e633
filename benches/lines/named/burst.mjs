// @ts-check
// Thousands of requests join the line of one lock at once and are served one after the other: what each of
// them costs, from the call to its release.
import { locks } from 'chainlock'
import { median } from '../../measure.mjs'
import { asyncLock, rwlock } from '../../peers.mjs'

const FEW = 5_000
const MANY = 100_000
const NAME = 'episodic-memory'

/** @typedef {import('../../figure.mjs').Figure} Figure */
/** @typedef {{ inOrder: boolean, served: number, next: number }} Seen */
/** @typedef {(turn: number) => Promise<void>} Request Waits for the lock, is served, and lets go. */

/** @param {{ burstRounds: number, burst: number }} effort */
export async function burst({ burstRounds, burst: most }) {
  const many = Math.min(MANY, most)
  const few = Math.min(FEW, most)
  /** @type {Seen} */
  const seen = { inOrder: true, served: 0, next: 0 }
  const own = ownRequest(seen)
  const peer = peerRequest(seen)
  await burstOf(own, few, seen)
  await burstOf(peer, few, seen)
  /** @type {{ own: number, peer: number, ownMany: number }[]} */
  const rounds = []
  for (let round = 0; round < burstRounds; round++) {
    // As many requests with the short line as with the long one, so that both pay for as much garbage.
    const times = { own: 0, peer: 0, ownMany: 0 }
    for (let part = 0; part < many; part += few) {
      times.own += (await burstOf(own, few, seen)) * (few / many)
      times.peer += (await burstOf(peer, few, seen)) * (few / many)
    }
    times.ownMany = await burstOf(own, many, seen)
    rounds.push(times)
  }
  const expected = 2 * few + burstRounds * 3 * many
  /** @type {import('../../figure.mjs').Fact} */
  const served = {
    id: 'burst-served',
    what: 'every request of a burst is served once and in order',
    holds: seen.served === expected && seen.inOrder,
    detail: `${words(seen.served)} of ${words(expected)}`,
  }
  // Once each: these take seconds.
  const peerMany = await burstOf(peer, many, seen)
  const asyncLockMany = await burstOfFunctions(asyncLock(), many)
  return { figures: figuresOf(rounds, { few, many, peerMany, asyncLockMany }), facts: [served] }
}

/**
 * @param {readonly { own: number, peer: number, ownMany: number }[]} rounds
 * @param {{ few: number, many: number, peerMany: number, asyncLockMany: number }} sizes
 * @returns {Figure[]}
 */
function figuresOf(rounds, { few, many, peerMany, asyncLockMany }) {
  const us = (/** @type {number} */ ns) => `${(ns / 1_000).toFixed(2)} µs`
  const own = median(rounds.map((round) => round.own))
  const peer = median(rounds.map((round) => round.peer))
  const ownMany = median(rounds.map((round) => round.ownMany))
  return [
    {
      id: 'burst-few',
      what: `${words(few)} queued at once, per request ÷ rwlock`,
      value: median(rounds.map((round) => round.own / round.peer)),
      unit: 'x',
      bar: { most: 1 },
      detail: `${us(own)} against ${us(peer)}`,
    },
    {
      id: 'burst-many',
      what: `${words(many)} queued at once, per request ÷ rwlock`,
      value: ownMany / peerMany,
      unit: 'x',
      bar: { most: 1 },
      detail: `${us(ownMany)} against ${us(peerMany)}; async-lock ${us(asyncLockMany)}`,
    },
    {
      id: 'burst-flat',
      what: `${words(many)} queued at once, per request ÷ the same with ${words(few)}`,
      value: median(rounds.map((round) => round.ownMany / round.own)),
      unit: 'x',
      bar: { most: 2 },
    },
  ]
}

/** @param {Seen} seen @returns {Request} */
function ownRequest(seen) {
  const handle = locks.lock(NAME)
  return async (turn) => {
    const guard = await handle.acquire()
    serve(seen, turn)
    guard.release()
  }
}

/** @param {Seen} seen @returns {Request} */
function peerRequest(seen) {
  const take = rwlock()
  return async (turn) => {
    const release = await take()
    serve(seen, turn)
    release()
  }
}

/** @param {Seen} seen @param {number} turn */
function serve(seen, turn) {
  seen.inOrder &&= turn === seen.next++
  seen.served++
}

/** Resolves to the nanoseconds of one request. @param {Request} request @param {number} count @param {Seen} seen */
async function burstOf(request, count, seen) {
  seen.next = 0
  const start = process.hrtime.bigint()
  await Promise.all(Array.from({ length: count }, (_, turn) => request(turn)))
  return Number(process.hrtime.bigint() - start) / count
}

/** @param {import('../../peers.mjs').Run} run @param {number} count */
async function burstOfFunctions(run, count) {
  const body = async () => {}
  const start = process.hrtime.bigint()
  await Promise.all(Array.from({ length: count }, () => run(body)))
  return Number(process.hrtime.bigint() - start) / count
}

/** @param {number} count */
const words = (count) => count.toLocaleString('en-US')
