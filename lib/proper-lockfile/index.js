// proper-lockfile's functions over the same directory on disk, so that programs which use the one and the other
// exclude each other. The directory is kept fresh by a native thread: a blocked event loop loses no lock.
// @ts-check
'use strict'

const { native } = require('../native')
const { startTimer } = require('../locks/timer')
const { follow } = require('../retry')
const { run, runSync } = require('../stale/steps')
const { fileName, lockSettings, checkSettings } = require('./options')
const directory = require('./directory')

/** @template T @typedef {import('../stale/steps').Steps<T>} Steps */
/** @typedef {import('./options').Settings} Settings */
/**
 * @typedef {object} Hold
 * @property {string} file
 * @property {string} path
 * @property {number} id On the native side.
 * @property {Settings} settings
 * @property {boolean} released
 * @property {Error | null} lost
 * @property {() => void} stopLooking
 */

/** How often this thread asks whether a lock was lost, at the least. */
const LOOK_MS = 1_000

/** What this thread holds, by the canonical name of the file. @type {Map<string, Hold>} */
const holds = new Map()
let followsExit = false

/** @param {unknown} file @param {unknown} [options] */
async function lock(file, options) {
  const settings = lockSettings('lock', options)
  const name = await run(directory.canonical(fileName('lock', file), settings.realpath))
  const path = directory.directoryOf(name, settings.lockfilePath)
  const id = /** @type {number} */ (await follow(() => run(directory.acquire(name, path, settings)), settings.plan))
  const hold = begin(name, path, id, settings)
  return async () => releasing('release', hold)
}

/** @param {unknown} file @param {unknown} [options] */
function lockSync(file, options) {
  const settings = lockSettings('lockSync', options)
  if (settings.plan.retries > 0) throw directory.coded('ESYNC', 'Cannot use retries with the sync api')
  const name = runSync(directory.canonical(fileName('lockSync', file), settings.realpath))
  const path = directory.directoryOf(name, settings.lockfilePath)
  const hold = begin(name, path, runSync(directory.acquire(name, path, settings)), settings)
  return () => releasing('release', hold)
}

/** @param {unknown} file @param {unknown} [options] */
async function unlock(file, options) {
  return run(unlocking('unlock', fileName('unlock', file), checkSettings('unlock', options).realpath))
}

/** @param {unknown} file @param {unknown} [options] */
function unlockSync(file, options) {
  return runSync(unlocking('unlockSync', fileName('unlockSync', file), checkSettings('unlockSync', options).realpath))
}

/** @param {unknown} file @param {unknown} [options] */
async function check(file, options) {
  return run(checking(fileName('check', file), checkSettings('check', options)))
}

/** @param {unknown} file @param {unknown} [options] */
function checkSync(file, options) {
  return runSync(checking(fileName('checkSync', file), checkSettings('checkSync', options)))
}

/** @param {string} file @param {{ staleMs: number, realpath: boolean, lockfilePath: string | undefined }} settings */
function* checking(file, { staleMs, realpath, lockfilePath }) {
  const name = yield* directory.canonical(file, realpath)
  return yield* directory.isHeld(directory.directoryOf(name, lockfilePath), staleMs)
}

// ── A hold ───────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} file @param {string} path @param {number} id @param {Settings} settings @returns {Hold} */
function begin(file, path, id, settings) {
  /** @type {Hold} */
  const hold = { file, path, id, settings, released: false, lost: null, stopLooking: () => {} }
  holds.set(file, hold)
  lookLater(hold)
  if (!followsExit) {
    followsExit = true
    process.on('exit', () => {
      for (const { id: held } of holds.values()) native.keeperRelease(held)
    })
  }
  return hold
}

/** @param {Hold} hold */
function lookLater(hold) {
  const everyMs = Math.min(hold.settings.updateMs, LOOK_MS)
  hold.stopLooking = startTimer(everyMs, false, () => {
    const lost = native.keeperLook(hold.id)
    if (lost === 0) lookLater(hold)
    else lose(hold, directory.compromised(hold.file, lost))
  })
}

/** @param {Hold} hold @param {Error} error */
function lose(hold, error) {
  hold.lost = error
  end(hold)
  native.keeperStop(hold.id)
  if (hold.settings.onCompromised) hold.settings.onCompromised(error)
  else warn(error)
}

/** Nothing is thrown out of a timer: that would end the process. @param {Error} error */
function warn(error) {
  process.emitWarning(`${error.message}. Give onCompromised to decide what then; release() rejects with this error`, {
    type: 'ChainlockWarning',
    code: 'ECOMPROMISED',
  })
}

/** @param {Hold} hold */
function end(hold) {
  hold.released = true
  hold.stopLooking()
  if (holds.get(hold.file) === hold) holds.delete(hold.file)
}

/** @param {string} call @param {Hold} hold */
function releasing(call, hold) {
  // Who was told of the loss knows; who was not learns it here.
  if (hold.lost && !hold.settings.onCompromised) throw hold.lost
  if (hold.released) throw directory.coded('ERELEASED', 'Lock is already released', { file: hold.file })
  end(hold)
  directory.giveBack(call, hold.file, hold.path, hold.id)
}

/** @param {string} call @param {string} file @param {boolean} realpath @returns {Steps<void>} */
function* unlocking(call, file, realpath) {
  const name = yield* directory.canonical(file, realpath)
  const hold = holds.get(name)
  if (!hold) throw directory.coded('ENOTACQUIRED', 'Lock is not acquired/owned by you', { file: name })
  releasing(call, hold)
}

module.exports = lock
module.exports.lock = lock
module.exports.unlock = unlock
module.exports.lockSync = lockSync
module.exports.unlockSync = unlockSync
module.exports.check = check
module.exports.checkSync = checkSync
