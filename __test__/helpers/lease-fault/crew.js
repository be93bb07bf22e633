// The workers of a fault test: processes that are killed and started again, each with its own way to the server, and
// some with a wall clock of their own.
'use strict'

const { spawn } = require('node:child_process')
const { writeFileSync } = require('node:fs')
const { once } = require('node:events')
const { join } = require('node:path')
const { clockLibrary } = require('../faketime')
const { nowMs } = require('../register')

const WORKER = join(__dirname, 'worker.js')

/** One place in the crew: whoever works there now, and what is done to it. */
class Member {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  child
  number = 0
  /** Keys that it holds, as far as it has said. @type {Set<string>} */
  held = new Set()
  /** It is being hit: what else happened to it would tell nothing. */
  isHit = false
  isEnding = false
  /** When something else than its own event loop was in its way: `[from, until]`. @type {[number, number][]} */
  troubles = []

  /** @param {{ place: number, data: object, proxy?: any, clockFile?: string, heard: (member: Member, message: any) => void }} of */
  constructor({ place, data, proxy, clockFile, heard }) {
    Object.assign(this, { place, data, proxy, clockFile, heard })
  }

  get worker() {
    return `w${this.place}.${this.number}`
  }

  /** Starts whoever works here next. */
  start() {
    this.number += 1
    this.held.clear()
    const { NODE_OPTIONS, NODE_TEST_CONTEXT, ...clean } = process.env
    const data = { ...this.data, worker: this.worker, seed: this.data.seed + 1_000 * this.place + this.number }
    const child = spawn(process.execPath, [WORKER, JSON.stringify(data)], { env: { ...clean, ...this.#clock() }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.child = child
    child.on('message', (message) => this.child === child && this.heard(this, message))
    child.on('error', () => {})
    child.on('exit', (code, signal) => this.child === child && !this.isEnding && this.heard(this, { died: signal ?? code }))
  }

  #clock() {
    if (!this.clockFile) return {}
    const library = clockLibrary()
    return { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: this.clockFile, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }
  }

  /** @param {string} offset As faketime has it: `+2h`. */
  jump(offset) {
    if (this.clockFile) writeFileSync(this.clockFile, offset)
  }

  signal(name) {
    this.child?.kill(name)
  }

  /** Kills it, and answers when that was. Another one takes its place. */
  async kill() {
    const child = this.child
    const at = nowMs()
    this.child = undefined
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    this.start()
    return at
  }

  send(message) {
    this.child?.send(message, () => {})
  }

  /** Lets it end its work, or kills it when it does not within the limit; whether it has ended by itself. */
  async end(limitMs) {
    this.isEnding = true
    const child = this.child
    if (!child || child.exitCode !== null || child.signalCode !== null) return false
    const gone = once(child, 'exit')
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
    this.send({ stop: true })
    await gone
    clearTimeout(timer)
    return child.exitCode === 0
  }

  /** Whether nothing was in its way between these times. */
  wasLeftAlone(from, until) {
    return this.troubles.every(([begin, end]) => end < from || begin > until)
  }
}

module.exports = { Member }
