// Runs the JavaScript suites over an addon built with AddressSanitizer: a use after free or an overflow in
// the native code ends the process with a report, and the run with a failure.
//
//   node scripts/sanitize.mjs [WORD …]     a WORD keeps the test files whose path contains it
//
// Linux with glibc, gcc's runtime (libasan) and stable Rust (the flag is unlocked by RUSTC_BOOTSTRAP).
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Failure, addonPath, root, run, runScript, tee } from './env.mjs'

const TARGET = 'x86_64-unknown-linux-gnu'
// These bound times or memory, which the sanitizer multiplies, count to a hundred million, look at sources, or start
// programs and servers without end to look at what only JavaScript does.
const NOT_UNDER_SANITIZER =
  /\.(alone|deep)\.test\.|vectors|blocked-minute|collected|-format|docs|examples|planted|files-faults|stale-|retry|cli|monitor|metrics|prometheus|trace|history|verdicts|snapshot|secrets|-sealed|leases|github-server|servers|register\.test|tcp-proxy/

// A file that hangs is a failure with a name, not a run without an end.
const FILE_LIMIT_MS = 600_000

await runScript(async () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Failure('sanitize runs on Linux x64 only.')
  const addon = build()
  const stage = mkdtempSync(join(tmpdir(), 'chainlock-asan-'))
  try {
    lay(stage, addon)
    return await test(stage, process.argv.slice(2))
  } finally {
    rmSync(stage, { recursive: true, force: true })
  }
})

function build() {
  const directory = join(root, 'target', 'asan')
  run('cargo', ['build', '--release', '--lib', '--target', TARGET, '--target-dir', directory], {
    env: {
      ...process.env,
      RUSTC_BOOTSTRAP: '1',
      RUSTFLAGS: '-Zsanitizer=address',
      CARGO_PROFILE_RELEASE_LTO: 'off',
      CARGO_PROFILE_RELEASE_STRIP: 'none',
      CARGO_PROFILE_RELEASE_DEBUG: 'line-tables-only',
      CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
    },
  })
  return join(directory, TARGET, 'release', 'libchainlock.so')
}

/** A checkout of its own, so that the ordinary addon stays where it is. */
function lay(stage, addon) {
  const isSource = (path) => !path.endsWith('.node')
  const parts = ['package.json', 'index.js', 'index.d.ts', 'bin', 'docs', 'lib', '__test__', 'benches/singleton.js']
  for (const name of parts) {
    cpSync(join(root, name), join(stage, name), { recursive: true, filter: isSource })
  }
  symlinkSync(join(root, 'node_modules'), join(stage, 'node_modules'))
  copyFileSync(addon, join(stage, 'lib', basename(addonPath())))
}

async function test(stage, words) {
  const files = readdirSync(join(stage, '__test__'))
    .filter((name) => /\.test\.m?js$/.test(name) && !NOT_UNDER_SANITIZER.test(name))
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
    .map((name) => join('__test__', name))
  const runtime = execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
  const { code } = await tee(
    process.execPath,
    ['--test', `--test-concurrency=${availableParallelism()}`, `--test-timeout=${FILE_LIMIT_MS}`, '--test-reporter=spec', ...files],
    {
      cwd: stage,
      env: {
        ...process.env,
        LD_PRELOAD: runtime,
        // Node itself leaks on purpose, and its test runner's parent needs no watching.
        ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
        CHAINLOCK_SANITIZED: '1',
      },
    },
  )
  console.log(`F6 AddressSanitizer: ${files.length} suites, ${code === 0 ? '0 reports' : 'failures above'}`)
  return code
}
