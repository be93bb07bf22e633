// @ts-check
// The other locks that chainlock is compared with, and where a Node with locks of its own may be found.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Mutex } from 'async-mutex'
import pLimit from 'p-limit'
import { Writer } from 'steno'

const load = createRequire(import.meta.url)
const AsyncLock = load('async-lock')
const ReadWriteLock = load('rwlock')
const { Mutex: RequiredMutex } = load('async-mutex')

const KEY = 'episodic-memory'

/** @typedef {() => Promise<() => unknown>} Acquire Resolves, when the lock is held, to what releases it. */
/** @typedef {(fn: () => unknown) => Promise<unknown>} Run */

/** As it is for `import`; its build for `require` is a different one, and faster. @returns {Acquire} */
export function asyncMutex() {
  const mutex = new Mutex()
  return () => mutex.acquire()
}

/** @returns {Acquire} */
export function requiredAsyncMutex() {
  const mutex = new RequiredMutex()
  return () => mutex.acquire()
}

/** @returns {Run} */
export function asyncMutexRun() {
  const mutex = new Mutex()
  return (fn) => mutex.runExclusive(fn)
}

/** @returns {Acquire} */
export function rwlock() {
  const lock = new ReadWriteLock()
  return () => new Promise((resolve) => lock.writeLock(KEY, resolve))
}

/** Its line has no end, as it has no reason to refuse anybody here. @returns {Run} */
export function asyncLock() {
  const lock = new AsyncLock({ maxPending: Infinity })
  return (fn) => lock.acquire(KEY, fn)
}

/** @returns {Run} */
export function limitOfOne() {
  const limit = pLimit(1)
  return (fn) => limit(fn)
}

// ── Locks between processes ──────────────────────────────────────────────────────────────────────────

/** @returns {{ lockSync(file: string): () => void, lock(file: string): Promise<() => Promise<void>> }} */
export const properLockfile = () => load('proper-lockfile')

/** @returns {{ tryLock(fd: number): boolean, waitForLock(fd: number): Promise<void>, unlock(fd: number): void }} */
export const fsNativeExtensions = () => load('fs-native-extensions')

/** @returns {{ lockSync(file: string): void, unlockSync(file: string): void }} */
export const lockfile = () => load('lockfile')

// ── Files ────────────────────────────────────────────────────────────────────────────────────────────

/** @type {((path: string, data: Buffer) => Promise<void>) & { sync: (path: string, data: Buffer) => void }} */
export const writeFileAtomicOfNpm = load('write-file-atomic')

/** Renames without syncing anything. @param {string} path */
export function steno(path) {
  return new Writer(path)
}

// ── Node's own locks ─────────────────────────────────────────────────────────────────────────────────

const FIRST_WITH_LOCKS = 24
/** Where the install tests put the Node versions that they fetch. */
const FETCHED = fileURLToPath(new URL('../node_modules/.cache/chainlock-install/', import.meta.url))

export const HOW_TO_GET_ONE =
  'no Node with worker_threads.locks is found: name one in CHAINLOCK_NODE24, or run the install tests, which fetch one'

/**
 * A Node program that has `worker_threads.locks`: the one named in CHAINLOCK_NODE24, this one, or one that
 * the install tests have fetched.
 * @returns {string | undefined}
 */
export function nodeWithLocks() {
  const { CHAINLOCK_NODE24: named } = process.env
  if (named) {
    if (!hasLocks(named)) throw new Error(`CHAINLOCK_NODE24 names a Node without worker_threads.locks: ${named}`)
    return named
  }
  return [process.execPath, fetchedNode(FIRST_WITH_LOCKS), fetchedNode(FIRST_WITH_LOCKS + 2)].find(hasLocks)
}

/** @param {number} major */
function fetchedNode(major) {
  const windows = process.platform === 'win32'
  const name = `node-${windows ? 'win' : process.platform}-${process.arch}`
  return join(FETCHED, `node-${major}`, 'node_modules', name, 'bin', windows ? 'node.exe' : 'node')
}

/** @param {string} program */
function hasLocks(program) {
  if (!existsSync(program)) return false
  const { stdout } = spawnSync(program, ['-p', "typeof require('node:worker_threads').locks"], { encoding: 'utf8' })
  return stdout?.trim() === 'object'
}
