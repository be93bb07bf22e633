// `withLocks`: named locks and host locks together, all or none. Whatever order they are listed in, they are taken in
// one: those of the process first, by their names, then those of the host, by their paths. So two programs that list
// them differently do not wait for each other.
// @ts-check
'use strict'

const { invalidArgument, typeError } = require('../errors')
const { copyOptions } = require('../options')
const claims = require('../locks/claims')
const { LockHandle } = require('../locks/handle')
const { modeWeight, lockName } = require('../locks/options')
const { now } = require('../locks/timer')
const { isHostLock } = require('./lock')
const options = require('./options')

/** So many holds around a request are looked at for deadlocks. */
const MOST_LOCKS = 64
const KNOWN = options.ACQUIRE
const ENTRY = "a name, a lock of locks.lock() or hostLock(), or an object with one of them as 'name' or 'lock'"

/**
 * One lock to be taken: a name of the process, or a host lock.
 * @typedef {{ key: string, host: import('./lock').HostLock | null, weight: 0 | 1, guard: any }} Part
 */

/**
 * @param {unknown} list
 * @param {unknown} given
 * @param {unknown} [fn]
 * @returns {Promise<any>}
 */
function withLocks(list, given, fn) {
  try {
    const [asked, body] = options.withBody('withLocks', given, fn)
    const copy = copyOptions('withLocks', asked, KNOWN)
    const wait = options.waitFrom('withLocks', copy)
    const listed = partsOf(list, modeWeight('withLocks', copy.mode))
    const taken = inOrder(new Set(listed))
    const { signal } = wait
    return takeAll(taken, 0, wait, signal, now(), () => body(listed.map(({ guard }) => guard)))
  } catch (error) {
    return Promise.reject(error)
  }
}

/**
 * Takes the locks from that one on, each inside of those before it, and runs `fn`.
 * @param {readonly Part[]} parts
 * @param {number} at
 * @param {import('../locks/options').Wait} wait
 * @param {AbortSignal | undefined} signal
 * @param {number} askedAt
 * @param {() => any} fn
 * @returns {any}
 */
function takeAll(parts, at, wait, signal, askedAt, fn) {
  if (at === parts.length) return fn()
  const part = parts[at]
  const rest = at === 0 ? wait : left(wait, askedAt)
  /** @param {any} guard */
  const inside = (guard) => {
    part.guard = guard
    return takeAll(parts, at + 1, wait, signal, askedAt, fn)
  }
  if (part.host === null) return claims.run(part.key, part.weight, rest, inside)
  const { timeoutMs, label } = rest
  const asked = { mode: part.weight === 0 ? 'exclusive' : 'shared', signal, label }
  return part.host.withLock({ ...asked, timeoutMs: timeoutMs < 0 ? Infinity : timeoutMs }, inside)
}

/**
 * @param {import('../locks/options').Wait} wait
 * @param {number} askedAt
 */
function left(wait, askedAt) {
  const { timeoutMs } = wait
  return timeoutMs < 0 ? wait : { ...wait, timeoutMs: Math.max(0, timeoutMs - (now() - askedAt)) }
}

/**
 * @param {unknown} list
 * @param {0 | 1} usual The mode of those who do not say it.
 * @returns {Part[]} In the order of the list; a lock that is listed twice is the same one, in the stronger mode.
 */
function partsOf(list, usual) {
  const allowed = `an array of 1 to ${MOST_LOCKS} locks`
  if (!Array.isArray(list)) throw invalidArgument('withLocks: list', allowed, list)
  const { length } = list
  if (length === 0 || length > MOST_LOCKS) {
    const message = `withLocks: list must be ${allowed}; got an array of ${length.toLocaleString('en-US')}`
    throw typeError('ERR_LOCK_INVALID_ARGUMENT', message)
  }
  /** @type {Map<string, Part>} */
  const known = new Map()
  return Array.from(list, (entry, index) => {
    const part = partOf(entry, `list[${index}]`, usual)
    const id = `${part.host === null ? 'process' : 'host'}:${part.key}`
    const same = known.get(id)
    if (same === undefined) {
      known.set(id, part)
      return part
    }
    if (part.weight === 0) same.weight = 0
    return same
  })
}

/**
 * @param {unknown} entry
 * @param {string} argument
 * @param {0 | 1} usual
 * @returns {Part}
 */
function partOf(entry, argument, usual) {
  const bare = bareLock(entry)
  if (bare !== null) return { ...bare, weight: bare.weight ?? usual, guard: null }
  if (typeof entry !== 'object' || entry === null) throw invalidArgument(`withLocks: ${argument}`, ENTRY, entry)
  const { name, lock, mode } = copyOptions('withLocks', entry, ['name', 'lock', 'mode'], argument)
  if ((name === undefined) === (lock === undefined)) throw invalidArgument(`withLocks: ${argument}`, ENTRY, entry)
  const inner = bareLock(lock === undefined ? lockName('withLocks', name, `${argument}.name`) : lock)
  if (inner === null || typeof lock === 'string') {
    throw invalidArgument(`withLocks: ${argument}.lock`, 'a lock of locks.lock() or hostLock()', lock)
  }
  const weight = mode === undefined ? (inner.weight ?? usual) : modeWeight('withLocks', mode, `${argument}.mode`)
  return { ...inner, weight, guard: null }
}

/**
 * @param {unknown} value
 * @returns {{ key: string, host: import('./lock').HostLock | null, weight: 0 | 1 | null } | null} A handle says
 *   its mode.
 */
function bareLock(value) {
  if (typeof value === 'string') return { key: value, host: null, weight: null }
  if (isHostLock(value)) return { key: value.path, host: value, weight: null }
  if (!(value instanceof LockHandle)) return null
  return { key: value.name, host: null, weight: value.mode === 'exclusive' ? 0 : 1 }
}

/** @param {Iterable<Part>} parts */
function inOrder(parts) {
  return [...parts].sort((a, b) => {
    if ((a.host === null) !== (b.host === null)) return a.host === null ? -1 : 1
    return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
  })
}

module.exports = { withLocks }
