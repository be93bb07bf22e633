// What callers of leases may pass: every check of an argument is here, and names the argument. Defaults, too.
// @ts-check
'use strict'

const os = require('node:os')
const path = require('node:path')
const { threadId } = require('node:worker_threads')
const { ChainlockError, invalidArgument, typeError, quote } = require('../errors')
const { copyOptions, oneOf, isAbortSignal } = require('../options')

const MANAGER = [
  ...['store', 'ttlMs', 'workerId', 'nodeId', 'namespace', 'token', 'apiUrl', 'showOnIssue', 'caFile', 'requestTimeoutMs'],
  ...['requireLoopAliveMs', 'maxHoldMs', 'maxRetries', 'retryDelayMs', 'maxRetryDelayMs'],
]
const TRY = ['ttlMs', 'signal', 'shared', 'permits', 'metadata', 'lockDelayMs', 'workerId', 'nodeId']
const ACQUIRE = [...TRY, 'timeoutMs', 'fair']
const STEAL = ['expectToken', 'reason', 'shared', 'permits', 'ttlMs', 'metadata', 'lockDelayMs', 'workerId', 'nodeId', 'signal']
const FAMILIAR = ['workerId', 'nodeId', 'taskInfo', 'conflictStrategy', 'maxRetries', 'ttlMs', 'signal', 'timeoutMs']
const STRATEGIES = /** @type {const} */ (['retry', 'fail_fast', 'steal_stale', 'force_acquire'])

const MOST_KEY_BYTES = 512
const MOST_KEYS = 64
const MOST_META_BYTES = 4 * 1024
const MOST_PERMITS = 256
const MOST_NAME_BYTES = 256
const MOST_REASON_BYTES = 256
const MOST_RETRIES = 1_000
const MOST_LISTED = 100_000
/** A week: what is held for longer is no lease. */
const MOST_MS = 7 * 24 * 60 * 60 * 1_000

/**
 * @typedef {{
 *   keys?: string[], mode?: 'exclusive' | 'shared' | number, ttlMs: number, delayMs?: number, worker?: string,
 *   node?: string, meta?: string, fair?: boolean, reason?: string, timeoutMs?: number,
 *   strategy?: 'wait' | 'failFast' | 'retry' | 'stealStale' | 'force' | 'steal',
 *   maxRetries?: number, retryDelayMs?: number, maxRetryDelayMs?: number, token?: number,
 *   send?: { layer: string, message?: string, first: import('./send-options').First },
 * }} Ask What the native side is asked for; nothing is the default.
 */

/** Half a character, as JSON writes it; one that was written so by hand has another backslash before it. */
const HALF = /(?<!\\)(?:\\\\)*\\ud[89a-f]/

/** @param {string} text */
const isWhole = (text) => !/\p{Surrogate}|\0/u.test(text)

/** @param {string} call @param {string} name @param {unknown} value @param {number} most @returns {string} */
function text(call, name, value, most) {
  if (typeof value !== 'string' || value === '' || value.length > most || Buffer.byteLength(value) > most || !isWhole(value)) {
    throw invalidArgument(`${call}: ${name}`, `a string of 1 to ${most} bytes without NUL and without half characters`, value)
  }
  return value
}

/** @param {string} call @param {string} name @param {unknown} value @param {number} most @returns {string | undefined} */
const maybeText = (call, name, value, most) => (value === undefined ? undefined : text(call, name, value, most))

/** A whole number of a range. @param {string} call @param {string} name @param {unknown} value @param {number} least @param {number} most */
function whole(call, name, value, least, most) {
  if (!Number.isInteger(value) || Number(value) < least || Number(value) > most) {
    const range = `a whole number from ${least.toLocaleString('en-US')} to ${most.toLocaleString('en-US')}`
    throw invalidArgument(`${call}: ${name}`, range, value)
  }
  return Number(value)
}

/** @param {string} call @param {string} name @param {unknown} value @param {number} least @returns {number | undefined} */
const span = (call, name, value, least, most = MOST_MS) =>
  value === undefined ? undefined : whole(call, name, value, least, most)

/** @param {string} call @param {string} name @param {unknown} value @returns {boolean | undefined} */
function flag(call, name, value) {
  if (value !== undefined && typeof value !== 'boolean') throw invalidArgument(`${call}: ${name}`, 'a boolean', value)
  return value
}

/** How long somebody waits; undefined is for ever. @param {string} call @param {unknown} value */
function timeout(call, value) {
  if (value === undefined || value === Infinity) return undefined
  if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
    throw invalidArgument(`${call}: options.timeoutMs`, 'a number of milliseconds, not negative', value)
  }
  return Math.ceil(value)
}

/** @param {string} call @param {unknown} signal @returns {AbortSignal | undefined} */
function abortSignal(call, signal) {
  if (signal !== undefined && !isAbortSignal(signal)) throw invalidArgument(`${call}: options.signal`, 'an AbortSignal', signal)
  return /** @type {AbortSignal | undefined} */ (signal)
}

