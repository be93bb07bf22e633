// PostgreSQL, started for a test. A fresh cluster takes most of its start, so each process makes one and copies it.
'use strict'

const { execFile } = require('node:child_process')
const { cpSync, chownSync, readdirSync, writeFileSync, mkdtempSync, mkdirSync } = require('node:fs')
const net = require('node:net')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { promisify } = require('node:util')
const { Caretaker } = require('./caretaker')
const { postgresUser, program } = require('./find')
const { Server } = require('./server')

const USER = 'postgres'
const PASSWORD = 'a password, only for tests: @/%'
const ANSWER_LIMIT_MS = 20_000
const PROTOCOL_3 = 196_608
const run = promisify(execFile)

// The death of the process is what tests try, not the loss of power: nothing has to reach a disk. What it shares between
// its processes lies with the data, so that a killed one leaves nothing in /dev/shm.
const SETTINGS = { fsync: 'off', full_page_writes: 'off', unix_socket_directories: '', dynamic_shared_memory_type: 'mmap', log_min_messages: 'fatal' }

/** @type {Promise<string> | undefined} */
let template

/** The folder of a cluster that nobody has used. */
function freshCluster() {
  template ??= makeCluster()
  return template
}

async function makeCluster() {
  const user = postgresUser()
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-initdb-'))
  new Caretaker(folder)
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, PASSWORD)
  for (const path of [folder, passwordFile]) give(path, user)
  const data = join(folder, 'data')
  const args = ['--pgdata', data, '--no-sync', '--no-instructions', '--username', USER, '-A', 'trust', '--pwfile', passwordFile, '--encoding', 'UTF8', '--locale', 'C']
  await run(program('initdb'), args, { cwd: folder, ...user })
  return data
}

function give(path, { uid, gid } = {}) {
  if (uid !== undefined) chownSync(path, uid, gid)
}

/** `cpSync` makes what it copies the caller's own. */
function giveAll(folder, user) {
  give(folder, user)
  if (user?.uid === undefined) return
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) give(join(entry.path, entry.name), user)
}

/** Asks to log in: the question for a password, or the welcome, comes only from a server that takes connections. */
function asksWhoComes({ host, port }) {
  const words = Buffer.from(`user\0${USER}\0database\0postgres\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(head.length + words.length, 0)
  head.writeInt32BE(PROTOCOL_3, 4)
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => socket.write(Buffer.concat([head, words])))
    const fail = (error) => {
      socket.destroy()
      reject(error)
    }
    socket.setTimeout(ANSWER_LIMIT_MS, () => fail(new Error('no answer')))
    socket.on('error', fail)
    socket.on('close', () => reject(new Error('closed without an answer')))
    socket.on('data', (bytes) => {
      if (bytes[0] !== 'R'.charCodeAt(0)) return fail(new Error(`refused: ${bytes.toString('latin1')}`))
      resolve(undefined)
      // The polite way to leave, or its log says that somebody broke off.
      socket.end(Buffer.from([88, 0, 0, 0, 4]))
    })
  })
}

/** @type {import('./server').Kind} */
const KIND = {
  name: 'postgres',
  // An immediate shutdown: nothing is saved, and the shared memory is given back.
  end: 'SIGQUIT',
  async prepare(server) {
    const { data, password } = /** @type {Postgres} */ (server)
    const user = postgresUser()
    give(server.folder, user)
    const cluster = await freshCluster()
    mkdirSync(data, { mode: 0o700 })
    cpSync(cluster, data, { recursive: true })
    if (password) writeFileSync(join(data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n')
    giveAll(data, user)
  },
  command(server) {
    const { data, settings } = /** @type {Postgres} */ (server)
    const said = Object.entries({ ...SETTINGS, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const where = ['-D', data, '-h', server.host, '-p', String(server.port)]
    return { file: program('postgres'), args: [...where, ...said], user: postgresUser() }
  },
  answers: asksWhoComes,
}

class Postgres extends Server {
  #databases = 0

  /** @param {{ password: boolean, settings: Record<string, string | number> }} options */
  constructor({ password, settings }) {
    super(KIND)
    this.data = join(this.folder, 'data')
    this.password = password ? PASSWORD : undefined
    this.settings = settings
  }

  get url() {
    return this.urlOf('postgres')
  }

  /** @param {string} database */
  urlOf(database) {
    const secret = this.password ? `:${encodeURIComponent(this.password)}` : ''
    return `postgres://${USER}${secret}@${this.address}/${database}`
  }

  /** The url of a database that nobody else uses. */
  async createDatabase() {
    const name = `test_${(this.#databases += 1)}`
    await this.query(`CREATE DATABASE ${name}`)
    return this.urlOf(name)
  }

  /** What a statement answers: an array of its columns' texts for each row. @param {string} sql @param {string} [database] A name, or a url. */
  async query(sql, database = 'postgres') {
    const name = database.includes('/') ? database.slice(database.lastIndexOf('/') + 1) : database
    const where = ['-h', this.host, '-p', String(this.port), '-U', USER, '-d', name, '-w']
    const shape = ['-X', '-q', '-A', '-t', '-F', '\t', '-v', 'ON_ERROR_STOP=1']
    const env = { ...process.env, PGPASSWORD: this.password ?? '', PGCONNECT_TIMEOUT: '20' }
    const { stdout } = await run(program('psql'), [...where, ...shape, '-c', sql], { env })
    return stdout.split('\n').filter((line) => line !== '').map((line) => line.split('\t'))
  }
}

/**
 * @param {{ password?: boolean, settings?: Record<string, string | number> }} [options] With `password` it asks for one
 *   (by SCRAM), which stands in the urls; `settings` are those of postgresql.conf.
 */
function startPostgres({ password = false, settings = {} } = {}) {
  return /** @type {Promise<Postgres>} */ (Server.start(new Postgres({ password, settings })))
}

module.exports = { startPostgres }
