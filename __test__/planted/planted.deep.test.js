// Whether the tests can fail: plants one bug at a time in a copy of this tree, builds it where it is native,
// and wants to see the named test fail. Without the bug the same test has to pass. What a Rust test is to see
// needs no addon, but its own build.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { root } = require('../helpers/package')
const { engineTest } = require('../helpers/servers')
const bugs = require('./bugs')
const leases = require('./lease-bugs')

const SCRIPTED = [...bugs.SCRIPTED, ...leases.SCRIPTED]
const { NATIVE } = bugs
const { PROOFS } = leases

const LEFT_OUT = ['node_modules', 'target', '.git']

let copy
before(() => {
  copy = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-planted-'))
  const filter = (source) => !LEFT_OUT.includes(path.basename(source))
  fs.cpSync(root, copy, { recursive: true, filter })
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'), 'dir')
})
after(() => fs.rmSync(copy, { recursive: true, force: true }))

function run(command, args, env = {}) {
  const { NODE_TEST_CONTEXT, NODE_OPTIONS, CHAINLOCK_DEEP, ...clean } = process.env
  const child = spawn(command, args, { cwd: copy, env: { ...clean, ...env }, shell: process.platform === 'win32' })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  return new Promise((resolve, reject) => child.on('error', reject).on('close', (code) => resolve({ code, output })))
}

/** Runs one test of a suite of the copy: 'ok', 'not ok', or undefined when it did not run. */
async function verdict(suite, name) {
  const pattern = `^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`
  const { output } = await run(process.execPath, ['--test', '--test-reporter=tap', '--test-timeout=60000', `--test-name-pattern=${pattern}`, path.join('__test__', suite)])
  const lines = output.split('\n').map((line) => line.trim()).filter((line) => line.endsWith(` - ${name}`))
  return lines.map((line) => /^(not ok|ok) /.exec(line)?.[1]).find(Boolean)
}

/** Runs one Rust test of the copy: 'ok', 'not ok', or undefined when it did not run, or was skipped. */
async function proved(name, env) {
  const quick = { CARGO_TARGET_DIR: path.join(copy, 'target'), CARGO_PROFILE_TEST_OPT_LEVEL: '1', CARGO_PROFILE_TEST_DEBUG: '0' }
  const stores = 'sqlite,redis,postgres,etcd,github'
  const args = ['test', '--lib', '--no-default-features', '--features', stores, '--', '--exact', name, '--nocapture']
  const { output } = await run('cargo', args, { ...quick, ...env })
  if (output.includes('SKIPPED')) return undefined
  const word = /^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed/m.exec(output)
  if (word === null || Number(word[2]) + Number(word[3]) !== 1) return undefined
  return word[1] === 'ok' ? 'ok' : 'not ok'
}

/** With what names the servers of the stores, when the proof needs one. */
async function withStores({ engine }, body) {
  if (engine === undefined) return body({})
  const { withServers } = await import(pathToFileURL(path.join(root, 'scripts', 'lease-servers.mjs')).href)
  await withServers(body)
}

/** A build that is soon done; the time of the tests is not what counts here. */
async function build() {
  const quick = { CARGO_TARGET_DIR: path.join(copy, 'target'), CARGO_PROFILE_RELEASE_LTO: 'off', CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16', CARGO_PROFILE_RELEASE_OPT_LEVEL: '1' }
  const { code, output } = await run('npm', ['run', 'build'], quick)
  assert.equal(code, 0, output.slice(-4_000))
}

async function withBug({ file, from, to }, body) {
  const at = path.join(copy, file)
  const original = fs.readFileSync(at, 'utf8')
  assert.equal(original.split(from).length, 2, `${file} has the place of the bug once`)
  fs.writeFileSync(at, original.replace(from, () => to))
  try {
    return await body()
  } finally {
    fs.writeFileSync(at, original)
  }
}

describe('planted bugs', () => {
  for (const bug of [...SCRIPTED, ...NATIVE]) {
    test(`without it: ${bug.test}`, async () => assert.equal(await verdict(bug.suite, bug.test), 'ok'))
  }

  for (const bug of SCRIPTED) {
    test(`${bug.name}: seen by "${bug.test}"`, () =>
      withBug(bug, async () => assert.equal(await verdict(bug.suite, bug.test), 'not ok')))
  }

  for (const bug of NATIVE) {
    test(`${bug.name}: seen by "${bug.test}"`, () =>
      withBug(bug, async () => {
        await build()
        assert.equal(await verdict(bug.suite, bug.test), 'not ok')
      }))
  }
})

describe('planted bugs that a Rust test sees', () => {
  for (const bug of new Map(PROOFS.map((one) => [one.proof, one])).values()) {
    engineTest(`without it: ${bug.proof}`, bug.engine ?? 'sqlite', () =>
      withStores(bug, async (env) => assert.equal(await proved(bug.proof, env), 'ok')))
  }

  for (const bug of PROOFS) {
    engineTest(`${bug.name}: seen by ${bug.proof}`, bug.engine ?? 'sqlite', () =>
      withBug(bug, () => withStores(bug, async (env) => assert.equal(await proved(bug.proof, env), 'not ok'))))
  }
})
