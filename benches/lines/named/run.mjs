// @ts-check
// A function run under a free named lock. What chainlock switches on in a thread for it, an
// AsyncLocalStorage, slows the promises of the others too; therefore async-lock is timed once before.
import { locks } from 'chainlock'
import { LONG_ROUND_MS, compare } from '../../measure.mjs'
import { asyncLock, asyncMutexRun, limitOfOne } from '../../peers.mjs'

const NAME = 'episodic-memory'
const one = () => 1

/** @typedef {import('../../measure.mjs').Candidate} Candidate */

/** @param {{ longRounds: number }} effort */
export async function run({ longRounds }) {
  const effort = { rounds: longRounds, roundMs: LONG_ROUND_MS }
  const before = await compare([asyncLockLoop()], effort)
  const handle = locks.lock(NAME)
  const times = await compare(
    [
      {
        name: 'handle',
        async loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += await handle.run(one)
          return right
        },
      },
      asyncLockLoop(),
      {
        name: 'withLock',
        async loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += await locks.withLock(NAME, one)
          return right
        },
      },
      {
        name: 'request',
        async loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += await locks.request(NAME, one)
          return right
        },
      },
      asyncMutexLoop(),
      limitLoop(),
    ],
    effort,
  )
  const us = (/** @type {string} */ name) => `${(times.ns(name) / 1_000).toFixed(2)} µs`
  const undisturbed = before.ns('async-lock')
  /** @type {import('../../figure.mjs').Figure[]} */
  const figures = [
    {
      id: 'run-to-async-lock',
      what: 'await handle.run(fn) ÷ async-lock',
      value: times.ratio('handle', 'async-lock'),
      unit: 'x',
      bar: { most: 1 },
      detail: `${us('handle')} against ${us('async-lock')}`,
    },
    {
      id: 'run-to-undisturbed-async-lock',
      what: '… ÷ async-lock, before any AsyncLocalStorage was used in the process',
      value: times.ns('handle') / undisturbed,
      unit: 'x',
      detail: `${(undisturbed / 1_000).toFixed(2)} µs`,
    },
    {
      id: 'async-mutex-to-run',
      what: 'async-mutex, imported ÷ await handle.run(fn)',
      value: times.ratio('async-mutex', 'handle'),
      unit: 'x',
      detail: us('async-mutex'),
    },
    {
      id: 'p-limit-to-run',
      what: 'p-limit ÷ await handle.run(fn)',
      value: times.ratio('p-limit', 'handle'),
      unit: 'x',
      detail: us('p-limit'),
    },
    { id: 'with-lock', what: 'await locks.withLock(name, fn)', value: times.ns('withLock') / 1_000, unit: 'µs' },
    { id: 'request', what: 'await locks.request(name, fn)', value: times.ns('request') / 1_000, unit: 'µs' },
  ]
  return { figures, facts: [] }
}

/** @returns {Candidate} */
function asyncLockLoop() {
  const inLock = asyncLock()
  return {
    name: 'async-lock',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) right += Number(await inLock(one))
      return right
    },
  }
}

/** @returns {Candidate} */
function asyncMutexLoop() {
  const inLock = asyncMutexRun()
  return {
    name: 'async-mutex',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) right += Number(await inLock(one))
      return right
    },
  }
}

/** @returns {Candidate} */
function limitLoop() {
  const inLimit = limitOfOne()
  return {
    name: 'p-limit',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) right += Number(await inLimit(one))
      return right
    },
  }
}
