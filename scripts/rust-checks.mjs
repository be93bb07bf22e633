#!/usr/bin/env node
// The Rust half of the tests: unit tests, tidy, vectors and models; the portable half of `sys`; leases over
// real servers; loom; shuttle; ThreadSanitizer. Prints one line per bar with its figure; a figure that falls
// short is a failure.
// `--deep` takes the larger figures and also the weakened orderings, one by one (rust-mutants.mjs).

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { dirname } from 'node:path'
import { withServers } from './lease-servers.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const deep = process.argv.includes('--deep')
const failures = []
const LINUX = process.platform === 'linux'

/** Runs a program; its output is shown only when it fails. */
function run(program, args, env = {}) {
  const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ status: -1, output: String(error) }))
    child.on('close', (status) => resolve({ status, output }))
  })
}

/** One check: must end with `status`; its output is left for the bars. */
async function check(name, program, args, { env = {}, status = 0 } = {}) {
  const began = Date.now()
  const result = await run(program, args, deep ? { ...env, CHAINLOCK_DEEP: '1' } : env)
  const seconds = ((Date.now() - began) / 1000).toFixed(1)
  const passed = result.status === status
  if (passed) {
    // cargo's own closing lines, for whoever counts tests.
    for (const [line] of result.output.matchAll(/^test result: .*$/gm)) console.log(line)
  } else {
    failures.push(name)
    console.log(result.output)
  }
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`)
  return result.output
}

/** Adds up the figures of the lines that match. */
function total(output, pattern) {
  return [...output.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0)
}

function bar(name, figure, least, unit) {
  const reached = figure >= least
  const count = (number) => number.toLocaleString('en-US')
  console.log(`${reached ? 'ok  ' : 'FAIL'} ${name}: ${count(figure)} ${unit} (bar: ${count(least)})`)
  if (!reached) failures.push(name)
}

function cargoTest(features, filter) {
  const flags = ['test', '--quiet', '--no-default-features', '--lib']
  if (features) flags.push('--features', features)
  return [...flags, '--', '--nocapture', ...filter]
}

const core = await check('cargo test: the core without napi', 'cargo', cargoTest('', []))
bar('tidy (rules)', total(core, /tidy: (\d+) rules/g), 15, 'rules')
bar('F5 vectors', total(core, /vectors: (\d+) vectors/g), 40, 'vectors')
bar('F3 stateright', total(core, /stateright: .*: (\d+) states/g), deep ? 50_000_000 : 2_000_000, 'states')
const refuted = core.includes('without the fence: refuted by [') ? 1 : 0
bar('F3 stateright, without the fence', refuted, 1, 'model refuted')
bar('S5 escape sequences', total(core, /escapes: (\d+) sequences, 0 unprintable/g), 200, 'sequences')

const programs = total(core, /differential: (\d+) programs/g)
bar('named locks against the plain model', programs, deep ? 2_000_000 : 50_000, 'programs')
const ordered = total(core, /deadlocks: (\d+) schedules in order, 0 reports/g)
bar('F15 no false alarm', ordered, deep ? 20_000_000 : 1_000_000, 'schedules')
const kills = total(core, /host storm: (\d+) kills/g)
bar('F7 host locks, killed at random and at named points', kills, LINUX ? 3_000 : 0, 'kills')
const pauses = total(core, /host pauses: (\d+)/g)
bar('F8 host locks, stopped', pauses, LINUX ? 200 : 0, 'pauses')
const pages = total(core, /host pages: (\d+)/g)
bar('S3 lock files', pages, LINUX ? 5_000 : 0, 'pages')
const tables = total(core, /table pages: (\d+) tables/g)
bar('S3 lock tables', tables, 5_000, 'tables')
const outside = total(core, /table outside: (\d+) reads, 0 impossible/g)
bar('O6 lock tables read from outside', outside, LINUX ? (deep ? 10_000_000 : 300_000) : 0, 'reads')
const disordered = total(core, /deadlocks: (\d+) schedules with/g)
bar('F15 every deadlock told, and each told one is one', disordered, deep ? 7_000_000 : 50_000, 'schedules')

const processKills = total(core, /registry outside: (\d+) kills/g)
bar('F12 registry, killed at random, seen from outside', processKills, LINUX ? (deep ? 1_000 : 30) : 0, 'kills')
const spoilt = total(core, /registry: (\d+) entries read from spoilt bytes/g)
bar('S3 registry of another process', spoilt, 20_000, 'entries')

// Nothing of these looks at the system.
const elsewhere = ['model', 'tidy', 'differential', 'locks_', 'deadlock', 'registry']
const notThere = elsewhere.flatMap((name) => ['--skip', `tests::${name}`])
await check('cargo test: the portable half of sys', 'cargo', cargoTest('portable', notThere))

const journalTests = cargoTest('sqlite', ['tests::journal', '--test-threads=2'])
const journal = await check('cargo test: the journal', 'cargo', journalTests)
bar('F12 journal, cut', total(journal, /journal cuts: (\d+)/g), deep ? 50_000 : 3_000, 'cuts')
bar('F12 journal, flipped bits', total(journal, /journal flips: (\d+)/g), deep ? 100_000 : 300, 'flips')
for (const [line] of journal.matchAll(/^journal query: .*$/gm)) console.log(line)

// The manager and its simulator without a server, and each store against a real one.
const STORES = ['sqlite', 'redis', 'postgres', 'etcd', 'github']
const leaseTests = cargoTest(STORES.join(','), ['lease', '--test-threads=4'])
const leases = await withServers((env) => check('cargo test: leases, over real servers', 'cargo', leaseTests, { env }))
bar('F18 leases, simulated', total(leases, /leases: (\d+) schedules/g), deep ? 1_000_000 : 10_000, 'schedules')
const skipped = [...leases.matchAll(/^SKIPPED: CHAINLOCK_TEST_.*$/gm)].map(([line]) => line)
for (const line of skipped) console.log(line)
if (skipped.length > 0 && process.env.CI) failures.push('leases: a server is missing')

const loom = await check('loom', 'cargo', cargoTest('loom', ['tests::loom', 'tests::registry_loom']))
bar('F1 loom', total(loom, /loom: .*: (\d+) executions/g), deep ? 10_000_000 : 1_000_000, 'executions')

const shuttle = await check('shuttle', 'cargo', cargoTest('shuttle', ['tests::shuttle']))
bar('F2 shuttle', total(shuttle, /shuttle: .*: (\d+) schedules/g), deep ? 3_800_000 : 190_000, 'schedules')
const named = total(shuttle, /shuttle: names, .*: (\d+) schedules/g)
bar('F2 shuttle, of which named locks', named, deep ? 1_800_000 : 90_000, 'schedules')

// The sanitizer's runtime ships with the stable toolchain; only its flag asks for the permission.
const sanitized = {
  RUSTC_BOOTSTRAP: '1',
  RUSTFLAGS: '-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer -Copt-level=1',
  CARGO_TARGET_DIR: 'target/tsan',
}
const target = 'x86_64-unknown-linux-gnu'
const threads = ['run', '--quiet', '--target', target, '--no-default-features', '--features', 'stress', '--bin', 'threads']
if (process.platform === 'linux' && process.arch === 'x64') {
  const tsan = await check('ThreadSanitizer', 'cargo', threads, { env: sanitized })
  const reports = (tsan.match(/WARNING: ThreadSanitizer/g) ?? []).length
  console.log(`${reports === 0 ? 'ok  ' : 'FAIL'} F6 ThreadSanitizer: ${reports} reports (bar: 0)`)
  if (reports !== 0) failures.push('F6 ThreadSanitizer')
  await check('ThreadSanitizer sees a planted race', 'cargo', threads, {
    env: { ...sanitized, CHAINLOCK_PLANT_RACE: '1' },
    status: 66,
  })
} else {
  console.log(`skip ThreadSanitizer: built for Linux on x64, this is ${process.platform} on ${process.arch}`)
}

if (deep) {
  const mutants = await check('F4 mutants', process.execPath, ['scripts/rust-mutants.mjs'])
  for (const [line] of mutants.matchAll(/^(mutants|skip|MISSED) .*$/gm)) console.log(line)
}

if (failures.length > 0) {
  console.error(`rust-checks: ${failures.length} failed: ${failures.join(', ')}`)
  process.exitCode = 1
}
