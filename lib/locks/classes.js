// The locks without a name, as `index.js` exports them.
// @ts-check
'use strict'

const { Mutex } = require('./mutex')
const { Semaphore } = require('./counting')
const { RWLock } = require('./rw-lock')
const { withTimeout, tryAcquire } = require('./limited')
const { E_TIMEOUT, E_ALREADY_LOCKED, E_CANCELED } = require('./class-errors')

module.exports = { Mutex, Semaphore, RWLock, withTimeout, tryAcquire, E_TIMEOUT, E_ALREADY_LOCKED, E_CANCELED }
