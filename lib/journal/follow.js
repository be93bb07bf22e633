// Following a journal: what is written, by whichever process, one event after the other.
// @ts-check
'use strict'

const { native } = require('../native')
const { closed, textOf } = require('./errors')
const { openReader } = require('./reader')

/** How often SQLite is asked whether anybody has written: one look at shared memory, no read of the file. */
const LOOK_MS = 100
const PAGE = 1_000

/**
 * @typedef {import('../../index').JournalEvent} JournalEvent
 * @typedef {import('./options').Query} Query
 */

class Follower {
  #path
  #filter
  #signal
  #reader
  /** The last event that was told. @type {Promise<number>} */
  #from
  /** Ends a pause before its time. @type {() => void} */
  #wake = () => {}
  #isClosed = false

  /** @param {string} path @param {Query} filter @param {AbortSignal | undefined} signal */
  constructor(path, filter, signal) {
    this.#path = path
    this.#filter = filter
    this.#signal = signal
    this.#reader = openReader(path)
    // What is written between this call and the first look is news, too.
    this.#from = filter.since === undefined ? this.#newest() : Promise.resolve(0)
    this.#from.catch(() => {})
  }

  async #newest() {
    return Number(textOf(await native.journalNewest(this.#reader), this.#path))
  }

  /** The journal is closed: who follows hears the end. */
  close() {
    this.#isClosed = true
    this.#wake()
  }

  /** @returns {AsyncGenerator<JournalEvent, void, undefined>} */
  async *events() {
    const wake = () => this.#wake()
    this.#signal?.addEventListener('abort', wake)
    try {
      let after = await this.#from
      for (;;) {
        this.#signal?.throwIfAborted()
        if (this.#isClosed) throw closed(this.#path)
        const found = await this.#after(after)
        for (const event of found) {
          after = event.id
          yield event
          this.#signal?.throwIfAborted()
        }
        if (found.length === 0) await this.#pause()
      }
    } finally {
      this.#signal?.removeEventListener('abort', wake)
    }
  }

  /** @param {number} after @returns {Promise<JournalEvent[]>} */
  async #after(after) {
    const news = await native.journalNews(this.#reader, { ...this.#filter, after, limit: PAGE })
    const text = textOf(news, this.#path)
    return text === null ? [] : JSON.parse(text)
  }

  async #pause() {
    if (this.#isClosed || this.#signal?.aborted) return
    await /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        const timer = setTimeout(resolve, LOOK_MS)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    )
  }
}

module.exports = { Follower }
