// `chainlock history`: what happened, out of the journal; a table for people, one JSON object a line for programs.
// @ts-check
'use strict'

const { wholeNumber, word } = require('../args')
const { CommandError, EXIT } = require('../exit')
const { JOURNAL_OPTION, SINCE_OPTION, journalPath, range, withJournal } = require('../journal')
const { clean, cut, duration, pad } = require('../text')

/** @typedef {import('../../../index').JournalEvent} JournalEvent */

const USUAL_LIMIT = 1_000
/** What a journal answers at most. */
const MOST = 100_000

/**
 * The widths of the table's columns; what is left of the line is for the rest.
 * @param {number} columns
 */
function widths(columns) {
  const name = Math.max(11, Math.min(28, 11 + Math.floor((columns - 80) / 4)))
  return { time: 18, process: 7, lock: name, kind: 10, who: name, span: 6 }
}

module.exports = {
  summary: 'shows what happened, out of the journal',
  usage: '[options]',
  options: {
    since: SINCE_OPTION,
    until: { type: 'string', value: 'WHEN', help: 'up to then' },
    lock: { type: 'string', value: 'NAME', help: 'only of this lock' },
    layer: { type: 'string', value: 'NAME', help: 'only of this layer' },
    kind: { type: 'string', value: 'KIND', help: 'only events of this kind, such as acquired or forced' },
    limit: { type: 'string', value: 'N', help: `the newest N (default ${USUAL_LIMIT})` },
    follow: { type: 'boolean', short: 'f', help: 'and what happens from now on' },
    journal: JOURNAL_OPTION,
    json: { type: 'boolean', help: 'one JSON object a line, as when stdout is not a terminal' },
  },
  examples: ['chainlock history --since 14:00 --until 14:05 --lock send', 'chainlock history --follow --kind forced'],
  exits: [EXIT.bad, EXIT.notFound],
  /** @param {import('../commands').Context} context */
  async run(context) {
    const { values, out, err, isTty, json } = context
    const question = questionOf(values, Date.now())
    const path = journalPath(context)
    if (path === null) {
      throw new CommandError(
        EXIT.notFound,
        'there is no journal: give --journal PATH, or set CHAINLOCK_JOURNAL; a program writes one when it is started ' +
          'with CHAINLOCK_JOURNAL=PATH',
        'CHAINLOCK_JOURNAL=locks.journal node …',
      )
    }
    const isTable = isTty && !json
    const show = (/** @type {JournalEvent} */ event) => out(isTable ? rowOf(event, context) : JSON.stringify(event))
    return withJournal(path, async (journal) => {
      const found = await journal.query(question)
      if (found.length === question.limit) {
        err(`chainlock: only the newest ${question.limit} are shown; --limit N shows more`)
      }
      if (isTable) out(context.colour.dim(head(context.columns)))
      for (const event of found) show(event)
      if (found.length === 0 && !values.follow) err('chainlock: the journal has no such event')
      if (values.follow && !(Number(question.until) <= Date.now())) await follow(journal, question, found.at(-1), show)
      return EXIT.ok
    })
  },
}

/**
 * @param {Record<string, any>} values
 * @param {number} nowMs
 * @returns {import('../../../index').JournalQuery & { limit: number }}
 */
function questionOf({ since, until, lock, layer, kind, limit }, nowMs) {
  const { native } = require('../../native')
  return {
    ...range({ since, until }, nowMs),
    ...(lock !== undefined && { lock }),
    ...(layer !== undefined && { layer }),
    ...(kind !== undefined && { kind: /** @type {any} */ (word('--kind', kind, native.journalKinds())) }),
    limit: limit === undefined ? USUAL_LIMIT : wholeNumber('--limit', limit, { min: 1, max: MOST }),
  }
}

/**
 * @param {import('../../../index').Journal} journal
 * @param {import('../../../index').JournalQuery} question
 * @param {JournalEvent | undefined} last
 * @param {(event: JournalEvent) => void} show
 */
async function follow(journal, { lock, layer, kind, until }, last, show) {
  for await (const event of journal.follow({ lock, layer, kind, since: last?.atMs })) {
    if (until !== undefined && event.atMs >= Number(until)) return
    // From a time on, the last one comes once more.
    if (event.id > (last?.id ?? -1)) show(event)
  }
}

/** @param {number} columns */
function head(columns) {
  const { time, process, lock, kind, who, span } = widths(columns)
  const first = [pad('TIME', time), pad('PROCESS', process, 'right'), pad('LOCK', lock), pad('EVENT', kind)]
  return cut([...first, pad('WHO', who), pad('TOOK', span, 'right'), 'MORE'].join('  '), columns)
}

/** @param {JournalEvent} event @param {Pick<import('../commands').Context, 'columns'>} context */
function rowOf(event, { columns }) {
  const { process, lock, kind, who, span } = widths(columns)
  const text = (/** @type {string | null} */ value, /** @type {number} */ width) =>
    pad(cut(clean(value ?? ''), width), width)
  const token = event.token === null ? '' : `token ${event.token}`
  const more = [token, event.mode === 'shared' ? 'shared' : '', clean(event.other ?? '')]
  const cells = [
    localTime(event.atMs),
    pad(String(event.pid), process, 'right'),
    text(event.lock, lock),
    text(event.kind, kind),
    text(event.layer ?? event.label ?? threadName(event.threadId), who),
    pad(event.spanMs === null ? '' : duration(event.spanMs), span, 'right'),
    more.filter((part) => part !== '').join(', '),
  ]
  return cut(cells.join('  '), columns).trimEnd()
}

/** @param {number | null} threadId */
function threadName(threadId) {
  if (threadId === null) return null
  return threadId === 0 ? 'main' : `w${threadId}`
}

/** As clocks on the wall have it: '11-21 14:03:07.123'. @param {number} atMs */
function localTime(atMs) {
  const date = new Date(atMs)
  const local = new Date(atMs - date.getTimezoneOffset() * 60_000)
  return local.toISOString().slice(5, 23).replace('T', ' ')
}
