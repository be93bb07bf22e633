// The errors that the locks without a name reject with unless they are told others.
// @ts-check
'use strict'

const { ChainlockError } = require('../errors')

const E_TIMEOUT = new ChainlockError('ERR_LOCK_TIMEOUT', 'the lock could not be had in time')
const E_ALREADY_LOCKED = new ChainlockError('ERR_LOCK_UNAVAILABLE', 'the lock cannot be had at once')
const E_CANCELED = new ChainlockError('ERR_LOCK_CANCELED', 'the wait for the lock was cancelled')

module.exports = { E_TIMEOUT, E_ALREADY_LOCKED, E_CANCELED }
