// A session in a real tmux pane, on a tmux server of its own: the user's server and settings stay out of it.
'use strict'

const { execFile, execFileSync, spawnSync } = require('node:child_process')
const { randomBytes } = require('node:crypto')
const os = require('node:os')
const path = require('node:path')
const { promisify } = require('node:util')

const PANE = 'session'
const INSTALL_LIMIT_MS = 25_000

/** The version of tmux, or null where there is none. */
function tmuxVersion() {
  const { status, stdout } = spawnSync('tmux', ['-V'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : null
}

/** The command that installs tmux without asking anybody anything; null where none is known. */
function installCommand() {
  if (os.platform() === 'darwin') return 'brew install --quiet tmux'
  if (os.platform() !== 'linux' || process.getuid() !== 0) return null
  const install = 'DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends tmux'
  return `${install} || { apt-get update -q && ${install}; }`
}

/** Whether tmux is there, after an attempt to install it where it is missing; `say` hears what happens. */
function ensureTmux(say) {
  if (tmuxVersion()) return true
  const command = installCommand()
  if (!command) {
    say('tmux is missing, and installing it needs root (or Homebrew)')
    return false
  }
  say('tmux is missing: trying to install it')
  spawnSync('sh', ['-c', command], { stdio: 'ignore', timeout: INSTALL_LIMIT_MS })
  return tmuxVersion() !== null
}

/** How any thread reaches the pane: `send` types one line into it, `screen` reads all it has shown. */
class TmuxPane {
  #server

  constructor(socket) {
    this.#server = ['-u', '-S', socket]
  }

  async send(line) {
    const buffer = `line-${randomBytes(4).toString('hex')}`
    // One command list, so that nothing can come between the text and its Enter. The text comes by
    // standard input, where neither its length nor a trailing semicolon means anything to tmux.
    const load = ['load-buffer', '-b', buffer, '-', ';']
    const paste = ['paste-buffer', '-d', '-b', buffer, '-t', PANE, ';']
    await this.#tmux([...load, ...paste, 'send-keys', '-t', PANE, 'Enter'], line)
  }

  screen() {
    return this.#tmux(['capture-pane', '-p', '-J', '-S', '-', '-t', PANE])
  }

  async #tmux(args, input) {
    const run = promisify(execFile)('tmux', [...this.#server, ...args], { maxBuffer: 64 * 1024 * 1024 })
    // A client that needs no input may be gone before it is given none; how it fared, its exit code says.
    run.child.stdin.on('error', () => {})
    run.child.stdin.end(input)
    return (await run).stdout
  }
}

/** Starts `command` in a pane; `close()` ends the pane and its server. */
class TmuxSession extends TmuxPane {
  #socket

  constructor(command, directory) {
    const socket = path.join(directory, 'tmux')
    super(socket)
    this.#socket = socket
    const start = ['start-server', ';', 'set-option', '-g', 'history-limit', '100000', ';']
    const pane = ['new-session', '-d', '-s', PANE, '-x', '160', '-y', '50', ...command]
    execFileSync('tmux', ['-u', '-S', socket, '-f', '/dev/null', ...start, ...pane])
  }

  /** What another thread needs to reach this pane. */
  address() {
    return { kind: 'tmux', socket: this.#socket }
  }

  close() {
    spawnSync('tmux', ['-S', this.#socket, 'kill-server'], { stdio: 'ignore' })
  }
}

module.exports = { ensureTmux, tmuxVersion, TmuxPane, TmuxSession }
