// The command line as its users start it: with pipes, or at a terminal that a test types into (tmux).
'use strict'

const { spawn, execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { root } = require('./package')
const { pause } = require('./waiting')

const program = path.join(root, 'bin', 'chainlock.js')

function cleanEnv(extra) {
  const { NODE_OPTIONS, NODE_TEST_CONTEXT, CHAINLOCK_LOG, FORCE_COLOR, NO_COLOR, ...env } = process.env
  return { ...env, ...extra }
}

/**
 * Starts `chainlock` with these arguments; `ended` gives code, signal and what it wrote.
 * @param {string[]} args
 * @param {{ env?: object, uid?: number, cwd?: string }} [options]
 */
function startCommand(args, { env = {}, ...options } = {}) {
  const child = spawn(process.execPath, [program, ...args], { env: cleanEnv(env), stdio: ['pipe', 'pipe', 'pipe'], ...options })
  const output = { stdout: '', stderr: '' }
  for (const stream of /** @type {const} */ (['stdout', 'stderr'])) {
    child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text))
  }
  child.stdin.on('error', () => {})
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, ...output })))
  return { child, output, ended, pid: child.pid }
}

/** Runs it to its end, with nothing on its stdin. */
function command(args, options) {
  const started = startCommand(args, options)
  started.child.stdin.end()
  return started.ended
}

const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`

/** Whether there is a tmux here. */
function hasTmux() {
  try {
    execFileSync('tmux', ['-V'])
    return true
  } catch {
    return false
  }
}

/** A terminal of its own; gone with the test. */
function terminal(t, { columns = 120, rows = 30, env = {} } = {}) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-test-'))
  const socket = path.join(home, 'tmux')
  const tmux = (...args) => execFileSync('tmux', ['-S', socket, '-f', '/dev/null', ...args], { encoding: 'utf8', env: cleanEnv(env) })
  tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), 'env PS1="$ " sh')
  t.after(() => {
    tmux('kill-server')
    fs.rmSync(home, { recursive: true, force: true })
  })
  const screen = () => tmux('capture-pane', '-p')
  /** Waits until the screen shows `pattern`. */
  async function shows(pattern, limitMs = 30_000) {
    const end = performance.now() + limitMs
    for (;;) {
      const text = screen()
      if (pattern.test(text)) return text
      if (performance.now() > end) throw new Error(`the screen does not show ${pattern}:\n${text}`)
      await pause(20)
    }
  }
  return {
    screen,
    shows,
    type: (text) => tmux('send-keys', '-l', text),
    key: (name) => tmux('send-keys', name),
    /** Starts `chainlock` there, on an empty screen; its exit code is said in a line of its own. */
    async run(args) {
      tmux('send-keys', '-l', 'clear')
      tmux('send-keys', 'Enter')
      await shows(/^\$\s*$/)
      tmux('send-keys', '-l', `${[process.execPath, program, ...args].map(quoted).join(' ')}; echo "code <$?>"`)
      tmux('send-keys', 'Enter')
    },
  }
}

module.exports = { startCommand, command, terminal, hasTmux }
