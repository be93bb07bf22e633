// @ts-check
// npm run bench: every promised figure, side by side in one run. See README.md for how to read it.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { cpus, devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureNoopAddon } from './baselines.mjs'
import { barInWords, inWords, passes } from './figure.mjs'
import { fight } from './lines/fight.mjs'
import { footprint } from './lines/footprint.mjs'
import { hostFight } from './lines/host/fight.mjs'
import { handoff as leaseHandoff } from './lines/leases/handoff.mjs'
import { held as leasesHeld } from './lines/leases/held.mjs'
import { crowd } from './lines/named/crowd.mjs'
import { memory } from './lines/named/memory.mjs'
import { readers } from './lines/named/readers.mjs'
import { HOW_TO_GET_ONE, nodeWithLocks } from './peers.mjs'

/** @typedef {import('./figure.mjs').Figure} Figure */
/** @typedef {import('./figure.mjs').Fact} Fact */
/** @typedef {{ figures: Figure[], facts: Fact[], missing?: string }} Lines `missing`: why there are none. */

const FULL = {
  rounds: 150,
  waiterRounds: 9,
  grants: 1_000_000,
  loads: 21,
  operations: 10_000_000,
  longRounds: 25,
  namedGrants: 200_000,
  burst: 100_000,
  burstRounds: 5,
  kept: 100_000,
  readingMs: 500,
  readingRounds: 5,
  webGrants: 10_000,
  hostGrants: 20_000,
  takeovers: 100,
  fileRounds: 400,
  leaseRounds: 25,
  leaseHolds: 25,
  leases: 1_000,
  leaseWatchMs: 12_000,
}
const DEEP = { ...FULL, namedGrants: 10_000_000 }
const SMOKE = {
  rounds: 3,
  waiterRounds: 1,
  grants: 4_000,
  loads: 2,
  operations: 100_000,
  longRounds: 2,
  namedGrants: 4_000,
  burst: 2_000,
  burstRounds: 1,
  kept: 10_000,
  readingMs: 100,
  readingRounds: 1,
  webGrants: 400,
  hostGrants: 400,
  takeovers: 3,
  fileRounds: 3,
  leaseRounds: 1,
  leaseHolds: 2,
  leases: 100,
  leaseWatchMs: 300,
}
// Room for the requests of a whole line: the collector's copying of survivors is not to be taken for a line that
// gets slower with its length.
const LARGE_YOUNG_HEAP = ['--min-semi-space-size=128', '--max-semi-space-size=128']

/** @type {Record<string, (effort: typeof FULL) => Promise<Lines>>} */
const PARTS = {
  // Its JavaScript lock logs by the very `console.log` of a controller, into the null device.
  calls: (effort) => inOwnProcess('calls', 'calls', effort),
  waiters: (effort) => inOwnProcess('waiters', 'waiters', effort, { execArgv: LARGE_YOUNG_HEAP }),
  fight,
  footprint: async (effort) => ({ figures: footprint(effort), facts: [] }),
  // Each in a process of its own: whatever one of them switches on, such as an AsyncLocalStorage, stays there.
  pair: (effort) => inOwnProcess('named/pair', 'pair', effort),
  acquire: (effort) => inOwnProcess('named/acquire', 'acquire', effort),
  run: (effort) => inOwnProcess('named/run', 'run', effort),
  handoff: (effort) => inOwnProcess('named/handoff', 'handoff', effort),
  burst: (effort) => inOwnProcess('named/burst', 'burst', effort, { execArgv: LARGE_YOUNG_HEAP }),
  host: (effort) => inOwnProcess('host/free', 'free', effort),
  hostFight,
  crowd,
  readers,
  memory,
  journal: (effort) => inOwnProcess('journal', 'journal', effort),
  files: (effort) => inOwnProcess('files', 'files', effort),
  leasePairs: (effort) => inOwnProcess('leases/pairs', 'pairs', effort),
  leaseHandoff,
  leaseHeld: leasesHeld,
  leaseGithub: (effort) => inOwnProcess('leases/github', 'github', effort),
  leaseIdle: (effort) => inOwnProcess('leases/idle', 'idle', effort),
  registry: (effort) => inOwnProcess('registry', 'processes', effort),
  web: async (effort) => {
    const execPath = nodeWithLocks()
    if (execPath === undefined) return { figures: [], facts: [], missing: HOW_TO_GET_ONE }
    return inOwnProcess('named/web', 'web', effort, { execPath })
  },
}

