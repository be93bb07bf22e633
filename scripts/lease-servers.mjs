// The servers that the Rust tests of the stores run against: started on loopback with temporary data, named in the
// environment (`CHAINLOCK_TEST_…`), and stopped. Without a server its tests say so and the check fails in CI.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { root } from './env.mjs'

const { available, startServer } = createRequire(import.meta.url)(join(root, '__test__/helpers/servers/index.js'))

/** Calls `run` with the environment that names the servers. */
export async function withServers(run) {
  const servers = []
  const start = async (engine, options) => {
    if (!available(engine)) return undefined
    const server = await startServer(engine, options)
    servers.push(server)
    return server.url
  }
  try {
    return await run({
      CHAINLOCK_TEST_REDIS: (await start('redis')) ?? '',
      CHAINLOCK_TEST_POSTGRES: (await start('postgres', { password: true })) ?? '',
      CHAINLOCK_TEST_ETCD: (await start('etcd')) ?? '',
      CHAINLOCK_TEST_ETCD_COMMAND: available('etcd') ? 'etcd' : '',
      CHAINLOCK_TEST_GITHUB: available('github') ? join(root, '__test__/helpers/github/serve.js') : '',
    })
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}
