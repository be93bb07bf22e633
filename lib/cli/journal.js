// What commands that read a journal share: which file, how it is opened, and from when to when is meant.
// @ts-check
'use strict'

const fs = require('node:fs')
const { span } = require('./args')
const { CommandError, EXIT, usageError } = require('./exit')
const { clean } = require('./text')

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
    throw new CommandError(EXIT.bad, clean(error.message), 'chainlock doctor')
  } finally {
    await journal?.close()
  }
}

/**
 * A moment in milliseconds since 1970: a span before now, a time of today, or a date with or without a time.
 * @param {string} name
 * @param {string} text
 * @param {number} nowMs
 */
function moment(name, text, nowMs) {
  if (/^[\d.]+(ms|s|m|h|d|$)/.test(text)) return nowMs - span(name, text)
  const isTime = /^\d{1,2}:\d{2}(:\d{2})?$/.test(text)
  const [hours, minutes, seconds = 0] = text.split(':').map(Number)
  const found = isTime ? new Date(nowMs).setHours(hours, minutes, seconds, 0) : Date.parse(text)
  if (Number.isNaN(found)) {
    throw usageError(`${name} is a time such as 10m (ago), 14:03 or 2026-11-21T14:03; got "${clean(text)}"`)
  }
  return found
}

module.exports = { JOURNAL_OPTION, SINCE_OPTION, journalPath, withJournal, moment }
