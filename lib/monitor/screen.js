// The terminal while a picture stands on it: the alternate screen, frames of which only changed lines are written,
// and the way back, however the process ends.
// @ts-check
'use strict'

const fs = require('node:fs')

const ESC = '\u001b['
/**
 * The alternate screen, no cursor, no wrapping at the edge: a character that a terminal draws wider than counted costs
 * no line.
 */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l${ESC}H${ESC}2J`
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}0m${ESC}?1049l`
/** The terminal shows what comes between these at once, if it knows how. */
const BEGIN = `${ESC}?2026h`
const END = `${ESC}?2026l`
/** @type {readonly NodeJS.Signals[]} */
const DEADLY = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']

class Screen {
  /**
   * @param {import('node:tty').ReadStream} input
   * @param {import('node:tty').WriteStream} output
   * @param {{ onKeys: (text: string) => void, onResize: () => void, onClosed: () => void }} hooks
   */
  constructor(input, output, hooks) {
    this.input = input
    this.output = output
    this.hooks = hooks
    this.isOpen = false
    /** @type {string[]} */
    this.before = []
    this.isBusy = false
    /** @private @type {[import('node:events').EventEmitter, string, (...parts: any[]) => void][]} */
    this.listeners = []
  }

  get size() {
    return { columns: this.output.columns || 80, rows: this.output.rows || 24 }
  }

  open() {
    const { input, output, hooks } = this
    input.setEncoding('utf8')
    this.on(input, 'data', hooks.onKeys)
    // A terminal that went away: nobody looks any more.
    for (const stream of [input, output]) this.on(stream, 'error', hooks.onClosed)
    for (const name of ['end', 'close']) this.on(input, name, hooks.onClosed)
    this.on(output, 'drain', () => (this.isBusy = false))
    this.on(output, 'resize', () => {
      this.before = []
      hooks.onResize()
    })
    for (const signal of DEADLY) this.on(process, signal, () => this.die(signal))
    this.on(process, 'SIGTSTP', () => this.suspend())
    this.on(process, 'SIGCONT', () => this.enter())
    // Before Node.js writes its own account of an error, onto the screen where it stays.
    this.on(process, 'uncaughtExceptionMonitor', () => this.leave())
    this.on(process, 'exit', () => this.leave())
    this.enter()
  }

  /**
   * @private @param {import('node:events').EventEmitter} emitter
   * @param {string} name
   * @param {(...parts: any[]) => void} listener
   */
  on(emitter, name, listener) {
    emitter.on(name, listener)
    this.listeners.push([emitter, name, listener])
  }

  close() {
    this.leave()
    for (const [emitter, name, listener] of this.listeners) emitter.off(name, listener)
    this.listeners = []
    this.input.pause()
  }

  /** @private */
  enter() {
    // Who stopped this process from outside has had the terminal in another state: it is set again.
    if (this.isOpen) this.input.setRawMode(false)
    this.isOpen = true
    this.input.setRawMode(true)
    this.input.resume()
    this.before = []
    this.isBusy = !this.output.write(ENTER)
    this.hooks.onResize()
  }

  /** Gives the terminal back. Written at once: what ends the process may not wait for a stream. */
  leave() {
    if (!this.isOpen) return
    this.isOpen = false
    try {
      this.input.setRawMode(false)
      fs.writeSync(/** @type {any} */ (this.output).fd, LEAVE)
    } catch {
      // A terminal that is gone has nothing to get back.
    }
  }

  /** @private @param {NodeJS.Signals} signal Ends the process as it would have ended without a screen. */
  die(signal) {
    this.close()
    process.kill(process.pid, signal)
  }

  suspend() {
    if (!this.isOpen) return
    this.leave()
    // The whole job, as the terminal's own key stops it: a shell or a package manager may stand between.
    const stops = this.listeners.filter(([, name]) => name === 'SIGTSTP')
    for (const [emitter, name, listener] of stops) emitter.off(name, listener)
    process.kill(0, 'SIGTSTP')
    // Reached when the job goes on, or when it cannot be stopped; SIGCONT may come before or after.
    setImmediate(() => {
      for (const [emitter, name, listener] of stops) emitter.on(name, listener)
      if (!this.isOpen && this.listeners.length > 0) this.enter()
    })
  }

  redraw() {
    this.before = []
  }

  /**
   * Shows a frame: one write, with the lines that changed.
   * @param {readonly string[]} lines Painted, none wider than the terminal.
   */
  draw(lines) {
    // A terminal that is still busy with the last frame is left in peace; the next frame brings what it missed.
    if (!this.isOpen || this.isBusy) return
    let text = this.before.length === 0 ? `${ESC}2J` : ''
    lines.forEach((line, index) => {
      // Erased before it is written: behind a full line the cursor still stands on its last character.
      if (line !== this.before[index]) text += `${ESC}${index + 1};1H${ESC}K${line}`
    })
    for (let index = lines.length; index < this.before.length; index += 1) text += `${ESC}${index + 1};1H${ESC}K`
    this.before = [...lines]
    if (text !== '') this.isBusy = !this.output.write(BEGIN + text + END)
  }
}

module.exports = { Screen }
