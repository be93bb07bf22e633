// Child processes whose program is a function of the test.
'use strict'

const { spawn } = require('node:child_process')
const { root } = require('./package')

/** What would change the program under test. */
function cleanEnv(extra) {
  const { NODE_OPTIONS, NODE_TEST_CONTEXT, CHAINLOCK_LOG, CHAINLOCK_JOURNAL, ...env } = process.env
  return { ...env, ...extra }
}

function sourceOf(program, data) {
  return `const chainlock = require(${JSON.stringify(root)});(${program})({ chainlock, data: ${JSON.stringify(data ?? null)} })`
}

/**
 * Starts `node` with `program({ chainlock, data })`, in front of it, if given, another command.
 * @param {Function} program
 * @param {unknown} [data]
 * @param {{ env?: object, nodeArgs?: string[], command?: string[] }} [options]
 */
function startNode(program, data, { env = {}, nodeArgs = [], command = [] } = {}) {
  const [file, ...args] = [...command, process.execPath, ...nodeArgs, '-e', sourceOf(program, data)]
  const child = spawn(file, args, { env: cleanEnv(env), stdio: ['pipe', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const stream of /** @type {const} */ (['stdout', 'stderr'])) {
    child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text))
  }
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, ...output }))
  })
  return { child, output, ended }
}

/** Runs it to its end, or kills it when it hangs: then `hung` is true. */
async function runNode(program, data, { limitMs = 120_000, ...options } = {}) {
  const { child, ended } = startNode(program, data, options)
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    child.kill('SIGKILL')
  }, limitMs)
  const result = await ended
  clearTimeout(timer)
  return { ...result, hung }
}

/** Resolves when the child has written `text` to its stdout. */
function said({ child, output, ended }, text) {
  return new Promise((resolve, reject) => {
    const look = () => output.stdout.includes(text) && resolve(output.stdout)
    child.stdout.on('data', look)
    ended.then(({ code, signal, stderr }) => reject(new Error(`ended (${code ?? signal}) before '${text}': ${stderr}`)))
    look()
  })
}

module.exports = { startNode, runNode, said }
