// @ts-check
// What a named lock that is free and what a waiting request keep in memory: fresh processes, what they have from
// malloc and what is in use of their JavaScript heap.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { median } from '../../measure.mjs'

const PROGRAM = fileURLToPath(new URL('../../programs/keep.mjs', import.meta.url))

/** @typedef {{ native: number, javascript: number }} Sizes Bytes of one. */

/** @param {{ kept: number, loads: number }} effort */
export async function memory({ kept, loads }) {
  const processes = Math.min(3, loads)
  const names = bytesOf('names', kept, processes)
  const waiters = bytesOf('waiters', kept, processes)
  const peer = bytesOf('async-mutex', kept, 1)
  const parts = (/** @type {Sizes} */ { native, javascript }) =>
    `${Math.round(native)} native, ${Math.round(javascript)} JavaScript`
  /** @type {import('../../figure.mjs').Figure[]} */
  const figures = [
    {
      id: 'bytes-a-name',
      what: `a free known name, of ${kept.toLocaleString('en-US')} handles that were each used once`,
      value: names.native + names.javascript,
      unit: 'bytes',
      bar: { most: 128 },
      detail: parts(names),
    },
    {
      id: 'bytes-a-waiter',
      what: `a waiter, of ${kept.toLocaleString('en-US')} in line`,
      value: waiters.native + waiters.javascript,
      unit: 'bytes',
      bar: { most: 400 },
      detail: parts(waiters),
    },
    {
      id: 'bytes-a-peers-waiter',
      what: '… of async-mutex',
      value: peer.native + peer.javascript,
      unit: 'bytes',
    },
  ]
  return { figures, facts: [] }
}

/** @param {string} what @param {number} count @param {number} processes @returns {Sizes} */
function bytesOf(what, count, processes) {
  const sizes = Array.from({ length: processes }, () => grown(what, count))
  return {
    native: median(sizes.map(({ native }) => native)),
    javascript: median(sizes.map(({ javascript }) => javascript)),
  }
}

/** @param {string} what @param {number} count @returns {Sizes} */
function grown(what, count) {
  const args = ['--expose-gc', PROGRAM, what, String(count)]
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`)
  return JSON.parse(stdout)
}