/** @param {string} call @param {unknown} key @returns {string} */
function key(call, key, name = 'key') {
  if (typeof key === 'number') return String(whole(call, name, key, 1, Number.MAX_SAFE_INTEGER))
  return text(call, name, key, MOST_KEY_BYTES)
}

/** @param {string} call @param {unknown} given @returns {string[]} */
function keys(call, given) {
  if (!Array.isArray(given)) return [key(call, given)]
  if (given.length === 0 || given.length > MOST_KEYS) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: keys must name 1 to ${MOST_KEYS} keys; got ${given.length}`)
  }
  const all = Array.from(given, (one, index) => key(call, one, `keys[${index}]`))
  const twice = all.find((one, index) => all.indexOf(one) !== index)
  if (twice !== undefined) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: keys must name each key once; ${quote(twice.slice(0, 64))} is there twice`)
  }
  return all
}

/** As JSON. @param {string} call @param {string} name @param {unknown} value @returns {string | undefined} */
function metadata(call, name, value) {
  if (value === undefined) return undefined
  let json
  try {
    json = JSON.stringify(value)
  } catch {
    // Circular, or a bigint.
  }
  if (json === undefined) throw invalidArgument(`${call}: ${name}`, 'a value that JSON can say', value)
  if (HALF.test(json)) throw invalidArgument(`${call}: ${name}`, 'without half characters', value)
  const bytes = Buffer.byteLength(json)
  if (bytes > MOST_META_BYTES) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: ${name} must be at most ${MOST_META_BYTES} bytes as JSON; got ${bytes}`)
  }
  return json
}

/** @param {string} call @param {Record<string, unknown>} given @returns {number | 'shared' | 'exclusive'} */
function mode(call, { shared, permits }) {
  if (permits !== undefined && flag(call, 'options.shared', shared) === true) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: shared and permits exclude each other; give one`)
  }
  if (permits !== undefined) return whole(call, 'options.permits', permits, 1, MOST_PERMITS)
  return flag(call, 'options.shared', shared) === true ? 'shared' : 'exclusive'
}

/**
 * What all requests may say.
 * @param {string} call
 * @param {Record<string, unknown>} given
 * @param {number} ttlMs The manager's.
 * @returns {Ask}
 */
function common(call, given, ttlMs) {
  return {
    ttlMs: span(call, 'options.ttlMs', given.ttlMs, 1) ?? ttlMs,
    delayMs: span(call, 'options.lockDelayMs', given.lockDelayMs, 0),
    worker: maybeText(call, 'options.workerId', given.workerId, MOST_NAME_BYTES),
    node: maybeText(call, 'options.nodeId', given.nodeId, MOST_NAME_BYTES),
    meta: metadata(call, 'options.metadata', given.metadata),
  }
}

/**
 * @param {string} call
 * @param {unknown} options
 * @param {number} ttlMs
 * @param {boolean} waits
 * @returns {{ ask: Ask, signal: AbortSignal | undefined }}
 */
function acquiring(call, options, ttlMs, waits) {
  const given = copyOptions(call, options, waits ? ACQUIRE : TRY)
  const timeoutMs = timeout(call, given.timeoutMs)
  /** @type {Ask} */
  const ask = {
    ...common(call, given, ttlMs),
    mode: mode(call, given),
    fair: flag(call, 'options.fair', given.fair),
    timeoutMs,
    strategy: waits ? 'wait' : 'failFast',
  }
  return { ask, signal: abortSignal(call, given.signal) }
}

/** @param {unknown} options @param {number} ttlMs @returns {{ ask: Ask, signal: AbortSignal | undefined }} */
function stealing(options, ttlMs) {
  if (options === undefined) throw invalidArgument('steal: options', 'an object with expectToken', options)
  const given = copyOptions('steal', options, STEAL)
  const token = whole('steal', 'options.expectToken', given.expectToken, 1, Number.MAX_SAFE_INTEGER)
  const reason = maybeText('steal', 'options.reason', given.reason, MOST_REASON_BYTES)
  const ask = { ...common('steal', given, ttlMs), mode: mode('steal', given), strategy: /** @type {const} */ ('steal'), token, reason }
  return { ask, signal: abortSignal('steal', given.signal) }
}

/**
 * @param {unknown} options
 * @param {Settings} settings
 * @returns {{ ask: Ask, signal: AbortSignal | undefined }}
 */
function familiar(options, settings) {
  const call = 'acquireLock'
  const given = copyOptions(call, options, FAMILIAR)
  const { taskInfo, conflictStrategy = 'retry' } = given
  const strategy = oneOf(call, 'options.conflictStrategy', conflictStrategy, STRATEGIES)
  const maxRetries = span(call, 'options.maxRetries', given.maxRetries, 0, MOST_RETRIES) ?? settings.maxRetries
  /** @type {Ask} */
  const ask = {
    ...common(call, given, settings.ttlMs),
    meta: metadata(call, 'options.taskInfo', taskInfo),
    timeoutMs: timeout(call, given.timeoutMs),
    ...strategyOf(strategy, { ...settings, maxRetries }),
  }
  return { ask, signal: abortSignal(call, given.signal) }
}

