// @ts-check
// An uncontended acquire and release, on each engine, beside the bare statements and the other locks over the same
// server; and how many requests a pair takes, as the server counts them.
import { chainlockPeer, peersOf, urlFor } from '../../chainlock-lease.mjs'
import { ENGINES, missing, startPlace } from '../../lease-servers.mjs'
import { LONG_ROUND_MS, compare } from '../../measure.mjs'

/** @typedef {import('../../figure.mjs').Figure} Figure */
/** @typedef {import('../../figure.mjs').Fact} Fact */

/** Against what chainlock is held, and the most that it may take; the rest is to be slower than chainlock. */
const BARS = {
  redis: { floor: 'SET NX PX + Lua', most: 1.15 },
  postgres: { floor: 'pg UPSERT', most: 1.2 },
  etcd: { floor: 'etcd transaction', most: 1.2 },
  sqlite: { floor: 'better-sqlite3 immediate', most: 1.3 },
}
const COUNTED_PAIRS = 100
const AT_ONCE = 16
const CROWD = 'at once'

/** @param {{ leaseRounds: number }} effort */
export async function pairs(effort) {
  /** @type {Figure[]} */
  const figures = []
  /** @type {Fact[]} */
  const facts = []
  const absent = []
  for (const engine of ENGINES) {
    const why = missing(engine)
    if (why) absent.push(`${engine}: ${why}`)
    else await pairsOn(engine, effort, figures, facts)
  }
  return { figures, facts, ...(absent.length > 0 && { missing: absent.join('; ') }) }
}

/** @param {import('../../lease-servers.mjs').Engine} engine @param {{ leaseRounds: number }} effort @param {Figure[]} figures @param {Fact[]} facts */
async function pairsOn(engine, { leaseRounds }, figures, facts) {
  const place = await startPlace(engine)
  try {
    const peers = peersOf(engine)
    const locks = await Promise.all(peers.map((peer) => peer.open(urlFor(peer, place.url))))
    const candidates = peers.map((peer, index) => ({ name: peer.name, loop: looping(locks[index], `pair:${index}`) }))
    const crowd = await Promise.all(Array.from({ length: AT_ONCE }, () => chainlockPeer(engine).open(place.url)))
    candidates.push({ name: CROWD, loop: loopingAtOnce(crowd) })
    const timed = await compare(candidates, { rounds: leaseRounds, roundMs: LONG_ROUND_MS })
    await Promise.all([...locks, ...crowd].map((lock) => lock.close()))
    figures.push(...figuresOf(engine, peers, timed))
    if (engine !== 'sqlite') facts.push(await oneRoundTripEach(place))
  } finally {
    await place.stop()
  }
}

/** @param {import('../../lease-peers.mjs').Lock} lock @param {string} key */
function looping(lock, key) {
  return async (/** @type {number} */ times) => {
    for (let i = 0; i < times; i++) {
      await lock.acquire(key)
      await lock.release()
    }
    return times
  }
}

/** As many as there are locks at a time, each on a key of its own. @param {import('../../lease-peers.mjs').Lock[]} locks */
function loopingAtOnce(locks) {
  const loops = locks.map((lock, index) => looping(lock, `crowd:${index}`))
  return async (/** @type {number} */ times) => {
    const each = Math.floor(times / locks.length)
    const rest = times - each * (locks.length - 1)
    await Promise.all(loops.map((loop, index) => loop(index === 0 ? rest : each)))
    return times
  }
}

/**
 * @param {import('../../lease-servers.mjs').Engine} engine
 * @param {import('../../lease-peers.mjs').Peer[]} peers
 * @param {import('../../measure.mjs').Comparison} timed
 */
function figuresOf(engine, peers, timed) {
  const { floor, most } = BARS[engine]
  const us = (/** @type {string} */ name) => `${(timed.ns(name) / 1_000).toFixed(0)} µs`
  const figures = peers.filter(({ name }) => name !== 'chainlock').map(({ name, raw }) => ({
    id: `lease-${engine}-${name}`,
    what: `${engine}: acquire and release ÷ ${name}`,
    value: timed.ratio('chainlock', name),
    unit: 'x',
    ...(name === floor ? { bar: { most } } : !raw && { bar: { most: 1 } }),
    detail: `${us('chainlock')} against ${us(name)}`,
  }))
  if (!peers.some(({ name }) => name === floor)) return figures
  const atOnce = { id: `lease-${engine}-at-once`, what: `… ${AT_ONCE} at once ÷ ${floor}`, value: timed.ratio(CROWD, floor), unit: 'x', detail: us(CROWD) }
  return [...figures, atOnce]
}

/**
 * Two counts, so that what is asked once (connections, tables, sessions) falls out.
 * @param {import('../../lease-servers.mjs').Place} place @returns {Promise<Fact>}
 */
async function oneRoundTripEach({ engine, url, requests }) {
  const asked = []
  for (const pairs of [COUNTED_PAIRS, 2 * COUNTED_PAIRS]) {
    const before = await requests()
    const lock = await chainlockPeer(engine).open(url)
    await looping(lock, `count:${pairs}`)(pairs)
    await lock.close()
    asked.push((await requests()) - before)
  }
  const each = (asked[1] - asked[0]) / COUNTED_PAIRS
  return {
    id: `lease-${engine}-round-trips`,
    what: `${engine}: one request to acquire and one to release`,
    // A busy machine may see a renewal or an answer's repetition in between.
    holds: each >= 1.9 && each <= 2.1,
    detail: `${each.toFixed(2)} requests a pair`,
  }
}
