// `CHAINLOCK_JOURNAL=path` opens the journal when the package is loaded, in every thread, so that it stays open as
// long as the process. A journal that cannot be opened does not keep a program from running.
// @ts-check
'use strict'

const { openJournal } = require('./journal')

/** Threads that are started later inherit it: what one has said, not each of them says again. */
const WARNED = 'chainlock: warned of CHAINLOCK_JOURNAL'

/** @param {string} path */
function openFromEnvironment(path) {
  try {
    openJournal({ path })
  } catch (error) {
    const { getEnvironmentData, setEnvironmentData } = require('node:worker_threads')
    if (getEnvironmentData(WARNED) === path) return
    setEnvironmentData(WARNED, path)
    const { code, message } = /** @type {import('../../index').ChainlockError} */ (error)
    process.emitWarning(`CHAINLOCK_JOURNAL: ${message}`, { code })
  }
}

module.exports = { openFromEnvironment }
