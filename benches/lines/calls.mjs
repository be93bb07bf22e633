// @ts-check
// The calls of the uncontended path against calls that do nothing and against a JavaScript lock: one
// process, one thread, alternating rounds. Standard output must be the null device.
import { createRequire } from 'node:module'
import * as imported from 'chainlock'
import { loadNoop, makeSingletons } from '../baselines.mjs'
import { compare } from '../measure.mjs'

/** @type {typeof import('chainlock')} */
const required = createRequire(import.meta.url)('chainlock')

const LAYER = 'e2e-executor'
const OTHER_LAYER = 'window-monitor'

/** @typedef {import('../figure.mjs').Figure} Figure */

/** @param {{ rounds: number }} effort */
export async function calls(effort) {
  required.configureSendLock({ cooldownMs: 0 })
  // A controller uses nested holds somewhere; what they switch on in a thread belongs to the figures.
  await required.withSendLock(OTHER_LAYER, async () => {})
  return { figures: [...(await pairs(effort)), ...(await refused(effort)), ...(await looking(effort))], facts: [] }
}

/** @param {{ rounds: number }} effort @returns {Promise<Figure[]>} */
async function pairs(effort) {
  const noop = loadNoop()
  const { bare, silent, logging, charactersMade } = makeSingletons()
  const { tryAcquireSendLock, releaseSendLock, sharedLock } = required
  const times = await compare(
    [
      {
        name: 'no-ops',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(noop.text(LAYER) && noop.text(LAYER))
          return right
        },
      },
      {
        name: 'chainlock',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(tryAcquireSendLock(LAYER) && releaseSendLock(LAYER))
          return right
        },
      },
      {
        name: 'imported',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            right += Number(imported.tryAcquireSendLock(LAYER) && imported.releaseSendLock(LAYER))
          }
          return right
        },
      },
      {
        name: 'sharedLock',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            right += Number(sharedLock.tryAcquireSendLock(LAYER) && sharedLock.releaseSendLock(LAYER))
          }
          return right
        },
      },
      {
        name: 'guard',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            const attempt = required.trySend(LAYER)
            right += Number(attempt.acquired && attempt.guard.release())
          }
          return right
        },
      },
      {
        name: 'singleton, no log',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(bare.tryAcquireSendLock(LAYER) && bare.releaseSendLock(LAYER))
          return right
        },
      },
      {
        name: 'singleton, silent',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            right += Number(silent.tryAcquireSendLock(LAYER) && silent.releaseSendLock(LAYER))
          }
          return right
        },
      },
      {
        name: 'singleton, logging',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            right += Number(logging.tryAcquireSendLock(LAYER) && logging.releaseSendLock(LAYER))
          }
          return right
        },
      },
    ],
    effort,
  )
  if (charactersMade() === 0) throw new Error('the silent lock made no lines')
  const versus = (/** @type {string} */ name, /** @type {string} */ base) =>
    `${Math.round(times.ns(name))} ns against ${Math.round(times.ns(base))} ns`
  return [
    {
      id: 'pair-to-noops',
      what: 'tryAcquire + release ÷ two raw no-ops with the same string',
      value: times.ratio('chainlock', 'no-ops'),
      unit: 'x',
      bar: { most: 3 },
      detail: versus('chainlock', 'no-ops'),
    },
    {
      id: 'pair-to-noops-imported',
      what: '… called through `import * as`',
      value: times.ratio('imported', 'no-ops'),
      unit: 'x',
      bar: { most: 3 },
      detail: versus('imported', 'no-ops'),
    },
    {
      id: 'pair-to-noops-shared-lock',
      what: '… called as `sharedLock` methods',
      value: times.ratio('sharedLock', 'no-ops'),
      unit: 'x',
      bar: { most: 3 },
      detail: versus('sharedLock', 'no-ops'),
    },
    {
      id: 'pair-guard',
      what: '… as trySend() and guard.release()',
      value: times.ratio('guard', 'no-ops'),
      unit: 'x',
      detail: versus('guard', 'no-ops'),
    },
    {
      id: 'singleton-silent',
      what: 'JavaScript singleton, log removed ÷ chainlock, a pair',
      value: times.ratio('singleton, silent', 'chainlock'),
      unit: 'x',
      bar: { least: 10 },
      detail: versus('singleton, silent', 'chainlock'),
    },
    {
      id: 'singleton-logging',
      what: 'JavaScript singleton, log to the null device ÷ chainlock',
      value: times.ratio('singleton, logging', 'chainlock'),
      unit: 'x',
      bar: { least: 80 },
      detail: versus('singleton, logging', 'chainlock'),
    },
    {
      id: 'singleton-bare',
      what: 'JavaScript singleton that never makes a log line ÷ chainlock',
      value: times.ratio('singleton, no log', 'chainlock'),
      unit: 'x',
      detail: versus('singleton, no log', 'chainlock'),
    },
  ]
}

