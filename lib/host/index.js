// Host locks, for the entry and for what stands on them.
// @ts-check
'use strict'

const { hostLock } = require('./lock')
const { withLocks } = require('./with-locks')

module.exports = { hostLock, withLocks }
