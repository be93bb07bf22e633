// @ts-check
// A free named lock, awaited and released, against the locks that live in one thread. First while nobody in
// the process uses an AsyncLocalStorage, then when somebody does: on some versions of Node that slows every
// promise of everybody.
import { AsyncLocalStorage } from 'node:async_hooks'
import { locks } from 'chainlock'
import { loadNoop } from '../../baselines.mjs'
import { LONG_ROUND_MS, compare } from '../../measure.mjs'
import { asyncMutex, requiredAsyncMutex, rwlock } from '../../peers.mjs'

const NAME = 'episodic-memory'

/** @typedef {import('../../figure.mjs').Figure} Figure */
/** @typedef {import('../../measure.mjs').Candidate} Candidate */
/** @typedef {import('../../measure.mjs').Comparison} Comparison */

/** @param {{ longRounds: number }} effort */
export async function acquire({ longRounds }) {
  const effort = { rounds: longRounds, roundMs: LONG_ROUND_MS }
  const plain = await compare(
    [
      handleLoop(),
      rwlockLoop(),
      namedLoop(),
      asyncMutexLoop(),
      requiredAsyncMutexLoop(),
      emptyGuardLoop(),
      microtaskLoop(),
    ],
    effort,
  )
  new AsyncLocalStorage().run('a request', () => {})
  const followed = await compare(
    [handleLoop(), rwlockLoop(), asyncMutexLoop(), emptyGuardLoop(), microtaskLoop()],
    effort,
  )
  return { figures: [...figuresOf(plain), ...followedFigures(followed)], facts: [] }
}

/** @param {Comparison} times @param {string} name */
const us = (times, name) => `${(times.ns(name) / 1_000).toFixed(2)} µs`

/** @param {Comparison} times @returns {Figure[]} */
function figuresOf(times) {
  return [
    {
      id: 'acquire-to-rwlock',
      what: 'await handle.acquire() + release ÷ rwlock',
      value: times.ratio('handle', 'rwlock'),
      unit: 'x',
      bar: { most: 1 },
      detail: `${us(times, 'handle')} against ${us(times, 'rwlock')}`,
    },
    {
      id: 'async-mutex-to-acquire',
      what: 'async-mutex, imported ÷ await handle.acquire() + release',
      value: times.ratio('async-mutex', 'handle'),
      unit: 'x',
      bar: { least: 10 },
      detail: `${us(times, 'async-mutex')} against ${us(times, 'handle')}`,
    },
    {
      id: 'required-async-mutex-to-acquire',
      what: '… its other build, by require',
      value: times.ratio('async-mutex, required', 'handle'),
      unit: 'x',
      detail: us(times, 'async-mutex, required'),
    },
    {
      id: 'empty-guard-to-rwlock',
      what: 'the least for any native lock: two no-ops that take numbers, an object, a promise ÷ rwlock',
      value: times.ratio('empty guard', 'rwlock'),
      unit: 'x',
      detail: `${us(times, 'empty guard')}; one microtask ${us(times, 'microtask')}`,
    },
    {
      id: 'acquire-by-name',
      what: 'await locks.acquire(name) + release ÷ rwlock',
      value: times.ratio('by name', 'rwlock'),
      unit: 'x',
      detail: us(times, 'by name'),
    },
  ]
}

/** @param {Comparison} times @returns {Figure[]} */
function followedFigures(times) {
  return [
    {
      id: 'followed-acquire-to-rwlock',
      what: 'an AsyncLocalStorage in use: await handle.acquire() + release ÷ rwlock',
      value: times.ratio('handle', 'rwlock'),
      unit: 'x',
      detail: `${us(times, 'handle')} against ${us(times, 'rwlock')}`,
    },
    {
      id: 'followed-async-mutex-to-acquire',
      what: '… async-mutex, imported ÷ await handle.acquire() + release',
      value: times.ratio('async-mutex', 'handle'),
      unit: 'x',
      detail: us(times, 'async-mutex'),
    },
    {
      id: 'followed-empty-guard-to-rwlock',
      what: '… the least for any native lock ÷ rwlock',
      value: times.ratio('empty guard', 'rwlock'),
      unit: 'x',
      detail: `${us(times, 'empty guard')}; one microtask ${us(times, 'microtask')}`,
    },
  ]
}

// ── A loop for each of them ──────────────────────────────────────────────────────────────────────────

/** @returns {Candidate} */
function handleLoop() {
  const handle = locks.lock(NAME)
  return {
    name: 'handle',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) {
        const guard = await handle.acquire()
        right += Number(guard.release())
      }
      return right
    },
  }
}

/** @returns {Candidate} */
const namedLoop = () => ({
  name: 'by name',
  async loop(count) {
    let right = 0
    for (let i = 0; i < count; i++) {
      const guard = await locks.acquire(NAME)
      right += Number(guard.release())
    }
    return right
  },
})

class EmptyGuard {
  /** @param {import('../../baselines.mjs').Noop} noop @param {number} token */
  constructor(noop, token) {
    this.noop = noop
    this.token = token
  }

  release() {
    return this.noop.numbers(0, this.token, 0)
  }
}

/** No lock at all, only what is around one: what no code of ours could make faster. @returns {Candidate} */
function emptyGuardLoop() {
  const noop = loadNoop()
  const acquire = (/** @type {number} */ token) =>
    noop.numbers(0, 0) ? Promise.resolve(new EmptyGuard(noop, token)) : Promise.reject(noop)
  return {
    name: 'empty guard',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) {
        const guard = await acquire(i)
        right += Number(guard.release())
      }
      return right
    },
  }
}

/** @returns {Candidate} */
const microtaskLoop = () => ({
  name: 'microtask',
  async loop(count) {
    let right = 0
    for (let i = 0; i < count; i++) {
      await undefined
      right++
    }
    return right
  },
})

/** @returns {Candidate} */
function rwlockLoop() {
  const take = rwlock()
  return {
    name: 'rwlock',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) {
        const release = await take()
        release()
        right++
      }
      return right
    },
  }
}

/** @returns {Candidate} */
function asyncMutexLoop() {
  const take = asyncMutex()
  return {
    name: 'async-mutex',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) {
        const release = await take()
        release()
        right++
      }
      return right
    },
  }
}

/** @returns {Candidate} */
function requiredAsyncMutexLoop() {
  const take = requiredAsyncMutex()
  return {
    name: 'async-mutex, required',
    async loop(count) {
      let right = 0
      for (let i = 0; i < count; i++) {
        const release = await take()
        release()
        right++
      }
      return right
    },
  }
}
