// What callers of named locks may pass: every check of an argument is here, and names the argument. Defaults, too.
// @ts-check
'use strict'

const { native, face } = require('./face')
const { invalidArgument, typeError } = require('../errors')
const { copyOptions, oneOf, isAbortSignal, cleanLayerId, milliseconds, limits } = require('../options')

const TRY = ['mode', 'label']
const SYNC = [...TRY, 'timeoutMs', 'priority']
const ACQUIRE = [...SYNC, 'signal', 'class', 'ref']
const RUN = [...ACQUIRE, 'reentrant']
/** Where the mode is said already. */
const MODELESS = RUN.filter((name) => name !== 'mode')
const UPGRADE = ['timeoutMs', 'signal']
const SETTINGS = ['lockOrder', 'readTimeoutMs', 'writeTimeoutMs', 'longWaitMs']
const MODES = /** @type {const} */ (['exclusive', 'shared', 'write', 'read'])
const ORDER = /** @type {const} */ (['off', 'warn', 'error'])
const MOST_NAMES = 1_000
const MOST_PRIORITY = 1_000

/** What a request says about how it waits. Of one shape, because the fast paths look at it. */
class Wait {
  /** @type {AbortSignal | undefined} */
  signal = undefined
  priority = 0
  /** @type {string | undefined} */
  label = undefined
  /** The class for the order of locks. @type {string | undefined} */
  className = undefined
  /** See `Flag`. */
  flags = 0
  /** Whether waiting keeps the event loop alive. */
  ref = true
  reentrant = false

  /** @param {number} timeoutMs −1 is none. */
  constructor(timeoutMs) {
    this.timeoutMs = timeoutMs
  }
}

/** Timeouts that stand for the settings of the process, which the native side knows (`binding/locks_hot.rs`). */
const READ_DEFAULT = -2
const WRITE_DEFAULT = -3

/** The waits of those who say nothing: a reader's, a writer's. */
const defaults = { shared: new Wait(READ_DEFAULT), exclusive: new Wait(WRITE_DEFAULT) }

/** @param {number} weight @returns {Wait} */
const defaultWait = (weight) => (weight === 0 ? defaults.exclusive : defaults.shared)

/** How long a wait may take at present, in ms; −1 is for ever. @param {number} timeoutMs */
function inForce(timeoutMs) {
  if (timeoutMs >= -1) return timeoutMs
  const { readTimeoutMs, writeTimeoutMs } = native.locksSettings(face)
  const ms = timeoutMs === READ_DEFAULT ? readTimeoutMs : writeTimeoutMs
  return ms === Infinity ? -1 : ms
}

/**
 * @param {string} call
 * @param {unknown} name
 * @returns {string}
 */
function lockName(call, name, argument = 'name') {
  if (typeof name !== 'string') throw invalidArgument(`${call}: ${argument}`, 'a string', name)
  return name
}

/**
 * @param {string} call
 * @param {unknown} mode
 * @returns {0 | 1} The weight with which it is asked for.
 */
function modeWeight(call, mode, argument = 'options.mode') {
  if (mode === undefined || mode === 'exclusive' || mode === 'write') return 0
  if (mode === 'shared' || mode === 'read') return 1
  throw oneOf(call, argument, mode, MODES)
}

/**
 * A label as the lock knows it: cleaned, and cut where it must be.
 * @param {string} call
 * @param {unknown} label
 * @returns {string | undefined}
 */
function cleanLabel(call, label, argument = 'options.label') {
  if (label === undefined) return undefined
  if (typeof label !== 'string') throw invalidArgument(`${call}: ${argument}`, 'a string', label)
  const clean = cleanLayerId(label)
  if (clean !== null) return clean
  const characters = Array.from(label.slice(0, limits.nameBytes))
  while (characters.length > 0) {
    const cut = cleanLayerId(characters.join(''))
    if (cut !== null) return cut
    characters.pop()
  }
  return undefined
}

/** @param {string} call @param {unknown} value @param {number} otherwise */
function timeout(call, value, otherwise, argument = 'options.timeoutMs') {
  if (value === undefined) return otherwise === Infinity ? -1 : otherwise
  if (value === Infinity) return -1
  return milliseconds(call, argument, value)
}

/** @param {number} number */
const few = (number) => number.toLocaleString('en-US')

/** @param {string} call @param {unknown} value */
function priority(call, value, argument = 'options.priority') {
  if (value === undefined) return 0
  if (!Number.isInteger(value) || Math.abs(Number(value)) > MOST_PRIORITY) {
    throw invalidArgument(`${call}: ${argument}`, `an integer from -${few(MOST_PRIORITY)} to ${few(MOST_PRIORITY)}`, value)
  }
  return Number(value)
}

/** @param {string} call @param {string} name @param {unknown} value @param {boolean} otherwise */
function flag(call, name, value, otherwise) {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw invalidArgument(`${call}: options.${name}`, 'true or false', value)
  return value
}

/** @param {string} call @param {unknown} value @returns {AbortSignal | undefined} */
function abortSignal(call, value) {
  if (value === undefined) return undefined
  if (!isAbortSignal(value)) throw invalidArgument(`${call}: options.signal`, 'an AbortSignal', value)
  return /** @type {AbortSignal} */ (value)
}

/** @param {string} call @param {unknown} value */
function className(call, value) {
  if (value === undefined) return undefined
  const clean = typeof value === 'string' ? cleanLayerId(value) : null
  if (clean === null) throw invalidArgument(`${call}: options.class`, `a string of 1 to ${limits.nameBytes} bytes`, value)
  return clean
}

