// The package's one entry, for require and import alike. Node's ESM loader reads the names from this very
// text, so they stand here as plain identifiers; what is seldom used is loaded when it is first asked for. What
// they mean is written in index.d.ts.
'use strict'

const { ChainlockError, DeadlockError } = require('./lib/errors')
const { native } = require('./lib/native')
const { SharedLock, sharedLock, processLock } = require('./lib/shared-lock')
const { sendEvents } = require('./lib/events')
const { Lock } = require('./lib/locks/request')
const { LockManager, locks } = require('./lib/locks/manager')

const {
  tryAcquireSendLock,
  releaseSendLock,
  trySend,
  acquireSendLock,
  withSendLock,
  isSendLocked,
  forceReleaseLock,
  checkAndForceRelease,
  getMetrics,
  getLockStatus,
  resetMetrics,
  configure: configureSendLock,
} = processLock
const version = native.version()

module.exports = {
  tryAcquireSendLock,
  releaseSendLock,
  trySend,
  acquireSendLock,
  withSendLock,
  isSendLocked,
  forceReleaseLock,
  checkAndForceRelease,
  getMetrics,
  getLockStatus,
  resetMetrics,
  configureSendLock,
  sendEvents,
  SharedLock,
  sharedLock,
  locks,
  LockManager,
  Lock,
  ChainlockError,
  DeadlockError,
  version,
}

/**
 * What is loaded when somebody asks for it.
 * @param {string[]} names
 * @param {() => any} load
 */
function later(names, load) {
  for (const name of names) {
    const place = { enumerable: true, configurable: true }
    const put = (/** @type {unknown} */ value) =>
      Object.defineProperty(module.exports, name, { ...place, value, writable: true })
    Object.defineProperty(module.exports, name, {
      ...place,
      get() {
        put(load()[name])
        return /** @type {any} */ (module.exports)[name]
      },
      set: put,
    })
  }
}

const CLASSES = [
  'Mutex',
  'Semaphore',
  'RWLock',
  'withTimeout',
  'tryAcquire',
  'E_TIMEOUT',
  'E_CANCELED',
  'E_ALREADY_LOCKED',
]
later(CLASSES, () => require('./lib/locks/classes'))
later(['readLock', 'writeLock'], () => require('./lib/locks/decorators'))
later(['hostLock', 'withLocks'], () => require('./lib/host'))
later(['hostLocked'], () => require('./lib/host/decorator'))
const FILES = ['writeFileAtomic', 'writeFileAtomicSync', 'appendFileAtomic', 'appendFileAtomicSync']
later(FILES, () => require('./lib/files'))
later(['updateFile', 'updateFileSync'], () => require('./lib/files/update'))
later(['registry'], () => require('./lib/registry'))
later(['openJournal'], () => require('./lib/journal/journal'))
const { CHAINLOCK_JOURNAL } = process.env
if (CHAINLOCK_JOURNAL) require('./lib/journal/environment').openFromEnvironment(CHAINLOCK_JOURNAL)
later(['retry'], () => require('./lib/retry'))
later(['detectStaleLock', 'detectStaleLockSync', 'clearStaleLock', 'clearStaleLockSync'], () => require('./lib/stale'))
later(['snapshot'], () => require('./lib/snapshot'))
later(['metrics', 'metricsHandler', 'collectInto'], () => require('./lib/prometheus'))

// Never run: for Node's ESM loader, which reads names off plain text only.
0 && (module.exports = {
  // @ts-ignore
  Mutex, Semaphore, RWLock, withTimeout, tryAcquire, E_TIMEOUT, E_CANCELED, E_ALREADY_LOCKED, readLock, writeLock,
  // @ts-ignore
  hostLock, withLocks, hostLocked,
  // @ts-ignore
  writeFileAtomic, writeFileAtomicSync, appendFileAtomic, appendFileAtomicSync, updateFile, updateFileSync,
  // @ts-ignore
  registry,
  // @ts-ignore
  openJournal,
  // @ts-ignore
  retry, detectStaleLock, detectStaleLockSync, clearStaleLock, clearStaleLockSync,
  // @ts-ignore
  snapshot,
  // @ts-ignore
  metrics, metricsHandler, collectInto,
})
