// Leases over the engines whose servers are there: the same as over the embedded store.
'use strict'

const { after, before, describe } = require('node:test')
const { CASES } = require('./helpers/lease-cases')
const { available, engineTest, startServer } = require('./helpers/servers')

/** A namespace of its own keeps the tests apart in one server. */
let namespaces = 0

for (const engine of /** @type {const} */ (['redis', 'postgres', 'etcd'])) {
  describe(`over ${engine}`, () => {
    let server
    before(async () => {
      if (available(engine)) server = await startServer(engine)
    })
    after(() => server?.stop())
    for (const [name, run] of Object.entries(CASES)) {
      engineTest(name, engine, (t) => {
        namespaces += 1
        return run(t, { store: server.url, namespace: `t${namespaces}` })
      })
    }
  })
}
