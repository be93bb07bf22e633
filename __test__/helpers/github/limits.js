// GitHub's primary rate limit of one resource: so many requests until the window ends, told in every answer.
'use strict'

const HOUR_S = 3600

class RateLimit {
  #clock
  #resource
  #limit
  #used = 0
  #resetS = 0

  /** @param {{ now(): Date }} clock @param {'core' | 'graphql'} resource @param {number} limit */
  constructor(clock, resource, limit) {
    this.#clock = clock
    this.#resource = resource
    this.#limit = limit
  }

  /** Counts a request, or says that it is one too many. */
  spend() {
    this.#turn()
    if (this.#used >= this.#limit) return false
    this.#used += 1
    return true
  }

  /** An answer 304 is free. */
  giveBack() {
    this.#used = Math.max(0, this.#used - 1)
  }

  /** Nothing is left until `seconds` from now. */
  exhaust(seconds) {
    this.#used = this.#limit
    this.#resetS = Math.ceil(this.#nowS() + seconds)
  }

  #turn() {
    if (this.#nowS() < this.#resetS) return
    this.#used = 0
    this.#resetS = Math.ceil(this.#nowS()) + HOUR_S
  }

  #nowS() {
    return this.#clock.now().getTime() / 1000
  }

  shown() {
    this.#turn()
    return { limit: this.#limit, remaining: this.#limit - this.#used, reset: this.#resetS, used: this.#used }
  }

  headers() {
    const entries = Object.entries({ ...this.shown(), resource: this.#resource })
    return Object.fromEntries(entries.map(([name, value]) => [`x-ratelimit-${name}`, String(value)]))
  }
}

module.exports = { RateLimit }
