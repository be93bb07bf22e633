// @ts-check
// The other leases and locks over a server that chainlock's are compared with, and the bare statements that nothing can
// be quicker than. Each over one connection of its own; `acquire` waits by the means that its users have.
import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import { Etcd3, EtcdLockFailedError } from 'etcd3'
import { Redis } from 'ioredis'

const load = createRequire(import.meta.url)
/** Compiled where it has no prebuilt program, so it is no development dependency: `npm install --no-save better-sqlite3@12`. */
const Database = optional('better-sqlite3')
const pg = load('pg')
const { default: Redlock } = load('redlock')
const Redlock4 = load('redlock4')
const { Redlock: SesamecareRedlock } = load('@sesamecare-oss/redlock')

const TTL_MS = 30_000
/** How often a bare statement asks again. */
const POLL_MS = 10

/** @typedef {{ acquire(key: string): Promise<void>, release(): Promise<unknown>, close(): Promise<unknown> }} Lock Holds one key at a time. */
/** @typedef {{ name: string, engine: 'redis' | 'postgres' | 'etcd' | 'sqlite', raw: boolean, open(url: string): Promise<Lock> }} Peer */

/** Asks until it is granted; with jitter, or all who wait would ask at once. @param {() => unknown} granted */
async function until(granted) {
  while (!(await granted())) await pause(POLL_MS * (0.5 + Math.random()))
}

// ── Redis ────────────────────────────────────────────────────────────────────────────────────────────

const RELEASE_IF_MINE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

/** @param {string} url */
async function redisClient(url) {
  const client = new Redis(url, { lazyConnect: true })
  await client.connect()
  return client
}

/** @returns {Promise<Lock>} @param {string} url */
async function setNx(url) {
  const client = await redisClient(url)
  client.defineCommand('releaseIfMine', { numberOfKeys: 1, lua: RELEASE_IF_MINE })
  let held = { key: '', nonce: '' }
  return {
    async acquire(key) {
      held = { key, nonce: randomBytes(16).toString('hex') }
      await until(async () => (await client.set(key, held.nonce, 'PX', TTL_MS, 'NX')) === 'OK')
    },
    // @ts-expect-error The command is the one defined above.
    release: () => client.releaseIfMine(held.key, held.nonce),
    close: () => client.quit(),
  }
}

/**
 * The three of one family: their own delays between attempts, and as many attempts as it takes.
 * @param {(client: Redis) => { acquire(key: string): Promise<any>, release(lock: any): Promise<unknown> }} make
 * @returns {(url: string) => Promise<Lock>}
 */
const redlock = (make) => async (url) => {
  const client = await redisClient(url)
  const { acquire, release } = make(client)
  /** @type {any} */
  let lock
  return {
    async acquire(key) {
      lock = await acquire(key)
    },
    release: () => release(lock),
    close: () => client.quit(),
  }
}

const ENDLESS = { retryCount: -1 }

const redlock4 = redlock((client) => {
  const locks = new Redlock4([client], ENDLESS)
  return { acquire: (key) => locks.lock(key, TTL_MS), release: (lock) => lock.unlock() }
})

const redlock5 = redlock((client) => {
  const locks = new Redlock([client], ENDLESS)
  return { acquire: (key) => locks.acquire([key], TTL_MS), release: (lock) => lock.release() }
})

const sesamecare = redlock((client) => {
  const locks = new SesamecareRedlock([client], ENDLESS)
  return { acquire: (key) => locks.acquire([key], TTL_MS), release: (lock) => lock.release() }
})

// ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────

const ADVISORY_LOCK = { name: 'lock', text: 'SELECT pg_advisory_lock(hashtextextended($1, 0))' }
const ADVISORY_UNLOCK = { name: 'unlock', text: 'SELECT pg_advisory_unlock(hashtextextended($1, 0))' }
const TABLE = 'CREATE TABLE IF NOT EXISTS raw_leases (name text PRIMARY KEY, token bigint NOT NULL, expires timestamptz NOT NULL)'
const UPSERT = {
  name: 'acquire',
  text: `INSERT INTO raw_leases VALUES ($1, 1, clock_timestamp() + $2 * interval '1 millisecond')
    ON CONFLICT (name) DO UPDATE SET token = raw_leases.token + 1, expires = excluded.expires
    WHERE raw_leases.expires <= clock_timestamp() RETURNING token`,
}
const FREE = { name: 'release', text: "UPDATE raw_leases SET expires = '-infinity' WHERE name = $1 AND token = $2" }
/** Two who make the same table at once: one of them is refused, and the table is there. */
const MADE_AT_ONCE = ['23505', '42P07']

/** @param {string} url */
async function pgClient(url) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client
}

/** @returns {Promise<Lock>} @param {string} url */
async function pgAdvisory(url) {
  const client = await pgClient(url)
  let held = ''
  return {
    async acquire(key) {
      await client.query({ ...ADVISORY_LOCK, values: [key] })
      held = key
    },
    release: () => client.query({ ...ADVISORY_UNLOCK, values: [held] }),
    close: () => client.end(),
  }
}