/**
 * @param {string} call
 * @param {Record<string, unknown>} copy
 * @param {number} otherwiseMs
 */
function waitFrom(call, copy, otherwiseMs) {
  const wait = new Wait(timeout(call, copy.timeoutMs, otherwiseMs))
  wait.signal = abortSignal(call, copy.signal)
  wait.priority = priority(call, copy.priority)
  wait.label = cleanLabel(call, copy.label)
  wait.className = className(call, copy.class)
  wait.ref = flag(call, 'ref', copy.ref, true)
  wait.reentrant = flag(call, 'reentrant', copy.reentrant, false)
  return wait
}

/** @param {number} weight */
const otherwise = (weight) => (weight === 0 ? WRITE_DEFAULT : READ_DEFAULT)

/**
 * @param {string} call
 * @param {unknown} options
 * @param {readonly string[]} known
 * @param {number} [weight] Where the call or the handle says the mode.
 * @returns {{ weight: number, wait: Wait }}
 */
function request(call, options, known, weight = 0) {
  if (options === undefined) return { weight, wait: defaultWait(weight) }
  const copy = copyOptions(call, options, known)
  const asked = copy.mode === undefined ? weight : modeWeight(call, copy.mode)
  return { weight: asked, wait: waitFrom(call, copy, otherwise(asked)) }
}

/**
 * What a call that runs a function says, where its name says the mode.
 * @param {string} call
 * @param {unknown} options
 * @param {import('../../index').LockMode} mode
 */
function runOptions(call, options, mode) {
  return request(call, options, MODELESS, mode === 'exclusive' ? 0 : 1)
}

/** The same wait, of somebody with that label. @param {Wait} wait @param {string} label */
function labelled(wait, label) {
  return Object.assign(new Wait(wait.timeoutMs), wait, { label })
}

/** @param {string} call @param {unknown} options */
function tryRequest(call, options) {
  const copy = copyOptions(call, options, TRY)
  return { weight: modeWeight(call, copy.mode), label: cleanLabel(call, copy.label) }
}

/** @param {string} call @param {unknown} options */
function upgradeWait(call, options) {
  return waitFrom(call, copyOptions(call, options, UPGRADE), WRITE_DEFAULT)
}

/**
 * @param {string} call
 * @param {unknown} names
 * @param {unknown} options
 * @returns {{ modes: Map<string, import('../../index').LockMode>, wait: Wait }} Each name once, in the stronger mode.
 */
function severalRequest(call, names, options) {
  const allowed = `an array of 1 to ${few(MOST_NAMES)} names`
  if (!Array.isArray(names)) throw invalidArgument(`${call}: names`, allowed, names)
  const { length } = names
  if (length === 0 || length > MOST_NAMES) {
    const message = `${call}: names must be ${allowed}; got an array of ${few(length)}`
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', message)
  }
  const copy = copyOptions(call, options, ACQUIRE)
  const usual = modeWeight(call, copy.mode)
  /** @type {Map<string, import('../../index').LockMode>} */
  const modes = new Map()
  Array.from(names).forEach((each, index) => {
    const isPair = typeof each === 'object' && each !== null
    const given = isPair ? copyOptions(call, each, ['name', 'mode'], `names[${index}]`) : { name: each, mode: undefined }
    const name = lockName(call, given.name, `names[${index}]`)
    const weight = given.mode === undefined ? usual : modeWeight(call, given.mode, `names[${index}].mode`)
    if (weight === 0 || !modes.has(name)) modes.set(name, weight === 0 ? 'exclusive' : 'shared')
  })
  const isShared = [...modes.values()].every((mode) => mode === 'shared')
  return { modes, wait: waitFrom(call, copy, otherwise(isShared ? 1 : 0)) }
}

/**
 * Checks everything before anything is changed.
 * @param {string} call
 * @param {unknown} given
 * @returns {import('../binding.cjs').LocksSettingsChange}
 */
function configure(call, given) {
  if (given === undefined) throw invalidArgument(`${call}: settings`, 'an object', given)
  const copy = copyOptions(call, given, SETTINGS, 'settings')
  /** @type {import('../binding.cjs').LocksSettingsChange} */
  const changed = {}
  if (copy.lockOrder !== undefined) changed.lockOrder = ORDER.indexOf(oneOf(call, 'lockOrder', copy.lockOrder, ORDER))
  for (const name of /** @type {const} */ (['readTimeoutMs', 'writeTimeoutMs', 'longWaitMs'])) {
    const value = copy[name]
    if (value !== undefined) changed[name] = value === Infinity ? Infinity : milliseconds(call, name, value)
  }
  return changed
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

/** A name where one may be left out. @param {string} call @param {unknown} name @returns {string | null} */
function optionalName(call, name) {
  return name === undefined ? null : lockName(call, name)
}

/** @param {unknown} options */
function olderThan(options) {
  const { olderThanMs } = copyOptions('detectDeadlocks', options, ['olderThanMs'])
  if (olderThanMs === undefined) return native.locksSettings(face).longWaitMs
  return olderThanMs === Infinity ? Infinity : milliseconds('detectDeadlocks', 'options.olderThanMs', olderThanMs)
}

module.exports = {
  looksLikeSignal: isAbortSignal,
  SYNC,
  ACQUIRE,
  RUN,
  MODELESS,
  ORDER,
  Wait,
  inForce,
  defaultWait,
  lockName,
  optionalName,
  modeWeight,
  cleanLabel,
  timeout,
  priority,
  abortSignal,
  callback,
  request,
  tryRequest,
  runOptions,
  labelled,
  upgradeWait,
  severalRequest,
  configure,
  olderThan,
}
