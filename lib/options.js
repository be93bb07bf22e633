// What callers may pass: every check of an argument is here, and names the argument.
// @ts-check
'use strict'

const { native } = require('./native')
const { ChainlockError, invalidArgument, typeError, quote } = require('./errors')

const limits = native.limits()
const LAYER_ID = `a layer id (a string of 1 to ${limits.nameBytes} bytes)`
const PLAIN = /^[\x20-\x7e]+$/
const MS = 'a finite number of milliseconds from 0 to Number.MAX_SAFE_INTEGER'

const REQUEST = ['message', 'messageKey', 'nested']
const WAIT = [...REQUEST, 'timeoutMs', 'signal']
const SETTINGS = [
  'cooldownMs',
  'cooldownFrom',
  'timeoutMs',
  'onTimeout',
  'forceReleaseMs',
  'layers',
  'historyLimit',
  'dedupWindowMs',
]

/**
 * @param {string} call
 * @param {unknown} options
 * @param {readonly string[]} known
 * @returns {Record<string, unknown>} A plain copy: a getter is read once, before anything is done.
 */
function copyOptions(call, options, known, name = 'options') {
  if (options === undefined) return {}
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument(`${call}: ${name}`, 'an object', options)
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw typeError(
        'ERR_LOCK_UNKNOWN_OPTION',
        `${call}: unknown option ${quote(key.slice(0, 64))}${nearest(key, known)}; allowed are ${known.join(', ')}`,
      )
    }
  }
  return { ...options }
}

/**
 * @param {string} wrong
 * @param {readonly string[]} known
 */
function nearest(wrong, known) {
  const plain = (/** @type {string} */ text) => text.toLowerCase().replace(/ms$|[^a-z]/g, '')
  const found = known.find((name) => plain(name) === plain(wrong))
  return found ? ` (did you mean '${found}'?)` : ''
}

/**
 * @param {string} call
 * @param {unknown} id
 * @returns {string}
 */
function layerId(call, id, name = 'layerId') {
  const clean = typeof id === 'string' ? cleanLayerId(id) : null
  if (clean === null) throw invalidArgument(`${call}: ${name}`, LAYER_ID, id)
  return clean
}

/**
 * A layer id as the lock knows it; null for what cannot be one.
 * @param {string} id
 * @returns {string | null}
 */
function cleanLayerId(id) {
  if (id.length === 0 || id.length > limits.nameBytes) return null
  // Plain text is what it is; for the rest the native code knows.
  return PLAIN.test(id) ? id : native.layerId(id)
}

/**
 * @param {string} call
 * @param {string} name
 * @param {unknown} value
 * @returns {number}
 */
function milliseconds(call, name, value) {
  if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
    throw invalidArgument(`${call}: ${name}`, MS, value)
  }
  return value
}

/**
 * @template {string} T
 * @param {string} call
 * @param {string} name
 * @param {unknown} value
 * @param {readonly T[]} words
 * @returns {T}
 */
function oneOf(call, name, value, words) {
  if (!words.includes(/** @type {T} */ (value))) {
    throw invalidArgument(`${call}: ${name}`, words.map((word) => `'${word}'`).join(' or '), value)
  }
  return /** @type {T} */ (value)
}

/**
 * What one request says about itself.
 * @typedef {{ message: string | undefined, mayJoin: boolean }} RequestOptions
 */

/**
 * @param {string} call
 * @param {Record<string, unknown>} options
 * @returns {RequestOptions}
 */
