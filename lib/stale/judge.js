// Whether somebody else's lock is live, stale or neither for certain, and from what one sees it.
// @ts-check
'use strict'

const path = require('node:path')
const { hostname } = require('node:os')
const { native } = require('../native')
const { typeError } = require('../errors')
const { unless } = require('./steps')
const { look, GONE } = require('./entry')
const { inFile, inLink, isThisHost } = require('./holders')
const { rootsOf } = require('./git')
const processes = require('./processes')

/** @template T @typedef {import('./steps').Steps<T>} Steps */
/** @typedef {import('./entry').Entry} Entry */
/** @typedef {import('./holders').Holder} Holder */
/** @typedef {import('./options').Asked} Asked */
/** @typedef {import('../../index').StaleVerdict} Verdict */
/** @typedef {{ -readonly [K in keyof import('../../index').LockEvidence]: import('../../index').LockEvidence[K] }} Evidence */
/** @typedef {{ verdict: Verdict, path: string, kind: Entry['kind'] | null, evidence: Evidence, reasons: string[] }} Report */

/** How much later than a file a process must have started to be another one: file times may be that coarse. */
const COARSE_MS = 2_000
/** What lock files of chainlock itself begin with. */
const OWN = /^(CHNL|CHAINLK)/
/** A file with the pid, in a lock that is a directory. */
const PID_NAME = /^(pid|.*\.pid)$/
const NETWORKS = new Map([
  [0x6969, 'NFS'], [0x517b, 'SMB'], [0xff534d42, 'CIFS'], [0xfe534d42, 'SMB 2'], [0x1021997, '9P'],
  [0x65735546, 'FUSE'], [0xc36400, 'Ceph'], [0x0bd00bd0, 'Lustre'], [0x5346414f, 'AFS'], [0x47504653, 'GPFS'],
])
/** File systems whose files have other device numbers than they themselves: overlayfs, Btrfs. */
const OWN_DEVICES = [0x794c7630, 0x9123683e]

/** One look at one lock. */
class Case {
  /** @type {string[]} */
  reasons = []

  /** @param {Asked} asked @param {Entry} entry @param {number} system The kind of its file system. */
  constructor(asked, entry, system) {
    this.asked = asked
    this.entry = entry
    this.system = system
    this.network = NETWORKS.get(system) ?? null
    this.ageMs = native.wallMs() - entry.touchedMs
    const { bootId, pidNamespace } = native.ownIdentity()
    /** @type {Evidence} */
    this.evidence = {
      format: 'plain',
      ageMs: this.ageMs,
      modifiedAt: entry.touchedMs,
      uid: Number(entry.stat.uid),
      pid: null,
      host: null,
      startTime: null,
      command: null,
      openedBy: [],
      lockedBy: [],
      gitCommands: [],
      bootId: bootId ?? null,
      pidNamespace: pidNamespace || null,
    }
  }

  /** @param {Verdict} verdict @param {string} reason @returns {Verdict} */
  say(verdict, reason) {
    this.reasons.push(reason)
    return verdict
  }
}

/** @param {Asked} asked @returns {Steps<Report & { entry: Entry | null }>} */
function* judge(asked) {
  const entry = yield* look(asked.path)
  if (entry === null) {
    const evidence = /** @type {Evidence} */ ({})
    return { verdict: 'absent', path: asked.path, kind: null, evidence, reasons: ['nothing is there'], entry }
  }
  if (entry.kind === 'file' && OWN.test(entry.text ?? '')) throw ownLock(asked)
  const system = (yield* unless(['statfs', path.dirname(asked.path)]))?.type ?? 0
  const one = new Case(asked, entry, Number(system))
  const verdict = yield* verdictOn(one)
  return { verdict, path: asked.path, kind: entry.kind, evidence: one.evidence, reasons: one.reasons, entry }
}

/** @param {Asked} asked */
function ownLock({ call }) {
  return typeError(
    'ERR_LOCK_INVALID_ARGUMENT',
    `${call}: path is a lock file of chainlock, which is never stale: the kernel frees the lock when its holder ` +
      'dies, and the file stays. Ask hostLock(path).status() who holds it',
  )
}

