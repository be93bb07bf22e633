// The command that `chainlock run` runs: started with our streams, sent our signals, and ended with what it started.
// @ts-check
'use strict'

const fs = require('node:fs')
const { constants } = require('node:os')
const { setTimeout: sleep } = require('node:timers/promises')
const { clean, short } = require('../../snapshot/words')
const { CommandError } = require('../exit')

/**
 * @typedef {{
 *   name: string, words: string[], line: string | undefined, waitMs: number, isShared: boolean,
 *   label: string | undefined,
 * }} Asked
 * @typedef {{ pid: number | undefined, ended: Promise<number> }} Running `ended` gives the exit code.
 */

/** As shells have it: a command that cannot be run, and one that is not there. */
const CANNOT_RUN = 126
const NO_COMMAND = 127
const SIGNALLED = 128

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])
/** What a terminal sends to the command as well: it shall not hear it twice. */
const OF_TERMINAL = ['SIGINT', 'SIGQUIT']

/**
 * @param {import('../commands').Context} context
 * @param {Pick<Asked, 'words' | 'line'>} asked
 * @param {NodeJS.ProcessEnv} env
 * @returns {Running}
 */
function startChild({ stdin }, { words, line }, env) {
  const { spawn } = require('node:child_process')
  const [file, ...args] = line === undefined ? words : ['/bin/sh', '-c', line]
  /** @type {import('node:child_process').ChildProcess | null} */
  let child = null
  const pass = (/** @type {NodeJS.Signals} */ signal) => {
    if (!(OF_TERMINAL.includes(signal) && stdin.isTTY)) child?.kill(signal)
  }
  // From before the command is there: a signal must not end us and leave it running without the lock.
  for (const signal of SIGNALS) process.on(signal, pass)
  const started = spawn(file, args, { stdio: 'inherit', env })
  child = started
  const ended = new Promise((resolve, reject) => {
    started.on('error', (/** @type {NodeJS.ErrnoException} */ error) => reject(notRun(file, error)))
    started.on('exit', (code, signal) => resolve(signal === null ? Number(code) : SIGNALLED + constants.signals[signal]))
  })
  const end = () => SIGNALS.forEach((signal) => process.removeListener(signal, pass))
  return { pid: started.pid, ended: ended.finally(end) }
}

/** @param {string} file @param {NodeJS.ErrnoException} error */
function notRun(file, { code, message }) {
  if (code === 'ENOENT') return new CommandError(NO_COMMAND, `there is no command "${short(file)}"`)
  return new CommandError(CANNOT_RUN, `"${short(file)}" cannot be run: ${clean(message)}`)
}

// ── The end of it and of what it started ─────────────────────────────────────────────────────────────

const LOOK_EVERY_MS = 20

/** @typedef {{ pid: number, parent: number, started: string }} Process `started` tells a process id from its next bearer. */

/**
 * SIGTERM for a process and those below it, and SIGKILL for those that are there after `graceMs`. A shell that is ended
 * leaves its commands running; those are meant as well.
 * @param {number} pid
 * @param {number} graceMs
 */
async function endTree(pid, graceMs) {
  const all = tree(pid)
  for (const one of all) signal(one, 'SIGTERM')
  const end = performance.now() + graceMs
  while (all.some(isThere) && performance.now() < end) await sleep(LOOK_EVERY_MS)
  // Those that were started meanwhile, too.
  const late = all.flatMap((one) => (isThere(one) ? tree(one.pid) : []))
  for (const one of [...all, ...late]) signal(one, 'SIGKILL')
}

/** Itself first. @param {number} root @returns {Process[]} */
function tree(root) {
  const all = processes()
  const found = all.filter(({ pid }) => pid === root)
  for (const one of found) found.push(...all.filter(({ parent, pid }) => parent === one.pid && !found.some((known) => known.pid === pid)))
  return found.length > 0 ? found : [{ pid: root, parent: 0, started: '' }]
}

/** Where the system has no /proc, only the command itself is known. @returns {Process[]} */
function processes() {
  try {
    const names = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    return names.map((name) => processAt(Number(name))).filter((one) => one !== null)
  } catch {
    return []
  }
}

/** One that has ended and was not fetched is not there. @param {number} pid @returns {Process | null} */
function processAt(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return 'ZX'.includes(fields[0]) ? null : { pid, parent: Number(fields[1]), started: fields[19] }
  } catch {
    return null
  }
}

/** @param {Process} one */
function isThere({ pid, started }) {
  if (started !== '') return processAt(pid)?.started === started
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** @param {Process} one @param {NodeJS.Signals} name */
function signal(one, name) {
  if (!isThere(one)) return
  try {
    process.kill(one.pid, name)
  } catch {
    // It has ended in between, or belongs to somebody else.
  }
}

module.exports = { startChild, endTree }
