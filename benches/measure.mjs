// @ts-check
// How times are compared: candidates take turns in many short rounds of one process, and each round gives
// its own ratios. The median ratio is the figure, so that a machine that slows down for a while slows
// down both sides of it.

/**
 * A loop of its own for each thing to be timed, so that the optimiser sees one call site per candidate.
 * It runs its operation `times` times and returns how many gave the expected answer.
 * @typedef {{ name: string, loop: (times: number) => number | Promise<number> }} Candidate
 */

/**
 * @typedef {object} Comparison
 * @property {(name: string) => number} ns Median nanoseconds of one operation.
 * @property {(name: string, base: string) => number} ratio Median over the rounds of `name` ÷ `base`.
 */

const ROUND_MS = 2
const WARM_UP_ROUNDS = 5
/** For what makes garbage: the rounds are so long that everybody collects his own within them. */
export const LONG_ROUND_MS = 20

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** @param {() => void} work @returns {number} Nanoseconds. */
export function clocked(work) {
  const start = process.hrtime.bigint()
  work()
  return Number(process.hrtime.bigint() - start)
}

/** @param {Candidate} candidate @param {number} times Resolves to the nanoseconds of one operation. */
async function perOperation({ name, loop }, times) {
  const start = process.hrtime.bigint()
  const right = await loop(times)
  const ns = Number(process.hrtime.bigint() - start)
  // The answers are looked at, so no loop can be optimised away, and a wrong lock is not called a fast one.
  if (right !== times) throw new Error(`${name}: ${times - right} of ${times} answers were wrong`)
  return ns / times
}

/**
 * @param {readonly Candidate[]} candidates
 * @param {{ rounds: number, roundMs?: number }} effort
 * @returns {Promise<Comparison>}
 */
export async function compare(candidates, { rounds, roundMs = ROUND_MS }) {
  /** @type {number[]} */
  const times = []
  for (const candidate of candidates) {
    let count = 16
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      count = Math.max(16, Math.round((roundMs * 1e6) / (await perOperation(candidate, count))))
    }
    times.push(count)
  }
  /** @type {Map<string, number[]>} */
  const seen = new Map(candidates.map(({ name }) => [name, []]))
  const of = (/** @type {string} */ name) => /** @type {number[]} */ (seen.get(name))
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < candidates.length; turn++) {
      // Each round begins with another candidate: nobody always runs in somebody's wake.
      const index = (round + turn) % candidates.length
      of(candidates[index].name).push(await perOperation(candidates[index], times[index]))
    }
  }
  return {
    ns: (name) => median(of(name)),
    ratio: (name, base) => median(of(name).map((ns, round) => ns / of(base)[round])),
  }
}
