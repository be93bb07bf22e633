// What happens to the workers and the server of a fault test: one fault after the other, most of them to whoever holds
// a key at that moment. Every fault ends by itself.
'use strict'

const { pause } = require('../waiting')
const { nowMs } = require('../register')

/** Of faults that hit whoever holds something. */
const AIMED = 0.8
/** Longer than a lease lasts: in ttls. */
const SILENCE = 1.3

/** @typedef {import('./crew').Member} Member */

/** Each lasts so many ttls. What `needs` a proxy or a server is left out where there is none. */
const FAULTS = {
  kill: { weight: 3, lasts: [0, 0], async hit({ member, register }) {
    const { worker } = member
    const at = nowMs()
    const killed = member.kill()
    await register.tell('kill', { worker, at })
    await killed
  } },
  stop: { weight: 3, lasts: [0.5, 2.5], async hit({ member, ms }) {
    member.signal('SIGSTOP')
    await pause(ms)
    member.signal('SIGCONT')
  } },
  block: { weight: 2, lasts: [2, 2], own: true, async hit({ member, ms }) {
    member.send({ block: ms })
    await pause(ms)
  } },
  jump: { weight: 1, lasts: [0.2, 0.2], needs: 'clock', own: true, async hit({ member, chance }) {
    member.jump(chance() < 0.5 ? '+2h' : '-2h')
  } },
  blackHole: { weight: 2, lasts: [0.5, 2], needs: 'proxy', async hit({ member, ms }) {
    member.proxy.blackHole()
    await pause(ms)
    member.proxy.pass()
  } },
  heldUp: { weight: 2, lasts: [0.1, 1.2], needs: 'proxy', async hit({ member, ms }) {
    member.proxy.hold()
    await pause(ms)
    member.proxy.pass()
  } },
  slow: { weight: 1, lasts: [0.5, 1.5], needs: 'proxy', async hit({ member, ms, chance }) {
    member.proxy.delay(ms * (0.02 + 0.13 * chance()))
    await pause(ms)
    member.proxy.pass()
  } },
  unanswered: { weight: 3, lasts: [0.5, 0.5], needs: 'proxy', async hit({ member, ms }) {
    for (let time = 0; time < 3; time++) await Promise.race([member.proxy.cutAfterForward(), pause(ms)])
    member.proxy.reset()
  } },
  serverKilled: { weight: 1, lasts: [0, 0.3], needs: 'server', async hit({ server, ms }) {
    await server.kill()
    await pause(ms)
    await server.restart()
  } },
  serverStopped: { weight: 0.5, lasts: [0.2, 1.2], needs: 'server', async hit({ server, ms }) {
    server.pause()
    await pause(ms)
    server.resume()
  } },
}

class Nemesis {
  /** Faults that are not over yet. @type {Set<Promise<void>>} */
  #running = new Set()
  #serverIsHit = false
  /** @type {Record<string, number>} */
  counts = {}

  /**
   * @param {{ crew: Member[], server?: any, register: any, ttlMs: number, chance: () => number, faults?: object }} of
   *   `faults` in place of the usual ones.
   */
  constructor({ crew, server, register, ttlMs, chance, faults = FAULTS }) {
    Object.assign(this, { crew, server, register, ttlMs, chance })
    const has = { proxy: crew[0].proxy !== undefined, server: server !== undefined, clock: crew.some(({ clockFile }) => clockFile) }
    this.faults = Object.entries(faults).filter(([, { needs }]) => needs === undefined || has[needs])
  }

  #between(least, most) {
    return least + (most - least) * this.chance()
  }

  #choose() {
    let left = this.chance() * this.faults.reduce((sum, [, { weight }]) => sum + weight, 0)
    return this.faults.find(([, { weight }]) => (left -= weight) < 0) ?? this.faults[0]
  }

  /** Whom to hit: mostly a holder. @param {(member: Member) => unknown} fits @returns {Member | undefined} */
  #victim(fits) {
    const free = this.crew.filter((member) => !member.isHit && fits(member))
    const holders = free.filter(({ held }) => held.size > 0)
    const among = this.chance() < AIMED && holders.length > 0 ? holders : free
    return among[Math.floor(this.chance() * among.length)]
  }

  /** One fault after the other for so long. */
  async rage(ms) {
    const end = nowMs() + ms
    while (nowMs() < end) {
      this.#strike()
      await pause(this.#between(300, 1_500))
    }
    await Promise.all([...this.#running])
  }

  #strike() {
    const [name, fault] = this.#choose()
    const isServers = fault.needs === 'server'
    if (isServers && this.#serverIsHit) return
    const member = isServers ? undefined : this.#victim(({ clockFile }) => fault.needs !== 'clock' || clockFile)
    if (!isServers && !member) return
    this.counts[name] = (this.counts[name] ?? 0) + 1
    const running = this.#hit(fault, member)
    this.#running.add(running)
    void running.finally(() => this.#running.delete(running)).catch(() => {})
  }

  async #hit(fault, member) {
    const ms = this.#between(...fault.lasts) * this.ttlMs
    const hit = member ? [member] : this.crew
    const from = nowMs()
    const troubles = fault.own ? [] : hit.map((one) => (one.troubles.push([from, Infinity]), one.troubles.at(-1)))
    if (member) member.isHit = true
    else this.#serverIsHit = true
    try {
      await fault.hit({ member, server: this.server, register: this.register, ms, chance: this.chance })
    } finally {
      if (member) member.isHit = false
      else this.#serverIsHit = false
      for (const trouble of troubles) trouble[1] = nowMs()
    }
  }

  /** Some that hold hear nothing from the server any more, until they must have lost what they hold. @param {number} most */
  async silenceHolders(most) {
    const holders = this.crew.filter(({ held, proxy }) => held.size > 0 && proxy).slice(0, most)
    const lasts = [SILENCE, SILENCE]
    await Promise.all(holders.map((member) => {
      member.send({ linger: true })
      return this.#hit({ ...FAULTS.blackHole, lasts }, member)
    }))
  }

  /** The loops of some that hold stand still for longer than a lease lasts, and nothing else happens. @param {number} most */
  async blockHolders(most) {
    const holders = this.crew.filter(({ held }) => held.size > 0).slice(0, most)
    await Promise.all(holders.map((member) => this.#hit(FAULTS.block, member)))
  }

  /** Kills some that hold at this moment, all at once, and nothing else; answers the keys they had. @param {number} most */
  async killHolders(most) {
    const holders = this.crew.filter(({ held }) => held.size > 0).slice(0, most)
    const keys = new Set(holders.flatMap(({ held }) => [...held]))
    await Promise.all(holders.map((member) => FAULTS.kill.hit({ member, register: this.register })))
    return [...keys]
  }
}

module.exports = { Nemesis, FAULTS }
