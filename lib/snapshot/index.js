// `snapshot()`: everything that can be known of the locks of this user's processes, as plain data. Every view is
// computed from it and from nothing else.
// @ts-check
'use strict'

const { native } = require('../native')
const { copyOptions } = require('../options')
const { invalidArgument } = require('../errors')
const { assemble } = require('./assemble')
const { asHost } = require('./locks')

const { lookAt, lookAtHostLocks, lookAtLeases, processFacts, registryOf } = native

/**
 * @param {unknown} [options]
 * @returns {import('../../index').Snapshot}
 */
function snapshot(options) {
  const { pid, all, hosts } = readOptions(options)
  const before = performance.now()
  // Taken before anything is read: whoever waited at this moment, and still does when it is read, waited all along.
  const takenAtMs = Date.now()
  const look = JSON.parse(lookAt(pid, all))
  // Not unasked: there may be thousands, and the state of the locks does not hang on them.
  if (all) for (const process of look.processes) process.registry = JSON.parse(registryOf(process.pid))
  const pids = look.processes.map((/** @type {any} */ process) => process.pid)
  const files = hosts ? JSON.parse(lookAtHostLocks(JSON.stringify(pathsIn(look)))) : []
  const facts = JSON.parse(processFacts(JSON.stringify([...new Set([...pids, ...holdersOf(files)])])))
  const pages = JSON.parse(lookAtLeases(JSON.stringify(pids), all))
  return assemble({ look, files, facts, pages, onlyPid: pid, all, takenAtMs, tookMs: () => performance.now() - before })
}

/** @param {unknown} options */
function readOptions(options) {
  const { pid, all, hosts } = copyOptions('snapshot', options, ['pid', 'all', 'hosts'])
  if (pid !== undefined && !(Number.isInteger(pid) && Number(pid) > 0 && Number(pid) <= MOST_PID)) {
    throw invalidArgument('snapshot: options.pid', `a process id, a whole number from 1 to ${MOST_PID}`, pid)
  }
  for (const [name, value] of Object.entries({ all, hosts })) {
    if (value !== undefined && typeof value !== 'boolean') {
      throw invalidArgument(`snapshot: options.${name}`, 'a boolean', value)
    }
  }
  return { pid: pid === undefined ? null : Number(pid), all: all === true, hosts: hosts !== false }
}

const MOST_PID = 0x7fff_ffff

/** Lock files at paths of their own are known from the tables. @param {any} look @returns {string[]} */
function pathsIn(look) {
  const locks = look.processes.flatMap((/** @type {any} */ process) => process.locks ?? [])
  const paths = locks.map((/** @type {any} */ lock) => asHost(lock).path).filter(Boolean)
  return [...new Set(/** @type {string[]} */ (paths))]
}

/** @param {any[]} files @returns {number[]} */
function holdersOf(files) {
  const parts = files.flatMap(({ holders = [], foreign = [] }) => [...holders, ...foreign])
  return parts.map(({ pid }) => pid).filter((pid) => Number.isInteger(pid) && pid > 0)
}

module.exports = { snapshot }
