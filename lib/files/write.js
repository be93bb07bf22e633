// `writeFileAtomic`: the new content as a whole, or the old one.
// @ts-check
'use strict'

const { native } = require('../native')
const { bytesOf, each, eachLater } = require('./data')
const { fileError } = require('./errors')
const { WRITE, WRITE_SYNC, settings, target } = require('./options')
const { inTurn } = require('./turns')

/** @typedef {import('../binding.cjs').FileTrouble} FileTrouble */

/** What comes in pieces is handed over in pieces of at least this size. */
const ENOUGH = 1_048_576
const CALL = 'writeFileAtomic'
const CALL_SYNC = 'writeFileAtomicSync'
const NOTHING = Buffer.alloc(0)

/** @type {typeof import('../../index').writeFileAtomic} */
async function writeFileAtomic(path, data, options) {
  await write(target(CALL, path), data, options)
}

/** @param {import('./options').Target} to @param {unknown} data @param {unknown} options */
async function write(to, data, options) {
  const set = settings(CALL, options, WRITE)
  set.signal?.throwIfAborted()
  const whole = bytesOf(data, set.encoding)
  if (whole === null) return writePieces(to, data, set)
  await inTurn(to.key, async () => {
    set.signal?.throwIfAborted()
    check(CALL, to, await native.writeFile(to.bytes, whole, set.how))
  })
}

/** @type {typeof import('../../index').writeFileAtomicSync} */
function writeFileAtomicSync(path, data, options) {
  writeSync(target(CALL_SYNC, path), data, options)
}

/** @param {import('./options').Target} to @param {unknown} data @param {unknown} options */
function writeSync(to, data, options) {
  const { how, encoding } = settings(CALL_SYNC, options, WRITE_SYNC)
  const whole = bytesOf(data, encoding)
  if (whole !== null) return check(CALL_SYNC, to, native.writeFileSync(to.bytes, whole, how))
  const file = native.growFile(to.bytes, how)
  const gathered = new Gathered()
  try {
    each(CALL_SYNC, data, encoding, (bytes) => {
      const piece = gathered.add(bytes)
      if (piece) check(CALL_SYNC, to, native.feedFileSync(file, piece, false))
    })
    check(CALL_SYNC, to, native.feedFileSync(file, gathered.rest(), true))
  } catch (error) {
    native.dropFile(file)
    throw error
  }
}

/**
 * @param {import('./options').Target} to
 * @param {unknown} data
 * @param {import('./options').Settings} set
 */
async function writePieces(to, data, set) {
  const file = native.growFile(to.bytes, set.how)
  const gathered = new Gathered()
  try {
    await eachLater(CALL, data, set, async (bytes) => {
      const piece = gathered.add(bytes)
      if (piece) check(CALL, to, await native.feedFile(file, piece, false))
    })
    // The order of the ends counts, so that a slow source keeps nobody waiting.
    await inTurn(to.key, async () => {
      set.signal?.throwIfAborted()
      check(CALL, to, await native.feedFile(file, gathered.rest(), true))
    })
  } catch (error) {
    native.dropFile(file)
    throw error
  }
}

/** @param {string} call @param {import('./options').Target} to @param {FileTrouble | null} trouble */
function check(call, to, trouble) {
  if (trouble) throw fileError(call, to.text, trouble)
}

/** Small pieces become large ones. */
class Gathered {
  /** @type {Buffer[]} */
  #pieces = []
  #length = 0

  /** A large piece once there is one. It is a copy, as a source may use its buffer again. @param {Buffer} bytes */
  add(bytes) {
    this.#pieces.push(Buffer.from(bytes))
    this.#length += bytes.length
    return this.#length >= ENOUGH ? this.rest() : null
  }

  rest() {
    if (this.#length === 0) return NOTHING
    const all = Buffer.concat(this.#pieces, this.#length)
    this.#pieces = []
    this.#length = 0
    return all
  }
}

module.exports = { writeFileAtomic, writeFileAtomicSync, write, writeSync, check }
