// `chainlock/leases`: locks that hold between machines. What it exports, and nothing else; leases.d.ts says what it
// means.
// @ts-check
'use strict'

const { LeaseManager } = require('./manager')
const { ConflictStrategy } = require('./familiar')
const { fence } = require('./fence')

module.exports = { LeaseManager, LockManager: LeaseManager, ConflictStrategy, fence }