/** @param {{ rounds: number }} effort @returns {Promise<Figure[]>} */
async function refused(effort) {
  const noop = loadNoop()
  const { trySend, tryAcquireSendLock, releaseSendLock } = required
  if (!tryAcquireSendLock(OTHER_LAYER)) throw new Error('the lock is not free')
  const times = await compare(
    [
      {
        name: 'no-ops',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(noop.text(LAYER) && noop.text(LAYER))
          return right
        },
      },
      {
        name: 'trySend',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) {
            const attempt = trySend(LAYER)
            right += Number(!attempt.acquired && attempt.reason === 'held')
          }
          return right
        },
      },
      {
        name: 'tryAcquire',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(!tryAcquireSendLock(LAYER))
          return right
        },
      },
    ],
    effort,
  )
  releaseSendLock(OTHER_LAYER)
  return [
    {
      id: 'refused-try-send',
      what: 'trySend, refused `held`, with reason and holder ÷ two raw no-ops',
      value: times.ratio('trySend', 'no-ops'),
      unit: 'x',
      bar: { most: 3 },
      detail: `${Math.round(times.ns('trySend'))} ns against ${Math.round(times.ns('no-ops'))} ns`,
    },
    {
      id: 'refused-try-acquire',
      what: 'tryAcquireSendLock, refused ÷ two raw no-ops',
      value: times.ratio('tryAcquire', 'no-ops'),
      unit: 'x',
      detail: `${Math.round(times.ns('tryAcquire'))} ns`,
    },
  ]
}

/** @param {{ rounds: number }} effort @returns {Promise<Figure[]>} */
async function looking(effort) {
  const noop = loadNoop()
  const { isSendLocked, getMetrics, getLockStatus } = required
  const times = await compare(
    [
      {
        name: 'no-op',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(noop.nothing())
          return right
        },
      },
      {
        name: 'no-op with a string',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(noop.text(LAYER))
          return right
        },
      },
      {
        name: 'isSendLocked',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(!isSendLocked())
          return right
        },
      },
      {
        name: 'getMetrics',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(getMetrics().recentActivity.length === 10)
          return right
        },
      },
      {
        name: 'getLockStatus',
        loop(count) {
          let right = 0
          for (let i = 0; i < count; i++) right += Number(getLockStatus().token === null)
          return right
        },
      },
    ],
    effort,
  )
  return [
    {
      id: 'is-send-locked',
      what: 'isSendLocked() ÷ one raw no-op that takes nothing',
      value: times.ratio('isSendLocked', 'no-op'),
      unit: 'x',
      bar: { most: 1.5 },
      detail: `${times.ns('isSendLocked').toFixed(1)} ns against ${times.ns('no-op').toFixed(1)} ns`,
    },
    {
      id: 'is-send-locked-to-string',
      what: 'isSendLocked() ÷ one raw no-op that takes the string',
      value: times.ratio('isSendLocked', 'no-op with a string'),
      unit: 'x',
      detail: `against ${times.ns('no-op with a string').toFixed(1)} ns`,
    },
    {
      id: 'get-metrics',
      what: 'getMetrics(), ten entries of history',
      value: times.ns('getMetrics') / 1_000,
      unit: 'µs',
      bar: { most: 10 },
    },
    { id: 'get-lock-status', what: 'getLockStatus()', value: times.ns('getLockStatus') / 1_000, unit: 'µs' },
  ]
}
