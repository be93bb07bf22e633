// `chainlock trace`: waits, holds and cooldowns over time, as a file that Perfetto and Chrome open.
// @ts-check
'use strict'

const fs = require('node:fs')
const { PID_OPTION, wholeNumber } = require('../args')
const { CommandError, EXIT, usageError } = require('../exit')
const { JOURNAL_OPTION, SINCE_OPTION, journalPath, range, withJournal } = require('../journal')
const { clean } = require('../text')

/** What a journal answers at most; more no viewer shows well. */
const MOST_EVENTS = 100_000
/** How much is drawn when nobody says from when on. */
const USUAL_MS = 600_000

/**
 * @typedef {import('../../../index').JournalEvent} JournalEvent
 * @typedef {{ events: JournalEvent[], endMs: number, commands: Map<number, string> }} Found
 */

module.exports = {
  summary: 'writes a picture of time for Perfetto or Chrome',
  usage: '[options]',
  options: {
    since: { ...SINCE_OPTION, help: `${SINCE_OPTION.help} (default: 10m before the end)` },
    until: { type: 'string', value: 'WHEN', help: 'up to then' },
    output: { type: 'string', short: 'o', value: 'FILE', help: 'where to (default: stdout); .gz compresses' },
    pid: PID_OPTION,
    journal: JOURNAL_OPTION,
  },
  details: ['Open the file at https://ui.perfetto.dev. Without a journal there is what the locks of running processes remember: some ten events each.'],
  examples: ['chainlock trace --since 10m -o locks.json'],
  exits: [EXIT.bad, EXIT.notFound],
  /** @param {import('../commands').Context} context */
  async run(context) {
    const { values, stdout, isTty, err } = context
    if (values.output === undefined && isTty) throw usageError('where to? Give -o locks.json, or send stdout to a file')
    const nowMs = Date.now()
    const { since, until: untilMs = nowMs } = range(values, nowMs)
    const sinceMs = since ?? untilMs - USUAL_MS
    const pid = values.pid === undefined ? null : wholeNumber('--pid', values.pid, { min: 1 })
    const path = journalPath(context)
    const { events, endMs, commands } =
      path === null ? fromProcesses(sinceMs, pid) : await fromJournal(path, sinceMs, untilMs, err)
    const wanted = events.filter((event) => (pid === null || event.pid === pid) && event.atMs <= untilMs)
    if (wanted.length === 0) throw new CommandError(EXIT.notFound, 'nothing happened in that time', 'chainlock status')
    const { pictureOf } = require('../../trace/spans')
    const { traceOf } = require('../../trace/chrome')
    await write(traceOf(pictureOf(wanted, Math.min(endMs, untilMs)), commands), values.output, stdout)
    if (values.output !== undefined) err(`${wanted.length} events are drawn in ${clean(values.output)}`)
    return EXIT.ok
  },
}

/**
 * @param {string} path
 * @param {number} since
 * @param {number} until
 * @param {(text: string) => void} err
 * @returns {Promise<Found>}
 */
function fromJournal(path, since, until, err) {
  return withJournal(path, async (journal) => {
    const events = await journal.query({ since, until, limit: MOST_EVENTS })
    if (events.length === MOST_EVENTS) {
      err(`chainlock: only the newest ${MOST_EVENTS} events are drawn; --until asks for earlier ones`)
    }
    // What lasts at the end of the journal may have ended with its process: it is drawn as far as is known.
    return { events, endMs: events.at(-1)?.atMs ?? until, commands: new Map() }
  })
}

/** @param {number} sinceMs @param {number | null} pid @returns {Found} */
function fromProcesses(sinceMs, pid) {
  const { snapshot } = require('../../snapshot')
  const { eventsOfSnapshot } = require('../../trace/from-snapshot')
  const seen = snapshot(pid === null ? { all: true } : { pid, all: true })
  if (seen.processes.length === 0) {
    throw new CommandError(EXIT.notFound, 'no process uses chainlock', 'chainlock doctor')
  }
  const commands = new Map(seen.processes.map((process) => [process.pid, process.command ?? 'process']))
  return { events: eventsOfSnapshot(seen, sinceMs), endMs: seen.takenAtMs, commands }
}

/**
 * @param {Iterable<string>} text
 * @param {string | undefined} output
 * @param {NodeJS.WritableStream} stdout
 */
async function write(text, output, stdout) {
  const { Readable } = require('node:stream')
  const { pipeline } = require('node:stream/promises')
  const source = Readable.from(text)
  if (output === undefined) return pipeline(source, stdout, { end: false })
  const file = fs.createWriteStream(output)
  const steps = output.endsWith('.gz') ? [require('node:zlib').createGzip()] : []
  try {
    await pipeline([source, ...steps, file])
  } catch (/** @type {any} */ error) {
    if (error.syscall === undefined || error.code === 'EACCES') throw error
    throw usageError(`${clean(output)} cannot be written: ${clean(error.message)}`)
  }
}
