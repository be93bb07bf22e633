// A lock file as this thread has opened it, and the lock of the process that stands in front of it.
// @ts-check
'use strict'

const { HOST } = require('../locks/report')
const { openTarget } = require('../locks/targets')
const { faultOf } = require('./errors')
const { native, face } = require('./face')

/** A file is closed when nobody can use it any more. */
const closing = new FinalizationRegistry((/** @type {number} */ number) => native.hostClose(face, number))

class HostFile {
  /** Its guards and waits: they go by its number. */
  #users = 0
  #isWanted = true

  /** @param {string} name What the lock is called. @param {number} number @param {string} path */
  constructor(name, number, path) {
    this.name = name
    this.number = number
    this.path = path
    closing.register(this, number, this)
    /** Of the process's own line: one request of all its threads is at the file at a time, or readers together. */
    this.target = /** @type {import('../locks/targets').Opened} */ (openTarget('lock', HOST + path, 0))
  }

  enter() {
    this.#users += 1
  }

  leave() {
    this.#users -= 1
    if (!this.#isWanted) HostFile.#closeUnused(this)
  }

  /** At once, or when the last guard and wait is over. */
  close() {
    this.#isWanted = false
    HostFile.#closeUnused(this)
  }

  /** @param {HostFile} file */
  static #closeUnused(file) {
    if (file.#users > 0 || file.#isWanted) return
    closing.unregister(file)
    native.hostClose(face, file.number)
  }
}

/**
 * @param {string} name What the lock is called.
 * @param {string} place
 * @param {boolean} isPath
 * @param {boolean} allowNetworkFs
 */
function openFile(name, place, isPath, allowNetworkFs) {
  const { file, path, fault } = native.hostOpen(face, place, isPath, allowNetworkFs)
  if (file === undefined || path === undefined) throw faultOf(JSON.parse(String(fault)), place)
  return new HostFile(name, file, path)
}

module.exports = { HostFile, openFile }
