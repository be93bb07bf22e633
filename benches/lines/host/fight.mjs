// @ts-check
// Two processes fight for a host lock: what a grant costs, whether they take turns, whether a counter is exact. And
// how long after the death of a holder the next one has the lock.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { median } from '../../measure.mjs'

/** @type {typeof import('chainlock')} */
const { hostLock } = createRequire(import.meta.url)('chainlock')

const program = (/** @type {string} */ name) => fileURLToPath(new URL(`../../programs/${name}.mjs`, import.meta.url))

/** @param {{ hostGrants: number, takeovers: number }} effort */
export async function hostFight({ hostGrants, takeovers }) {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-bench-'))
  try {
    const duel = await fight(folder, hostGrants)
    const latencies = await dieAndTakeOver(folder, takeovers)
    return { figures: figuresOf(duel, latencies), facts: [exact(duel)] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {string} folder @param {number} grants */
async function fight(folder, grants) {
  const [lock, counter] = [join(folder, 'fight.lock'), join(folder, 'counter')]
  writeFileSync(counter, Buffer.alloc(4))
  const each = Math.floor(grants / 2)
  const children = [0, 1].map(() => fork(program('host-fighter'), [lock, counter, String(each)]))
  await Promise.all(children.map((child) => once(child, 'message')))
  const start = process.hrtime.bigint()
  const answers = children.map((child) => once(child, 'message'))
  for (const child of children) child.send('go')
  const told = (await Promise.all(answers)).map(([answer]) => answer)
  const ns = Number(process.hrtime.bigint() - start)
  const ends = children.map((child) => once(child, 'exit'))
  for (const child of children) child.send('end')
  await Promise.all(ends)
  return { ns, grants: 2 * each, told, counted: readFileSync(counter).readInt32LE() }
}

/**
 * The longest run of grants to one process while the other one wanted the lock, too.
 * @param {{ told: { tokens: number[] }[] }} duel
 */
function longestRun({ told }) {
  const turns = told.flatMap(({ tokens }, who) => tokens.map((token) => ({ token, who })))
  turns.sort((a, b) => a.token - b.token)
  const last = Math.min(...told.map(({ tokens }) => tokens[tokens.length - 1]))
  const first = Math.max(...told.map(({ tokens }) => tokens[0]))
  let [longest, run, before] = [0, 0, -1]
  for (const { token, who } of turns) {
    run = who === before ? run + 1 : 1
    before = who
    if (token > first && token < last) longest = Math.max(longest, run)
  }
  return longest
}

/** @param {string} folder @param {number} rounds Milliseconds from the kill to the next grant, of each round. */
async function dieAndTakeOver(folder, rounds) {
  const path = join(folder, 'death.lock')
  const lock = hostLock(path)
  /** @type {number[]} */
  const latencies = []
  for (let round = 0; round < rounds; round++) {
    const holder = fork(program('host-holder'), [path])
    await once(holder, 'message')
    const next = lock.acquire()
    const end = once(holder, 'exit')
    await new Promise((resolve) => setImmediate(resolve))
    const killed = process.hrtime.bigint()
    holder.kill('SIGKILL')
    const guard = await next
    latencies.push(Number(process.hrtime.bigint() - killed) / 1e6)
    guard.release()
    await end
  }
  return latencies
}

/** @param {Awaited<ReturnType<typeof fight>>} duel @returns {import('../../figure.mjs').Fact} */
const exact = ({ counted, grants }) => ({
  id: 'host-counter-exact',
  what: 'two processes, a counter in a file that nothing else protects is exact',
  holds: counted === grants,
  detail: `${counted.toLocaleString('en-US')} of ${grants.toLocaleString('en-US')}`,
})

/**
 * @param {Awaited<ReturnType<typeof fight>>} duel
 * @param {number[]} latencies
 * @returns {import('../../figure.mjs').Figure[]}
 */
function figuresOf(duel, latencies) {
  const waits = duel.told.flatMap(({ waits }) => waits)
  const sorted = [...latencies].sort((a, b) => a - b)
  const at = (/** @type {number} */ part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]
  return [
    {
      id: 'host-two-processes',
      what: 'two processes fighting for a host lock, per grant, with a read and a write of four bytes inside',
      value: duel.ns / duel.grants / 1_000,
      unit: 'µs',
      bar: { most: 100 },
      detail: `${duel.grants.toLocaleString('en-US')} grants`,
    },
    {
      id: 'host-turns',
      what: '… longest run of one of them while the other waits',
      value: longestRun(duel),
      unit: 'grants',
      bar: { most: 2 },
    },
    {
      id: 'host-worst-wait',
      what: '… worst wait ÷ median wait',
      value: Math.max(...waits) / median(waits),
      unit: 'x',
      bar: { most: 20 },
      detail: `median ${(median(waits) / 1_000).toFixed(0)} µs`,
    },
    { id: 'host-takeover', what: 'next grant after SIGKILL of the holder, median', value: at(0.5), unit: 'ms', bar: { most: 2 } },
    { id: 'host-takeover-p99', what: '… 99 of 100', value: at(0.99), unit: 'ms', bar: { most: 20 } },
  ]
}