const USAGE = `node benches/main.mjs [--check | --smoke] [--deep] [--json] [--only PART]…

  --check  exit with 1 when a bar is missed or could not be judged
  --smoke  a few seconds: everything runs, no bar is judged
  --deep   the long form of the lines that count: 10,000,000 grants of a named lock
  --json   the figures as JSON on standard output
  --only   ${Object.keys(PARTS).join(', ')}; may be repeated
`

const options = readOptions()
ensureNoopAddon()
const report = await measure(options.smoke ? SMOKE : options.deep ? DEEP : FULL, options.only)
if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
process.exitCode = exitCode(report)

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        check: { type: 'boolean', default: false },
        smoke: { type: 'boolean', default: false },
        deep: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: Object.keys(PARTS) },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(USAGE)
      process.exit(0)
    }
    const unknown = values.only.find((part) => !Object.hasOwn(PARTS, part))
    if (unknown !== undefined) throw new Error(`there is no part '${unknown}'`)
    return values
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n\n${USAGE}`)
    process.exit(2)
  }
}

/** @param {typeof FULL} effort @param {readonly string[]} only */
async function measure(effort, only) {
  const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}`
  say(`Node ${process.version} · ${machine}\n`)
  /** @type {(Figure & { passes?: boolean })[]} */
  const figures = []
  /** @type {Fact[]} */
  const facts = []
  /** @type {{ part: string, why: string }[]} */
  const missing = []
  for (const [name, run] of Object.entries(PARTS)) {
    if (!only.includes(name)) continue
    const startedAt = performance.now()
    const lines = await run(effort)
    say(`${name} (${((performance.now() - startedAt) / 1_000).toFixed(1)} s)`)
    for (const figure of lines.figures) {
      const verdict = options.smoke ? undefined : passes(figure)
      figures.push({ ...figure, passes: verdict })
      tell(verdict, inWords(figure.value, figure.unit), barInWords(figure), figure.what, figure.detail)
    }
    for (const fact of lines.facts) {
      facts.push(fact)
      tell(fact.holds, '', '', fact.what, fact.detail)
    }
    if (lines.missing) {
      missing.push({ part: name, why: lines.missing })
      say(`  NOT MEASURED: ${lines.missing}`)
    }
  }
  const missed = figures.filter(({ passes: verdict }) => verdict === false).length
  const broken = facts.filter(({ holds }) => !holds).length
  say(`\n${figures.length} figures, ${missed} missed; ${facts.length} facts, ${broken} broken`)
  for (const { part, why } of missing) say(`NOT MEASURED: ${part}: ${why}`)
  return { node: process.version, machine, smoke: options.smoke, figures, facts, missing }
}

/**
 * @param {string} file In lines/.
 * @param {string} part The function of that file.
 * @param {typeof FULL} effort
 * @param {{ execArgv?: string[], execPath?: string }} [how]
 * @returns {Promise<Lines>}
 */
async function inOwnProcess(file, part, effort, how = {}) {
  const nowhere = openSync(devNull, 'w')
  const program = fileURLToPath(new URL('./programs/answer.mjs', import.meta.url))
  const args = [file, part, JSON.stringify(effort)]
  const child = fork(program, args, { execArgv: [], ...how, stdio: ['ignore', nowhere, 'inherit', 'ipc'] })
  closeSync(nowhere)
  const ended = once(child, 'exit')
  const lines = await Promise.race([once(child, 'message').then(([answer]) => answer), ended.then(() => undefined)])
  await ended
  if (!lines) throw new Error(`the part '${part}' ended without an answer`)
  return lines
}

/**
 * @param {boolean | undefined} verdict
 * @param {string} value
 * @param {string} bar
 * @param {string} what
 * @param {string} [detail]
 */
function tell(verdict, value, bar, what, detail) {
  const mark = verdict === undefined ? '    ' : verdict ? 'PASS' : 'FAIL'
  say(`  ${mark} ${value.padStart(10)} ${bar.padEnd(10)} ${what}${detail ? ` (${detail})` : ''}`)
}

/** Where people read: beside the JSON, not in it. @param {string} text */
function say(text) {
  const stream = options.json ? process.stderr : process.stdout
  stream.write(`${text}\n`)
}

/** @param {Awaited<ReturnType<typeof measure>>} result */
function exitCode({ figures, facts, missing }) {
  // A broken fact is a bug wherever it is seen; a bar only counts when somebody asked to check.
  if (facts.some(({ holds }) => !holds)) return 1
  const unproven = figures.some((figure) => figure.passes === false) || missing.length > 0
  return options.check && unproven ? 1 : 0
}
