// @ts-check
// Replacing a file of 4 KiB, so that a loss of power cannot undo it, and so that only a crash of the process cannot.
import { closeSync, fsyncSync, mkdtempSync, openSync, promises, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFileAtomic, writeFileAtomicSync } from 'chainlock'
import { loadNoop } from '../baselines.mjs'
import { median } from '../measure.mjs'
import { steno, writeFileAtomicOfNpm } from '../peers.mjs'

const CONTENT = Buffer.alloc(4_096, 'x')
const LOOSE = { durable: false }
const WARM_UP = 10
/** "Not slower": two writers that wait for the same disk are as quick as each other, now and then a little quicker. */
const EQUAL = 1.05

/** @typedef {import('../figure.mjs').Figure} Figure */
/** @typedef {{ name: string, write: () => unknown }} Writer */

/** @param {{ fileRounds: number }} effort */
export async function files({ fileRounds: rounds }) {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-bench-'))
  try {
    const durable = await inTurns(durableWriters(folder), rounds)
    const loose = await inTurns(looseWriters(folder), rounds)
    const left = readdirSync(folder).filter((name) => !name.endsWith('.txt'))
    /** @type {import('../figure.mjs').Fact} */
    const tidy = { id: 'files-tidy', what: 'nothing is left beside the files', holds: left.length === 0, detail: left.join(', ') || 'nothing' }
    return { figures: [...durableFigures(durable), looseFigure(loose)], facts: [tidy] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {string} folder @returns {Writer[]} */
function durableWriters(folder) {
  const { replace } = loadNoop()
  const [raw, own, ownLater, npm, npmLater, plain] = ['raw', 'own', 'own-later', 'npm', 'npm-later', 'plain'].map((name) => join(folder, `${name}.txt`))
  return [
    writer('raw', () => replace(raw)),
    writer('own', () => writeFileAtomicSync(own, CONTENT)),
    writer('npm', () => {
      writeFileAtomicOfNpm.sync(npm, CONTENT)
      const directory = openSync(folder, 'r')
      fsyncSync(directory)
      closeSync(directory)
    }),
    writer('own, later', () => writeFileAtomic(ownLater, CONTENT)),
    writer('npm, later', async () => {
      await writeFileAtomicOfNpm(npmLater, CONTENT)
      const directory = await promises.open(folder)
      await directory.sync()
      await directory.close()
    }),
    writer('npm, plain', () => writeFileAtomicOfNpm(plain, CONTENT)),
  ]
}

/** @param {string} folder @returns {Writer[]} */
function looseWriters(folder) {
  const [own, peer] = ['own', 'steno'].map((name) => join(folder, `${name}-loose.txt`))
  const later = steno(peer)
  const text = CONTENT.toString()
  return [writer('own', () => writeFileAtomic(own, CONTENT, LOOSE)), writer('steno', () => later.write(text))]
}

/**
 * One write each, in turn: a disk is slow for a while and quick for a while, and so it is for everybody. By chance, as
 * a write is also the slower or quicker for the one before it.
 * @param {readonly Writer[]} writers
 * @param {number} rounds
 * @returns {Promise<import('../measure.mjs').Comparison>}
 */
async function inTurns(writers, rounds) {
  /** @type {Record<string, number[]>} */
  const seen = Object.fromEntries(writers.map(({ name }) => [name, []]))
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const { name, write } of shuffled(writers)) {
      const start = process.hrtime.bigint()
      if ((await write()) === false) throw new Error(`${name}: a write failed`)
      if (round >= 0) seen[name].push(Number(process.hrtime.bigint() - start))
    }
  }
  return {
    ns: (name) => median(seen[name]),
    ratio: (name, base) => median(seen[name].map((ns, round) => ns / seen[base][round])),
  }
}

/** @param {readonly Writer[]} writers */
function shuffled(writers) {
  const keyed = writers.map((writer) => ({ writer, key: Math.random() }))
  return keyed.sort((a, b) => a.key - b.key).map(({ writer }) => writer)
}

/** @param {string} name @param {() => unknown} write @returns {Writer} */
const writer = (name, write) => ({ name, write })

/** @param {import('../measure.mjs').Comparison} times @returns {Figure[]} */
function durableFigures(times) {
  const us = (/** @type {string} */ name) => `${(times.ns(name) / 1_000).toFixed(0)} µs`
  const against = (/** @type {string} */ name, /** @type {string} */ base) => ({
    value: times.ratio(name, base),
    unit: 'x',
    detail: `${us(name)} against ${us(base)}`,
  })
  return [
    { id: 'files-sync', what: 'writeFileAtomicSync, 4 KiB, durable ÷ the bare system calls', bar: { most: 1.1 }, ...against('own', 'raw') },
    { id: 'files-sync-npm', what: 'the same ÷ write-file-atomic with as much durability', bar: { most: EQUAL }, ...against('own', 'npm') },
    { id: 'files-later-npm', what: 'await writeFileAtomic ÷ write-file-atomic with as much durability', bar: { most: EQUAL }, ...against('own, later', 'npm, later') },
    { id: 'files-later', what: 'await writeFileAtomic ÷ the bare system calls, without a thread', ...against('own, later', 'raw') },
    { id: 'files-later-plain', what: 'the same ÷ write-file-atomic as it is, which does not sync the directory', ...against('own, later', 'npm, plain') },
  ]
}

/** @param {import('../measure.mjs').Comparison} times @returns {Figure} */
function looseFigure(times) {
  const us = (/** @type {string} */ name) => `${(times.ns(name) / 1_000).toFixed(0)} µs`
  const what = 'await writeFileAtomic, not durable ÷ steno, which may tear the file at a loss of power, too'
  return { id: 'files-loose', what, value: times.ratio('own', 'steno'), unit: 'x', detail: `${us('own')} against ${us('steno')}` }
}
