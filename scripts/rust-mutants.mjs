#!/usr/bin/env node
// One weakened ordering at a time, in a copy of the sources: loom must notice each (F4, for orderings).
// Prints which test killed which mutant; one that survives is a failure.

import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const WORDS = ['src/raw/hold_word.rs', 'src/raw/seqlock.rs', 'src/table/ring.rs']
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
} finally {
  rmSync(copy, { recursive: true, force: true })
}
if (survivors > 0) process.exitCode = 1
