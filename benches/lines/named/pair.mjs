// @ts-check
// A free named lock, taken and released without waiting, against native calls that do nothing.
import { createRequire } from 'node:module'
import { loadNoop } from '../../baselines.mjs'
import { compare } from '../../measure.mjs'

/** @type {typeof import('chainlock')} */
const { locks } = createRequire(import.meta.url)('chainlock')

const NAME = 'episodic-memory'
const OTHER_NAME = 'skill-library'

/** @param {{ rounds: number }} effort */
export async function pair(effort) {
  const noop = loadNoop()
  const handle = locks.lock(NAME)
  const reader = locks.lock(OTHER_NAME, { mode: 'shared' })
  let taken = 0
  const times = await compare(
    [
      {
        name: 'no-ops',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(noop.text(NAME) && noop.text(NAME))
          return right
        },
      },
      {
        name: 'no-ops with numbers',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(noop.numbers(i, 0) && noop.numbers(7, i, 0))
          return right
        },
      },
      {
        name: 'handle',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            const guard = handle.tryAcquire()
            right += Number(guard !== null && guard.release())
          }
          taken += right
          return right
        },
      },
      {
        name: 'handle, shared',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            const guard = reader.tryAcquire()
            right += Number(guard !== null && guard.release())
          }
          return right
        },
      },
      {
        name: 'by name',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            const guard = locks.tryAcquire(OTHER_NAME)
            right += Number(guard !== null && guard.release())
          }
          return right
        },
      },
    ],
    effort,
  )
  const against = (/** @type {string} */ name, /** @type {string} */ base) =>
    `${Math.round(times.ns(name))} ns against ${Math.round(times.ns(base))} ns`
  /** @type {import('../../figure.mjs').Figure[]} */
  const figures = [
    {
      id: 'handle-to-noops',
      what: 'handle.tryAcquire() + release, statistics on ÷ two raw no-ops with a short string',
      value: times.ratio('handle', 'no-ops'),
      unit: 'x',
      bar: { most: 2.5 },
      detail: against('handle', 'no-ops'),
    },
    {
      id: 'handle-shared-to-noops',
      what: '… shared',
      value: times.ratio('handle, shared', 'no-ops'),
      unit: 'x',
      bar: { most: 2.5 },
      detail: against('handle, shared', 'no-ops'),
    },
    {
      id: 'handle-to-number-noops',
      what: '… ÷ two raw no-ops that take two and three numbers',
      value: times.ratio('handle', 'no-ops with numbers'),
      unit: 'x',
      detail: against('handle', 'no-ops with numbers'),
    },
    {
      id: 'named-to-noops',
      what: 'locks.tryAcquire(name) + release ÷ two raw no-ops with a short string',
      value: times.ratio('by name', 'no-ops'),
      unit: 'x',
      detail: against('by name', 'no-ops'),
    },
  ]
  return { figures, facts: [everyPairCounted(handle, taken)] }
}

/** @param {import('chainlock').LockHandle} handle @param {number} taken @returns {import('../../figure.mjs').Fact} */
function everyPairCounted(handle, taken) {
  const { acquisitions, releases } = handle.getStatistics().modes.exclusive
  return {
    id: 'pairs-counted',
    what: 'the statistics have seen every one of these holds',
    holds: acquisitions === taken && releases === taken,
    detail: `${acquisitions.toLocaleString('en-US')} of ${taken.toLocaleString('en-US')}`,
  }
}
