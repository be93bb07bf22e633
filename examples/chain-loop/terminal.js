// The terminal that the session runs in: a tmux pane, or a child process where tmux cannot be had.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { PipeEnd, PipeEndOfProcess, PipeSession } = require('./pipe.js')
const { TmuxPane, TmuxSession } = require('./tmux.js')

/** Starts the session program; `send(line)`, `screen()`, `address()`, `close()`. */
function openSession(kind, directory) {
  fs.mkdirSync(path.join(directory, 'results'), { recursive: true })
  const command = [process.execPath, path.join(__dirname, 'session.js'), directory, String(process.pid)]
  return kind === 'tmux' ? new TmuxSession(command, directory) : new PipeSession(command, directory)
}

/** Reaches a session from another thread or process; `send(line)` and `screen()`. */
function connect(address) {
  if (address.kind === 'process') return new PipeEndOfProcess(address)
  return address.kind === 'tmux' ? new TmuxPane(address.socket) : new PipeEnd(address)
}

module.exports = { openSession, connect }
