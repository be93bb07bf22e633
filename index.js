// The package's one entry, for require and import alike. Node's ESM loader reads the names from this very
// text, so they stand here as plain identifiers. What they mean is written in index.d.ts.
'use strict'

const { ChainlockError } = require('./lib/errors')
const { native } = require('./lib/native')
const { SharedLock, sharedLock, processLock } = require('./lib/shared-lock')
const { sendEvents } = require('./lib/events')

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
  ChainlockError,
  version,
}
