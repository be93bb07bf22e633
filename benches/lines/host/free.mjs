// @ts-check
// A free host lock, against the kernel's lock without anything around it, and against what else there is.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNoop } from '../../baselines.mjs'
import { compare } from '../../measure.mjs'
import { fsNativeExtensions, lockfile, properLockfile } from '../../peers.mjs'

/** @type {typeof import('chainlock')} */
const { hostLock } = createRequire(import.meta.url)('chainlock')

/** @param {{ rounds: number }} effort */
export async function free(effort) {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-bench-'))
  const descriptors = ['raw', 'native'].map((name) => openSync(join(folder, name), 'w'))
  try {
    const [sync, async] = [
      await compare(syncCandidates(folder, descriptors), { rounds: Math.min(effort.rounds, 60) }),
      await compare(asyncCandidates(folder, descriptors), { rounds: Math.min(effort.rounds, 60) }),
    ]
    return { figures: figuresOf(sync, async), facts: [] }
  } finally {
    for (const descriptor of descriptors) closeSync(descriptor)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {number} fd @returns {import('../../measure.mjs').Candidate} */
function rawPair(fd) {
  const noop = loadNoop()
  return { name: 'flock', loop: (count) => noop.flockPairs(fd, count) }
}

/** @param {string} folder @param {number[]} descriptors @returns {import('../../measure.mjs').Candidate[]} */
function syncCandidates(folder, [raw, native]) {
  const ours = hostLock(join(folder, 'ours.lock'))
  const peer = fsNativeExtensions()
  const guarded = join(folder, 'guarded')
  writeFileSync(guarded, '')
  return [
    rawPair(raw),
    {
      name: 'hostLock',
      loop(count) {
        let right = 0
        for (let i = 0; i < count; i++) right += Number(ours.tryAcquireSync()?.release())
        return right
      },
    },
    {
      name: 'fs-native-extensions',
      loop(count) {
        let right = 0
        for (let i = 0; i < count; i++) {
          right += Number(peer.tryLock(native))
          peer.unlock(native)
        }
        return right
      },
    },
    {
      name: 'proper-lockfile',
      loop(count) {
        for (let i = 0; i < count; i++) properLockfile().lockSync(guarded)()
        return count
      },
    },
    {
      name: 'lockfile',
      loop(count) {
        for (let i = 0; i < count; i++) {
          lockfile().lockSync(`${guarded}.lockfile`)
          lockfile().unlockSync(`${guarded}.lockfile`)
        }
        return count
      },
    },
  ]
}

/** @param {string} folder @param {number[]} descriptors @returns {import('../../measure.mjs').Candidate[]} */
function asyncCandidates(folder, [raw, native]) {
  const ours = hostLock(join(folder, 'ours.lock'))
  const peer = fsNativeExtensions()
  const guarded = join(folder, 'guarded')
  return [
    rawPair(raw),
    {
      name: 'hostLock',
      async loop(count) {
        let right = 0
        for (let i = 0; i < count; i++) right += Number((await ours.acquire()).release())
        return right
      },
    },
    {
      name: 'fs-native-extensions',
      async loop(count) {
        for (let i = 0; i < count; i++) {
          await peer.waitForLock(native)
          peer.unlock(native)
        }
        return count
      },
    },
    {
      name: 'proper-lockfile',
      async loop(count) {
        for (let i = 0; i < count; i++) await (await properLockfile().lock(guarded))()
        return count
      },
    },
  ]
}

/**
 * @param {import('../../measure.mjs').Comparison} sync
 * @param {import('../../measure.mjs').Comparison} async
 * @returns {import('../../figure.mjs').Figure[]}
 */
function figuresOf(sync, async) {
  const against = (/** @type {import('../../measure.mjs').Comparison} */ times, /** @type {string} */ name) =>
    `${Math.round(times.ns(name))} ns against ${Math.round(times.ns('flock'))} ns`
  const peers = ['fs-native-extensions', 'proper-lockfile', 'lockfile']
  return [
    {
      id: 'host-try-to-flock',
      what: 'host lock, tryAcquireSync() + release ÷ a raw flock pair',
      value: sync.ratio('hostLock', 'flock'),
      unit: 'x',
      bar: { most: 1.5 },
      detail: against(sync, 'hostLock'),
    },
    {
      id: 'host-acquire-to-flock',
      what: 'host lock, await acquire() + release ÷ a raw flock pair',
      value: async.ratio('hostLock', 'flock'),
      unit: 'x',
      bar: { most: 4 },
      detail: against(async, 'hostLock'),
    },
    ...peers.map((name) => peerLine(`host-try-${name}`, `… ${name}, synchronous`, sync, name)),
    ...peers.slice(0, 2).map((name) => peerLine(`host-acquire-${name}`, `… ${name}, asynchronous`, async, name)),
  ]
}

/**
 * @param {string} id
 * @param {string} what
 * @param {import('../../measure.mjs').Comparison} times
 * @param {string} name
 */
function peerLine(id, what, times, name) {
  const detail = `${Math.round(times.ns(name))} ns against ${Math.round(times.ns('flock'))} ns`
  return { id, what, value: times.ratio(name, 'flock'), unit: 'x', detail }
}
