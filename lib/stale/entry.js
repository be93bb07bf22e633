// A lock as it lies in its directory: what kind of thing it is, when it was written, what it says. Nothing here
// follows a symbolic link, waits at a pipe, or reads more than a little.
// @ts-check
'use strict'

const { constants } = require('node:fs')
const { unless } = require('./steps')

/** @template T @typedef {import('./steps').Steps<T>} Steps */

/**
 * @typedef {object} Entry
 * @property {string} path
 * @property {'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'device'} kind
 * @property {import('node:fs').BigIntStats} stat
 * @property {number} writtenMs When it last changed, since 1970. No copy can set that back.
 * @property {number} touchedMs
 * @property {string | null} text What a file says, or where a link points to.
 * @property {string[] | null} names What lies in a directory, a few of them.
 */

/** What is read of a file, in bytes, and of a directory, in names. */
const MOST = { bytes: 4_096, names: 16 }
const OPEN = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
const GONE = ['ENOENT', 'ENOTDIR']

/** @param {import('node:fs').BigIntStats} stat @returns {Entry['kind']} */
function kindOf(stat) {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'symlink'
  if (stat.isFIFO()) return 'fifo'
  return stat.isSocket() ? 'socket' : 'device'
}

/** @param {bigint} ns */
const ms = (ns) => Number(ns / 1_000n) / 1_000

/** @param {string} path @returns {Steps<Entry | null>} Null where nothing is. */
function* look(path) {
  const stat = yield* unless(['lstat', path, { bigint: true }], ...GONE)
  if (stat === null) return null
  const kind = kindOf(stat)
  /** @type {Entry} */
  const entry = {
    path,
    kind,
    stat,
    touchedMs: ms(stat.mtimeNs),
    writtenMs: Math.max(ms(stat.mtimeNs), ms(stat.ctimeNs)),
    text: null,
    names: null,
  }
  if (kind === 'file') entry.text = yield* readText(path, stat)
  if (kind === 'symlink') entry.text = yield* unless(['readlink', path], ...GONE, 'EINVAL')
  if (kind === 'directory') entry.names = yield* listNames(path)
  return entry
}

/** @param {string} path @param {import('node:fs').BigIntStats} stat @returns {Steps<string | null>} */
function* readText(path, stat) {
  const fd = yield* unless(['open', path, OPEN], ...GONE, 'EACCES', 'EPERM', 'ELOOP', 'ENXIO')
  if (fd === null) return null
  try {
    const opened = yield ['fstat', fd, { bigint: true }]
    if (opened.ino !== stat.ino || opened.dev !== stat.dev || !opened.isFile()) return null
    return yield* textOf(fd)
  } finally {
    yield ['close', fd]
  }
}

/** @param {number} fd @returns {Steps<string>} */
function* textOf(fd) {
  const bytes = Buffer.alloc(MOST.bytes)
  const count = yield ['read', fd, bytes, 0, MOST.bytes, 0]
  return bytes.toString('latin1', 0, count)
}

/** @param {string} path @returns {Steps<string[] | null>} */
function* listNames(path) {
  const names = yield* unless(['readdir', path], ...GONE, 'EACCES')
  return names && names.slice(0, MOST.names).sort()
}

/**
 * Whether it is still the entry that was looked at, in the same state. A change of name is no change.
 * @param {Entry} before
 * @param {Entry | null} now
 */
function isSame(before, now) {
  if (now === null || now.kind !== before.kind) return false
  const fields = /** @type {const} */ (['dev', 'ino', 'mtimeNs', 'size', 'uid', 'mode'])
  const alike = fields.every((field) => before.stat[field] === now.stat[field])
  return alike && before.text === now.text && String(before.names) === String(now.names)
}

module.exports = { look, isSame, OPEN, GONE }
