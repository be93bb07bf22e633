// Host locks in tests: lock files in a folder of the test's own, and other processes that do what they are told.
'use strict'

const { after } = require('node:test')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { startNode } = require('./processes')

const folder = mkdtempSync(join(tmpdir(), 'chainlock-host-'))
// Before the package is loaded; children inherit it.
process.env.XDG_RUNTIME_DIR = folder
after(() => rmSync(folder, { recursive: true, force: true }))

const { chainlock } = require('./package')
const { locks } = chainlock

let names = 0
/** A name that no other test uses. */
const freshName = (what = 'lock') => `${what}-${process.pid}-${++names}`
/** The path of a lock file that is not there yet. */
const freshPath = (what) => join(folder, `${freshName(what)}.lock`)

/** How many requests of this process hold the lock and wait for it, in its own line. */
function inLine(lock) {
  const { holders, waiters } = locks.getLockStatus(`-host:${lock.path}`)
  return { holders: holders.length, waiters: waiters.length }
}

/** What the other process runs: calls come in as lines, answers go out as lines. */
function obey({ chainlock }) {
  const kept = new Map()
  const input = require('node:readline').createInterface({ input: process.stdin })
  input.on('line', async (line) => {
    const { id, source, args } = JSON.parse(line)
    let answer
    try {
      const fn = new Function('require', `return (${source})`)(require)
      answer = { id, value: await fn({ chainlock, kept, process }, ...args) }
    } catch (error) {
      const { name, message, code, path, errno, holders, cycle, report, waitedMs } = error
      answer = { id, error: { name, message, code, path, errno, holders, cycle, report, waitedMs } }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  })
}

/**
 * Another process. `run(fn, ...args)` calls `fn({ chainlock, kept, process }, ...args)` there and answers what it
 * answers; `kept` is a Map that stays between calls. The function's text is sent, so it sees nothing of the test's own.
 */
function startOther(options) {
  const { child, ended, output } = startNode(obey, null, options)
  const calls = new Map()
  let last = 0
  require('node:readline').createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, value, error } = JSON.parse(line)
    const { resolve, reject } = calls.get(id)
    calls.delete(id)
    if (error) reject(Object.assign(new Error(error.message), error))
    else resolve(value)
  })
  ended.then(() => {
    for (const { reject } of calls.values()) reject(new Error(`the process has ended: ${output.stderr}`))
  })
  return {
    child,
    ended,
    get pid() {
      return child.pid
    },
    run(fn, ...args) {
      return new Promise((resolve, reject) => {
        const id = ++last
        calls.set(id, { resolve, reject })
        child.stdin.write(`${JSON.stringify({ id, source: String(fn), args })}\n`)
      })
    },
    /** Takes the lock there and keeps it under its name. Answers the token. */
    acquire(name, options) {
      return this.run(async ({ chainlock, kept }, name, options) => {
        const guard = await chainlock.hostLock(name).acquire(options ?? undefined)
        kept.set(name, guard)
        return guard.token
      }, name, options)
    },
    /** Gives back what `acquire` has got. */
    release(name) {
      return this.run(({ kept }, name) => kept.get(name).release(), name)
    },
    async kill(signal = 'SIGKILL') {
      child.kill(signal)
      await ended
    },
    async end() {
      child.stdin.end()
      await ended
    },
  }
}

module.exports = { folder, chainlock, locks, hostLock: chainlock.hostLock, freshName, freshPath, inLine, startOther }
