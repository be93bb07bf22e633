// @ts-check
// One thread hands a lock from one waiter to the next, again and again: 2, 10 and 100 are always in line.
import { locks } from 'chainlock'
import { LONG_ROUND_MS, compare } from '../../measure.mjs'
import { asyncLock, rwlock } from '../../peers.mjs'

const CROWDS = [2, 10, 100]
const NAME = 'episodic-memory'
const RUN_NAME = 'skill-library'

/** @typedef {import('../../figure.mjs').Figure} Figure */
/** @typedef {import('../../measure.mjs').Candidate} Candidate */
/** @typedef {import('../../measure.mjs').Comparison} Comparison */

/** @param {{ longRounds: number }} effort */
export async function handoff({ longRounds }) {
  const effort = { rounds: longRounds, roundMs: LONG_ROUND_MS }
  // First what needs no AsyncLocalStorage, then what does.
  const acquired = await compare(
    CROWDS.flatMap((waiters) => [
      takers(`handle ${waiters}`, waiters, () => handleTaker(NAME)),
      runners(`async-lock ${waiters}`, waiters, () => asyncLock()),
      takers(`rwlock ${waiters}`, waiters, () => rwlockTaker()),
      runners(`promises ${waiters}`, waiters, () => promiseChain()),
    ]),
    effort,
  )
  const ran = await compare(
    CROWDS.flatMap((waiters) => [
      runners(`handle ${waiters}`, waiters, () => handleRunner(RUN_NAME)),
      runners(`async-lock ${waiters}`, waiters, () => asyncLock()),
    ]),
    effort,
  )
  const figures = [
    ...CROWDS.map((waiters) => versusAsyncLock('handoff-acquire', 'acquire() + release', acquired, waiters)),
    ...CROWDS.map((waiters) => versusAsyncLock('handoff-run', 'run(fn)', ran, waiters)),
    flat(acquired),
    ...['async-lock', 'rwlock', 'promises'].map((name) => ofPeer(name, acquired)),
  ]
  return { figures, facts: [alwaysContended(NAME), alwaysContended(RUN_NAME)] }
}

/**
 * @param {string} id
 * @param {string} face
 * @param {Comparison} times
 * @param {number} waiters
 * @returns {Figure}
 */
function versusAsyncLock(id, face, times, waiters) {
  const us = (/** @type {string} */ name) => `${(times.ns(`${name} ${waiters}`) / 1_000).toFixed(2)} µs`
  return {
    id: `${id}-${waiters}`,
    what: `${face}, ${waiters} waiters in one thread, per grant ÷ async-lock`,
    value: times.ratio(`handle ${waiters}`, `async-lock ${waiters}`),
    unit: 'x',
    bar: { most: 1 },
    detail: `${us('handle')} against ${us('async-lock')}`,
  }
}

/** @param {Comparison} times @returns {Figure} */
function flat(times) {
  const [few, , many] = CROWDS
  return {
    id: 'handoff-flat',
    what: `acquire() + release, ${many} waiters ÷ the same with ${few}`,
    value: times.ratio(`handle ${many}`, `handle ${few}`),
    unit: 'x',
    bar: { most: 1.5 },
  }
}

/** @param {string} name @param {Comparison} times @returns {Figure} */
function ofPeer(name, times) {
  const many = CROWDS[CROWDS.length - 1]
  return {
    id: `handoff-${name}`,
    what: name === 'promises' ? `a bare chain of promises, ${many} in line` : `${name}, ${many} waiters`,
    value: times.ns(`${name} ${many}`) / 1_000,
    unit: 'µs',
  }
}

/** @param {string} name @returns {import('../../figure.mjs').Fact} */
function alwaysContended(name) {
  const { acquisitions, contended } = locks.lock(name).getStatistics().modes.exclusive
  const words = (/** @type {number} */ count) => count.toLocaleString('en-US')
  return {
    id: `handoff-contended-${name}`,
    what: 'nearly every grant was one to a waiter',
    holds: contended > acquisitions * 0.75,
    detail: `${words(contended)} of ${words(acquisitions)} holds`,
  }
}

// ── Those who stand in line ──────────────────────────────────────────────────────────────────────────

/**
 * Takes the lock once, adds to what was seen inside, and lets go.
 * @typedef {(seen: { inside: number }) => Promise<void>} Taker
 */

/** @param {string} name @returns {Taker} */
function handleTaker(name) {
  const handle = locks.lock(name)
  return async (seen) => {
    const guard = await handle.acquire()
    seen.inside++
    guard.release()
  }
}

/** @returns {Taker} */
function rwlockTaker() {
  const take = rwlock()
  return async (seen) => {
    const release = await take()
    seen.inside++
    release()
  }
}

/** @param {string} name @returns {import('../../peers.mjs').Run} */
function handleRunner(name) {
  const handle = locks.lock(name)
  return (fn) => handle.run(fn)
}

/** @returns {import('../../peers.mjs').Run} */
function promiseChain() {
  /** @type {Promise<unknown>} */
  let last = Promise.resolve()
  return (fn) => (last = last.then(fn))
}

/** @param {string} name @param {number} waiters @param {() => Taker} make @returns {Candidate} */
function takers(name, waiters, make) {
  const take = make()
  return {
    name,
    async loop(count) {
      const seen = { inside: 0 }
      let left = count
      const lane = async () => {
        while (left > 0) {
          left--
          await take(seen)
        }
      }
      // One of them holds the lock.
      await Promise.all(Array.from({ length: waiters + 1 }, lane))
      return seen.inside
    },
  }
}

/**
 * @param {string} name
 * @param {number} waiters
 * @param {() => import('../../peers.mjs').Run} make
 * @returns {Candidate}
 */
function runners(name, waiters, make) {
  const run = make()
  return {
    name,
    async loop(count) {
      let inside = 0
      let left = count
      const body = async () => {
        inside++
      }
      const lane = async () => {
        while (left > 0) {
          left--
          await run(body)
        }
      }
      await Promise.all(Array.from({ length: waiters + 1 }, lane))
      return inside
    },
  }
}
