// `npm test`: makes the checkout ready and runs every suite, part by part, each with its time and figures.
//
//   node scripts/test.mjs [--deep] [--only PART[,PART]] [WORD …]
//
// A WORD keeps the JavaScript test files whose path contains it. `--deep` gives the proofs and campaigns
// their full size (an hour instead of minutes). How test files are named says how they run:
//   *.alone.test.*  one at a time: they bound times
//   *.deep.test.*   only with --deep, one at a time
//   others          as many at a time as there are cores
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { ensure } from './ensure.mjs'
import { Failure, root, runScript, tee } from './env.mjs'
import { endOf, failuresInTap, failuresOfRust, printFailures } from './failures.mjs'

const PARTS = {
  rust: { title: 'the Rust core and its proofs', run: rustChecks },
  js: { title: 'the package, from JavaScript', run: javaScriptSuites },
  install: { title: 'the packed package, installed elsewhere', run: (how) => suite('install', how) },
  types: { title: 'the typings', run: (how) => suite('types', how) },
  demo: { title: 'the demo', run: demo },
  bench: { title: 'the benchmarks', run: benchmarks },
  ...(canSanitize() && { asan: { title: 'the suites over an addon built with AddressSanitizer', run: sanitized } }),
}
const OWN_PART = ['install', 'types']
const MINUTE = 60_000
// What hangs fails by name, within the time that CI has for everything.
const PROGRAM_LIMIT_MS = 30 * MINUTE
// Of a test and of a file of tests: where others use the machine, too, a long one takes five minutes.
const FILE_LIMIT_MS = 10 * MINUTE
/** What failed, for the end of the output. */
const failures = []

await runScript(async () => {
  const { only, ...how } = readArguments()
  ensure()
  const results = []
  for (const [name, part] of Object.entries(PARTS)) {
    if (only.includes(name)) results.push(await runPart(name, part, how))
  }
  return summarize(results)
})

function readArguments() {
  const options = { deep: { type: 'boolean', default: false }, only: { type: 'string' } }
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const only = values.only?.split(',') ?? Object.keys(PARTS)
    const unknown = only.find((name) => !Object.hasOwn(PARTS, name))
    if (unknown !== undefined) throw new Failure(`--only knows ${Object.keys(PARTS).join(', ')}; got ${unknown}`)
    return { deep: values.deep, only, words: positionals }
  } catch (error) {
    throw error.code?.startsWith('ERR_PARSE_ARGS') ? new Failure(error.message) : error
  }
}

async function runPart(name, { title, run }, how) {
  console.log(`\n━━━ ${name}: ${title}`)
  const started = performance.now()
  const counts = sum(await run(how))
  if (counts.passed + counts.failed === 0 && how.words.length === 0) {
    console.log(`${name}: no test ran, which counts as a failure`)
    counts.failed = 1
  }
  const seconds = (performance.now() - started) / 1000
  console.log(`━━━ ${name}: ${words(counts)}, ${seconds.toFixed(1)} s`)
  return { name, counts, seconds }
}

function summarize(results) {
  console.log('\n━━━ summary')
  for (const { name, counts, seconds } of results) {
    console.log(`${name.padEnd(10)}${words(counts).padEnd(40)}${seconds.toFixed(1).padStart(8)} s`)
  }
  const total = sum(results.map((result) => result.counts))
  if (total.passed + total.failed === 0) throw new Failure('no test file has that in its path.')
  console.log(`\n${words(total)}`)
  printFailures(failures)
  return total.failed > 0 ? 1 : 0
}

// ── The parts ────────────────────────────────────────────────────────────────────────────────────────

async function rustChecks({ deep }) {
  const { code, output } = await node(['scripts/rust-checks.mjs', ...(deep ? ['--deep'] : [])], { deep })
  const counts = [...output.matchAll(/^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored/gm)].map(
    ([, passed, failed, skipped]) => ({ passed: +passed, failed: +failed, skipped: +skipped }),
  )
  if (code !== 0) failures.push(...failuresOfRust(output))
  return withExitCode(counts, code)
}

