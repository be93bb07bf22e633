// A session in a child process, where there is no tmux: lines go to its standard input, its screen is a
// file. Only the thread that started the process can write to it, so other threads hand it their lines.
'use strict'

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { MessageChannel } = require('node:worker_threads')

/** How another thread reaches the session. */
class PipeEnd {
  #port
  #screenFile
  #sent = new Map()
  #count = 0

  constructor({ port, screenFile }) {
    this.#port = port
    this.#screenFile = screenFile
    port.on('message', (number) => this.#confirm(number))
    port.unref()
  }

  send(line) {
    const number = ++this.#count
    this.#port.ref()
    this.#port.postMessage({ number, line })
    return new Promise((resolve) => this.#sent.set(number, resolve))
  }

  async screen() {
    return fs.readFileSync(this.#screenFile, 'utf8')
  }

  #confirm(number) {
    this.#sent.get(number)()
    this.#sent.delete(number)
    if (this.#sent.size === 0) this.#port.unref()
  }
}

/** How another process reaches it: by the demo, its parent. */
class PipeEndOfProcess {
  #screenFile
  #sent = new Map()

  constructor({ screenFile }) {
    this.#screenFile = screenFile
    process.on('message', ({ confirmed }) => this.#sent.get(confirmed)?.())
  }

  send(line) {
    const number = this.#sent.size + 1
    process.channel.ref()
    process.send({ type: 'line', number, line })
    return new Promise((resolve) => this.#sent.set(number, resolve)).finally(() => process.channel.unref())
  }

  async screen() {
    return fs.readFileSync(this.#screenFile, 'utf8')
  }
}

/** Starts `command` as a child process; `close()` ends it. */
class PipeSession {
  #child
  #screenFile

  constructor([program, ...args], directory) {
    this.#screenFile = path.join(directory, 'screen.txt')
    const screen = fs.openSync(this.#screenFile, 'a')
    this.#child = spawn(program, args, { stdio: ['pipe', screen, 'inherit'] })
    fs.closeSync(screen)
  }

  send(line) {
    return new Promise((resolve, reject) => {
      this.#child.stdin.write(line + '\n', (error) => (error ? reject(error) : resolve()))
    })
  }

  async screen() {
    return fs.readFileSync(this.#screenFile, 'utf8')
  }

  /** What another thread needs to reach this session; the port in it has to be transferred. */
  address() {
    const { port1, port2 } = new MessageChannel()
    port1.on('message', async ({ number, line }) => {
      await this.send(line)
      port1.postMessage(number)
    })
    port1.unref()
    return { kind: 'pipe', port: port2, screenFile: this.#screenFile }
  }

  /** What another process needs to reach it. */
  addressForProcess() {
    return { kind: 'process', screenFile: this.#screenFile }
  }

  close() {
    this.#child.kill()
  }
}

module.exports = { PipeEnd, PipeEndOfProcess, PipeSession }
