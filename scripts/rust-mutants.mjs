#!/usr/bin/env node
// What would the tests notice (F4)? In a copy of the sources:
//   1. one weakened ordering at a time: loom must notice each;
//   2. one changed expression at a time in src/raw and src/local, by cargo-mutants if that is installed: at
//      least 90 % must be noticed. An eighth of them, another one every day; `--all` takes all (hours).
// Prints what was noticed by which test, and what by none.

import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const WORDS = ['src/raw/hold_word.rs', 'src/raw/seqlock.rs', 'src/raw/versions.rs', 'src/table/ring.rs']
const STRONG = /Ordering::(Acquire|Release|AcqRel|SeqCst)/

/** Every line of code that orders something, with that line as it would be without. */
function mutants() {
  return WORDS.flatMap((file) => {
    const lines = readFileSync(join(root, file), 'utf8').split('\n')
    return lines.flatMap((line, index) => {
      if (line.trim().startsWith('//') || !STRONG.test(line)) return []
      const isFence = line.trim().startsWith('fence(')
      const weak = isFence ? '' : line.replace(STRONG, 'Ordering::Relaxed')
      return [{ file, index, what: `${file}:${index + 1} ${line.trim()}`, lines, weak }]
    })
  })
}

/** Runs loom on the copy until a test fails; answers which, or undefined when all pass. */
function firstFailure(copy) {
  const args = ['test', '--no-default-features', '--features', 'loom', '--lib', '--', 'tests::loom']
  const env = { ...process.env, CARGO_TARGET_DIR: join(root, 'target') }
  delete env.CHAINLOCK_DEEP
  // A process group of its own, so that cargo and the test end together.
  const child = spawn('cargo', args, { cwd: copy, env, detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  return new Promise((resolve, reject) => {
    let output = ''
    let killer
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (killer !== undefined) return
      killer = /^test (tests::loom::\w+) \.\.\. FAILED$/m.exec(output)?.[1]
      if (killer !== undefined) process.kill(-child.pid, 'SIGKILL')
    })
    child.on('error', reject)
    child.on('close', (status) => {
      if (killer === undefined && status !== 0) reject(new Error('the mutant does not compile'))
      else resolve(killer)
    })
  })
}

const SHARDS = 8
const LEAST = 90

/** Runs a program in the copy; answers its exit code and its output. */
function run(copy, program, args, env) {
  const child = spawn(program, args, { cwd: copy, env: { ...process.env, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => {
    child.on('error', () => resolve({ status: -1, output }))
    child.on('close', (status) => resolve({ status, output }))
  })
}

/** Changes expressions one by one; answers whether enough of the mutants were noticed. */
async function expressions(copy) {
  const { status } = await run(copy, 'cargo', ['mutants', '--version'])
  if (status !== 0) {
    console.log('skip the changed expressions: cargo-mutants is not installed (cargo install cargo-mutants --locked)')
    return true
  }
  const today = Math.floor(Date.now() / 86_400_000) % SHARDS
  const shard = process.argv.includes('--all') ? [] : ['--shard', `${today}/${SHARDS}`, '--sharding', 'round-robin']
  const args = ['mutants', '--in-place', '--no-default-features', '--timeout', '120', ...shard]
  args.push('-f', 'src/raw/*.rs', '-f', 'src/local/*.rs', '-o', join(copy, 'mutants'))
  args.push('--', '--lib', '--', 'local::', 'raw::', 'send::', 'locks_', 'deadlock', 'differential', 'vectors')
  // Light builds and a part of each proof: what is noticed at all is noticed early.
  const env = { CARGO_TARGET_DIR: join(copy, 'target'), CARGO_PROFILE_TEST_OPT_LEVEL: '1', CARGO_PROFILE_TEST_DEBUG: '0' }
  const { output } = await run(copy, 'cargo', args, { ...env, CHAINLOCK_SMALL: '1' })
  for (const [, mutant] of output.matchAll(/^MISSED\s+(.*)$/gm)) console.log(`MISSED ${mutant}`)
  const count = (word) => Number(new RegExp(`(\\d+) ${word}`).exec(output.slice(output.lastIndexOf('mutants tested')))?.[1] ?? 0)
  const noticed = count('caught') + count('timeout')
  const all = noticed + count('missed')
  const share = all === 0 ? 0 : (100 * noticed) / all
  console.log(`mutants noticed: ${noticed} of ${all}, ${share.toFixed(1)} % (bar: ${LEAST} %)`)
  if (all === 0) console.log(output)
  return share >= LEAST
}

const copy = mkdtempSync(join(tmpdir(), 'chainlock-mutants-'))
let survivors = 0
try {
  for (const part of ['src', 'Cargo.toml', 'Cargo.lock', 'build.rs', 'package.json', '__test__/vectors']) {
    cpSync(join(root, part), join(copy, part), { recursive: true })
  }
  for (const { file, index, what, lines, weak } of mutants()) {
    writeFileSync(join(copy, file), lines.with(index, weak).join('\n'))
    const killer = await firstFailure(copy)
    console.log(killer === undefined ? `SURVIVED ${what}` : `killed ${what} by ${killer}`)
    survivors += killer === undefined ? 1 : 0
    writeFileSync(join(copy, file), lines.join('\n'))
  }
  if (!(await expressions(copy))) process.exitCode = 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}
if (survivors > 0) process.exitCode = 1
