// What a request is for: a name, or something that the native side knows by a number.
// @ts-check
'use strict'

const { native, face } = require('./face')

/** A handle closes itself when nobody can use it any more. */
const closing = new FinalizationRegistry((/** @type {number} */ ref) => native.closeResource(face, ref))

class Opened {
  /** Of several locks at once: each name's mode. Never of an opened one. @type {undefined} */
  modes = undefined

  /**
   * @param {'lock' | 'semaphore'} kind
   * @param {string | null} name
   * @param {number} ref
   */
  constructor(kind, name, ref) {
    this.kind = kind
    this.isNamed = name !== null
    this.name = name ?? ''
    this.ref = ref
    closing.register(this, ref)
  }
}

/** Several read/write locks that are taken together. */
class Several {
  kind = /** @type {const} */ ('lock')
  isNamed = true
  ref = -1

  /** @param {Map<string, import('../../index').LockMode>} modes */
  constructor(modes) {
    this.modes = modes
    this.name = /** @type {string} */ (modes.keys().next().value)
  }
}

/** @typedef {string | Opened | Several} Target A string is the name of a read/write lock. */

/**
 * @param {'lock' | 'semaphore'} kind
 * @param {string | null} name
 * @param {number} permits Of a semaphore.
 * @returns {Opened | null} Null for a semaphore that has other permits.
 */
function openTarget(kind, name, permits) {
  const ref = native.openResource(face, kind === 'lock' ? 0 : 1, name, permits)
  return ref < 0 ? null : new Opened(kind, name, ref)
}

module.exports = { openTarget, Opened, Several }
