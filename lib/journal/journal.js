// A journal as JavaScript sees it. The process writes one, whichever thread opens it; each thread has one object for
// it, and with the last of them the file is closed. Who only reads has as many as it likes.
// @ts-check
'use strict'

const { isMainThread } = require('node:worker_threads')
const { native } = require('../native')
const { check, closed, textOf } = require('./errors')
const { Follower } = require('./follow')
const { followOptions, opening, queryOptions } = require('./options')
const { openReader } = require('./reader')

const DISPOSE = Symbol.dispose ?? Symbol.for('nodejs.dispose')
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')
/** How long closing waits for the disk. */
const PATIENCE_MS = 10_000
/** How long the end of the process does. */
const LAST_PATIENCE_MS = 2_000

/** The one that this thread writes. @type {Journal | null} */
let writing = null
let isExitSeen = false

class Journal {
  path
  #readOnly
  /** Opened when something is first asked. @type {import('./reader').Reader | null} */
  #reader
  #isOpen = true
  /** @type {Set<Follower>} */
  #followers = new Set()

  /** @param {string} path @param {boolean} readOnly */
  constructor(path, readOnly) {
    this.path = path
    this.#readOnly = readOnly
    // Where there is nothing to read, who opens it hears so at once.
    this.#reader = readOnly ? openReader(path) : null
    Object.defineProperty(this, 'path', { writable: false })
  }

  get readOnly() {
    return this.#readOnly
  }

  get closed() {
    return !this.#isOpen
  }

  #assertOpen() {
    if (!this.#isOpen) throw closed(this.path)
  }

  /** @type {import('../../index').Journal['query']} */
  async query(options) {
    const query = queryOptions('journal.query', options)
    this.#assertOpen()
    this.#reader ??= openReader(this.path)
    return JSON.parse(textOf(await native.journalRead(this.#reader, query), this.path))
  }

  /** @type {import('../../index').Journal['follow']} */
  follow(options) {
    const { filter, signal } = followOptions('journal.follow', options)
    this.#assertOpen()
    const follower = new Follower(this.path, filter, signal)
    return this.#follow(follower)
  }

  /** @param {Follower} follower */
  async *#follow(follower) {
    this.#followers.add(follower)
    try {
      if (!this.#isOpen) follower.close()
      yield* follower.events()
    } finally {
      this.#followers.delete(follower)
    }
  }

  async flush() {
    this.#assertOpen()
    if (!this.#readOnly) check(await native.journalFlush(), this.path)
  }

  stats() {
    this.#assertOpen()
    const stats = this.#readOnly ? null : native.journalStats()
    if (stats === null) return null
    const { written, dropped, pending, lagMs, trouble } = stats
    return { written, dropped, pending, lagMs, trouble: trouble?.message ?? null }
  }

  async check() {
    this.#assertOpen()
    this.#reader ??= openReader(this.path)
    return JSON.parse(textOf(await native.journalCheck(this.#reader), this.path))
  }

  /** Whether there is anything to close on the native side. */
  #end() {
    if (!this.#isOpen) return false
    this.#isOpen = false
    this.#reader = null
    for (const follower of this.#followers) follower.close()
    if (this.#readOnly) return false
    writing = null
    return true
  }

  async close() {
    if (this.#end()) check(await native.journalClose(PATIENCE_MS), this.path)
  }

  [DISPOSE]() {
    if (this.#end()) check(native.journalCloseSync(PATIENCE_MS), this.path)
  }

  async [ASYNC_DISPOSE]() {
    await this.close()
  }
}

/** @type {typeof import('../../index').openJournal} */
function openJournal(options) {
  const { path, readOnly, settings } = opening('openJournal', options)
  if (readOnly) return shownAs(new Journal(path, true))
  check(native.journalOpen(path, settings, !isMainThread), path)
  if (writing !== null) {
    // This thread has it open: its object stands for this opening, too.
    native.journalCloseSync(0)
    return shownAs(writing)
  }
  if (!isExitSeen) {
    isExitSeen = true
    // What a thread that ends has noted last would wait for the next batch, which may not come.
    process.on('exit', () => void native.journalFlushSync(LAST_PATIENCE_MS))
  }
  writing = new Journal(path, false)
  return shownAs(writing)
}

/** The compiler does not see the methods under a symbol that may be another one. @param {Journal} journal */
const shownAs = (journal) => /** @type {import('../../index').Journal} */ (/** @type {unknown} */ (journal))

module.exports = { openJournal }
