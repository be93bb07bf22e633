// Somebody who takes a lease of its own and gives it back, all the time and on the straight way to the store: when that
// takes long, the machine has stood still or the store's disk was slow, which no worker can help.
'use strict'

const { LeaseManager } = require('chainlock/leases')
const { nowMs } = require('../register')
const { pause } = require('../waiting')

const KEY = 'witness'

class Witness {
  /** When it had to wait: `[from, until]`. @type {[number, number][]} */
  slow = []
  #leases
  #ttlMs
  #watching
  #isOver = false

  /** @param {object} options Of a manager. @param {number} ttlMs Of the leases of the run. */
  constructor(options, ttlMs) {
    this.#leases = new LeaseManager({ ...options, workerId: KEY, ttlMs })
    this.#ttlMs = ttlMs
    this.#watching = this.#watch()
  }

  async #watch() {
    while (!this.#isOver) {
      const from = nowMs()
      await pause(this.#ttlMs / 20)
      // A server that is down is one of the faults.
      await this.#leases.withLease(KEY, { timeoutMs: this.#ttlMs }, () => {}).catch(() => {})
      const until = nowMs()
      if (until - from > this.#ttlMs / 4) this.slow.push([from, until])
    }
  }

  /** Whether nobody had to wait between these times. */
  sawNothing(from, until) {
    return this.slow.every(([begin, end]) => end < from || begin > until)
  }

  async stop() {
    this.#isOver = true
    await this.#watching
    await this.#leases.destroy()
  }
}

module.exports = { Witness }
