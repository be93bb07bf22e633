// `chainlock run <lock> -- command…`: flock(1) for host locks. Holds the lock while a command runs, and ends as it ends.
// @ts-check
'use strict'

const { constants } = require('node:os')
const { clean, duration, short, typed, withWord } = require('../../snapshot/words')
const { span, word } = require('../args')
const { CommandError, EXIT, usageError } = require('../exit')

/** @typedef {import('../commands').Context} Context */
/** @typedef {import('../../host/lock').HostLock} HostLock */
/** @typedef {import('../../host/guard').HostGuard} HostGuard */

/** After how long somebody at a terminal is told what is waited for. */
const SAY_AFTER_MS = 1_000
/** How often the file is looked at while the command runs. */
const LOOK_EVERY_MS = 1_000
/** As shells have it: a command that cannot be run, and one that is not there. */
const CANNOT_RUN = 126
const NO_COMMAND = 127
const SIGNALLED = 128

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])
/** What a terminal sends to the command as well: it shall not hear it twice. */
const OF_TERMINAL = ['SIGINT', 'SIGQUIT']

/** What the errors of host locks come to. @type {Record<string, number>} */
const EXIT_OF = {
  ERR_LOCK_INVALID_ARGUMENT: EXIT.usage,
  ERR_LOCK_TIMEOUT: EXIT.timedOut,
  ERR_LOCK_BUSY: EXIT.timedOut,
  ERR_LOCK_QUEUE_FULL: EXIT.timedOut,
  ERR_LOCK_FILE_UNSAFE: EXIT.refused,
  ERR_LOCK_FILE_FOREIGN: EXIT.refused,
  ERR_LOCK_NETWORK_FS: EXIT.refused,
  ERR_LOCK_UNSUPPORTED: EXIT.refused,
  ERR_LOCK_FILE_IO: EXIT.notFound,
}

/** @param {Context} context */
async function run(context) {
  const asked = readOptions(context)
  try {
    const { hostLock } = require('../../host')
    const lock = hostLock(placeOf(asked.name))
    const guard = await take(context, lock, asked)
    try {
      return await underLock(context, lock, guard, asked)
    } finally {
      guard.release()
    }
  } catch (error) {
    throw told(error)
  }
}

/** @param {Context} context */
function readOptions({ args, values }) {
  const [name, ...words] = args
  const scope = word('--scope', values.scope ?? 'host', ['host', 'process', 'cluster'])
  if (scope === 'process') {
    throw usageError('a lock of scope process lives inside of one process, and a command is another; use --scope host')
  }
  if (scope === 'cluster') throw usageError('--scope cluster needs leases, which this version does not have')
  const line = values.command
  if (line !== undefined && words.length > 0) throw usageError('give either -c or a command behind --, not both')
  if (line === undefined && words.length === 0) throw usageError('<command> is missing: chainlock run <lock> -- command…')
  const waitMs = values.wait === undefined ? Infinity : span('--wait', values.wait)
  return { name, words, line, waitMs, mode: values.shared ? 'shared' : 'exclusive', label: values.label ?? line ?? words.join(' ') }
}

/** For a command line 'locks/x' is a path as good as './locks/x'. @param {string} name */
function placeOf(name) {
  return name.includes('/') && !/^\.{0,2}\//.test(name) ? `./${name}` : name
}

/** @typedef {ReturnType<typeof readOptions>} Asked */

/**
 * @param {Context} context
 * @param {HostLock} lock
 * @param {Asked} asked
 * @returns {Promise<HostGuard>}
 */
async function take({ stderr, err }, lock, { waitMs, mode, label }) {
  const request = { mode: /** @type {'shared' | 'exclusive'} */ (mode), label }
  if (waitMs === 0) {
    const guard = lock.tryAcquire(request)
    if (guard !== null) return guard
    const word = typed(lock.name)
    const next = word === null ? 'chainlock status' : withWord('chainlock why', word, '')
    throw new CommandError(EXIT.timedOut, `"${short(lock.name)}" is taken: ${holders(lock)}`, next)
  }
  const say = () => err(`chainlock: waiting for "${short(lock.name)}": ${holders(lock)}`)
  const timer = stderr.isTTY === true ? setTimeout(say, SAY_AFTER_MS) : undefined
  try {
    return await lock.acquire({ ...request, timeoutMs: waitMs })
  } finally {
    clearTimeout(timer)
  }
}

/** @param {HostLock} lock */
function holders(lock) {
  const all = lock.status().holders
  if (all.length === 0) return 'who holds it has left no word'
  return all.map(({ pid, label, command, heldMs }) => {
    const what = [label, command].filter(Boolean).map((text) => short(String(text)))
    return `held by process ${pid}${what.length > 0 ? ` (${what.join(', ')})` : ''} for ${duration(heldMs)}`
  }).join('; ')
}

