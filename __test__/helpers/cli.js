// The command line as a user starts it: its output and exit code, and processes for it to look at.
'use strict'

const { spawn } = require('node:child_process')
const path = require('node:path')
const { root } = require('./package')
const { startNode, said } = require('./processes')

const BIN = path.join(root, 'bin', 'chainlock.js')
/** Whatever hangs is ended, and fails by its signal. */
const LIMIT_MS = 60_000

/** What would change how it speaks. */
function plainEnv(extra) {
  const { NODE_OPTIONS, NODE_TEST_CONTEXT, NO_COLOR, FORCE_COLOR, CHAINLOCK_LOG, CHAINLOCK_JOURNAL, ...env } =
    process.env
  return { ...env, ...extra }
}

/** @param {string[]} args `command`: what stands in front of it, if anything. */
function startCli(args, { env = {}, nodeArgs = [], command = [], ...how } = {}) {
  const [file, ...rest] = [...command, process.execPath, ...nodeArgs, BIN, ...args]
  const child = spawn(file, rest, {
    env: plainEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...how,
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of /** @type {const} */ (['stdout', 'stderr'])) {
    child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text))
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, ...output })
    })
  })
  return { child, output, ended }
}

/**
 * @param {string[]} args
 * @returns {Promise<{ code: number, signal: string | null, stdout: string, stderr: string }>}
 */
const runCli = (args, how) => startCli(args, how).ended

/**
 * A process that runs `program` and then says 'ready'; ends with the test.
 * @param {import('node:test').TestContext} t
 * @param {Function} program
 * @param {unknown} [data]
 */
async function patient(t, program, data) {
  const started = startNode(program, data)
  t.after(async () => {
    started.child.kill('SIGKILL')
    await started.ended
  })
  await said(started, 'ready')
  return { ...started, pid: /** @type {number} */ (started.child.pid) }
}

module.exports = { BIN, startCli, runCli, patient }
