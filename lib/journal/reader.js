// The native reader of a journal's file.
// @ts-check
'use strict'

const { native } = require('../native')
const { textOf } = require('./errors')

/** @typedef {import('../binding.cjs').ExternalObject<unknown>} Reader */

/** @param {string} path @returns {Reader} */
function openReader(path) {
  const reader = native.journalReader(path)
  // A fault has a code; a reader has nothing.
  return 'code' in reader ? /** @type {never} */ (textOf(reader, path)) : /** @type {Reader} */ (reader)
}

module.exports = { openReader }
