// The package under test, and its one lock put back to how a fresh process has it.
'use strict'

const { join } = require('node:path')

const root = join(__dirname, '..', '..')
const chainlock = require(root)

const DEFAULTS = Object.freeze({
  cooldownMs: 2_000,
  cooldownFrom: 'acquire',
  timeoutMs: 300_000,
  onTimeout: 'report',
  forceReleaseMs: 600_000,
  layers: ['e2e-executor', 'window-monitor', 'chain-loop-monitor', 'chain-keyword-monitor', 'test-layer'],
  historyLimit: 100,
  dedupWindowMs: 0,
})

/** The process's lock: free, rested, without a past, with the default settings but for `settings`. */
function freshProcessLock(settings = {}) {
  chainlock.forceReleaseLock('between tests')
  chainlock.sharedLock.lastSendTime = 0
  chainlock.configureSendLock({ ...DEFAULTS, ...settings })
  chainlock.resetMetrics()
  return chainlock
}

/** A lock of its own, without a cooldown unless `settings` says otherwise. */
function freshLock(settings = {}) {
  const lock = new chainlock.SharedLock()
  lock.configure({ cooldownMs: 0, ...settings })
  return lock
}

/** Whether this run is of the deep tier; `deep(many, few)` picks a count by it. */
const isDeep = process.env.CHAINLOCK_DEEP === '1'
const deep = (whenDeep, otherwise) => (isDeep ? whenDeep : otherwise)

module.exports = { root, chainlock, DEFAULTS, freshProcessLock, freshLock, isDeep, deep }
