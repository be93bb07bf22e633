// A real terminal of a chosen size: tmux with a shell in it, its screen as text, its keyboard.
'use strict'

const { execFileSync, spawnSync } = require('node:child_process')
const { pause } = require('./waiting')

let made = 0
const LIMIT_MS = 60_000

/** Why there is no terminal to test with; false if there is one. */
const whyNoTerminal = () => (spawnSync('tmux', ['-V']).status === 0 ? false : 'NOT TESTED: tmux is not installed')

class Terminal {
  constructor(columns, rows) {
    this.socket = `chainlock-test-${process.pid}-${(made += 1)}`
    const size = ['-x', String(columns), '-y', String(rows)]
    const env = ['-e', 'LC_ALL=C.UTF-8', '-e', 'PS1=$ ', '-e', 'ENV=']
    this.tmux('new-session', '-d', ...size, ...env, 'sh')
    // A line at the foot would take one from the program.
    this.tmux('set', '-g', 'status', 'off')
    this.tmux('set', '-g', 'window-size', 'manual')
    this.tmux('resize-window', ...size)
  }

  tmux(...args) {
    return execFileSync('tmux', ['-u', '-L', this.socket, '-f', '/dev/null', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /** What stands on the screen, a line each. */
  lines() {
    return this.tmux('capture-pane', '-p').replace(/\n$/, '').split('\n')
  }

  text() {
    return this.lines().join('\n')
  }

  /** Names of keys as tmux knows them: 'Enter', 'C-c', 'Up'. */
  press(...keys) {
    this.tmux('send-keys', ...keys)
  }

  /** Text, as if typed, and return. */
  type(text) {
    this.tmux('send-keys', '-l', text)
    this.press('Enter')
  }

  resize(columns, rows) {
    this.tmux('resize-window', '-x', String(columns), '-y', String(rows))
  }

  ask(format) {
    return this.tmux('display-message', '-p', format).trim()
  }

  /** Looks until the screen says so; the terminal tells nobody when it changes. */
  async until(wanted, what = String(wanted)) {
    const started = performance.now()
    for (;;) {
      const text = this.text()
      if (typeof wanted === 'function' ? wanted(text) : wanted.test(text)) return text
      if (performance.now() - started > LIMIT_MS) throw new Error(`not within ${LIMIT_MS} ms: ${what}; the screen:\n${text}`)
      await pause(30)
    }
  }

  close() {
    spawnSync('tmux', ['-L', this.socket, 'kill-server'])
  }
}

module.exports = { Terminal, whyNoTerminal }