/** @param {Case} one @returns {Steps<Verdict>} */
function* verdictOn(one) {
  const { entry, asked } = one
  switch (entry.kind) {
    case 'file':
      return yield* onFile(one)
    case 'directory':
      if (asked.format !== undefined && asked.format !== 'directory') return misfit(one)
      one.evidence.format = 'directory'
      return yield* onDirectory(one)
    case 'symlink':
      if (asked.format !== undefined && asked.format !== 'symlink') return misfit(one)
      one.evidence.format = 'symlink'
      return yield* onLink(one)
    default:
      return one.say('unknown', `a ${entry.kind} is no lock of a kind that is known here`)
  }
}

/** @param {Case} one */
function misfit({ entry, asked, ...one }) {
  one.reasons.push(`a ${entry.kind} is no lock of the format '${asked.format}'`)
  return /** @type {Verdict} */ ('unknown')
}

// ── The kinds ────────────────────────────────────────────────────────────────────────────────────────

/** @param {Case} one @returns {Steps<Verdict>} */
function* onFile(one) {
  const { entry, asked, evidence } = one
  if (asked.format === 'directory' || asked.format === 'symlink') return misfit(one)
  const wanted = asked.format
  const roots = wanted === undefined || wanted === 'git' ? yield* rootsOf(yield* realPath(asked.path)) : []
  const mayNameHolder = wanted === 'pid-file' || (wanted === undefined && roots.length === 0)
  const holder = mayNameHolder && entry.text !== null ? inFile(entry.text) : null
  evidence.format = wanted ?? (roots.length > 0 ? 'git' : holder ? 'pid-file' : 'plain')
  if (!(yield* processes.canSee())) return yield* blind(one, holder)
  evidence.lockedBy = yield* processes.lockedBy(entry, !OWN_DEVICES.includes(one.system))
  const seen = yield* processes.scan(entry, { roots, twinOf: holder?.pid ?? 0 })
  evidence.openedBy = seen.openedBy
  evidence.gitCommands = seen.gitCommands
  if (evidence.lockedBy.length > 0) return one.say('live', `a process holds a kernel lock on it: ${list(evidence.lockedBy)}`)
  if (seen.openedBy.length > 0) return one.say('live', `a process has it open for writing: ${list(seen.openedBy)}`)
  if (seen.gitCommands.length > 0) return one.say('live', `a Git command runs in its work tree: ${list(seen.gitCommands)}`)
  if (holder) return yield* onHolder(one, holder, seen.twins)
  if (wanted === 'pid-file') one.reasons.push('it names no pid')
  if (!seen.isWhole) return one.say('unknown', 'a process of the same user does not show what it has open')
  if (one.network) return one.say('unknown', `it lies on a network file system (${one.network}): other machines cannot be seen from here`)
  one.reasons.push('no process that can be seen here has it open')
  return byAge(one)
}

/** @param {Case} one @returns {Steps<Verdict>} */
function* onDirectory(one) {
  const { entry, evidence } = one
  if (entry.names === null) return one.say('unknown', 'it cannot be listed')
  if (entry.names.length === 0) return byMarkOrAge(one)
  const [name, ...others] = entry.names
  if (others.length > 0 || !PID_NAME.test(name)) return one.say('unknown', 'it holds more than a pid file')
  const inner = yield* look(path.join(entry.path, name))
  const holder = inner?.kind === 'file' && inner.text !== null ? inFile(inner.text) : null
  if (inner === null || holder === null) return one.say('unknown', `the file ${name} in it names no pid`)
  evidence.format = 'pid-file'
  one.entry = { ...entry, writtenMs: Math.max(entry.writtenMs, inner.writtenMs) }
  if (!(yield* processes.canSee())) return yield* blind(one, holder)
  const { twins } = yield* processes.scan(entry, { roots: [], twinOf: holder.pid })
  return yield* onHolder(one, holder, twins)
}