/** @returns {Promise<Lock>} @param {string} url */
async function pgUpsert(url) {
  const client = await pgClient(url)
  await client.query(TABLE).catch((/** @type {any} */ error) => {
    if (!MADE_AT_ONCE.includes(error.code)) throw error
  })
  let held = { key: '', token: '' }
  return {
    async acquire(key) {
      await until(async () => {
        const { rows } = await client.query({ ...UPSERT, values: [key, TTL_MS] })
        if (rows.length > 0) held = { key, token: rows[0].token }
        return rows.length > 0
      })
    },
    release: () => client.query({ ...FREE, values: [held.key, held.token] }),
    close: () => client.end(),
  }
}

// ── etcd ─────────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} url */
const etcdClient = (url) => new Etcd3({ hosts: url.replace(/^etcd:/, 'http:') })

/** @returns {Promise<Lock>} @param {string} url */
async function etcdLock(url) {
  const client = etcdClient(url)
  /** @type {import('etcd3').Lock} */
  let lock
  return {
    async acquire(key) {
      await until(async () => {
        // A lock that was refused once cannot be asked again.
        lock = client.lock(key).ttl(TTL_MS / 1_000)
        return lock.acquire().catch((error) => {
          if (!(error instanceof EtcdLockFailedError)) throw error
        })
      })
    },
    release: () => lock.release(),
    close: async () => client.close(),
  }
}

/** One lease for the process, as it lasts; a lock is then one transaction. @returns {Promise<Lock>} @param {string} url */
async function etcdTransaction(url) {
  const client = etcdClient(url)
  const lease = client.lease(TTL_MS / 1_000)
  const id = await lease.grant()
  let held = { key: '', revision: '' }
  return {
    async acquire(key) {
      await until(async () => {
        const put = client.put(key).value('held').lease(id)
        const { succeeded, header } = await client.if(key, 'Create', '==', 0).then(put).commit()
        if (succeeded) held = { key, revision: header.revision }
        return succeeded
      })
    },
    release: () => client.if(held.key, 'Create', '==', Number(held.revision)).then(client.delete().key(held.key)).commit(),
    async close() {
      await lease.revoke()
      client.close()
    },
  }
}

// ── SQLite ───────────────────────────────────────────────────────────────────────────────────────────

/** Blocks the event loop for as long as it takes. @returns {Promise<Lock>} @param {string} url */
async function sqliteImmediate(url) {
  const database = new Database(url.replace(/^sqlite:/, ''))
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = NORMAL')
  database.pragma('busy_timeout = 10000')
  database.exec('CREATE TABLE IF NOT EXISTS raw_leases (name TEXT PRIMARY KEY, token INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID')
  const upsert = database.prepare(`INSERT INTO raw_leases VALUES (@key, 1, @now + @ttl) ON CONFLICT (name)
    DO UPDATE SET token = token + 1, expires = excluded.expires WHERE expires <= @now RETURNING token`).pluck()
  const free = database.prepare('UPDATE raw_leases SET expires = 0 WHERE name = ? AND token = ?')
  const take = database.transaction((/** @type {string} */ key) => upsert.get({ key, now: Date.now(), ttl: TTL_MS })).immediate
  const give = database.transaction((/** @type {string} */ key, /** @type {unknown} */ token) => free.run(key, token)).immediate
  /** @type {{ key: string, token: unknown }} */
  let held
  return {
    async acquire(key) {
      await until(() => {
        const token = take(key)
        held = { key, token }
        return token !== undefined
      })
    },
    release: async () => give(held.key, held.token),
    close: async () => database.close(),
  }
}

/** @type {readonly Peer[]} */
export const LEASE_PEERS = [
  { name: 'SET NX PX + Lua', engine: 'redis', raw: true, open: setNx },
  { name: 'redlock 4', engine: 'redis', raw: false, open: redlock4 },
  { name: 'redlock 5', engine: 'redis', raw: false, open: redlock5 },
  { name: 'sesamecare redlock', engine: 'redis', raw: false, open: sesamecare },
  { name: 'pg advisory lock', engine: 'postgres', raw: true, open: pgAdvisory },
  { name: 'pg UPSERT', engine: 'postgres', raw: true, open: pgUpsert },
  { name: 'etcd3 lock()', engine: 'etcd', raw: false, open: etcdLock },
  { name: 'etcd transaction', engine: 'etcd', raw: true, open: etcdTransaction },
  ...(Database ? [{ name: 'better-sqlite3 immediate', engine: /** @type {const} */ ('sqlite'), raw: true, open: sqliteImmediate }] : []),
]

/** @param {string} name */
function optional(name) {
  try {
    return load(name)
  } catch {
    return undefined
  }
}
