// A lock file as this thread has opened it, and the lock of the process that stands in front of it.
// @ts-check
'use strict'

const { HOST } = require('../locks/report')
const { openTarget } = require('../locks/targets')
const { faultOf, holdersOf } = require('./errors')
const { native, face } = require('./face')

/** The files that this thread has open. @type {Map<number, WeakRef<HostFile>>} */
const open = new Map()

/** A file is closed when nobody can use it any more. */
const closing = new FinalizationRegistry(closeNumber)

/** @param {number} number */
function closeNumber(number) {
  open.delete(number)
  native.hostClose(face, number)
}

const living = () => [...open.values()].map((weak) => weak.deref()).filter((file) => file !== undefined)

class HostFile {
  /** The kernel's holds, of which most often there is one, and the waits for more: they go by the file's number. */
  #holds = /** @type {number[]} */ ([])
  #waits = 0
  #isWanted = true

  /** @param {string} name What the lock is called. @param {number} number @param {string} path */
  constructor(name, number, path) {
    this.name = name
    this.number = number
    this.path = path
    open.set(number, new WeakRef(this))
    closing.register(this, number, this)
    /** Of the process's own line: one request of all its threads is at the file at a time, or readers together. */
    this.target = /** @type {import('../locks/targets').Opened} */ (openTarget('lock', HOST + path, 0))
  }

  /** @param {number} hold */
  holdBegins(hold) {
    this.#holds.push(hold)
  }

  /** @param {number} hold */
  holdEnds(hold) {
    const holds = this.#holds
    if (holds[holds.length - 1] === hold) holds.pop()
    else holds.splice(holds.indexOf(hold), 1)
    if (!this.#isWanted) HostFile.#closeUnused(this)
  }

  waitBegins() {
    this.#waits += 1
  }

  waitEnds() {
    this.#waits -= 1
    if (!this.#isWanted) HostFile.#closeUnused(this)
  }

  /** At once, or when the last hold and wait is over. */
  close() {
    this.#isWanted = false
    HostFile.#closeUnused(this)
  }

  /** @param {HostFile} file */
  static #closeUnused(file) {
    if (file.#holds.length > 0 || file.#waits > 0) return
    closing.unregister(file)
    closeNumber(file.number)
  }

  /** All holds of this thread. */
  static allHolds() {
    return living().flatMap((file) => file.#holds)
  }

  /** By which of its files this thread holds that lock. @param {string} path */
  static #heldHere(path) {
    return living().find((file) => file.path === path && file.#holds.length > 0)
  }

  /** @param {string} path */
  static isHeldHere(path) {
    return HostFile.#heldHere(path) !== undefined
  }

  /** The label under which this thread holds that lock. @param {string} path @returns {string | null} */
  static labelHere(path) {
    const file = HostFile.#heldHere(path)
    return file === undefined ? null : (holdersOf(file).find(({ isOwn }) => isOwn)?.label ?? null)
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
