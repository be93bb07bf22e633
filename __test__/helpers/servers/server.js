// A server that a test has started: it can be killed, frozen and started again on the same port with the same data,
// and it is gone, with its data, when the test's process is, however that ends.
'use strict'

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { closeSync, mkdtempSync, openSync, readFileSync, readdirSync } = require('node:fs')
const net = require('node:net')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { pause } = require('../waiting')
const { Caretaker } = require('./caretaker')

const HOST = '127.0.0.1'
const LIMIT_MS = 60_000
const LOOK_EVERY_MS = 5
const ATTEMPTS = 20
// Below the ports that outgoing connections are given: while a killed server is down, nobody takes its port.
const LOWEST_PORT = 15_000
const PORTS = 17_000

/** A port that nobody listens on. */
async function freePort() {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS)
    if (await isFree(port)) return port
  }
}

/** @param {number} port @returns {Promise<boolean>} */
function isFree(port) {
  return new Promise((resolve) => {
    const listener = net.createServer()
    listener.once('error', () => resolve(false))
    listener.listen(port, HOST, () => listener.close(() => resolve(true)))
  })
}

/** The processes that a process has started. @param {number} pid @returns {number[]} */
function childrenOf(pid) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((other) => parentOf(other) === pid)
}

/** @param {number} pid */
function parentOf(pid) {
  try {
    // The command stands in brackets and may have any sign in it; state and parent follow.
    return Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop()?.split(' ')[1])
  } catch {
    return undefined
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/**
 * @typedef {object} Kind
 * @property {string} name
 * @property {(server: Server) => { file: string, args: string[], user?: { uid?: number, gid?: number } }} command
 * @property {(server: Server) => Promise<unknown>} answers Fulfilled when the server serves, rejected when not (yet).
 * @property {(server: Server) => Promise<unknown>} [prepare] Before the first start.
 * @property {NodeJS.Signals} [end] What ends it at once and leaves nothing of it in the system.
 */

class Server {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  #stopped = false
  #frozen = false

  /** @param {Kind} kind */
  constructor(kind) {
    this.kind = kind
    this.host = HOST
    this.port = 0
    this.folder = mkdtempSync(join(tmpdir(), `chainlock-${kind.name}-`))
    this.log = join(this.folder, 'server.log')
    this.caretaker = new Caretaker(this.folder, kind.end)
  }

  get pid() {
    return this.#child?.pid
  }

  get address() {
    return `${this.host}:${this.port}`
  }

  get running() {
    return this.#child !== undefined
  }

  /** @param {Server} server A fresh one. */
  static async start(server) {
    try {
      await server.kind.prepare?.(server)
      await server.#startOnAnyPort()
      return server
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  async #startOnAnyPort() {
    for (let attempt = 1; ; attempt++) {
      this.port = await freePort()
      try {
        return await this.#run()
      } catch (error) {
        // Somebody may have taken the port in the meantime.
        if (attempt === 3) throw error
        await this.kill()
      }
    }
  }

  /** Starts it and waits until it answers. */
  async #run() {
    const { file, args, user = {} } = this.kind.command(this)
    const { PATH, TMPDIR } = process.env
    const log = openSync(this.log, 'a')
    const env = { PATH, ...(TMPDIR && { TMPDIR }), LC_ALL: 'C' }
    const child = spawn(file, args, { cwd: this.folder, env, ...user, stdio: ['ignore', log, log], detached: true })
    closeSync(log)
    child.unref()
    this.#child = child
    this.#frozen = false
    this.caretaker.tell(child.pid ?? 0)
    child.once('error', () => this.#ended(child))
    child.once('exit', () => this.#ended(child))
    await this.#untilItAnswers(child)
  }

  #ended(child) {
    if (this.#child !== child) return
    this.#child = undefined
    this.caretaker.tell(0)
  }

  async #untilItAnswers(child) {
    const end = performance.now() + LIMIT_MS
    for (;;) {
      if (this.#child !== child) throw new Error(`${this.kind.name} has ended at once:\n${this.readLog()}`)
      try {
        return await this.kind.answers(this)
      } catch (error) {
        if (performance.now() > end) throw new Error(`${this.kind.name} does not answer: ${error}\n${this.readLog()}`)
        await pause(LOOK_EVERY_MS)
      }
    }
  }

  readLog() {
    return readFileSync(this.log, 'utf8')
  }

  /** All its processes; its first one before those that this one could start again. */
  #processes() {
    const pid = this.pid
    return pid === undefined ? [] : [pid, ...childrenOf(pid)]
  }

  /** Ends it as a loss of power would, data kept. */
  async kill() {
    await this.#end('SIGKILL', this.#processes())
  }

  async #end(name, pids) {
    const child = this.#child
    if (!child || child.pid === undefined) return
    child.ref()
    const gone = once(child, 'exit')
    for (const pid of pids) signal(pid, name)
    await gone
  }

  /** Starts it again with the same data on the same port; kills it before if it still runs. */
  async restart() {
    if (this.#stopped) throw new Error(`this ${this.kind.name} is stopped for good`)
    await this.kill()
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#run()
      } catch (error) {
        // What is left of the killed one may take a moment to go.
        if (attempt === ATTEMPTS || this.running) throw error
        await pause(LOOK_EVERY_MS * attempt)
      }
    }
  }

  /** Freezes it: its connections stay open, and nothing answers. */
  pause() {
    const pid = this.pid
    if (pid === undefined) throw new Error(`this ${this.kind.name} does not run`)
    // The first one at first: it then starts no more of the others.
    signal(pid, 'SIGSTOP')
    const children = childrenOf(pid)
    this.caretaker.tell(pid, ...children)
    for (const child of children) signal(child, 'SIGSTOP')
    this.#frozen = true
  }

  resume() {
    for (const pid of this.#processes()) signal(pid, 'SIGCONT')
    this.#frozen = false
  }

  /** Ends it for good and removes its data. */
  async stop() {
    if (this.#stopped) return
    this.#stopped = true
    if (this.#frozen) this.resume()
    if (this.pid !== undefined) await this.#end(this.kind.end ?? 'SIGKILL', [this.pid])
    await this.caretaker.dismiss()
  }

  [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    return this.stop()
  }
}

module.exports = { Server }
