// @ts-check
// What a journal that is open costs the locks: pairs at a steady pace, and as fast as they go, with it and without,
// in turns.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { locks, openJournal } from 'chainlock'
import { median } from '../measure.mjs'

/** @typedef {import('../figure.mjs').Figure} Figure */

/** A pair is two events: 100 pairs in 2 ms are 100,000 events a second. */
const PAIRS = 100
const EVERY_MS = 2
const BURSTS = 100

/** @param {{ rounds: number }} effort @returns {Promise<{ figures: Figure[], facts: [] }>} */
export async function journal({ rounds }) {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-bench-'))
  try {
    const path = join(folder, 'journal')
    const paced = await compared(path, Math.ceil(rounds / 8), pacedBursts)
    const fast = await compared(path, Math.ceil(rounds / 8), fastBursts)
    const dropped = `${paced.dropped.toLocaleString('en-US')} events dropped`
    return {
      figures: [
        figure('journal-paced', 'a pair, journal open ÷ closed, at 100,000 events/s', paced, { most: 1.1 }, dropped),
        figure('journal-fast', 'a pair, journal open ÷ closed, as fast as they go', fast, undefined, fullRing(fast)),
      ],
      facts: [],
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @typedef {{ on: number[], off: number[], dropped: number }} Times Nanoseconds a pair, of each burst. */

/** @param {string} id @param {string} what @param {Times} times @param {Figure['bar']} bar @param {string} more */
function figure(id, what, { on, off }, bar, more) {
  const [open, closed] = [median(on), median(off)]
  const detail = `${open.toFixed(0)} ns against ${closed.toFixed(0)} ns; ${more}`
  return { id, what, value: open / closed, unit: 'x', bar, detail }
}

/** @param {Times} times */
const fullRing = ({ dropped }) => `${dropped.toLocaleString('en-US')} events more than the disk takes, dropped`

/** @param {string} path @param {number} rounds @param {() => number[]} bursts @returns {Promise<Times>} */
async function compared(path, rounds, bursts) {
  /** @type {Times} */
  const times = { on: [], off: [], dropped: 0 }
  bursts()
  for (let round = 0; round < rounds; round++) {
    const open = openJournal({ path })
    times.on.push(...bursts())
    times.dropped += open.stats()?.dropped ?? 0
    await open.close()
    times.off.push(...bursts())
  }
  return times
}

function burst() {
  const began = process.hrtime.bigint()
  for (let count = 0; count < PAIRS; count++) locks.tryAcquire('paced')?.release()
  return Number(process.hrtime.bigint() - began) / PAIRS
}

function pacedBursts() {
  const began = performance.now()
  return Array.from({ length: BURSTS }, (_, index) => {
    // Waiting awake: a processor that sleeps in between is slower afterwards.
    while (performance.now() < began + index * EVERY_MS);
    return burst()
  })
}

const fastBursts = () => Array.from({ length: BURSTS * 10 }, burst)
