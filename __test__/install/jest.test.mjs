// Under Jest, whose module registries and contexts would give every test file a singleton of its own: one
// lock per process all the same.
import assert from 'node:assert/strict'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { bareEnvironment, jestFolder, pack, programs, projectWith, run } from './workshop.mjs'

const FILES = ['executor.test.js', 'monitor.test.js']
// Jest's own five seconds are little on a busy machine, which loads the package four times in one test.
const HANGS_MS = 60_000
let project

before(async () => {
  project = await projectWith(await pack(), { jest: { transform: {}, testEnvironment: 'node' } })
  for (const file of FILES) copyFileSync(join(programs, 'controller.jest.js'), join(project, file))
})

test('jest --runInBand: two files in one process, one lock', async () => {
  const seen = await jest('--runInBand')
  assert.equal(seen[0].pid, seen[1].pid)
  assert.deepEqual(tokensOf(seen), [1, 2])
})

test('jest with its default workers: no two holds of a process have the same token', async () => {
  const seen = await jest()
  const holds = seen.map(({ pid, token }) => `${pid}:${token}`)
  assert.equal(new Set(holds).size, seen.length, holds.join(' '))
})

test('jest with two worker processes: each has its own lock', async () => {
  const seen = await jest('--maxWorkers=2')
  assert.notEqual(seen[0].pid, seen[1].pid)
  assert.deepEqual(tokensOf(seen), [1, 1])
})

test('jest with worker threads: two threads, one lock', async () => {
  const seen = await jest('--maxWorkers=2', '--workerThreads')
  assert.equal(seen[0].pid, seen[1].pid)
  assert.deepEqual(tokensOf(seen), [1, 2])
})

/** Runs Jest over the project; answers what each file saw. */
async function jest(...options) {
  const program = join(await jestFolder(), 'jest', 'bin', 'jest.js')
  await run(process.execPath, [program, '--ci', '--no-cache', '--watchman=false', `--testTimeout=${HANGS_MS}`, ...options], {
    cwd: project,
    env: bareEnvironment(),
  })
  return FILES.map((file) => JSON.parse(readFileSync(join(project, `${file}.seen.json`), 'utf8')))
}

function tokensOf(seen) {
  return seen.map(({ token }) => token).sort()
}
