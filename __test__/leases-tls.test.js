// Leases over PostgreSQL with TLS: the connection is encrypted, and only to a server whose certificate is trusted.
// (Redis and etcd are tried so where their stores are: `src/lease/stores/*/tests`.)
'use strict'

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { managerFor } = require('./helpers/leases')
const { folder } = require('./helpers/folders')
const { engineTest, startServer } = require('./helpers/servers')
const { postgresUser } = require('./helpers/servers/find')

/** A root of its own, and a certificate by it for 127.0.0.1, which the server's user can read. */
function certificates(t) {
  const cwd = folder(t)
  const openssl = (...args) => execFileSync('openssl', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  fs.writeFileSync(path.join(cwd, 'names'), 'subjectAltName=IP:127.0.0.1\n')
  openssl('req', '-x509', ...fresh, '-days', '2', '-subj', '/CN=root', '-keyout', 'root.key', '-out', 'root.pem')
  openssl('req', ...fresh, '-subj', '/CN=postgres', '-keyout', 'key.pem', '-out', 'request.pem')
  const by = ['-CA', 'root.pem', '-CAkey', 'root.key', '-CAcreateserial']
  openssl('x509', '-req', '-in', 'request.pem', ...by, '-days', '2', '-extfile', 'names', '-out', 'cert.pem')
  const { uid, gid } = postgresUser() ?? {}
  for (const name of ['.', 'key.pem', 'cert.pem']) if (uid !== undefined) fs.chownSync(path.join(cwd, name), uid, gid)
  const at = (name) => path.join(cwd, name)
  return { root: at('root.pem'), settings: { ssl: 'on', ssl_cert_file: at('cert.pem'), ssl_key_file: at('key.pem') } }
}

engineTest('leases over PostgreSQL with TLS', 'postgres', async (t) => {
  const { root, settings } = certificates(t)
  const server = await startServer('postgres', { password: true, settings })
  t.after(() => server.stop())
  const store = `${server.url}?sslmode=require`
  const connections = async () => (await server.query(
    `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE pid <> pg_backend_pid() AND usename IS NOT NULL AND backend_type = 'client backend'`,
  )).flat()

  const trusting = managerFor(t, { store, caFile: root })
  const lease = await trusting.acquire('deploy')
  assert.equal(lease.token, 1)
  const used = await connections()
  assert.ok(used.length > 0 && used.every((ssl) => ssl === 't'), `encrypted: ${used}`)
  assert.ok((await lease.renew()) > 0)
  assert.deepEqual(await lease.release(), { released: true, reason: null })

  const distrusting = managerFor(t, { store })
  const error = await distrusting.tryAcquire('deploy').catch((error) => error)
  assert.match(error.code ?? 'granted', /^ERR_LOCK_STORE_(UNAVAILABLE|DENIED)$/)
  assert.match(error.message, /TLS|certificate/i)

  const plain = managerFor(t, { store: `${server.url}?sslmode=disable` })
  await (await plain.acquire('deploy')).release()
  assert.ok((await connections()).includes('f'), 'nobody encrypts who is told not to')
})
