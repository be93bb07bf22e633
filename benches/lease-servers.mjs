// @ts-check
// The engines that the leases are timed on: real servers on this machine, with data that goes with them, and what
// they say about how many requests they were asked.
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const load = createRequire(import.meta.url)
const { startServer, whyNot } = load('../__test__/helpers/servers')

/** @typedef {'redis' | 'postgres' | 'etcd' | 'sqlite'} Engine */
/** @typedef {{ engine: Engine, url: string, requests: () => Promise<number>, stop: () => Promise<unknown> }} Place `requests`: asked since it was started, as far as connections that are closed by now go. */

/** @type {readonly Engine[]} */
export const ENGINES = ['redis', 'postgres', 'etcd', 'sqlite']

/** Why it cannot be timed here; false if it can. @param {Engine} engine @returns {string | false} */
export const missing = (engine) => engine !== 'sqlite' && whyNot(engine)

/** @param {Engine} engine @returns {Promise<Place>} */
export async function startPlace(engine) {
  if (engine === 'sqlite') return sqlitePlace()
  const server = await startServer(engine)
  return { engine, url: server.url, requests: () => REQUESTS[engine](server), stop: () => server.stop() }
}

/** @returns {Place} */
function sqlitePlace() {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-bench-'))
  const stop = async () => rmSync(folder, { recursive: true, force: true })
  return { engine: 'sqlite', url: `sqlite:${join(folder, 'leases.db')}`, requests: async () => 0, stop }
}

const REQUESTS = {
  /** Each script and each read asks for the time once; what a script calls by itself is no request. @param {any} server */
  async redis(server) {
    const calls = new Map([...(await server.command('INFO', 'commandstats')).matchAll(/cmdstat_([a-z|]+):calls=(\d+)/g)].map(([, name, count]) => [name, Number(count)]))
    return ['time', 'subscribe', 'unsubscribe', 'psubscribe'].reduce((sum, name) => sum + (calls.get(name) ?? 0), 0)
  },

  /** Every statement outside of a block is a transaction; a connection tells when it ends. @param {any} server */
  async postgres(server) {
    const pg = load('pg')
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    const { rows } = await client.query('SELECT sum(xact_commit + xact_rollback) AS count FROM pg_stat_database')
    await client.end()
    return Number(rows[0].count)
  },

  /** @param {any} server */
  async etcd(server) {
    const text = await (await fetch(`${server.url.replace(/^etcd:/, 'http:')}/metrics`)).text()
    const lines = text.matchAll(/^grpc_server_started_total\{.*grpc_service="etcdserverpb\.(?:KV|Watch|Lease)".*\} (\d+)$/gm)
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0)
  },
}
