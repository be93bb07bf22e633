// @ts-check
// Eight processes in line for one lease: how long after the holder began to release it the next one has it, and how
// many requests that takes of the server.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ENGINES, missing, startPlace } from '../../lease-servers.mjs'
import { median } from '../../measure.mjs'

/** @typedef {import('../../figure.mjs').Figure} Figure */
/** @typedef {import('../../figure.mjs').Fact} Fact */

const PROCESSES = 8
const HOLD_MS = 4
const PROGRAM = fileURLToPath(new URL('../../programs/lease-fighter.mjs', import.meta.url))
/** Beside chainlock: what its users wait with today. */
const PEERS = { redis: ['SET NX PX + Lua', 'sesamecare redlock'], postgres: ['pg advisory lock'], etcd: ['etcd3 lock()'], sqlite: ['better-sqlite3 immediate'] }

/** @param {{ leaseHolds: number }} effort `leaseHolds`: of each process. */
export async function handoff(effort) {
  /** @type {Figure[]} */
  const figures = []
  /** @type {Fact[]} */
  const facts = []
  const absent = []
  for (const engine of ENGINES) {
    const why = missing(engine)
    if (why) absent.push(`${engine}: ${why}`)
    else await handoffsOn(engine, effort.leaseHolds, figures, facts)
  }
  return { figures, facts, ...(absent.length > 0 && { missing: absent.join('; ') }) }
}

/** @param {import('../../lease-servers.mjs').Engine} engine @param {number} rounds @param {Figure[]} figures @param {Fact[]} facts */
export async function handoffsOn(engine, rounds, figures, facts) {
  const place = await startPlace(engine)
  try {
    const ours = await fight(place, 'chainlock', rounds)
    figures.push({
      id: `lease-handoff-${engine}`,
      what: `${engine}: ${PROCESSES} processes, from the release to the next grant, median`,
      value: at(ours.gaps, 0.5),
      unit: 'ms',
      ...(engine !== 'sqlite' && { bar: { most: 2 } }),
      detail: `9 of 10 within ${at(ours.gaps, 0.9).toFixed(2)} ms, ${ours.grants} grants`,
    })
    if (engine !== 'sqlite') figures.push(requestsOf(engine, ours))
    facts.push(oneAtATime(engine, ours))
    for (const peer of PEERS[engine]) {
      const theirs = await fight(place, peer, rounds)
      figures.push({ id: `lease-handoff-${engine}-${peer}`, what: `… of ${peer}`, value: at(theirs.gaps, 0.5), unit: 'ms', detail: `9 of 10 within ${at(theirs.gaps, 0.9).toFixed(2)} ms` })
    }
  } finally {
    await place.stop()
  }
}

/** @param {import('../../lease-servers.mjs').Engine} engine @param {Awaited<ReturnType<typeof fight>>} ours @returns {Figure} */
const requestsOf = (engine, { requests, grants }) => ({
  id: `lease-herd-${engine}`,
  what: '… requests to the server, per waiter and grant',
  value: requests / grants / (PROCESSES - 1),
  unit: 'requests',
  bar: { most: 2 },
  detail: `${(requests / grants).toFixed(1)} a grant in all`,
})

/** @param {import('../../lease-servers.mjs').Engine} engine @param {Awaited<ReturnType<typeof fight>>} ours @returns {Fact} */
const oneAtATime = (engine, { overlaps, grants }) => ({
  id: `lease-handoff-${engine}-one`,
  what: `${engine}: one holder at a time`,
  holds: overlaps === 0,
  detail: `${overlaps} of ${grants} grants came before the release`,
})

/** @param {import('../../lease-servers.mjs').Place} place @param {string} peer @param {number} rounds */
async function fight({ engine, url, requests }, peer, rounds) {
  const data = JSON.stringify({ engine, peer, url, key: `fight:${peer}`, rounds, holdMs: HOLD_MS })
  const before = await requests()
  const children = Array.from({ length: PROCESSES }, () => fork(PROGRAM, [data], { execArgv: [] }))
  await Promise.all(children.map(told))
  const answers = children.map(told)
  for (const child of children) child.send('go')
  /** @type {{ granted: number, released: number }[]} */
  const holds = (await Promise.all(answers)).flat()
  const ends = children.map((child) => once(child, 'exit'))
  for (const child of children) child.send('end')
  await Promise.all(ends)
  holds.sort((a, b) => a.granted - b.granted)
  const gaps = holds.slice(1).map(({ granted }, i) => granted - holds[i].released)
  return {
    grants: holds.length,
    overlaps: gaps.filter((ms) => ms < 0).length,
    gaps: gaps.slice(0, -PROCESSES),
    requests: (await requests()) - before,
  }
}

/** What a process says next; one that ends instead is an error. @param {import('node:child_process').ChildProcess} child */
async function told(child) {
  const ended = new AbortController()
  child.once('exit', () => ended.abort(new Error(`${PROGRAM} ended too early`)))
  const [message] = await once(child, 'message', { signal: ended.signal })
  return message
}

/** @param {readonly number[]} values @param {number} part */
function at(values, part) {
  if (part === 0.5) return median(values)
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]
}