function request(call, options) {
  const { message, messageKey, nested } = options
  if (message !== undefined && messageKey !== undefined) {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: message and messageKey exclude each other; give one`)
  }
  for (const [name, value] of Object.entries({ message, messageKey })) {
    if (value !== undefined && typeof value !== 'string') {
      throw invalidArgument(`${call}: options.${name}`, 'a string', value)
    }
  }
  if (nested !== undefined) oneOf(call, 'options.nested', nested, ['join', 'refuse'])
  // A text and a name are never taken for each other.
  const text = message !== undefined ? `m:${message}` : messageKey !== undefined ? `k:${messageKey}` : undefined
  return { message: text, mayJoin: nested !== 'refuse' }
}

/** @param {string} call @param {unknown} options @returns {RequestOptions} */
function requestOptions(call, options) {
  return request(call, copyOptions(call, options, REQUEST))
}

/**
 * @param {string} call
 * @param {unknown} options
 * @returns {RequestOptions & { timeoutMs: number, signal: AbortSignal | undefined }} A timeout of −1 is none.
 */
function waitOptions(call, options) {
  const copy = copyOptions(call, options, WAIT)
  const { timeoutMs, signal } = copy
  const forEver = timeoutMs === undefined || timeoutMs === Infinity
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw invalidArgument(`${call}: options.signal`, 'an AbortSignal', signal)
  }
  return {
    ...request(call, copy),
    timeoutMs: forEver ? -1 : milliseconds(call, 'options.timeoutMs', timeoutMs),
    signal: /** @type {AbortSignal | undefined} */ (signal),
  }
}

/** Also one of another realm. @param {unknown} value */
function isAbortSignal(value) {
  const signal = /** @type {any} */ (value)
  return (
    typeof signal === 'object' &&
    signal !== null &&
    typeof signal.aborted === 'boolean' &&
    typeof signal.addEventListener === 'function'
  )
}

/** @param {string} call @param {number} count How many layers would be listed. */
function layerCount(call, count) {
  if (count > limits.listedLayers) {
    throw typeError(
      'ERR_LOCK_INVALID_ARGUMENT',
      `${call}: layers may name at most ${limits.listedLayers} layers; got ${count}`,
    )
  }
}

/**
 * @param {string} call
 * @param {unknown} value
 * @returns {string[]}
 */
function layerList(call, value) {
  if (!Array.isArray(value)) throw invalidArgument(`${call}: layers`, "'any' or an array of layer ids", value)
  layerCount(call, value.length)
  return Array.from(value, (id, index) => layerId(call, id, `layers[${index}]`))
}

/**
 * Settings as the native code takes them. Nothing is applied here: a wrong one leaves all as it was.
 * @param {string} call
 * @param {unknown} settings
 * @returns {import('./binding.cjs').SettingsChange}
 */
function settingsChange(call, settings) {
  if (settings === undefined) throw invalidArgument(`${call}: settings`, 'an object', settings)
  const given = copyOptions(call, settings, SETTINGS, 'settings')
  /** @type {import('./binding.cjs').SettingsChange} */
  const change = {}
  for (const name of /** @type {const} */ (['cooldownMs', 'timeoutMs', 'forceReleaseMs', 'dedupWindowMs'])) {
    if (given[name] !== undefined) change[name] = milliseconds(call, name, given[name])
  }
  const { cooldownFrom, onTimeout, historyLimit, layers } = given
  if (cooldownFrom !== undefined) {
    change.cooldownFromRelease = oneOf(call, 'cooldownFrom', cooldownFrom, ['acquire', 'release']) === 'release'
  }
  if (onTimeout !== undefined) {
    change.releaseOnTimeout = oneOf(call, 'onTimeout', onTimeout, ['report', 'release']) === 'release'
  }
  if (historyLimit !== undefined) {
    if (!Number.isInteger(historyLimit) || Number(historyLimit) < 0 || Number(historyLimit) > limits.historyLimit) {
      throw invalidArgument(`${call}: historyLimit`, `a whole number from 0 to ${limits.historyLimit}`, historyLimit)
    }
    change.historyLimit = Number(historyLimit)
  }
  if (layers === 'any') change.anyLayer = true
  else if (layers !== undefined) change.layers = layerList(call, layers)
  return change
}

/** @param {unknown} name */
function isHostName(name) {
  if (typeof name !== 'string' || name === '' || /[/\0]/.test(name)) return false
  return name !== '.' && name !== '..' && Buffer.byteLength(name) <= limits.hostNameBytes
}

/**
 * Settings with the lock's scope. Nothing is applied here.
 * @param {string} call
 * @param {unknown} settings
 */
function lockSettings(call, settings) {
  if (settings === undefined) throw invalidArgument(`${call}: settings`, 'an object', settings)
  const { scope, name, ...rest } = copyOptions(call, settings, [...SETTINGS, 'scope', 'name'], 'settings')
  if (scope === 'cluster') {
    throw new ChainlockError(
      'ERR_LOCK_SCOPE',
      `${call}: the calls of this lock answer at once, which no other machine can; a send lock between machines is manager.sendLock() of chainlock/leases`,
    )
  }
  if (scope !== undefined) oneOf(call, 'scope', scope, ['process', 'host'])
  if (name !== undefined && !isHostName(name)) {
    throw invalidArgument(`${call}: name`, `a string of 1 to ${limits.hostNameBytes} bytes without '/' and NUL, not '.' or '..'`, name)
  }
  if (name !== undefined && scope !== 'host') {
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', `${call}: name belongs to scope 'host'; give both or none`)
  }
  return {
    change: settingsChange(call, rest),
    scope: /** @type {'process' | 'host' | undefined} */ (scope),
    name: /** @type {string} */ (name ?? 'default'),
  }
}

/**
 * A force release is an emergency call: it does not fail over its own reason.
 * @param {unknown} reason
 */
function reasonText(reason) {
  if (reason === undefined) return 'timeout'
  return typeof reason === 'string' && reason !== '' ? reason.slice(0, limits.nameBytes) : 'unspecified'
}

/**
 * @param {string} call
 * @param {unknown} fn
 * @returns {(guard: any) => any}
 */
function callback(call, fn) {
  if (typeof fn !== 'function') throw invalidArgument(`${call}: fn`, 'a function', fn)
  return /** @type {(guard: any) => any} */ (fn)
}

module.exports = {
  copyOptions,
  oneOf,
  isAbortSignal,
  layerId,
  cleanLayerId,
  layerCount,
  callback,
  milliseconds,
  requestOptions,
  waitOptions,
  settingsChange,
  lockSettings,
  reasonText,
  limits,
}
