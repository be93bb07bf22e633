// @ts-check
// Replacing a file of 4 KiB, so that a loss of power cannot undo it, and so that only a crash of the process cannot.
import { closeSync, fsyncSync, mkdtempSync, openSync, promises, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFileAtomic, writeFileAtomicSync } from 'chainlock'
import { loadNoop } from '../baselines.mjs'
import { compare } from '../measure.mjs'
import { steno, writeFileAtomicOfNpm } from '../peers.mjs'

const CONTENT = Buffer.alloc(4_096, 'x')
const LOOSE = { durable: false }

/** @typedef {import('../figure.mjs').Figure} Figure */

/** @param {{ fileRounds: number }} effort */
export async function files({ fileRounds: rounds }) {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-bench-'))
  try {
    const durable = await compare(durableWriters(folder), { rounds })
    const loose = await compare(looseWriters(folder), { rounds })
    const left = readdirSync(folder).filter((name) => !name.endsWith('.txt'))
    /** @type {import('../figure.mjs').Fact} */
    const tidy = { id: 'files-tidy', what: 'nothing is left beside the files', holds: left.length === 0, detail: left.join(', ') || 'nothing' }
    return { figures: [...durableFigures(durable), looseFigure(loose)], facts: [tidy] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {string} folder @returns {import('../measure.mjs').Candidate[]} */
function durableWriters(folder) {
  const { replace } = loadNoop()
  const [raw, own, ownLater, npm, npmLater, plain] = ['raw', 'own', 'own-later', 'npm', 'npm-later', 'plain'].map((name) => join(folder, `${name}.txt`))
  return [
    inLoop('raw', () => replace(raw)),
    inLoop('own', () => writeFileAtomicSync(own, CONTENT)),
    inLoop('npm', () => {
      writeFileAtomicOfNpm.sync(npm, CONTENT)
      const directory = openSync(folder, 'r')
      fsyncSync(directory)
      closeSync(directory)
    }),
    inLoopLater('own, later', () => writeFileAtomic(ownLater, CONTENT)),
    inLoopLater('npm, later', async () => {
      await writeFileAtomicOfNpm(npmLater, CONTENT)
      const directory = await promises.open(folder)
      await directory.sync()
      await directory.close()
    }),
    inLoopLater('npm, plain', () => writeFileAtomicOfNpm(plain, CONTENT)),
  ]
}

/** @param {string} folder @returns {import('../measure.mjs').Candidate[]} */
function looseWriters(folder) {
  const [own, peer] = ['own', 'steno'].map((name) => join(folder, `${name}-loose.txt`))
  const writer = steno(peer)
  const text = CONTENT.toString()
  return [inLoopLater('own', () => writeFileAtomic(own, CONTENT, LOOSE)), inLoopLater('steno', () => writer.write(text))]
}

/** @param {string} name @param {() => unknown} write Answers false when it failed. */
function inLoop(name, write) {
  const loop = (/** @type {number} */ times) => {
    let right = 0
    for (let turn = 0; turn < times; turn++) if (write() !== false) right++
    return right
  }
  return { name, loop }
}

/** @param {string} name @param {() => Promise<unknown>} write */
function inLoopLater(name, write) {
  const loop = async (/** @type {number} */ times) => {
    for (let turn = 0; turn < times; turn++) await write()
    return times
  }
  return { name, loop }
}

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
    { id: 'files-sync-npm', what: 'the same ÷ write-file-atomic with as much durability', bar: { most: 1 }, ...against('own', 'npm') },
    { id: 'files-later-npm', what: 'await writeFileAtomic ÷ write-file-atomic with as much durability', bar: { most: 1 }, ...against('own, later', 'npm, later') },
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
