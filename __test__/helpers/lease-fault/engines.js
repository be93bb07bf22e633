// Where the leases of a fault run lie, engine by engine: the server, with its data kept over a SIGKILL, or a file.
'use strict'

const { join } = require('node:path')
const { folder } = require('../folders')
const { startServer } = require('../servers')

const TTL_MS = 2_000
/** Shorter than the ttl: who hears nothing has time to ask again. */
const REQUEST_MS = 800
/** How many leases are held for longer than they last without a renewal. */
const LONG_SHARE = 0.12

const usual = { ttlMs: TTL_MS, longMs: TTL_MS, longShare: LONG_SHARE }

/** A server that each worker reaches through a proxy of its own. */
const served = (engine, options) => ({
  ...usual,
  async open(t) {
    const server = await startServer(engine, options)
    t.after(() => server.stop())
    const url = server.url
    return { server, port: server.port, optionsFor: (proxy) => ({ store: proxy.url(url), requestTimeoutMs: REQUEST_MS }) }
  },
})

const ENGINES = {
  sqlite: {
    ...usual,
    async open(t) {
      const store = `sqlite:${join(folder(t), 'leases.db')}`
      return { optionsFor: () => ({ store, requestTimeoutMs: REQUEST_MS }) }
    },
  },
  // As its documentation asks of those who cannot lose a write.
  redis: served('redis', { aof: true, args: ['--appendfsync', 'always'] }),
  postgres: served('postgres', {}),
  etcd: served('etcd', {}),
}

module.exports = { ENGINES }
