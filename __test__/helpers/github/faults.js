// What goes wrong on purpose: told for the next request that fits, or by chance from a seed.
'use strict'

/**
 * What can happen to a request, and whether it happens to writes, to reads or to both.
 * - `delay`: it is served `ms` later (0–2500 by chance)
 * - `lost-before`: the connection is cut and nothing is done; `lost-after`: it is done and the connection cut
 * - `late`: the connection is cut now, and it is done `ms` later (200–3000 by chance), or when the promise `until` is kept
 * - `502-after`: it is done and answered 502
 * - `stale-read`: what was there `ms` before (200–2000 by chance), or `asOf` an instant of performance.now(), is answered
 * - `secondary-limit`: 403 with `retry-after` (`seconds`, 1 unless told), nothing is done
 * - `rate-limit`: the primary limit is spent until `seconds` (1 unless told) from now, nothing is done
 */
const KINDS = {
  delay: 'any',
  'lost-before': 'any',
  'lost-after': 'any',
  late: 'write',
  '502-after': 'any',
  'stale-read': 'read',
  'secondary-limit': 'any',
  'rate-limit': 'any',
}

const MS = { delay: [0, 2500], late: [200, 3000], 'stale-read': [200, 2000] }

class Faults {
  /** Per kind how probable it is, 0 to 1. @type {Record<string, number>} */
  rate = {}
  #told = []
  #random

  constructor(seed) {
    this.seed = seed
  }

  set seed(seed) {
    this.#random = randomFrom(seed)
  }

  /**
   * Does it to the next request that fits, before any that was told later.
   * @param {string} kind
   * @param {Matcher} [matcher]
   * @param {{ ms?: number, until?: Promise<unknown>, asOf?: number, seconds?: number, times?: number }} [how]
   *   `times` requests instead of one
   */
  next(kind, matcher = {}, { times = 1, ...how } = {}) {
    if (!(kind in KINDS)) throw new TypeError(`no such fault: ${kind}; there are: ${Object.keys(KINDS).join(', ')}`)
    for (let i = 0; i < times; i++) this.#told.push({ kind, matcher, how })
  }

  /** How many told faults wait for a request that fits. */
  get waiting() {
    return this.#told.length
  }

  /** Nothing more goes wrong. */
  clear() {
    this.#told = []
    this.rate = {}
  }

  /**
   * What happens to this request.
   * @returns {{ kind: string, ms: number, until?: Promise<unknown>, asOf?: number, seconds: number } | null}
   */
  pick(request) {
    const at = this.#told.findIndex(({ kind, matcher }) => fits(kind, request) && matches(matcher, request))
    if (at >= 0) {
      const [{ kind, how }] = this.#told.splice(at, 1)
      return this.#made(kind, how)
    }
    for (const [kind, probability] of Object.entries(this.rate)) {
      if (fits(kind, request) && this.#random() < probability) return this.#made(kind, {})
    }
    return null
  }

  #made(kind, how) {
    const [least, most] = MS[kind] ?? [0, 0]
    return { kind, ms: Math.round(least + this.#random() * (most - least)), seconds: 1, ...how }
  }
}

function fits(kind, { isWrite }) {
  return KINDS[kind] === 'any' || (KINDS[kind] === 'write') === isWrite
}

/**
 * A function, or what a request (or a line of the log) must have: the method, operation, fault and status as they are,
 * the path as a part of it or as a pattern.
 * @typedef {((request: object) => boolean) | { method?: string, operation?: string, path?: string | RegExp, fault?: string | null, status?: number | null }} Matcher
 * @param {Matcher} matcher
 */
function matches(matcher, request) {
  if (typeof matcher === 'function') return matcher(request)
  return Object.entries(matcher).every(([name, wanted]) => {
    if (wanted instanceof RegExp) return wanted.test(request[name])
    return name === 'path' ? request.path.includes(wanted) : request[name] === wanted
  })
}

/** The same numbers for the same seed (the generator mulberry32). */
function randomFrom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

module.exports = { Faults, matches }
