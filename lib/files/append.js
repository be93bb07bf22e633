// `appendFileAtomic`: a whole piece at the end, or nothing.
// @ts-check
'use strict'

const { native } = require('../native')
const { bytesOf, each, eachLater } = require('./data')
const { busyError, fileError } = require('./errors')
const { APPEND, APPEND_SYNC, settings, target } = require('./options')
const { inTurn } = require('./turns')

const CALL = 'appendFileAtomic'
const CALL_SYNC = 'appendFileAtomicSync'
/** How long to leave a file alone that another process is appending to: longer each time, up to this. */
const LONGEST_PAUSE_MS = 16

// Taken when this is loaded: test frameworks put clocks of their own in their place.
const { setTimeout, clearTimeout } = globalThis

/** @type {typeof import('../../index').appendFileAtomic} */
async function appendFileAtomic(path, data, options) {
  const to = target(CALL, path)
  const set = settings(CALL, options, APPEND)
  set.signal?.throwIfAborted()
  const whole = bytesOf(data, set.encoding) ?? (await allPieces(data, set))
  await inTurn(to.key, () => appendSoon(to, Buffer.from(whole), set))
}

/** @type {typeof import('../../index').appendFileAtomicSync} */
function appendFileAtomicSync(path, data, options) {
  const to = target(CALL_SYNC, path)
  const { how, encoding, timeoutMs } = settings(CALL_SYNC, options, APPEND_SYNC)
  /** @type {Buffer[]} */
  const pieces = []
  const whole = bytesOf(data, encoding)
  if (whole === null) each(CALL_SYNC, data, encoding, (bytes) => void pieces.push(Buffer.from(bytes)))
  const bytes = whole ?? Buffer.concat(pieces)
  const startedAt = performance.now()
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  for (let turn = 0; ; turn++) {
    const trouble = native.appendFileSync(to.bytes, bytes, how)
    if (!isBusy(CALL_SYNC, to, trouble, startedAt, timeoutMs)) return
    Atomics.wait(sleeper, 0, 0, pauseMs(turn))
  }
}

/** @param {unknown} data @param {import('./options').Settings} set */
async function allPieces(data, set) {
  /** @type {Buffer[]} */
  const pieces = []
  await eachLater(CALL, data, set, (bytes) => void pieces.push(Buffer.from(bytes)))
  return Buffer.concat(pieces)
}

/**
 * @param {import('./options').Target} to
 * @param {Buffer} bytes
 * @param {import('./options').Settings} set
 */
async function appendSoon(to, bytes, { how, signal, timeoutMs }) {
  const startedAt = performance.now()
  for (let turn = 0; ; turn++) {
    signal?.throwIfAborted()
    const trouble = await native.appendFile(to.bytes, bytes, how)
    if (!isBusy(CALL, to, trouble, startedAt, timeoutMs)) return
    await pause(pauseMs(turn), signal)
  }
}

/**
 * Whether to try again; throws what is no reason to.
 * @param {string} call
 * @param {import('./options').Target} to
 * @param {import('../binding.cjs').FileTrouble | null} trouble
 * @param {number} startedAt
 * @param {number} timeoutMs
 */
function isBusy(call, to, trouble, startedAt, timeoutMs) {
  if (trouble === null) return false
  if (trouble.what !== 'busy') throw fileError(call, to.text, trouble)
  const waitedMs = performance.now() - startedAt
  if (waitedMs >= timeoutMs) throw busyError(call, to.text, waitedMs)
  return true
}

/** By chance, so that several who wait do not keep in step. @param {number} turn */
const pauseMs = (turn) => Math.random() * Math.min(2 ** turn, LONGEST_PAUSE_MS)

/** @param {number} ms @param {AbortSignal | undefined} signal @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((settle) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      settle()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
  })
}

module.exports = { appendFileAtomic, appendFileAtomicSync }
