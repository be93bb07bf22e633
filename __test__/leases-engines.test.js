// Leases over the engines whose servers are there: the same as over the embedded store.
'use strict'

const { after, before, describe } = require('node:test')
const { CASES } = require('./helpers/lease-cases')
const { placesOf } = require('./helpers/lease-places')
const { engineTest } = require('./helpers/servers')

for (const engine of /** @type {const} */ (['redis', 'postgres', 'etcd', 'github'])) {
  describe(`over ${engine}`, () => {
    const places = placesOf(engine)
    before(() => places.open())
    after(() => places.close())
    for (const [name, run] of Object.entries(CASES)) engineTest(name, engine, (t) => run(t, places.next()))
  })
}
