// The monitor at work: takes a snapshot again and again, remembers, and shows it on a terminal, as lines or as a page.
// @ts-check
'use strict'

const { clean } = require('../cli/text')
const { Recorder } = require('./recorder')
const { pictureOf } = require('./picture')
const { frameOf, shownLocks } = require('./view')
const { paint } = require('./frame')
const { Changes } = require('./lines')
const { firstState, keysOf, press } = require('./keys')
const { Screen } = require('./screen')

/** @typedef {import('./types').Picture} Picture */
/** @typedef {import('./types').Snapshot} Snapshot */

/**
 * Where snapshots come from. `events` brings journal rows that are new since the last call.
 * @typedef {{ take: () => Snapshot, events?: () => Promise<import('./types').JournalEvent[]> }} Source
 *
 * @typedef {{
 *   intervalMs: number,
 *   ascii: boolean,
 *   colour: import('../cli/text').Colour,
 * }} Look
 */

/** Takes snapshots for every face at once. */
class Watch {
  /** @param {Source} source @param {Recorder} [recorder] */
  constructor(source, recorder = new Recorder()) {
    this.source = source
    this.recorder = recorder
  }

  /** @returns {Promise<Picture>} */
  async next() {
    const snapshot = this.source.take()
    // What the table still shows is newer than what has reached the journal, and is told once.
    if (this.source.events) this.recorder.takeJournal(await this.source.events())
    this.recorder.take(snapshot)
    return pictureOf(snapshot, this.recorder)
  }
}

/**
 * Runs a step, then waits, and so on until it answers false. A slow step is followed by its full wait: the one who
 * looks never takes more than half of a core.
 * @param {number} intervalMs @param {AbortSignal} signal @param {() => Promise<void>} step
 */
async function every(intervalMs, signal, step) {
  while (!signal.aborted) {
    const started = performance.now()
    await step()
    const took = performance.now() - started
    await pause(Math.max(intervalMs - took, Math.min(took, intervalMs)), signal)
  }
}

/** @param {number} ms @param {AbortSignal} signal */
function pause(ms, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined)
    const timer = setTimeout(done, ms)
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve(undefined)
    }
    signal.addEventListener('abort', done)
  })
}

/**
 * The terminal, until somebody quits.
 * @param {Source} source
 * @param {Look & { stdin: any, stdout: any, openPage: (watch: Watch) => Promise<import('./web/server').Page> }} how
 */
async function runScreen(source, how) {
  const { ascii, colour, intervalMs } = how
  const watch = new Watch(source)
  const stop = new AbortController()
  let state = firstState()
  /** @type {Picture | null} */
  let picture = null
  const web = { page: /** @type {Promise<import('./web/server').Page> | null} */ (null) }
  const screen = new Screen(how.stdin, how.stdout, {
    onKeys: (text) => keysOf(text).forEach(onKey),
    onResize: show,
    onClosed: () => stop.abort(),
  })

  function show() {
    if (picture === null) return
    const size = { ...screen.size, ascii }
    screen.draw(frameOf(picture, state, size).map((line) => paint(line, colour)))
  }

  /** @param {string} key */
  function onKey(key) {
    const ids = picture === null ? [] : shownLocks(picture, state).map((lock) => lock.id)
    const next = press(state, key, ids)
    if (next === 'quit') return stop.abort()
    if (next === 'suspend') return screen.suspend()
    if (next === 'redraw') screen.redraw()
    else if (next === 'web') return void openWeb()
    else state = next
    show()
  }

  async function openWeb() {
    web.page ??= how.openPage(watch)
    try {
      state = { ...state, note: `page: ${(await web.page).url}` }
    } catch (error) {
      web.page = null
      state = { ...state, note: `no page: ${clean(/** @type {Error} */ (error).message)}` }
    }
    show()
  }

  screen.open()
  try {
    await every(intervalMs, stop.signal, async () => {
      const next = await watch.next()
      web.page?.then((page) => page.show(next)).catch(() => {})
      if (!state.paused) picture = next
      show()
    })
  } finally {
    screen.close()
    await web.page?.then((page) => page.close()).catch(() => {})
  }
}

/**
 * Lines of changes, until a signal or until nobody reads.
 * @param {Source} source
 * @param {{ intervalMs: number, json: boolean, out: (text: string) => void, signal: AbortSignal }} how
 */
async function runLines(source, { intervalMs, json, out, signal }) {
  const changes = new Changes()
  await every(intervalMs, signal, async () => {
    for (const change of changes.take(source.take())) {
      out(json ? JSON.stringify(change) : `${change.at} ${clean(change.text)}`)
    }
  })
}

/**
 * One frame as text.
 * @param {Source} source
 * @param {Look & { columns: number }} how
 */
async function oneFrame(source, { columns, ascii, colour }) {
  const picture = await new Watch(source).next()
  return frameOf(picture, firstState(), { columns, rows: null, ascii }).map((line) => paint(line, colour))
}

module.exports = { Watch, every, runScreen, runLines, oneFrame }
