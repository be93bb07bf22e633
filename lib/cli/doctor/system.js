// Doctor: what the system lets onlookers see, its clocks and its limits.
// @ts-check
'use strict'

const fs = require('node:fs')

/** @typedef {import('./index').Check} Check */
/** @typedef {import('./index').Finding} Finding */

/** The text of a file of the system, or null. @param {string} path */
function read(path) {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** Can others see this process's table, and can nobody write to it? @type {Check} */
const sealing = {
  id: 'sealing',
  check() {
    const other = 'locks work; only status and monitor cannot look into other processes'
    if (process.platform !== 'linux')
      return [{ level: 'warn', sentence: `no sealed memory on ${process.platform}: ${other}` }]
    // The table comes to life with the first face.
    require('../../locks/manager').locks.query()
    const isThere = fs
      .readdirSync('/proc/self/fd')
      .some((fd) => linkOf(`/proc/self/fd/${fd}`).startsWith('/memfd:chainlock-table'))
    if (isThere)
      return [
        {
          level: 'good',
          sentence: 'lock tables are sealed memory: others can read them, and nobody can write to them',
        },
      ]
    return [
      {
        level: 'warn',
        sentence: `this kernel gives no sealed memory: ${other}`,
        fix: 'Linux 3.17 or newer, without a filter on memfd_create',
      },
    ]
  },
}

/** @param {string} path */
function linkOf(path) {
  try {
    return fs.readlinkSync(path)
  } catch {
    return ''
  }
}

const WATCHED_MS = 50
const MOST_DRIFT_MS = 20
const EARLIEST = Date.parse('2024-01-01T00:00:00Z')

/** @type {Check} */
const clock = {
  id: 'clock',
  async check() {
    const began = { mono: performance.now(), wall: Date.now() }
    await new Promise((resolve) => setTimeout(resolve, WATCHED_MS))
    const drift = Math.abs(Date.now() - began.wall - (performance.now() - began.mono))
    const fix = 'start a time service (chrony, systemd-timesyncd)'
    if (Date.now() < EARLIEST) {
      return [
        { level: 'warn', sentence: `the clock says ${new Date().toISOString()}; times in reports are wrong`, fix },
      ]
    }
    if (drift > MOST_DRIFT_MS) {
      const moved = `the wall clock moved by ${Math.round(drift)} ms in ${WATCHED_MS} ms`
      const sentence = `${moved}; locks do not care, times in reports do`
      return [{ level: 'warn', sentence, fix }]
    }
    return [{ level: 'good', sentence: 'the clocks run alike; locks use the monotonic one' }]
  },
}

/** @type {Check} */
const pidNamespace = {
  id: 'namespace',
  check() {
    const status = read('/proc/self/status')
    const pids = status
      ?.match(/^NSpid:\s*(.*)$/m)?.[1]
      .trim()
      .split(/\s+/)
    if (pids === undefined) return [{ level: 'good', sentence: 'no pid namespaces here' }]
    const own = linkOf('/proc/self/ns/pid')
    const first = linkOf('/proc/1/ns/pid')
    if (pids.length > 1 || (first !== '' && first !== own)) {
      const sentence = 'this is a container with process ids of its own: processes outside of it are not seen'
      return [{ level: 'good', sentence, fix: 'run chainlock where the processes run' }]
    }
    return [{ level: 'good', sentence: 'process ids are those of the machine, as far as can be seen' }]
  },
}

/** @type {Check} */
const visibility = {
  id: 'proc',
  check() {
    if (process.platform !== 'linux') return []
    const mounts = read('/proc/self/mountinfo')
    if (mounts === null)
      return [{ level: 'bad', sentence: '/proc is not there: no process can be looked at', fix: 'mount /proc' }]
    const proc = mounts
      .split('\n')
      .filter((line) => line.split(' ')[4] === '/proc')
      .join(' ')
    const hides = /hidepid=(\w+)/.exec(proc)?.[1] ?? '0'
    if (hides === '0' || hides === 'off') return [{ level: 'good', sentence: '/proc shows all processes' }]
    return [{ level: 'good', sentence: `/proc hides other users' processes (hidepid=${hides}); yours are seen` }]
  },
}

const LEAST_FILES = 256
const LEAST_FILE_BYTES = 1_048_576

/** @type {Check} */
const limits = {
  id: 'limits',
  check() {
    const text = read('/proc/self/limits')
    if (text === null) return []
    const soft = (/** @type {string} */ name) => {
      const found = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(text)?.[1] ?? 'unlimited'
      return found === 'unlimited' ? Infinity : Number(found)
    }
    const files = soft('Max open files')
    const bytes = soft('Max file size')
    /** @type {Finding[]} */
    const found = []
    if (files < LEAST_FILES) {
      found.push({
        level: 'warn',
        sentence: `only ${files} open files: each host lock in use takes one`,
        fix: 'ulimit -n 4096',
      })
    }
    if (bytes < LEAST_FILE_BYTES) {
      found.push({
        level: 'bad',
        sentence: `files may have ${bytes} bytes only: tables and lock files do not fit`,
        fix: 'ulimit -f unlimited',
      })
    }
    if (found.length > 0) return found
    return [{ level: 'good', sentence: `${files === Infinity ? 'any number of' : files} open files allowed` }]
  },
}

module.exports = { sealing, clock, pidNamespace, visibility, limits }
