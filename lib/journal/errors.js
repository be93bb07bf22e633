// The journal's errors.
// @ts-check
'use strict'

const { ChainlockError } = require('../errors')
const { shown } = require('../locks/report')

/**
 * @typedef {import('../binding.cjs').JournalFault} Fault
 * @typedef {import('../../index').ChainlockErrorCode} Code
 */

/** @param {Fault} fault @param {string} path */
function journalError({ code, message }, path) {
  return new ChainlockError(/** @type {Code} */ (code), message, { path })
}

/** @param {Fault | null} fault @param {string} path */
function check(fault, path) {
  if (fault !== null) throw journalError(fault, path)
}

/** @param {string} path */
function closed(path) {
  return new ChainlockError('ERR_JOURNAL_CLOSED', `the journal ${shown(path)} is closed`, { path })
}

/**
 * The text that the native side answers, or its fault thrown.
 * @template {string | null} T
 * @param {T | Fault} answer
 * @param {string} path
 */
function textOf(answer, path) {
  if (answer !== null && typeof answer === 'object') throw journalError(answer, path)
  return /** @type {T} */ (answer)
}

module.exports = { check, closed, textOf }