/** @param {typeof STRATEGIES[number]} strategy @param {Settings} settings @returns {Partial<Ask>} */
function strategyOf(strategy, { maxRetries, retryDelayMs, maxRetryDelayMs }) {
  switch (strategy) {
    case 'retry':
      return { strategy: 'retry', maxRetries, retryDelayMs, maxRetryDelayMs }
    case 'fail_fast':
      return { strategy: 'failFast' }
    case 'steal_stale':
      return { strategy: 'stealStale' }
    default:
      return { strategy: 'force', reason: 'force_acquire' }
  }
}

/** @typedef {ReturnType<typeof manager>} Settings */

/** @param {unknown} options */
function manager(options) {
  const call = 'LeaseManager'
  const given = copyOptions(call, options, MANAGER)
  const { store, namespace = 'chainlock' } = given
  if (store !== undefined && typeof store !== 'string') {
    throw invalidArgument(`${call}: options.store`, 'a URL or a path (docs/leases.md)', store)
  }
  if (store !== undefined && /\p{Surrogate}/u.test(store)) {
    throw new ChainlockError('ERR_LOCK_STORE_ADDRESS', "the store's address cannot be used: it has half characters")
  }
  if (typeof namespace !== 'string' || !/^[A-Za-z0-9_.-]{1,64}$/.test(namespace)) {
    throw invalidArgument(`${call}: options.namespace`, '1 to 64 of A–Z a–z 0–9 _ . -', namespace)
  }
  const retryDelayMs = span(call, 'options.retryDelayMs', given.retryDelayMs, 1) ?? 1_000
  return {
    store,
    namespace,
    stateDir: stateDirectory(),
    host: os.hostname(),
    ttlMs: span(call, 'options.ttlMs', given.ttlMs, 1) ?? 300_000,
    workerId: maybeText(call, 'options.workerId', given.workerId, MOST_NAME_BYTES) ?? usualWorker(),
    nodeId: maybeText(call, 'options.nodeId', given.nodeId, MOST_NAME_BYTES),
    token: secret(given.token),
    apiUrl: maybeText(call, 'options.apiUrl', given.apiUrl, 2_048),
    showOnIssue: flag(call, 'options.showOnIssue', given.showOnIssue) ?? true,
    caFile: maybeText(call, 'options.caFile', given.caFile, 4_096),
    requestTimeoutMs: span(call, 'options.requestTimeoutMs', given.requestTimeoutMs, 1),
    requireLoopAliveMs: span(call, 'options.requireLoopAliveMs', given.requireLoopAliveMs, 1),
    maxHoldMs: span(call, 'options.maxHoldMs', given.maxHoldMs, 1),
    maxRetries: span(call, 'options.maxRetries', given.maxRetries, 0, MOST_RETRIES) ?? 5,
    retryDelayMs,
    maxRetryDelayMs: Math.max(retryDelayMs, span(call, 'options.maxRetryDelayMs', given.maxRetryDelayMs, 1) ?? 16_000),
  }
}

/** Not shown, whatever is wrong with it. @param {unknown} token @returns {string | undefined} */
function secret(token) {
  if (token === undefined) return undefined
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,1024}$/.test(token)) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `LeaseManager: options.token must be 1 to 1,024 printable characters; got ${typeof token === 'string' ? 'another string' : `a value of type ${typeof token}`}`)
  }
  return token
}

function usualWorker() {
  const thread = threadId === 0 ? '' : `-w${threadId}`
  return `${os.hostname().slice(0, 64) || 'host'}-${process.pid}${thread}`
}

/** Where programs keep what shall outlive a reboot: a token must never come again. */
function stateDirectory() {
  const { XDG_STATE_HOME, LOCALAPPDATA } = process.env
  if (process.platform === 'win32' && LOCALAPPDATA) return path.join(LOCALAPPDATA, 'chainlock')
  const given = XDG_STATE_HOME !== undefined && path.isAbsolute(XDG_STATE_HOME)
  return path.join(given ? XDG_STATE_HOME : path.join(os.homedir(), '.local', 'state'), 'chainlock')
}

/** @param {unknown} options */
function listing(options) {
  const { prefix = '', limit } = copyOptions('list', options, ['prefix', 'limit'])
  if (prefix !== '') text('list', 'options.prefix', prefix, MOST_KEY_BYTES)
  return { prefix: String(prefix), limit: span('list', 'options.limit', limit, 1, MOST_LISTED) ?? 1_000 }
}

/** @param {unknown} options @returns {boolean} */
function closing(options) {
  const { release } = copyOptions('destroy', options, ['release'])
  return flag('destroy', 'options.release', release) ?? true
}

/** @param {unknown} worker @returns {string | undefined} */
const worker = (worker) => maybeText('releaseLock', 'workerId', worker, MOST_NAME_BYTES)

module.exports = { acquiring, stealing, familiar, manager, listing, closing, key, keys, worker, text, span, STRATEGIES }
