// @ts-check
// Ten thousand requests in line: joining it, leaving it from its far end, and being served. Each has to
// cost the same per request as with a thousand, on a stack that does not grow with the line.
import { acquireSendLock, configureSendLock, tryAcquireSendLock, releaseSendLock } from 'chainlock'
import { clocked } from '../measure.mjs'

const FEW = 1_000
const MANY = 10_000
const LAYER = 'window-monitor'
const HOLDER = 'e2e-executor'
const AN_HOUR_MS = 3_600_000
const DEPTH_EVERY = 97

const PHASES = /** @type {const} */ (['queue', 'abort', 'drain'])
/** @typedef {Record<(typeof PHASES)[number], number>} Times Nanoseconds per request. */

/** @param {{ waiterRounds: number }} effort */
export async function waiters({ waiterRounds }) {
  configureSendLock({ cooldownMs: 0 })
  /** @type {{ few: Times, many: Times }[]} */
  const rounds = []
  const seen = { deepest: 0, served: 0, inOrder: true, aborted: 0 }
  await inLine(FEW, seen)
  for (let round = 0; round < waiterRounds; round++) {
    // As many requests on either side, so that both pay for as much garbage.
    const few = []
    for (let part = 0; part < MANY / FEW; part++) few.push(await inLine(FEW, seen))
    rounds.push({ few: means(few), many: await inLine(MANY, seen) })
  }
  const expected = FEW + waiterRounds * 2 * MANY
  // Whatever disturbs a round makes it slower, never faster: the best round is the nearest to the truth.
  const best = (/** @type {'few' | 'many'} */ side, /** @type {keyof Times} */ phase) =>
    Math.min(...rounds.map((round) => round[side][phase]))
  /** @type {import('../figure.mjs').Figure[]} */
  const figures = PHASES.map((phase) => ({
    id: `waiters-${phase}`,
    what: `10,000 waiters, ${phase}: per waiter ÷ the same with 1,000`,
    value: best('many', phase) / best('few', phase),
    unit: 'x',
    bar: { most: 2 },
    detail: `${(best('many', phase) / 1_000).toFixed(2)} µs against ${(best('few', phase) / 1_000).toFixed(2)} µs`,
  }))
  /** @type {import('../figure.mjs').Fact[]} */
  const facts = [
    {
      id: 'waiters-served',
      what: 'every waiter is served once and in order, every aborted one leaves',
      holds: seen.served === expected && seen.aborted === expected && seen.inOrder,
      detail: `${seen.served.toLocaleString('en-US')} served, ${seen.aborted.toLocaleString('en-US')} aborted of ${expected.toLocaleString('en-US')}`,
    },
    {
      id: 'waiters-stack',
      what: 'the stack does not grow with the line',
      holds: seen.deepest > 0 && seen.deepest < 64,
      detail: `${seen.deepest} frames at the deepest`,
    },
  ]
  return { figures, facts }
}

/**
 * @param {number} count
 * @param {{ deepest: number, served: number, inOrder: boolean, aborted: number }} seen
 * @returns {Promise<Times>}
 */
async function inLine(count, seen) {
  if (!tryAcquireSendLock(HOLDER)) throw new Error('the lock is not free')
  const controllers = Array.from({ length: count }, () => new AbortController())
  /** @type {Promise<unknown>[]} */
  let waiting = []
  const queue = clocked(() => {
    waiting = controllers.map(({ signal }, index) =>
      acquireSendLock(LAYER, { signal, timeoutMs: index % 2 === 0 ? AN_HOUR_MS : Infinity }),
    )
  })
  const aborting = process.hrtime.bigint()
  for (let index = count - 1; index >= 0; index--) controllers[index].abort()
  const left = await Promise.allSettled(waiting)
  const abort = Number(process.hrtime.bigint() - aborting)
  seen.aborted += left.filter(({ status }) => status === 'rejected').length

  let next = 0
  const served = Array.from({ length: count }, async (_, index) => {
    const guard = await acquireSendLock(LAYER)
    seen.inOrder &&= index === next++
    if (index % DEPTH_EVERY === 0) seen.deepest = Math.max(seen.deepest, stackDepth())
    if (guard.release()) seen.served++
  })
  const draining = process.hrtime.bigint()
  releaseSendLock(HOLDER)
  await Promise.all(served)
  const drain = Number(process.hrtime.bigint() - draining)
  return { queue: queue / count, abort: abort / count, drain: drain / count }
}

function stackDepth() {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = Infinity
  const depth = String(new Error().stack).split('\n').length - 1
  Error.stackTraceLimit = before
  return depth
}

/** @param {readonly Times[]} times @returns {Times} */
function means(times) {
  const mean = (/** @type {keyof Times} */ phase) => times.reduce((sum, each) => sum + each[phase], 0) / times.length
  return { queue: mean('queue'), abort: mean('abort'), drain: mean('drain') }
}
