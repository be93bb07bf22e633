// The fault test of the leases, over one engine: a crew of processes that work with the built addon, a nemesis that
// hits them, the register as witness, and what came of it.
//
//   const outcome = await faultRun(t, 'redis', { ms: 15_000 })
//   outcome.report.overlaps, outcome.lines
'use strict'

const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { LeaseManager } = require('chainlock/leases')
const { clockLibrary } = require('../faketime')
const { folder } = require('../folders')
const { random } = require('../figures')
const { startRegister, nowMs } = require('../register')
const { analyse } = require('../register-report')
const { startProxy } = require('../tcp-proxy')
const { pause } = require('../waiting')
const { Member } = require('./crew')
const { ENGINES } = require('./engines')
const { Nemesis } = require('./nemesis')
const { linesOf } = require('./lines')
const { Witness } = require('./witness')

/** How many of the crew have a wall clock of their own, where that can be had. */
const CLOCKS = 2
/** How many holders are killed at once when nothing else happens. */
const KILLED_AT_ONCE = 3
/** How often loops are blocked when nothing else happens, until one of them held something the whole time. */
const MOST_BLOCKS = 10
/** What hangs is a failure; a busy machine is none. */
const LIMIT_MS = 60_000
const LOOK_MS = 10

/** All that one run is about; its parts end with the test. */
class World {
  /** @type {Member[]} */
  crew = []
  /** When each key was last granted. @type {Map<string, number>} */
  grantedAt = new Map()
  blocks = []
  ends = []
  /** Workers that have ended without being told to. @type {string[]} */
  crashed = []

  constructor(t, engine, options) {
    Object.assign(this, { t, engine, ...options })
  }

  /** Starts what the engine needs, the register, and the crew. */
  async open() {
    const { t, engine } = this
    this.register = await startRegister()
    t.after(() => this.register.stop())
    this.place = await engine.open(t)
    const clocks = clockLibrary() ? folder(t) : undefined
    for (let place = 0; place < engine.workers; place++) this.crew.push(await this.#member(place, clocks))
    t.after(() => Promise.all(this.crew.map((member) => member.end(0))))
    for (const member of this.crew) member.start()
    this.witness = new Witness(this.place.optionsFor(), engine.ttlMs)
    t.after(() => this.witness.stop())
  }

  async #member(place, clocks) {
    const { t, engine, place: at } = this
    const proxy = at.port === undefined ? undefined : await startProxy(at.port)
    if (proxy) t.after(() => proxy.stop())
    const clockFile = clocks && place >= engine.workers - CLOCKS ? join(clocks, `clock-${place}`) : undefined
    if (clockFile) writeFileSync(clockFile, '+0')
    const { ttlMs, longMs, longShare, keys, tasks } = engine
    const options = at.optionsFor(proxy)
    const data = { register: this.register.port, keys, ttlMs, longMs, longShare, tasks, options, seed: this.seed }
    return new Member({ place, data, proxy, clockFile, heard: (member, message) => this.#heard(member, message) })
  }

  #heard(member, { held, from, left, blocked, end, died }) {
    if (held !== undefined) {
      member.held.add(held)
      // As the register has it: what is heard now may have been before the last fault was over.
      this.grantedAt.set(held, Math.max(from, this.grantedAt.get(held) ?? 0))
    }
    if (left !== undefined) member.held.delete(left)
    if (blocked) this.blocks.push({ ...blocked, wasAlone: member.wasLeftAlone(blocked.from - this.engine.ttlMs, blocked.until) })
    if (end) this.ends.push(end)
    if (died !== undefined) this.crashed.push(`${member.worker}: ${died}`)
  }

  /** Until each of the keys was granted since then; false when one is not. @param {number} since */
  async granted(since) {
    const end = nowMs() + LIMIT_MS
    while (!this.engine.keys.every((key) => (this.grantedAt.get(key) ?? 0) > since)) {
      if (nowMs() > end || this.crashed.length > 0) return false
      await pause(LOOK_MS)
    }
    return true
  }

  /**
   * Waits for keys and gives each back at once: somebody always does, so that their recovery is not that of idleness.
   * Where nobody stands in line others may be faster again and again; a grant to them is a recovery, too.
   */
  async rescue(keys) {
    this.rescuer ??= new LeaseManager({ ...this.place.optionsFor(), workerId: 'rescuer', ttlMs: this.engine.ttlMs })
    const since = nowMs()
    await Promise.all(keys.map(async (key) => {
      const others = new AbortController()
      const asked = this.rescuer.acquire(key, { timeoutMs: LIMIT_MS, signal: others.signal })
      let isAsking = true
      const settled = () => void (isAsking = false)
      asked.then(settled, settled)
      while (isAsking && (this.grantedAt.get(key) ?? 0) <= since) await pause(LOOK_MS)
      others.abort()
      const lease = await asked.catch((error) => {
        if (error !== others.signal.reason) throw error
      })
      if (lease) await this.#giveBack(key, lease, since)
    }))
  }

  async #giveBack(key, lease, askedAt) {
    const { register, engine } = this
    const from = nowMs()
    const left = lease.remainingMs
    const name = { key, token: lease.token, worker: 'rescuer', from }
    const asked = left > 0 ? from + left - engine.ttlMs : askedAt
    await register.tell('grant', { ...name, asked, deadline: from + left })
    await register.tell('belief', { ...name, until: nowMs(), reason: 'release' })
    await lease.release()
  }

