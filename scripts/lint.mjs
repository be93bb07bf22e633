// `npm run lint`: what must hold beside the tests. Runs every check though one fails, and names those that
// failed. `node scripts/lint.mjs WORD …` runs the checks whose name contains a word.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensure } from './ensure.mjs'
import { Failure, npm, root, run, runScript, tee } from './env.mjs'

const GENERATED = ['lib/binding.cjs', 'lib/binding.d.cts']
const STORES = 'sqlite,redis,postgres,etcd,github'
const WARNINGS_ARE_ERRORS = ['--', '--deny', 'warnings']

const CHECKS = {
  rustfmt: () => run('cargo', ['fmt', '--check']),
  'the baseline addon': baselineAddon,
  // The addon has no Rust tests: in a test build nothing would call what JavaScript calls.
  clippy: () => run('cargo', ['clippy', '--locked', '--lib', ...WARNINGS_ARE_ERRORS]),
  'clippy without the addon': () =>
    run('cargo', ['clippy', '--locked', '--all-targets', '--no-default-features', ...WARNINGS_ARE_ERRORS]),
  'clippy with the stores': () =>
    run('cargo', ['clippy', '--locked', '--all-targets', '--no-default-features', '--features', STORES, ...WARNINGS_ARE_ERRORS]),
  tidy: tidyTests,
  typings: () => run(process.execPath, ['--test', '__test__/types/typings.test.mjs']),
  'generated files are fresh': generatedFiles,
  'the man page is fresh': () => run(process.execPath, ['scripts/man.mjs', '--check']),
  'npm pack': packSmoke,
}

await runScript(async () => {
  ensure()
  const failed = []
  for (const [name, check] of Object.entries(chosenChecks())) {
    if (!(await holds(name, check))) failed.push(name)
  }
  console.log(failed.length === 0 ? '\nlint: all checks hold' : `\nlint: failed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
})

function chosenChecks() {
  const words = process.argv.slice(2)
  const chosen = Object.entries(CHECKS).filter(([name]) => words.length === 0 || words.some((word) => name.includes(word)))
  if (chosen.length === 0) throw new Failure(`no check has that in its name; there are: ${Object.keys(CHECKS).join(', ')}`)
  return Object.fromEntries(chosen)
}

async function holds(name, check) {
  console.log(`\n━━━ ${name}`)
  const started = performance.now()
  try {
    await check()
    console.log(`━━━ ${name}: holds, ${((performance.now() - started) / 1000).toFixed(1)} s`)
    return true
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.log(`━━━ ${name}: FAILED: ${error.message}`)
    return false
  }
}

// ── The checks that are more than one command ────────────────────────────────────────────────────────

/** The benchmarks' empty addon is a crate of its own. */
function baselineAddon() {
  const manifest = ['--manifest-path', 'benches/noop-addon/Cargo.toml']
  run('cargo', ['fmt', '--check', ...manifest])
  run('cargo', ['clippy', '--locked', '--all-targets', ...manifest, ...WARNINGS_ARE_ERRORS])
}

async function tidyTests() {
  const { code, output } = await tee('cargo', ['test', '--locked', '--no-default-features', '--lib', 'tidy'])
  if (code !== 0) throw new Failure('the source breaks a rule of the house')
  if (!/^test result: ok\. [1-9]/m.test(output)) throw new Failure('no tidy test ran')
}

/** Builds once more and compares with what is committed. */
function generatedFiles() {
  npm(['run', 'build', '--silent'])
  run('git', ['ls-files', '--error-unmatch', ...GENERATED], { stdio: ['ignore', 'ignore', 'inherit'] })
  const { status } = spawnSync('git', ['diff', '--exit-code', '--', ...GENERATED], { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Failure('what `npm run build` generates is not what is committed: commit it')
}

/** Packs as a user would, installs the tarball into an empty project and takes the lock there. */
function packSmoke() {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-pack-'))
  try {
    npm(['pack', '--silent', '--pack-destination', folder])
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    npm(['install', '--offline', '--no-audit', '--no-fund', '--silent', `./${tarball}`], { cwd: folder })
    const program = "process.exitCode = require('chainlock').tryAcquireSendLock('test-layer') ? 0 : 1"
    run(process.execPath, ['--eval', program], { cwd: folder })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
