// @ts-check
// Runs one part of the benchmark in this process and answers over the channel to its parent.
import { calls } from '../lines/calls.mjs'
import { waiters } from '../lines/waiters.mjs'

const [part, effort] = process.argv.slice(2)
const run = { calls, waiters }[/** @type {'calls' | 'waiters'} */ (part)]
process.send?.(await run(JSON.parse(effort)))
process.disconnect?.()
