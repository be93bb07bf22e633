// Where the leases of a fault run lie, engine by engine: the server, with its data kept over a SIGKILL, or a file.
'use strict'

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { join } = require('node:path')
const { createInterface } = require('node:readline')
const { folder } = require('../folders')
const { startServer } = require('../servers')

const TTL_MS = 2_000
/** How long after its ttl, at the most, a killed holder's key is to be had again where nothing else happens. */
const AFTER_TTL_MS = 250
/** Shorter than the ttl: who hears nothing has time to ask again. */
const REQUEST_MS = 800
/** How many leases are held for longer than they last without a renewal. */
const LONG_SHARE = 0.12

const KEYS = ['one', 'two', 'three', 'four', 'five', 'six']

const usual = { ttlMs: TTL_MS, recoveryMs: TTL_MS + AFTER_TTL_MS, longMs: TTL_MS, longShare: LONG_SHARE, keys: KEYS, workers: 8, tasks: 2, killRounds: 2, isQuick: true }

const GITHUB = join(__dirname, '..', 'github', 'serve.js')
/** What happens to requests while the nemesis rages: how probable it is. */
const GITHUB_FAULTS = { delay: 0.02, 'lost-before': 0.01, 'lost-after': 0.02, late: 0.01, '502-after': 0.01, 'stale-read': 0.01, 'secondary-limit': 0.003 }

/** A server that each worker reaches through a proxy of its own. */
const served = (engine, options) => ({
  ...usual,
  async open(t) {
    const server = await startServer(engine, options)
    t.after(() => server.stop())
    const url = server.url
    return { server, port: server.port, optionsFor: (proxy) => ({ store: proxy?.url(url) ?? url, requestTimeoutMs: REQUEST_MS }) }
  },
})

/** The tests' GitHub, in a process of its own. */
async function openGitHub(t) {
  const child = spawn(process.execPath, [GITHUB, '--options', JSON.stringify({ seed: 7 })], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(async () => {
    const gone = child.exitCode === null ? once(child, 'exit') : undefined
    child.stdin.end()
    await gone
  })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const { url, apiUrl, repo, token } = JSON.parse(line)
  const tell = (what) => fetch(`${url}/_test/faults`, { method: 'POST', body: JSON.stringify(what) })
  return {
    port: Number(new URL(url).port),
    optionsFor: (proxy) => ({ store: `github:${repo}`, token, apiUrl: proxy?.url(apiUrl) ?? apiUrl, showOnIssue: false, requestTimeoutMs: 2_500 }),
    rage: () => tell({ rate: GITHUB_FAULTS }),
    calm: () => tell({ clear: true }),
  }
}

const ENGINES = {
  sqlite: {
    ...usual,
    // Who waits on the same machine sees that the holder is dead.
    recoveryMs: 100,
    async open(t) {
      const store = `sqlite:${join(folder(t), 'leases.db')}`
      return { optionsFor: () => ({ store, requestTimeoutMs: REQUEST_MS }) }
    },
  },
  // As its documentation asks of those who cannot lose a write.
  redis: served('redis', { aof: true, args: ['--appendfsync', 'always'] }),
  postgres: served('postgres', {}),
  etcd: served('etcd', {}),
  // Few, and for longer: every request is a process of git here, as it is a second's work there.
  github: { ...usual, ttlMs: 6_000, recoveryMs: 11_000, longMs: 8_000, keys: KEYS.slice(0, 3), workers: 4, tasks: 1, killRounds: 1, isQuick: false, open: openGitHub },
}

module.exports = { ENGINES }
