// What callers of the journal may pass, checked.
// @ts-check
'use strict'

const path = require('node:path')
const { native } = require('../native')
const { invalidArgument, typeError } = require('../errors')
const { copyOptions, isAbortSignal, milliseconds } = require('../options')

const OPEN = ['path', 'readOnly', 'maxRows', 'maxAgeMs', 'flushMs', 'events']
const QUERY = ['since', 'until', 'lock', 'layer', 'kind', 'after', 'limit']
const FOLLOW = ['since', 'lock', 'layer', 'kind', 'signal']
/** The kinds of events, by their codes. */
const KINDS = native.journalKinds()

const USUAL_ROWS = 1_000_000
const USUAL_AGE_MS = 7 * 86_400_000
const USUAL_FLUSH_MS = 50
/** What is lost with a process is at most of the last tenth of a second: so long is gathered, and then written. */
const LONGEST_FLUSH_MS = 100
const USUAL_LIMIT = 1_000
const MOST_EVENTS = 100_000
const INSTANT = 'a Date, an ISO date as a string, or milliseconds since 1970'

/**
 * @typedef {{ path: string, readOnly: boolean, settings: import('../binding.cjs').JournalSettings }} Opening
 * @typedef {import('../binding.cjs').JournalQuery} Query
 */

/** @param {string} call @param {unknown} given @returns {Opening} */
function opening(call, given) {
  if (given === undefined) throw invalidArgument(`${call}: options`, 'an object', given)
  const { path: file, readOnly = false, ...rest } = copyOptions(call, given, OPEN)
  if (typeof file !== 'string' || file === '' || file.includes('\0')) {
    throw invalidArgument(`${call}: path`, 'a path, as a string', file)
  }
  if (typeof readOnly !== 'boolean') throw invalidArgument(`${call}: readOnly`, 'true or false', readOnly)
  const told = Object.keys(rest).find((name) => rest[name] !== undefined)
  if (readOnly && told !== undefined) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: ${told} is for who writes; with readOnly give only a path`)
  }
  return { path: path.resolve(file), readOnly, settings: settings(call, rest) }
}

/** @param {string} call @param {Record<string, unknown>} given */
function settings(call, { maxRows, maxAgeMs, flushMs, events }) {
  return {
    maxRows: maxRows === undefined ? USUAL_ROWS : whole(call, 'maxRows', maxRows, 1, Number.MAX_SAFE_INTEGER),
    maxAgeMs: maxAgeMs === undefined ? USUAL_AGE_MS : milliseconds(call, 'maxAgeMs', maxAgeMs),
    flushMs: flushMs === undefined ? USUAL_FLUSH_MS : flush(call, flushMs),
    ...(events === undefined ? {} : { kinds: kinds(call, events) }),
  }
}

/** @param {string} call @param {unknown} flushMs */
function flush(call, flushMs) {
  if (typeof flushMs !== 'number' || !(flushMs >= 0 && flushMs <= LONGEST_FLUSH_MS)) {
    throw invalidArgument(`${call}: flushMs`, `a number of milliseconds from 0 to ${LONGEST_FLUSH_MS}`, flushMs)
  }
  return flushMs
}

/** @param {string} call @param {unknown} events */
function kinds(call, events) {
  if (!Array.isArray(events)) throw invalidArgument(`${call}: events`, 'an array of kinds of events', events)
  return Array.from(events, (kind, index) => KINDS.indexOf(kindOf(call, `events[${index}]`, kind)))
}

/** @param {string} call @param {string} name @param {unknown} kind */
function kindOf(call, name, kind) {
  if (!KINDS.includes(/** @type {string} */ (kind))) {
    throw invalidArgument(`${call}: ${name}`, `one of ${KINDS.map((known) => `'${known}'`).join(', ')}`, kind)
  }
  return /** @type {string} */ (kind)
}

/** @param {string} call @param {string} name @param {unknown} value @param {number} least @param {number} most */
function whole(call, name, value, least, most) {
  if (!Number.isSafeInteger(value) || Number(value) < least || Number(value) > most) {
    throw invalidArgument(`${call}: ${name}`, `a whole number from ${least} to ${most}`, value)
  }
  return Number(value)
}

/** An instant, in ms since 1970. @param {string} call @param {string} name @param {unknown} value */
function instant(call, name, value) {
  const isNamed = typeof value === 'string' || value instanceof Date
  const ms = isNamed ? new Date(value).getTime() : value
  if (typeof ms !== 'number' || !Number.isFinite(ms)) throw invalidArgument(`${call}: ${name}`, INSTANT, value)
  return ms
}

/** @param {string} call @param {string} name @param {unknown} value */
function text(call, name, value) {
  if (typeof value !== 'string') throw invalidArgument(`${call}: ${name}`, 'a string', value)
  return value
}

/** @param {string} call @param {Record<string, unknown>} given @returns {Query} */
function query(call, { since, until, lock, layer, kind, after, limit }) {
  return {
    limit: limit === undefined ? USUAL_LIMIT : whole(call, 'limit', limit, 1, MOST_EVENTS),
    ...(since === undefined ? {} : { since: instant(call, 'since', since) }),
    ...(until === undefined ? {} : { until: instant(call, 'until', until) }),
    ...(lock === undefined ? {} : { lock: text(call, 'lock', lock) }),
    ...(layer === undefined ? {} : { layer: text(call, 'layer', layer) }),
    ...(kind === undefined ? {} : { kind: kindOf(call, 'kind', kind) }),
    ...(after === undefined ? {} : { after: whole(call, 'after', after, 0, Number.MAX_SAFE_INTEGER) }),
  }
}

/** @param {string} call @param {unknown} given @returns {Query} */
const queryOptions = (call, given) => query(call, copyOptions(call, given, QUERY))

/** @param {string} call @param {unknown} given */
function followOptions(call, given) {
  const { signal, ...filter } = copyOptions(call, given, FOLLOW)
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw invalidArgument(`${call}: options.signal`, 'an AbortSignal', signal)
  }
  return { signal: /** @type {AbortSignal | undefined} */ (signal), filter: query(call, filter) }
}

module.exports = { opening, queryOptions, followOptions }
