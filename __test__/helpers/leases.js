// Managers of leases for tests: over an embedded store in a folder of the test's own, destroyed with the test.
'use strict'

const path = require('node:path')
const { LeaseManager } = require('chainlock/leases')
const { folder } = require('./folders')

/**
 * A ttl for leases that a test wants held until it says otherwise: a machine that stands still for seconds does not end
 * them. What happens to them in the store is told by a renewal, a third of it later.
 */
const STEADY_MS = 6_000

/** Where a store of one test lies. @param {import('node:test').TestContext} t */
const storeFor = (t) => `sqlite:${path.join(folder(t), 'leases.db')}`

/**
 * @param {import('node:test').TestContext} t
 * @param {object} [options]
 * @returns {LeaseManager}
 */
function managerFor(t, { store = storeFor(t), ...options } = {}) {
  const manager = new LeaseManager({ store, workerId: 'test', ...options })
  // A held lease keeps no process alive; a test that waits for its loss must.
  const alive = setInterval(() => {}, 1_000)
  t.after(async () => {
    clearInterval(alive)
    await manager.destroy()
  })
  return manager
}

/** Two on one store. */
function pairFor(t, options = {}) {
  const store = options.store ?? storeFor(t)
  return [managerFor(t, { ...options, store, workerId: 'one' }), managerFor(t, { ...options, store, workerId: 'two' })]
}

/** The error with which a promise rejects. */
const failure = (promise) => promise.then(() => assertFails(), (error) => error)

function assertFails() {
  throw new Error('it was to fail')
}

module.exports = { STEADY_MS, LeaseManager, storeFor, managerFor, pairFor, failure }
