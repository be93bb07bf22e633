// What callers of the stale-lock functions may pass.
// @ts-check
'use strict'

const path = require('node:path')
const { invalidArgument } = require('../errors')
const { copyOptions, milliseconds, oneOf } = require('../options')

const KNOWN = ['maxAgeMs', 'format', 'samePidNamespace']
const FORMATS = /** @type {const} */ (['pid-file', 'git', 'symlink', 'directory', 'plain'])

/**
 * @typedef {object} Asked
 * @property {string} call
 * @property {string} path
 * @property {number | undefined} maxAgeMs
 * @property {(typeof FORMATS)[number] | undefined} format
 * @property {boolean} samePidNamespace
 */

/** @param {string} call @param {unknown} given @param {unknown} options @returns {Asked} */
function asked(call, given, options) {
  const lock = lockPath(call, given)
  const { maxAgeMs, format, samePidNamespace } = copyOptions(call, options, KNOWN)
  if (samePidNamespace !== undefined && typeof samePidNamespace !== 'boolean') {
    throw invalidArgument(`${call}: options.samePidNamespace`, 'true or false', samePidNamespace)
  }
  return {
    call,
    path: lock,
    maxAgeMs: maxAgeMs === undefined ? undefined : milliseconds(call, 'options.maxAgeMs', maxAgeMs),
    format: format === undefined ? undefined : oneOf(call, 'options.format', format, FORMATS),
    samePidNamespace: samePidNamespace === true,
  }
}

/** @param {string} call @param {unknown} given */
function lockPath(call, given) {
  const allowed = 'a path (a string without NUL) that ends in a name'
  if (typeof given !== 'string' || given.includes('\0')) throw invalidArgument(`${call}: path`, allowed, given)
  // A slash at the end would follow a link; dots name no entry of their own.
  if (given === '' || /(^|[\\/])\.{0,2}$/.test(given)) throw invalidArgument(`${call}: path`, allowed, given)
  return path.resolve(given)
}

module.exports = { asked, lockPath }
