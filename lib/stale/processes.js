// What the system tells of processes that may hold a lock: who has its file open for writing, who holds a kernel
// lock on it, which Git commands run in its work tree. Linux tells it under /proc; elsewhere nothing is known.
// @ts-check
'use strict'

const path = require('node:path')
const { native } = require('../native')
const { unless } = require('./steps')

/** @template T @typedef {import('./steps').Steps<T>} Steps */
/** @typedef {import('./entry').Entry} Entry */
/** @typedef {{ pid: number, command: string | null }} Who */

/**
 * @typedef {object} Scan
 * @property {Who[]} openedBy For writing.
 * @property {Who[]} gitCommands
 * @property {Who[]} twins Processes with that pid in a pid namespace of their own.
 * @property {boolean} isWhole Whether every process was seen that could have made the lock.
 */

/** The kernel's numbers of the first namespaces: whoever lives there sees everybody, and the real time of boot. */
const FIRST_PID_NAMESPACE = 0xeffffffc
const TICKS_PER_MS = 0.1

/** @returns {Steps<boolean>} Whether /proc is there and counts pids as this process does. */
function* canSee() {
  return (yield* unless(['readlink', '/proc/self'])) === String(process.pid)
}

/** Whether a process that is not seen is nowhere on this machine. */
const seesAll = () => native.ownIdentity().pidNamespace === FIRST_PID_NAMESPACE

/** @param {number} pid @returns {Who} */
const who = (pid) => ({ pid, command: native.findProcess(pid).command ?? null })

/**
 * When a process started, in ms since 1970; null where that is not known.
 * @param {number | undefined} ticks
 * @returns {Steps<number | null>}
 */
function* startedMs(ticks) {
  const uptime = ticks === undefined ? null : yield* unless(['readFile', '/proc/uptime', 'latin1'])
  if (uptime === null) return null
  return native.wallMs() - (Number(uptime.split(' ')[0]) * 1_000 - Number(ticks) / TICKS_PER_MS)
}

/** The parts of a device number, as /proc/locks writes them. @param {bigint} device */
function deviceText(device) {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn)
  const hex = (/** @type {bigint} */ part) => part.toString(16).padStart(2, '0')
  return `${hex(major)}:${hex(minor)}`
}

/**
 * Who holds a kernel lock on the file; a lock that belongs to a descriptor is told as pid -1.
 * @param {Entry} entry
 * @param {boolean} deviceTells Whether the file system's device number is that of its files.
 * @returns {Steps<Who[]>}
 */
function* lockedBy(entry, deviceTells) {
  const text = (yield* unless(['readFile', '/proc/locks', 'latin1'])) ?? ''
  const found = new Map()
  for (const line of text.split('\n')) {
    const fields = /^\d+: (?:FLOCK|POSIX|OFDLCK) .* (-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) \d+ \S+$/.exec(line)
    if (!fields || BigInt(fields[3]) !== entry.stat.ino) continue
    if (deviceTells && fields[2] !== deviceText(entry.stat.dev)) continue
    const pid = Number(fields[1])
    found.set(pid, pid > 0 ? who(pid) : { pid, command: null })
  }
  return [...found.values()]
}

/**
 * Looks at every process once.
 * @param {Entry} entry
 * @param {{ roots: string[], twinOf: number }} wanted Where Git commands matter; the pid whose twins matter.
 * @returns {Steps<Scan>}
 */
function* scan(entry, { roots, twinOf }) {
  /** @type {Scan} */
  const seen = { openedBy: [], gitCommands: [], twins: [], isWhole: true }
  for (const name of yield ['readdir', '/proc']) {
    if (!/^\d+$/.test(name)) continue
    const pid = Number(name)
    const opens = entry.kind === 'file' ? yield* hasOpen(pid, entry) : false
    if (opens) seen.openedBy.push(who(pid))
    if (opens === null && (yield* couldHaveMade(pid, entry))) seen.isWhole = false
    if (twinOf > 0 && (yield* isTwin(pid, twinOf))) seen.twins.push(who(pid))
    if (roots.length > 0) {
      const isInside = yield* runsGitIn(pid, roots)
      if (isInside) seen.gitCommands.push(who(pid))
      if (isInside === null && (yield* couldHaveMade(pid, entry))) seen.isWhole = false
    }
  }
  return seen
}

/** Of processes that end while one looks, nothing is known and nothing to fear. */
const ENDED = ['ENOENT', 'ESRCH']
const HIDDEN = ['EACCES', 'EPERM']

/**
 * Null where the process does not let us see.
 * @param {number} pid
 * @param {Entry} entry
 * @returns {Steps<boolean | null>}
 */
function* hasOpen(pid, entry) {
  const name = path.basename(entry.path)
  let descriptors
  try {
    descriptors = yield ['readdir', `/proc/${pid}/fd`]
  } catch (error) {
    return HIDDEN.includes(/** @type {any} */ (error).code) ? null : false
  }
  for (const number of descriptors) {
    // By name first: asking an open file itself may wait for another machine.
    const link = yield* unless(['readlink', `/proc/${pid}/fd/${number}`])
    if (link === null || !path.basename(link).startsWith(name)) continue
    const stat = yield* unless(['stat', `/proc/${pid}/fd/${number}`, { bigint: true }])
    if (stat?.ino !== entry.stat.ino || stat.dev !== entry.stat.dev) continue
    const flags = /^flags:\s*([0-7]+)/m.exec((yield* unless(['readFile', `/proc/${pid}/fdinfo/${number}`, 'latin1'])) ?? '')
    // Whoever only reads holds nothing.
    if (!flags || (Number.parseInt(flags[1], 8) & 3) !== 0) return true
  }
  return false
}

/** @param {number} pid @param {string} field @returns {Steps<string[]>} The words behind a field of its status. */
function* status(pid, field) {
  const text = (yield* unless(['readFile', `/proc/${pid}/status`, 'latin1'])) ?? ''
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text)?.[1].split(/\s+/) ?? []
}

/** Whether an unreadable process has the rights of the file's user. @param {number} pid @param {Entry} entry */
function* couldHaveMade(pid, entry) {
  return (yield* status(pid, 'Uid')).includes(String(entry.stat.uid))
}

/** @param {number} pid @param {number} twinOf */
function* isTwin(pid, twinOf) {
  const numbers = yield* status(pid, 'NSpid')
  return numbers.length > 1 && numbers.slice(1).includes(String(twinOf))
}

/**
 * Null where the process does not let us see.
 * @param {number} pid
 * @param {string[]} roots
 * @returns {Steps<boolean | null>}
 */
function* runsGitIn(pid, roots) {
  const name = (yield* unless(['readFile', `/proc/${pid}/comm`, 'latin1'])) ?? ''
  if (!/^git\b/.test(name)) return false
  try {
    const folder = yield ['readlink', `/proc/${pid}/cwd`]
    return roots.some((root) => folder === root || folder.startsWith(`${root}/`))
  } catch (error) {
    return ENDED.includes(/** @type {any} */ (error).code) ? false : null
  }
}

module.exports = { canSee, seesAll, startedMs, lockedBy, scan }
