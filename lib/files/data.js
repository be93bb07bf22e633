// What may be written, as buffers: strings, views of bytes, and whatever gives such piece by piece.
// @ts-check
'use strict'

const { invalidArgument } = require('../errors')

const PIECE = 'a string, a Buffer, a TypedArray or a DataView'
const ALL = `${PIECE}, or an iterable of these`

/**
 * The bytes themselves, not a copy of them; null for what is no piece.
 * @param {unknown} data
 * @param {BufferEncoding} encoding
 * @returns {Buffer | null}
 */
function bytesOf(data, encoding) {
  if (typeof data === 'string') return Buffer.from(data, encoding)
  if (Buffer.isBuffer(data)) return data
  if (!ArrayBuffer.isView(data)) return null
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

/**
 * @param {string} call
 * @param {unknown} data
 * @param {boolean} mayWait Whether what comes later is allowed.
 * @returns {Iterator<unknown> | AsyncIterator<unknown>}
 */
function iteratorOf(call, data, mayWait) {
  const source = /** @type {any} */ (data)
  if (typeof source === 'object' && source !== null) {
    if (mayWait && typeof source[Symbol.asyncIterator] === 'function') return source[Symbol.asyncIterator]()
    if (typeof source[Symbol.iterator] === 'function') return source[Symbol.iterator]()
  }
  throw invalidArgument(`${call}: data`, mayWait ? `${ALL}, also an async one or a stream` : ALL, data)
}

/**
 * @param {string} call
 * @param {unknown} piece
 * @param {BufferEncoding} encoding
 */
function pieceOf(call, piece, encoding) {
  const bytes = bytesOf(piece, encoding)
  if (bytes === null) throw invalidArgument(`${call}: each piece of data`, PIECE, piece)
  return bytes
}

/**
 * Waits for an answer, but not longer than until the signal.
 * @template T
 * @param {T | PromiseLike<T>} answer
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
function orAborted(answer, signal) {
  if (!signal) return Promise.resolve(answer)
  return new Promise((settle, fail) => {
    const abort = () => fail(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const done = () => signal.removeEventListener('abort', abort)
    Promise.resolve(answer).then(settle, fail).finally(done)
    if (signal.aborted) abort()
  })
}

/**
 * Hands each piece on; ends the source when something fails.
 * @param {string} call
 * @param {unknown} data
 * @param {import('./options').Settings} settings
 * @param {(bytes: Buffer) => void | Promise<void>} take
 */
async function eachLater(call, data, { encoding, signal }, take) {
  const iterator = iteratorOf(call, data, true)
  try {
    for (;;) {
      const { done, value } = await orAborted(iterator.next(), signal)
      if (done) return
      const bytes = pieceOf(call, await value, encoding)
      if (bytes.length > 0) await take(bytes)
    }
  } catch (error) {
    end(iterator)
    throw error
  }
}

/**
 * @param {string} call
 * @param {unknown} data
 * @param {BufferEncoding} encoding
 * @param {(bytes: Buffer) => void} take
 */
function each(call, data, encoding, take) {
  const iterator = /** @type {Iterator<unknown>} */ (iteratorOf(call, data, false))
  try {
    for (;;) {
      const { done, value } = iterator.next()
      if (done) return
      const bytes = pieceOf(call, value, encoding)
      if (bytes.length > 0) take(bytes)
    }
  } catch (error) {
    end(iterator)
    throw error
  }
}

/** What the source says to its end is not the error that counts. @param {Iterator<unknown> | AsyncIterator<unknown>} iterator */
function end(iterator) {
  try {
    Promise.resolve(iterator.return?.()).catch(() => {})
  } catch {
    // As above.
  }
}

module.exports = { bytesOf, each, eachLater }