/**
 * Runs the command; its exit code, or a worse one when the lock was lost under it.
 * @param {Context} context
 * @param {HostLock} lock
 * @param {HostGuard} guard
 * @param {Asked} asked
 */
async function underLock(context, lock, guard, asked) {
  const { err } = context
  if (guard.previousHolderDied !== null) {
    const { pid } = guard.previousHolderDied
    err(`chainlock: process ${pid} died with "${short(lock.name)}": what it guards may be half written`)
  }
  const isHeld = watchFile(lock, guard)
  let isLost = false
  const look = () => {
    if (isLost || isHeld()) return
    isLost = true
    err(`chainlock: "${short(lock.name)}" is lost: ${clean(lock.path)} was removed or replaced, and others may have the lock`)
  }
  const timer = setInterval(look, LOOK_EVERY_MS)
  const code = await runCommand(context, asked).finally(() => clearInterval(timer))
  look()
  return isLost && code === 0 ? EXIT.bad : code
}

/** Whether the hold still keeps others out: of those who open the path now. @param {HostLock} lock @param {HostGuard} guard */
function watchFile({ path }, guard) {
  const { statSync } = require('node:fs')
  const inode = () => {
    const found = statSync(path, { throwIfNoEntry: false })
    return found === undefined ? null : `${found.dev}:${found.ino}`
  }
  const first = inode()
  return () => guard.check() && first !== null && inode() === first
}

/**
 * @param {Context} context
 * @param {Asked} asked
 * @returns {Promise<number>}
 */
function runCommand({ stdin, env }, { words, line }) {
  const { spawn } = require('node:child_process')
  const [file, ...args] = line === undefined ? words : ['/bin/sh', '-c', line]
  return new Promise((resolve, reject) => {
    /** @type {import('node:child_process').ChildProcess | null} */
    let child = null
    const pass = (/** @type {NodeJS.Signals} */ signal) => {
      if (!(OF_TERMINAL.includes(signal) && stdin.isTTY)) child?.kill(signal)
    }
    // From before the command is there: a signal must not end us and leave it running without the lock.
    for (const signal of SIGNALS) process.on(signal, pass)
    const end = () => SIGNALS.forEach((signal) => process.removeListener(signal, pass))
    child = spawn(file, args, { stdio: 'inherit', env })
    child.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      end()
      reject(notRun(file, error))
    })
    child.on('exit', (code, signal) => {
      end()
      resolve(signal === null ? Number(code) : SIGNALLED + constants.signals[signal])
    })
  })
}

/** @param {string} file @param {NodeJS.ErrnoException} error */
function notRun(file, { code, message }) {
  if (code === 'ENOENT') return new CommandError(NO_COMMAND, `there is no command "${short(file)}"`)
  return new CommandError(CANNOT_RUN, `"${short(file)}" cannot be run: ${clean(message)}`)
}

/** @param {any} error */
function told(error) {
  const exit = EXIT_OF[error?.code]
  if (exit === undefined) return error
  const isForbidden = ['EACCES', 'EPERM', 'EROFS'].includes(error.errno)
  const message = clean(error.message).replace(/^hostLock: nameOrPath /, '<lock> ')
  return new CommandError(isForbidden ? EXIT.permission : exit, message)
}

module.exports = {
  summary: 'run a command under a host lock, as flock(1) does',
  usage: '<lock> [options] -- [command…]',
  locks: true,
  options: {
    wait: { type: 'string', value: 'TIME', help: 'give up after it (30s, 5m); 0 tries once' },
    shared: { type: 'boolean', help: 'together with other shared holders' },
    scope: { type: 'string', value: 'SCOPE', help: 'host (the default): all processes of this user on this machine' },
    label: { type: 'string', value: 'TEXT', help: 'who this is, for those who wait. Default: the command' },
    command: { type: 'string', short: 'c', value: 'LINE', help: 'a line for /bin/sh in place of a command' },
  },
  details: [
    '<lock> is a name, or a path with / in it; flock(1) on that file takes part. The lock ends with the command, or ' +
      'with this process, not with its children.',
    'It ends as the command ends: with its code, or 128 + the number of a signal. 127: no such command; 126: it cannot ' +
      'be run; 1: the lock was lost.',
    'SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on, from a terminal only once.',
  ],
  examples: ['chainlock run deploy --wait 30s -- ./deploy.sh', "chainlock run ./index.lock --shared -c 'wc -l index | tee size'"],
  exits: [EXIT.bad, EXIT.notFound, EXIT.refused, EXIT.permission, EXIT.timedOut],
  run,
}
