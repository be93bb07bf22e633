// @ts-check
// What the package costs to load and to keep: fresh processes, alternating.
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NOOP_ADDON } from '../baselines.mjs'
import { median } from '../measure.mjs'

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url))
const LOAD = fileURLToPath(new URL('../programs/load.cjs', import.meta.url))
const GROW = fileURLToPath(new URL('../programs/grow.mjs', import.meta.url))
const MEGABYTE = 1_000_000

/** @param {{ loads: number, operations: number }} effort @returns {import('../figure.mjs').Figure[]} */
export function footprint({ loads, operations }) {
  return [loading(loads), growth(operations), size()]
}

/** @param {number} loads @returns {import('../figure.mjs').Figure} */
function loading(loads) {
  /** @type {number[]} */
  const own = []
  /** @type {number[]} */
  const empty = []
  for (let round = 0; round < loads; round++) {
    empty.push(numberFrom([LOAD, NOOP_ADDON]) / 1e6)
    own.push(numberFrom([LOAD, PACKAGE]) / 1e6)
  }
  return {
    id: 'require',
    what: "require('chainlock') beyond an empty addon, fresh processes",
    value: median(own.map((ms, round) => ms - empty[round])),
    unit: 'ms',
    bar: { most: 10 },
    detail: `${median(own).toFixed(2)} ms against ${median(empty).toFixed(2)} ms, ${loads} of each`,
  }
}

/** @param {number} operations @returns {import('../figure.mjs').Figure} */
function growth(operations) {
  return {
    id: 'growth',
    what: 'growth of the resident memory',
    value: numberFrom(['--expose-gc', GROW, String(operations)]) / MEGABYTE,
    unit: 'MB',
    bar: { most: 1 },
    detail: `over ${operations.toLocaleString('en-US')} operations`,
  }
}

/** @returns {import('../figure.mjs').Figure} */
function size() {
  const addons = readdirSync(join(PACKAGE, 'lib')).filter((name) => name.endsWith('.node'))
  if (addons.length === 0) throw new Error('there is no addon in lib/: npm run build')
  const bytes = Math.max(...addons.map((name) => statSync(join(PACKAGE, 'lib', name)).size))
  return {
    id: 'addon-size',
    what: 'size of the stripped addon, with all engines of the leases',
    value: bytes / MEGABYTE,
    unit: 'MB',
    bar: { most: 8 },
    detail: addons.join(', '),
  }
}

/** Runs a program that answers with a number. @param {readonly string[]} args */
function numberFrom(args) {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`)
  return Number(stdout)
}
