// One look at the locks, for commands: the snapshot without the looking process itself, or the error that ends the
// command.
// @ts-check
'use strict'

const { resolve } = require('node:path')
const { CommandError, EXIT } = require('./exit')
const { wholeNumber } = require('./args')

/** @typedef {import('../../index').Snapshot} Snapshot */

const MOST_PID = 0x7fff_ffff

/** @param {import('./commands').Context} context @returns {number | undefined} */
function pidOf({ values }) {
  return values.pid === undefined ? undefined : wholeNumber('--pid', values.pid, { min: 1, max: MOST_PID })
}

/**
 * @param {import('./commands').Context} context
 * @param {{ all?: boolean }} [options]
 * @returns {Snapshot}
 */
function look(context, { all } = {}) {
  const pid = pidOf(context)
  const { snapshot } = require('../snapshot')
  const taken = snapshot({ pid, all })
  if (pid !== undefined && taken.processes.length === 0) throw nothingAt(pid, taken)
  return withoutMe(taken)
}

/** @param {Snapshot} taken @returns {Snapshot} */
function withoutMe(taken) {
  const isMe = (/** @type {{ pid: number | null }} */ { pid }) => pid === process.pid
  return {
    ...taken,
    processes: taken.processes.filter((one) => !isMe(one)),
    locks: taken.locks.filter((one) => !isMe(one)),
    leases: taken.leases.filter((one) => !isMe(one)),
    stores: taken.stores.filter((one) => !isMe(one)),
  }
}

/** @param {number} pid @param {Snapshot} taken */
function nothingAt(pid, { unseen }) {
  const why = unseen.find((one) => one.pid === pid)
  const exit = why?.reason === 'permission' ? EXIT.permission : EXIT.notFound
  return new CommandError(
    exit,
    `process ${pid} cannot be looked at: ${why?.advice ?? 'it is not there'}`,
    'chainlock status',
  )
}

/**
 * Whether a word of a command line means this lock: its name, its id, or the path of its file.
 * @param {Snapshot['locks'][number]} lock
 * @param {string} wanted
 */
function isMeant({ name, path, id }, wanted) {
  return [name, path, id].includes(wanted) || (path !== null && wanted.includes('/') && path === resolve(wanted))
}

/**
 * Whether a word of a command line means this lease: its key or its id.
 * @param {Snapshot['leases'][number]} lease
 * @param {string} wanted
 */
const isMeantLease = ({ key, id }, wanted) => [key, id].includes(wanted)

/** When there is nothing to show at all. @param {Snapshot} taken */
function checkAnybody({ processes, locks, unseen }) {
  if (processes.length > 0 || locks.length > 0 || unseen.length > 0) return
  throw new CommandError(EXIT.notFound, 'no process of yours has chainlock loaded', 'chainlock doctor')
}

module.exports = { look, isMeant, isMeantLease, checkAnybody }
