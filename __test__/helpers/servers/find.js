// Which engines of leases can be started here, and where their programs are.
'use strict'

const { accessSync, constants, readdirSync } = require('node:fs')
const { execFileSync } = require('node:child_process')
const { delimiter, join } = require('node:path')
const { test } = require('node:test')

const DEBIAN_POSTGRES = '/usr/lib/postgresql'

/** What each engine needs: a program, and the Debian package that brings it. */
const ENGINES = {
  sqlite: null,
  dir: null,
  redis: { program: 'redis-server', debian: 'redis-server' },
  postgres: { program: 'initdb', debian: 'postgresql' },
  etcd: { program: 'etcd', debian: 'etcd-server' },
  github: { program: 'git', debian: 'git' },
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Debian keeps PostgreSQL's servers off the PATH, a folder for each version; the newest comes first. */
function postgresFolders() {
  try {
    const versions = readdirSync(DEBIAN_POSTGRES).sort((one, other) => Number(other) - Number(one))
    return versions.map((version) => join(DEBIAN_POSTGRES, version, 'bin'))
  } catch {
    return []
  }
}

/** The path of a program, or undefined. @param {string} name */
function find(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...postgresFolders()]
  return folders.map((folder) => join(folder, name)).find(isProgram)
}

/** The path of a program that has to be there. @param {string} name */
function program(name) {
  const found = find(name)
  if (!found) throw new Error(`no ${name} on PATH`)
  return found
}

/**
 * Whom PostgreSQL may run as: it refuses root.
 * @returns {{ uid?: number, gid?: number } | undefined} undefined if there is nobody to run as.
 */
function postgresUser() {
  if (process.getuid?.() !== 0) return {}
  try {
    const ask = (what) => Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    return { uid: ask('-u'), gid: ask('-g') }
  } catch {
    return undefined
  }
}

/** Why an engine cannot be started here; false if it can. @param {string} engine */
function whyNot(engine) {
  if (!Object.hasOwn(ENGINES, engine)) throw new Error(`no such engine: ${engine}; there are ${Object.keys(ENGINES).join(', ')}`)
  const needs = ENGINES[engine]
  if (!needs) return false
  if (!find(needs.program)) return `SKIPPED: no ${needs.program} here (Debian: apt-get install ${needs.debian})`
  if (engine === 'postgres' && !postgresUser()) return 'SKIPPED: PostgreSQL refuses root, and there is no user postgres'
  return false
}

const available = (engine) => !whyNot(engine)

/**
 * A test that needs an engine: skipped with a loud reason where the engine is missing, failed there with CI set.
 * @param {string} name
 * @param {string} engine
 * @param {object | Function} options As of `test`, or the test itself.
 * @param {Function} [fn]
 */
function engineTest(name, engine, options, fn) {
  if (typeof options === 'function') return engineTest(name, engine, {}, options)
  const missing = whyNot(engine)
  if (!missing) return test(name, options, fn)
  if (!process.env.CI) return test(name, { ...options, skip: missing })
  return test(name, () => {
    throw new Error(`${missing}; with CI set, a missing engine is a failure`)
  })
}

module.exports = { ENGINES: Object.keys(ENGINES), available, engineTest, whyNot, find, program, postgresUser }
