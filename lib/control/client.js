// Asks another process's native code for something, over its control socket (docs/formats/control.md).
// @ts-check
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { native } = require('../native')

/** How long to wait for an answer. The thread that answers has nothing else to do, so this is long. */
const DEFAULT_TIMEOUT_MS = 2_000
/** In so many parts: a machine that stands still takes one of them from an answer, and not all. */
const PARTS = 4
/** No answer is longer; who sends more is not chainlock. */
const LONGEST_ANSWER = 1024 * 1024
/** What the address of a socket has room for, in bytes. */
const LONGEST_ADDRESS = 107

/**
 * What a process refuses by, as in the format, or why it was not reached.
 * @typedef {'bad_frame' | 'too_long' | 'bad_request' | 'unknown_op' | 'other_process' | 'permission' | 'busy'
 *   | 'unavailable' | 'internal' | 'no_process' | 'no_socket' | 'stopped' | 'timeout' | 'closed'} Reason
 */

/** An order was not carried out. */
class ControlError extends Error {
  /** @param {Reason} code @param {string} message */
  constructor(code, message) {
    super(message)
    this.name = 'ControlError'
    this.code = code
  }
}

/**
 * One request, and its answer.
 * @param {number} pid
 * @param {{ op: string, [field: string]: unknown }} frame
 * @param {{ timeoutMs?: number }} [options]
 * @returns {Promise<Record<string, any>>} Rejects with a `ControlError`.
 */
async function request(pid, frame, { timeoutMs = DEFAULT_TIMEOUT_MS } = {}) {
  const { startTime, state } = processStat(pid)
  if (state === 'T' || state === 't') throw stopped(pid)
  const socket = findSocket(pid)
  const text = JSON.stringify({ ...frame, to: { pid, ...(startTime === null ? {} : { startTime }) } })
  const answer = await exchange(pid, socket, `${text}\n`, timeoutMs)
  if (answer.ok === true) return answer
  throw new ControlError(answer.error ?? 'internal', `process ${pid}: ${answer.message ?? 'it gave no reason'}`)
}

/**
 * @param {number} pid
 * @returns {{ startTime: number | null, state: string | null }} Nulls where the system does not tell.
 */
function processStat(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Behind the name, which may hold anything: state, and the 22nd field.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0], startTime: Number(fields[19]) }
  } catch {
    return { state: null, startTime: null }
  }
}

/**
 * The process's socket: in our private folder, or in the one that its environment or its user has.
 * @param {number} pid
 * @returns {string}
 */
function findSocket(pid) {
  const own = native.controlFolder()
  for (const folder of new Set([own, ...foldersOf(pid)])) {
    const socket = path.join(folder, `${pid}.sock`)
    try {
      if (fs.lstatSync(socket).isSocket()) return socket
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error)
      if (code === 'EACCES') throw notPermitted(pid)
    }
  }
  throw notReached(pid)
}

/** @param {number} pid @returns {string[]} */
function foldersOf(pid) {
  try {
    const user = fs.statSync(`/proc/${pid}`).uid
    const variables = fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    const of = (/** @type {string} */ name) => variables.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1)
    const runtime = of('XDG_RUNTIME_DIR')
    if (runtime && path.isAbsolute(runtime)) return [path.join(runtime, 'chainlock', 'control')]
    return [path.join(of('TMPDIR') ?? '/tmp', `chainlock-${user}`, 'control')]
  } catch {
    return []
  }
}

/**
 * @param {number} pid
 * @param {string} socket
 * @param {string} line
 * @param {number} timeoutMs
 * @returns {Promise<Record<string, any>>}
 */
function exchange(pid, socket, line, timeoutMs) {
  const address = shortAddress(socket)
  return new Promise((resolve, reject) => {
    const connection = net.connect(address.path)
    let text = ''
    /** @type {(settle: () => void) => void} */
    const end = (settle) => {
      clearInterval(timer)
      address.close()
      connection.destroy()
      settle()
    }
    const fail = (/** @type {Error} */ error) => end(() => reject(error))
    let left = PARTS
    const timer = setInterval(() => {
      left -= 1
      if (left > 0) return
      const { state } = processStat(pid)
      fail(state === 'T' || state === 't' ? stopped(pid) : late(pid, timeoutMs))
    }, timeoutMs / PARTS)
    connection.setEncoding('utf8')
    connection.on('connect', () => connection.write(line))
    connection.on('data', (/** @type {string} */ piece) => {
      text += piece
      const newline = text.indexOf('\n')
      if (newline >= 0) end(() => settleWith(text.slice(0, newline)))
      else if (text.length > LONGEST_ANSWER) fail(new ControlError('closed', `process ${pid} answers without an end`))
    })
    connection.on('end', () => fail(new ControlError('closed', `process ${pid} closed the connection without an answer`)))
    connection.on('error', (/** @type {NodeJS.ErrnoException} */ { code, message }) => {
      if (code === 'ECONNREFUSED' || code === 'ENOENT') fail(notReached(pid))
      else if (code === 'EACCES' || code === 'EPERM') fail(notPermitted(pid))
      else fail(new ControlError('closed', `process ${pid}: ${message}`))
    })
    /** @param {string} answer */
    function settleWith(answer) {
      try {
        const parsed = JSON.parse(answer)
        if (typeof parsed === 'object' && parsed !== null) return resolve(parsed)
      } catch {
        // Said below.
      }
      reject(new ControlError('closed', `process ${pid} does not answer as chainlock does`))
    }
  })
}

/** A path by way of its open folder, where it is too long for an address. @param {string} socket */
function shortAddress(socket) {
  const fits = Buffer.byteLength(socket) <= LONGEST_ADDRESS
  if (fits || process.platform !== 'linux') return { path: socket, close() {} }
  const folder = fs.openSync(path.dirname(socket), 'r')
  return { path: `/proc/self/fd/${folder}/${path.basename(socket)}`, close: () => fs.closeSync(folder) }
}

/** @param {number} pid */
function notReached(pid) {
  try {
    process.kill(pid, 0)
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error)
    if (code === 'EPERM') return notPermitted(pid)
    return new ControlError('no_process', `there is no process ${pid}`)
  }
  return new ControlError(
    'no_socket',
    `process ${pid} has no control socket: chainlock is not in use there, or CHAINLOCK_CONTROL=off is set`,
  )
}

/** @param {number} pid */
function notPermitted(pid) {
  const { username } = os.userInfo()
  return new ControlError('permission', `process ${pid} belongs to another user than ${username}; it obeys its own and root`)
}

/** @param {number} pid */
function stopped(pid) {
  return new ControlError('stopped', `process ${pid} is stopped and cannot obey`)
}

/** @param {number} pid @param {number} timeoutMs */
function late(pid, timeoutMs) {
  return new ControlError('timeout', `process ${pid} has not answered for ${timeoutMs} ms; it may still obey later`)
}

module.exports = { request, ControlError, processStat }