  /** Ends the crew; how many did not end by themselves. */
  async close() {
    const ended = await Promise.all(this.crew.map((member) => member.end(LIMIT_MS)))
    await Promise.all([this.witness.stop(), this.rescuer?.destroy()])
    return ended.filter((hasEnded) => !hasEnded).length
  }
}

/** Grants that the metrics of a worker do not account for. */
function driftOf({ counts, metrics }) {
  const { totalAcquisitions, totalReleases, lost, held } = metrics
  const untold = Math.max(0, counts.granted - totalAcquisitions)
  return Math.abs(totalAcquisitions - totalReleases - lost - held) + untold
}

/**
 * @param {import('node:test').TestContext} t
 * @param {keyof typeof ENGINES} name
 * @param {{ ms: number, seed?: number, faults?: object }} options
 */
async function faultRun(t, name, { ms, seed = Date.now() % 1e9, ...rest }) {
  const engine = ENGINES[name]
  const world = new World(t, engine, { seed, ...rest })
  await world.open()
  const { crew, register, place } = world
  const nemesis = new Nemesis({ crew, server: place.server, register, ttlMs: engine.ttlMs, chance: random(seed), faults: rest.faults ?? engine.faults })
  /** Held something all the time, and neither the machine nor another fault was in its way. */
  const isJudged = ({ held, wasAlone, from, until }) => held > 0 && wasAlone && world.witness.sawNothing(from - engine.ttlMs, until)
  await world.granted(0)
  await place.rage?.()
  await nemesis.rage(ms)
  await place.calm?.()

  const calm = nowMs()
  await register.tell('calm', { at: calm, keys: engine.keys })
  const isWell = await world.granted(calm)
  const healedMs = Math.max(...world.grantedAt.values()) - calm
  for (let round = 0; round < MOST_BLOCKS && isWell && engine.isQuick && !world.blocks.some(isJudged); round++) {
    await nemesis.blockHolders(engine.workers / 2)
  }
  if (isWell && engine.isQuick) await nemesis.silenceHolders(engine.workers)
  for (let round = 0; round < engine.killRounds && isWell; round++) {
    await world.rescue(await nemesis.killHolders(KILLED_AT_ONCE))
  }
  const unended = await world.close()

  const history = await register.history()
  const report = analyse(history)
  const alone = analyse(history.filter(({ type, at }) => type !== 'kill' || at > calm)).recovery
  const judged = world.blocks.filter(isJudged)
  const lostWhileBlocked = judged.filter(({ lost }) => lost.length > 0)
  const outcome = {
    engine: name,
    ttlMs: engine.ttlMs,
    recoveryMs: engine.recoveryMs,
    seed,
    report,
    recoveryAlone: alone,
    healedMs,
    faults: nemesis.counts,
    blocks: world.blocks.length,
    judged: judged.length,
    slow: world.witness.slow.length,
    lostWhileBlocked,
    wrongFlags: world.blocks.reduce((sum, { wrong }) => sum + wrong, 0),
    drift: world.ends.reduce((sum, end) => sum + driftOf(end), 0),
    metrics: world.ends.map(({ metrics }) => metrics),
    surprises: [...new Set(world.ends.flatMap(({ surprises }) => surprises))],
    crashed: world.crashed,
    unended,
    history,
  }
  return { ...outcome, lines: linesOf(outcome) }
}

module.exports = { faultRun }
