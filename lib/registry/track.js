// A child process that is followed to its end: its entry changes by itself.
// @ts-check
'use strict'

const { errorMonitor } = require('node:events')
const path = require('node:path')
const { getSystemErrorName } = require('node:util')
const { invalidArgument } = require('../errors')
const { copyOptions } = require('../options')
const { layout } = require('./face')

/** @typedef {import('node:child_process').ChildProcess} Child */

const OPTIONS = ['id', 'name', 'kind', 'dir']
/** Room in an id for a pid and a number. */
const SUFFIX = 24
/** What happens to a followed process after somebody else has finished or removed it. */
const NOT_OURS = ['ERR_REGISTRY_UNKNOWN_ID', 'ERR_REGISTRY_FINISHED']

/**
 * @param {import('../../index').ProcessRegistry} registry
 * @param {unknown} given
 * @param {unknown} options
 * @returns {string} The id.
 */
function track(registry, given, options) {
  const call = 'registry.track'
  const child = childOf(call, given)
  const { id: wanted, ...rest } = copyOptions(call, options, OPTIONS)
  const { spawnfile = '', spawnargs = [], pid } = child
  /** @type {any} */
  const facts = { name: shortName(spawnfile), ...defined(rest), command: spawnfile, args: spawnargs.slice(1), pid }
  const { id } = wanted === undefined ? registerAnew(registry, facts) : registry.register({ ...facts, id: /** @type {string} */ (wanted) })
  follow(registry, id, child)
  return id
}

/** @param {string} call @param {any} child @returns {Child} */
function childOf(call, child) {
  const isOne = typeof child === 'object' && child !== null && typeof child.on === 'function' && 'exitCode' in child
  if (!isOne) throw invalidArgument(`${call}: child`, 'a ChildProcess', child)
  return child
}

/** @param {Record<string, unknown>} given */
const defined = (given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))

/** A program's name, short enough for an id. @param {string} file */
function shortName(file) {
  const most = layout.idBytes - SUFFIX
  const name = path.basename(file).replace(/[^\x20-\x7e]/g, '?')
  return name === '' ? 'process' : name.slice(0, most)
}

/** Registers under the program's name and its pid, which may have been another's before. */
function registerAnew(/** @type {any} */ registry, /** @type {any} */ facts) {
  const base = `${shortName(facts.command)}:${facts.pid ?? 0}`
  for (let count = 1; ; count++) {
    try {
      return registry.register({ ...facts, id: count === 1 ? base : `${base}:${count}` })
    } catch (error) {
      if (/** @type {any} */ (error).code !== 'ERR_REGISTRY_DUPLICATE_ID') throw error
    }
  }
}

/** @param {import('../../index').ProcessRegistry} registry @param {string} id @param {Child} child */
function follow(registry, id, child) {
  /** @param {() => void} change */
  const attempt = (change) => {
    try {
      change()
    } catch (error) {
      if (!NOT_OURS.includes(/** @type {any} */ (error).code)) throw error
    }
  }
  const end = (/** @type {number | null} */ code, /** @type {NodeJS.Signals | null} */ signal) =>
    attempt(() => registry.exit(id, code, signal ? { signal } : {}))
  const notStarted = (/** @type {string} */ reason) => attempt(() => registry.setStatus(id, 'failed', { reason }))

  if (child.pid !== undefined) attempt(() => registry.setStatus(id, 'running'))
  if (child.exitCode !== null && child.exitCode < 0) return notStarted(getSystemErrorName(child.exitCode))
  if (child.exitCode !== null || child.signalCode !== null) return end(child.exitCode, child.signalCode)
  child.once('exit', end)
  // Only looked at: who does not handle the error of his child shall still hear of it.
  child.once(/** @type {any} */ (errorMonitor), (/** @type {Error} */ error) => {
    if (child.pid === undefined) notStarted(error.message)
  })
}

module.exports = { track }