async function javaScriptSuites(how) {
  const files = testFiles('__test__', how.words).filter((file) => !OWN_PART.some((part) => isUnder(part, file)))
  const kindOf = (file) => /\.(alone|deep)\.test\./.exec(file)?.[1] ?? 'together'
  const together = files.filter((file) => kindOf(file) === 'together')
  const alone = files.filter((file) => kindOf(file) === 'alone' || (how.deep && kindOf(file) === 'deep'))
  return [
    ...(await nodeTests(together, { ...how, atOnce: availableParallelism() })),
    ...(await nodeTests(alone, { ...how, atOnce: 1 })),
  ]
}

// One at a time: these start npm and compilers, which use the cores themselves.
function suite(part, how) {
  return nodeTests(testFiles(join('__test__', part), how.words), { ...how, atOnce: 1 })
}

/** The sanitizer's runtime for Node is that of gcc on Linux. */
function canSanitize() {
  return process.platform === 'linux' && process.arch === 'x64'
}

async function sanitized(how) {
  return asOneTest('the suites over AddressSanitizer', await node(['scripts/sanitize.mjs', ...how.words], how))
}

async function benchmarks({ deep }) {
  const args = ['benches/main.mjs', ...(deep ? ['--check', '--deep'] : ['--smoke'])]
  return asOneTest('the benchmarks', await node(args, { deep }))
}

async function demo({ deep }) {
  const threads = await node(['examples/chain-loop/main.js'], { deep })
  const processes = await node(['examples/chain-loop/main.js', '--processes'], { deep })
  const leases = await node(['examples/lease-queue/main.js'], { deep })
  return [
    ...asOneTest('the demo', threads),
    ...asOneTest('the demo with processes', processes),
    ...asOneTest('the demo of leases', leases),
  ]
}

// ── Running and counting ─────────────────────────────────────────────────────────────────────────────

/** Runs the files with node's test runner: its report for people to see, its TAP for the counts. */
async function nodeTests(files, { deep, atOnce }) {
  if (files.length === 0) return []
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-tests-'))
  const tap = join(folder, 'report.tap')
  try {
    const { code } = await node(
      [
        '--test',
        `--test-concurrency=${atOnce}`,
        `--test-timeout=${deep ? 60 * MINUTE : FILE_LIMIT_MS}`,
        ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
        ...['--test-reporter=tap', `--test-reporter-destination=${tap}`],
        ...files,
      ],
      { deep },
    )
    const report = existsSync(tap) ? readFileSync(tap, 'utf8') : ''
    if (code !== 0) failures.push(...failuresInTap(report))
    return withExitCode([countsInTap(report)], code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function countsInTap(tap) {
  const count = (word) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') + count('cancelled'), skipped: count('skipped') + count('todo') }
}

function node(args, { deep }) {
  // What would change the program under test, or tell it that it runs inside another test run.
  const { NODE_OPTIONS, NODE_TEST_CONTEXT, CHAINLOCK_LOG, CHAINLOCK_DEEP, ...env } = process.env
  const timeout = deep ? 0 : PROGRAM_LIMIT_MS
  return tee(process.execPath, args, { timeout, env: deep ? { ...env, CHAINLOCK_DEEP: '1' } : env })
}

/** A failure that no test has counted counts as one. */
function withExitCode(counts, code) {
  const told = sum(counts).failed > 0
  return code === 0 || told ? counts : [...counts, { passed: 0, failed: 1, skipped: 0 }]
}

function asOneTest(title, { code, output }) {
  if (code !== 0) failures.push(endOf(title, output))
  return [{ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 }]
}

function sum(counts) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const one of counts) for (const kind of Object.keys(total)) total[kind] += one[kind]
  return total
}

function words({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function testFiles(folder, wanted) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, name))
    .filter((file) => /\.test\.(js|cjs|mjs)$/.test(file) && !file.includes('node_modules'))
    .filter((file) => wanted.length === 0 || wanted.some((word) => file.includes(word)))
    .sort()
}

function isUnder(part, file) {
  return file.split(sep)[1] === part
}