/** An empty directory is a lock for as long as its holder touches it. @param {Case} one */
function byMarkOrAge(one) {
  const maker = native.makerOf(one.entry.path)
  if (maker === 'alive' && native.isKeptByMaker(one.entry.path)) {
    return one.say('live', 'the process that made it lives and keeps it: its mark says so')
  }
  if (maker === 'dead') return one.say('stale', 'the process that made it is gone: its mark says so')
  return byAge(one)
}

/** @param {Case} one @returns {Steps<Verdict>} */
function* onLink(one) {
  const holder = inLink(one.entry.text ?? '')
  if (holder === null) return one.say('unknown', 'a symbolic link that names no holder is followed by nobody here')
  if (!(yield* processes.canSee())) return yield* blind(one, holder)
  const { twins } = yield* processes.scan(one.entry, { roots: [], twinOf: holder.pid })
  return yield* onHolder(one, holder, twins)
}

/** Age by itself decides only where no holder is named and no process was found. @param {Case} one @returns {Verdict} */
function byAge(one) {
  const { maxAgeMs } = one.asked
  if (maxAgeMs === undefined) return one.say('unknown', 'it names no holder, and without maxAgeMs its age decides nothing')
  const age = `it was touched ${Math.round(one.ageMs)} ms ago; maxAgeMs is ${maxAgeMs}`
  if (one.ageMs <= maxAgeMs) return one.say('unknown', age)
  if (!processes.seesAll()) one.reasons.push('processes of other containers cannot be seen from here')
  return one.say('stale', age)
}

// ── A named holder ───────────────────────────────────────────────────────────────────────────────────

/** @param {Case} one @param {Holder} holder @param {processes.Who[]} twins @returns {Steps<Verdict>} */
function* onHolder(one, { pid, host }, twins) {
  const { evidence, entry, network } = one
  Object.assign(evidence, { pid, host })
  if (host !== null && !isThisHost(host)) return one.say('unknown', `its holder is on another machine: ${quoted(host)}, and this is ${hostname()}`)
  const found = native.findProcess(pid)
  const startTime = yield* processes.startedMs(found.startTicks)
  if (found.life === 'unknown') return one.say('unknown', `process ${pid} exists, and cannot be looked at`)
  const isLater = found.life === 'alive' && startTime !== null && startTime > entry.writtenMs + COARSE_MS
  if (found.life === 'alive') Object.assign(evidence, { startTime, command: found.command ?? null })
  if (found.life === 'alive' && !isLater) return one.say('live', `process ${pid} lives, and is older than the lock`)
  one.reasons.push(isLater
    ? `the pid was given again: process ${pid} started after the lock was written`
    : `there is no living process ${pid}`)
  if (host === null && network) return one.say('unknown', `it lies on a network file system (${network}): the pid may be of another machine`)
  if (one.asked.samePidNamespace) return 'stale'
  if (twins.length > 0) return one.say('unknown', `in another pid namespace there is a process ${pid}: ${list(twins)}`)
  if (processes.seesAll()) return 'stale'
  return one.say('unknown', 'the pid may be of another container: give samePidNamespace: true if that cannot be')
}

/** Without /proc only the kernel's answer to a pid is left. @param {Case} one @param {Holder | null} holder @returns {Steps<Verdict>} */
function* blind(one, holder) {
  one.reasons.push('this system does not tell here who has a file open and when a process started')
  if (holder === null) return 'unknown'
  Object.assign(one.evidence, holder)
  return 'unknown'
}

// ── Words ────────────────────────────────────────────────────────────────────────────────────────────

/** The lock's own name behind the real path of its folder. @param {string} lock @returns {Steps<string>} */
function* realPath(lock) {
  const folder = yield* unless(['realpath', path.dirname(lock)], ...GONE)
  return path.join(folder ?? path.dirname(lock), path.basename(lock))
}

/** @param {string} text */
const quoted = (text) => JSON.stringify(text.slice(0, 64))

/** @param {readonly processes.Who[]} found */
function list(found) {
  const told = found.slice(0, 3).map(({ pid, command }) => (pid > 0 ? `${pid}${command ? ` (${command})` : ''}` : 'of an open file'))
  return told.join(', ') + (found.length > 3 ? ', …' : '')
}

module.exports = { judge }
