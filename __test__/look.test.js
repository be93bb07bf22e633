// Lock tables read from outside: what a process holds and waits for is told, also when it does not answer.
'use strict'

const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const { test } = require('node:test')
const { native } = require('../lib/native')
const { said, startNode } = require('./helpers/processes')

const LINUX = { skip: process.platform !== 'linux' }

/** @param {number | null} pid @param {boolean} [all] */
const look = (pid, all = false) => JSON.parse(native.lookAt(pid, all))
const byName = (seen, name) => seen.processes[0].locks.find((lock) => lock.name === name)

/** A process with something of everything, whose event loop then stands still. */
function busy({ chainlock, data }) {
  const { locks, Semaphore, trySend, withSendLock } = chainlock
  const permits = new Semaphore(3)
  locks.request('index', async () => {
    locks.request('reader', { mode: 'shared' }, () => new Promise(() => {}))
    locks.request('reader', { mode: 'shared' }, () => new Promise(() => {}))
    for (let i = 0; i < 6; i++) locks.request('reader', { label: `writer ${i}` }, () => {})
    await permits.acquire(2)
    permits.acquire(2)
    for (let i = 0; i < 10; i++) locks.request('crowd', { mode: 'shared' }, () => new Promise(() => {}))
    locks.request('free', () => {})
    locks.request('wörter "\u202e"', () => new Promise(() => {}))
    trySend('e2e-executor')
    withSendLock('window-monitor', () => {})
    setTimeout(() => {
      console.log('ready')
      if (data === 'blocked') for (;;);
      setInterval(() => {}, 1_000)
    }, 50)
    await new Promise(() => {})
  })
}

for (const how of ['blocked', 'stopped']) {
  test(`a process that is ${how} is told of`, LINUX, async (t) => {
    const running = startNode(busy, how)
    t.after(() => running.child.kill('SIGKILL'))
    await said(running, 'ready')
    if (how === 'stopped') running.child.kill('SIGSTOP')
    const { pid } = running.child
    const seen = look(pid)
    const [process] = seen.processes
    assert.deepEqual([process.pid, process.isOwn, process.version], [pid, false, require('../package.json').version])
    assert.deepEqual(process.rows.map(({ threadId, live }) => [threadId, live]), [[0, true]])

    const index = byName(seen, 'index')
    assert.deepEqual([index.kind, index.state, index.mode, index.holderCount, index.waiterCount], ['lock', 'held', 'exclusive', 1, 0])
    const reader = byName(seen, 'reader')
    assert.deepEqual([reader.mode, reader.holders.length, reader.waiters.length, reader.torn], ['shared', 2, 6, false])
    assert.deepEqual(reader.waiters.map(({ label }) => label), [0, 1, 2, 3, 4, 5].map((i) => `writer ${i}`))
    assert.deepEqual(reader.waiters.map(({ position }) => position), [1, 2, 3, 4, 5, 6])
    assert.ok(reader.waiters.every(({ insideOf }) => insideOf.includes(index.holders[0].token)))
    assert.deepEqual(reader.events.map(({ kind }) => kind), Array(6).fill('waiting'))
    assert.equal(byName(seen, 'crowd').holders.length, 10)
    assert.equal(byName(seen, 'wörter "\u202e"').state, 'held')
    assert.equal(byName(seen, 'free'), undefined)
    assert.equal(byName(look(pid, true), 'free').acquisitions, 1)
    const permits = process.locks.find(({ kind }) => kind === 'semaphore')
    assert.deepEqual([permits.name, permits.permits, permits.used, permits.waiters[0].weight], [null, 3, 2, 2])

    const { send } = process
    assert.deepEqual([send.state, send.holders[0].layer, send.holders[0].pid], ['held', 'e2e-executor', pid])
    assert.deepEqual(send.waiters.map(({ layer, threadId }) => [layer, threadId]), [['window-monitor', 0]])
    assert.deepEqual([send.send.cooldownMs, send.send.layers[0].acquisitions], [2_000, 1])
    assert.ok(send.send.dueForceMs > send.send.dueTimeoutMs && send.send.dueTimeoutMs > 0)
    assert.ok(look(null).processes.some((one) => one.pid === pid))
  })
}

test('this process is told of in the same way', () => {
  const [own] = look(process.pid).processes
  assert.deepEqual([own.pid, own.isOwn], [process.pid, true])
  assert.ok(look(null).processes.some(({ isOwn }) => isOwn))
})

test('who was forced out or robbed is not shown any more', async () => {
  const { locks } = require('..')
  const { pid } = process
  const guard = await locks.acquire('forced out')
  locks.forceRelease('forced out')
  const forced = byName(look(pid, true), 'forced out')
  assert.deepEqual([forced.state, forced.used, forced.holderCount, forced.holders], ['free', 0, 0, []])
  const robbed = await locks.acquire('robbed')
  await locks.request('robbed', { steal: true }, () => {
    const { holderCount, holders } = byName(look(pid, true), 'robbed')
    assert.deepEqual([holderCount, holders.length, holders[0].token > robbed.token], [1, 1, true])
  })
  const { state, holders } = byName(look(pid, true), 'robbed')
  assert.deepEqual([state, holders], ['free', []])
  assert.ok(!guard.release() && !robbed.release())
})

test('who cannot be looked at has a reason', LINUX, async (t) => {
  const other = spawn('sleep', ['1000'])
  t.after(() => other.kill('SIGKILL'))
  await once(other, 'spawn')
  assert.deepEqual(look(other.pid).unseen.map(({ pid, reason }) => [pid, reason]), [[other.pid, 'no_table']])
  assert.ok(!look(null).unseen.some(({ pid }) => pid === other.pid), 'nobody asked about it')
  const gone = spawnSync('true').pid
  assert.deepEqual(look(gone).unseen.map(({ reason }) => reason), ['gone'])
})
