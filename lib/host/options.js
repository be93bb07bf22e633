// What callers of host locks may pass: every check of an argument is here, and names the argument. Defaults, too.
// @ts-check
'use strict'

const path = require('node:path')
const { invalidArgument } = require('../errors')
const { copyOptions } = require('../options')
const { Wait, timeout, modeWeight, cleanLabel, abortSignal, callback } = require('../locks/options')

const TRY = ['mode', 'label']
const SYNC = [...TRY, 'timeoutMs']
const ACQUIRE = [...SYNC, 'signal']
const LOCK = ['allowNetworkFs']

/** @typedef {import('../locks/options').Wait} Waits */

/** How long those wait who say nothing. */
const DEFAULT_TIMEOUT_MS = 60_000
const defaultWait = new Wait(DEFAULT_TIMEOUT_MS)

const MOST_NAME_BYTES = 255
const NAME = `a name of 1 to ${MOST_NAME_BYTES} bytes without '/', or a path that begins with '/', './' or '../'`
const SEPARATOR = process.platform === 'win32' ? /[\\/]/ : /\//
const RELATIVE = process.platform === 'win32' ? /^\.\.?[\\/]/ : /^\.\.?\//

/** Surrogates without their partner: two such names would be one on disk. */
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/**
 * @param {string} call
 * @param {unknown} given
 * @returns {{ given: string, isPath: boolean }}
 */
function place(call, given, argument = 'nameOrPath') {
  if (typeof given !== 'string') throw invalidArgument(`${call}: ${argument}`, 'a string', given)
  if (given.includes('\0')) throw invalidArgument(`${call}: ${argument}`, 'without NUL', given)
  if (LONE.test(given)) throw invalidArgument(`${call}: ${argument}`, 'well-formed Unicode', given)
  if (path.isAbsolute(given) || RELATIVE.test(given)) return { given, isPath: true }
  const isName = given !== '' && given !== '.' && given !== '..' && !SEPARATOR.test(given)
  if (!isName || Buffer.byteLength(given) > MOST_NAME_BYTES) {
    throw invalidArgument(`${call}: ${argument}`, NAME, given)
  }
  return { given, isPath: false }
}

/** @param {string} call @param {unknown} options */
function allowsNetworkFs(call, options) {
  const { allowNetworkFs = false } = copyOptions(call, options, LOCK)
  if (typeof allowNetworkFs !== 'boolean') {
    throw invalidArgument(`${call}: options.allowNetworkFs`, 'true or false', allowNetworkFs)
  }
  return allowNetworkFs
}

/**
 * @param {string} call
 * @param {Record<string, unknown>} copy
 */
function waitFrom(call, copy) {
  const wait = new Wait(timeout(call, copy.timeoutMs, DEFAULT_TIMEOUT_MS))
  wait.signal = abortSignal(call, copy.signal)
  wait.label = cleanLabel(call, copy.label)
  return wait
}

/**
 * @param {string} call
 * @param {unknown} options
 * @param {readonly string[]} known
 * @returns {{ weight: 0 | 1, wait: Waits }}
 */
function request(call, options, known) {
  if (options === undefined) return { weight: 0, wait: defaultWait }
  const copy = copyOptions(call, options, known)
  return { weight: modeWeight(call, copy.mode), wait: waitFrom(call, copy) }
}

/** @param {string} call @param {unknown} options */
function tryRequest(call, options) {
  const copy = copyOptions(call, options, TRY)
  return { weight: modeWeight(call, copy.mode), label: cleanLabel(call, copy.label) }
}

/**
 * `(options, fn)` or `(fn)`.
 * @param {string} call
 * @param {unknown} given
 * @param {unknown} fn
 * @returns {[asked: unknown, body: (guard: any) => any]}
 */
function withBody(call, given, fn) {
  return fn === undefined && typeof given === 'function'
    ? [undefined, callback(call, given)]
    : [given, callback(call, fn)]
}

module.exports = { TRY, SYNC, ACQUIRE, place, allowsNetworkFs, defaultWait, waitFrom, request, tryRequest, withBody }
