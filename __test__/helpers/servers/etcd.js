// etcd, started for a test: one member, its peers' port closed to all but itself.
'use strict'

const { join } = require('node:path')
const { program } = require('./find')
const { Server } = require('./server')

const ANSWER_LIMIT_MS = 20_000

/** @type {import('./server').Kind} */
const KIND = {
  name: 'etcd',
  command(server) {
    const { extra } = /** @type {Etcd} */ (server)
    const own = `http://${server.address}`
    // It has no peers: any port will do to listen on, and its name is as good as another.
    const peer = `http://${server.host}:1`
    const anyPort = `http://${server.host}:0`
    const clients = ['--listen-client-urls', own, '--advertise-client-urls', own]
    const peers = ['--listen-peer-urls', anyPort, '--initial-advertise-peer-urls', peer, '--initial-cluster', `test=${peer}`]
    const data = ['--name', 'test', '--data-dir', join(server.folder, 'data')]
    return { file: program('etcd'), args: [...data, ...clients, ...peers, '--log-level', 'error', ...extra] }
  },
  async answers(server) {
    const response = await fetch(`http://${server.address}/health`, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) })
    const { health } = /** @type {any} */ (await response.json())
    if (health !== 'true') throw new Error(`health ${health}`)
    // Healthy is not yet in order: after a restart the first read may still have to wait for the election.
    await /** @type {Etcd} */ (server).call('/v3/kv/range', { key: 'AA==' })
  },
}

class Etcd extends Server {
  /** @param {readonly string[]} extra */
  constructor(extra) {
    super(KIND)
    this.extra = extra
  }

  get url() {
    return `etcd://${this.address}`
  }

  /** One request to the JSON gateway: keys and values in it are base64. @param {string} path @param {object} body */
  async call(path, body) {
    const response = await fetch(`http://${this.address}${path}`, { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_LIMIT_MS) })
    const answer = /** @type {any} */ (await response.json())
    if (!response.ok) throw new Error(`etcd answers ${response.status}: ${answer.error}`)
    return answer
  }
}

/** @param {{ args?: readonly string[] }} [options] `args` goes to `etcd` as it is. */
function startEtcd({ args = [] } = {}) {
  return /** @type {Promise<Etcd>} */ (Server.start(new Etcd(args)))
}

module.exports = { startEtcd }
