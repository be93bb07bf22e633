// What commands that read a journal share: which file, how it is opened, and from when to when is meant.
// @ts-check
'use strict'

const fs = require('node:fs')
const { span } = require('./args')
const { CommandError, EXIT, usageError } = require('./exit')
const { clean } = require('./text')
const { typed } = require('../snapshot/words')

/** @type {import('./commands').Option} */
const JOURNAL_OPTION = { type: 'string', value: 'PATH', help: 'the journal (default: CHAINLOCK_JOURNAL)' }
/** @type {import('./commands').Option} */
const SINCE_OPTION = { type: 'string', value: 'WHEN', help: 'from then on: 10m (ago), 14:03 or 2026-11-21T14:03' }

/**
 * The journal that is meant: that of the option, or else that of the environment. It must be there.
 * @param {Pick<import('./commands').Context, 'values' | 'env'>} context
 * @returns {string | null} Null when none is named.
 */
function journalPath({ values, env }) {
  const path = values.journal ?? (env.CHAINLOCK_JOURNAL || null)
  if (path !== null && !fs.existsSync(path)) {
    throw new CommandError(EXIT.notFound, `there is no journal at ${clean(path)}`)
  }
  return path
}

/**
 * Opens a journal to read it, and closes it after the use.
 * @template T
 * @param {string} path
 * @param {(journal: import('../../index').Journal) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function withJournal(path, use) {
  // Not by the package's entry, which would write the journal that CHAINLOCK_JOURNAL names.
  const { openJournal } = require('../journal/journal')
  let journal
  try {
    journal = openJournal({ path, readOnly: true })
    return await use(journal)
  } catch (/** @type {any} */ error) {
    if (!String(error?.code).startsWith('ERR_JOURNAL')) throw error
    const word = typed(path)
    const doctor = word === null ? 'chainlock doctor' : `chainlock doctor --journal=${word}`
    throw new CommandError(EXIT.bad, clean(error.message), doctor)
  } finally {
    await journal?.close()
  }
}

const TIME = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/
/** Without a time JavaScript takes it for UTC; here all is local time. */
const DATE = /^\d{4}-\d{2}-\d{2}$/
const DAY_MS = 86_400_000

/**
 * A moment in milliseconds since 1970: a span before now, a time of today (for `--since` the last one before now), or
 * a date with or without a time.
 * @param {string} name
 * @param {string} text
 * @param {number} nowMs
 */
function moment(name, text, nowMs) {
  if (/^[\d.]+(ms|s|m|h|d|$)/.test(text)) return nowMs - span(name, text)
  const time = TIME.exec(text)
  if (time !== null) {
    const [hours, minutes, seconds] = time.slice(1).map((part) => Number(part ?? 0))
    const at = (/** @type {number} */ dayMs) => new Date(dayMs).setHours(hours, minutes, seconds, 0)
    return name === '--since' && at(nowMs) > nowMs ? at(nowMs - DAY_MS) : at(nowMs)
  }
  // Words and bare times that `Date.parse` makes something of are not meant.
  const found = /^\d{4}-/.test(text) ? Date.parse(DATE.test(text) ? `${text}T00:00` : text) : NaN
  if (Number.isNaN(found)) {
    throw usageError(`${name} is a time such as 10m (ago), 14:03 or 2026-11-21T14:03; got "${clean(text)}"`)
  }
  return found
}

/**
 * The range that `--since` and `--until` name.
 * @param {{ since?: string, until?: string }} values
 * @param {number} nowMs
 * @returns {{ since?: number, until?: number }}
 */
function range({ since, until }, nowMs) {
  const from = since === undefined ? undefined : moment('--since', since, nowMs)
  const to = until === undefined ? undefined : moment('--until', until, nowMs)
  if (from !== undefined && to !== undefined && from >= to) throw usageError('--until must be later than --since')
  return { ...(from !== undefined && { since: from }), ...(to !== undefined && { until: to }) }
}

module.exports = { JOURNAL_OPTION, SINCE_OPTION, journalPath, withJournal, range }
