// The package's one entry, for require and import alike. Node's ESM loader reads the names from this very
// text, so they stand here as plain identifiers. What they mean is written in index.d.ts.
'use strict'

const { ChainlockError, DeadlockError } = require('./lib/errors')
const { native } = require('./lib/native')
const { SharedLock, sharedLock, processLock } = require('./lib/shared-lock')
const { sendEvents } = require('./lib/events')
const { Lock } = require('./lib/locks/request')
const { LockManager, locks } = require('./lib/locks/manager')
const {
  Mutex,
  Semaphore,
  RWLock,
  withTimeout,
  tryAcquire,
  E_TIMEOUT,
  E_CANCELED,
  E_ALREADY_LOCKED,
} = require('./lib/locks/classes')
const { readLock, writeLock } = require('./lib/locks/decorators')

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
  Mutex,
  Semaphore,
  RWLock,
  withTimeout,
  tryAcquire,
  E_TIMEOUT,
  E_CANCELED,
  E_ALREADY_LOCKED,
  readLock,
  writeLock,
  ChainlockError,
  DeadlockError,
  version,
}
