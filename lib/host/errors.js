// The errors of those who asked for a host lock, in words and as data.
// @ts-check
'use strict'

const { ChainlockError, DeadlockError } = require('../errors')
const { modeOf } = require('../locks/errors')
const { shown, whole, lasting, onThread } = require('../locks/report')
const { native, face } = require('./face')

/**
 * @typedef {import('./file').HostFile} HostFile
 * @typedef {{ pid: number, label: string | null, holds: string, wants: string, waitedMs: number }} Step Of a cycle over
 *   processes: who holds the one, by that label, and waits for the other.
 * @typedef {{ request: string | null, hold: string | null }} Labels
 * @typedef {{
 *   code: import('../../index').ChainlockErrorCode, path?: string, errno?: string, message?: string, cycle?: Step[]
 * }} Fault
 */

/** How many holders a message and an error name. */
const MOST_HOLDERS = 8

/** What a request is for, in words. @param {HostFile} file @param {number} weight */
const wanted = (file, weight) => `host lock ${shown(file.path)} (${modeOf(weight)})`

/**
 * A fault as an error.
 * @param {Fault} fault
 * @param {string} place What it was about, where the native side does not say it.
 * @param {Labels} [ours] Where it may be a deadlock: of our request, and of our hold that is in its way.
 */
function faultOf(fault, place, ours = { request: null, hold: null }) {
  const { code, message = '', path = place, errno, cycle } = fault
  if (cycle !== undefined) return deadlock(place, cycle, ours)
  return new ChainlockError(code, `${shown(path)}: ${message}`, errno === undefined ? { path } : { path, errno })
}

/**
 * Those who hold the file now, in whichever process.
 * @param {HostFile} file
 * @returns {import('../../index').HostLockStatus}
 */
function statusOf({ name, number, path }) {
  const { fault, mode, token, waiters, holders } = JSON.parse(native.hostStatus(face, number))
  if (fault !== undefined) throw faultOf(fault, path)
  const what = { name: path, kind: 'host', mode, weight: 1 }
  const complete = (/** @type {object} */ holder) => ({ ...what, ...holder })
  return { name, path, mode, token, waiters, holders: holders.map(complete) }
}

/** @param {import('../../index').HostLockHolder} holder */
function holding({ pid, threadId, label, heldMs, command }) {
  const who = label === null ? '' : `${shown(label)}, `
  const thread = threadId === null ? '' : ` on ${onThread(threadId)}`
  const program = command ? ` (${shown(command)})` : ''
  const since = heldMs === null ? '' : ` for ${lasting(heldMs)}`
  return `${who}process ${pid}${program}${thread}${since}`
}

/** @param {readonly import('../../index').HostLockHolder[]} holders */
function heldBy(holders) {
  if (holders.length === 0) return 'who holds it has left no word, as flock(1) does, or others stand before it in line'
  const rest = holders.length - MOST_HOLDERS
  const more = rest > 0 ? `; and by ${whole(rest)} others` : ''
  return `held by ${holders.slice(0, MOST_HOLDERS).map(holding).join('; by ')}${more}`
}

/** Without a word where the file cannot be read just now. @param {HostFile} file */
function holdersOf(file) {
  try {
    return statusOf(file).holders
  } catch {
    return []
  }
}

/**
 * @param {HostFile} file
 * @param {number} weight
 * @param {number} waitedMs
 * @param {number} place In the process's own line, behind who holds or waits for the kernel's lock; 0 is that one.
 */
function timedOut(file, weight, waitedMs, place) {
  const holders = holdersOf(file)
  const position = Math.max(1, place + (holders.some(({ isOwn }) => isOwn) ? 0 : 1))
  return new ChainlockError(
    'ERR_LOCK_TIMEOUT',
    `waited ${whole(waitedMs)} ms for ${wanted(file, weight)}, place ${position} in the line of this process; ` +
      heldBy(holders),
    { path: file.path, waitedMs, position, holders: holders.slice(0, MOST_HOLDERS), holderCount: holders.length },
  )
}

const INSIDE = 'it was requested inside of the very hold that it waits for'

/**
 * What the line of the process says, in words of the host lock.
 * @param {HostFile} file
 * @param {number} weight
 * @param {any} error
 * @param {string} [itself] Why it would wait for itself, if it would.
 */
function ofLine(file, weight, error, itself = INSIDE) {
  const { code, waitedMs, position, cycle, report } = error ?? {}
  if (code === 'ERR_LOCK_TIMEOUT') return timedOut(file, weight, waitedMs, position)
  if (code !== 'ERR_LOCK_SELF_DEADLOCK') return error
  return new DeadlockError(code, `${wanted(file, weight)} would be waited for for ever: ${itself}`, { cycle, report })
}

/**
 * @param {string} path
 * @param {Step[]} steps Ours is the first.
 * @param {Labels} ours Of others' requests no more is known than the labels of their holds.
 */
function deadlock(path, steps, ours) {
  const [first, ...others] = steps
  const requests = [{ ...first, label: ours.request }, ...others]
  const cycle = requests.map((request, index) => edge(request, others[index] ?? { ...first, label: ours.hold }))
  const report = [
    `Deadlock: ${steps.length} processes wait for each other.`,
    ...requests.map(({ pid, wants, label: ofRequest, waitedMs }, index) => {
      const next = `[${((index + 1) % steps.length) + 1}]`
      const who = ofRequest === null ? `process ${pid}` : `${shown(ofRequest)}, process ${pid}`
      const wait = `waits for host lock ${shown(wants)}, for ${lasting(waitedMs)}`
      return `[${index + 1}] ${who}\n    ${wait}\n    held by ${next}`
    }),
  ].join('\n')
  const message = `host lock ${shown(path)} would be waited for for ever. ${report}`
  return new DeadlockError('ERR_LOCK_DEADLOCK', message, { cycle, report })
}

/**
 * As the cycles of the process's own locks look.
 * @param {Step} step
 * @param {Step} holder
 * @returns {import('../../index').DeadlockEdge}
 */
function edge({ pid, label, wants, waitedMs }, holder) {
  const what = { name: wants, kind: /** @type {const} */ ('host'), mode: null, weight: 1 }
  return {
    request: { ...what, label, threadId: null, position: 0, priority: 0, waitedMs, pid },
    heldBy: { ...what, label: holder.label, threadId: null, token: 0, heldMs: null, pid: holder.pid },
  }
}

/**
 * @param {string} what
 * @param {number} token
 * @param {boolean} isReleased
 * @param {Function} [above] Left out of the stack.
 */
function lost(what, token, isReleased, above) {
  const why = isReleased ? 'it was released' : 'its lock file was taken away'
  const error = new ChainlockError('ERR_LOCK_LOST', `${what} is no longer held with token ${token}: ${why}`, { token })
  if (above) Error.captureStackTrace(error, above)
  return error
}

module.exports = { wanted, faultOf, statusOf, holdersOf, timedOut, ofLine, lost }
