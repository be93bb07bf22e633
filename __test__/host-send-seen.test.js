// A send lock that processes share, seen by whoever looks: it is one lock, of the file; the send locks that lie idle in
// the tables of those processes are not shown.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { hostWorld, acquire, release } = require('./helpers/host-world')
const { runCli } = require('./helpers/cli')
const { until } = require('./helpers/waiting')

const skip = process.platform !== 'linux' && 'only Linux shows tables to others'
const A = 'e2e-executor'
const B = 'window-monitor'

/** The send locks of a snapshot that are those of these processes, in short. */
const sendLocks = ({ locks }, pids) =>
  locks
    .filter(({ kind, scope, pid }) => kind === 'send' && (scope === 'host' || pids.includes(pid)))
    .map(({ id, scope, pid, state, holders, waiters, used }) => ({
      id, scope, pid, state, used,
      holders: holders.map(({ pid, layer, alive }) => [pid, layer, alive]),
      waiters: waiters.map(({ pid, layer }) => [pid, layer]),
    }))
const look = ({ chainlock }, options) => chainlock.snapshot(options)

test('is one lock with its holder and who waits, from inside and from outside', { skip, timeout: 60_000 }, async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([1, 2].map(() => world.start({ cooldownMs: 0, timeoutMs: 30_000 })))
  const alone = await world.start()
  await alone.call(({ chainlock }) => void chainlock.trySend('e2e-executor'))
  await one.call(acquire, A)
  void two.call(acquire, B).catch(() => {})
  const pids = [one.pid, two.pid]
  const shared = {
    id: `host:${world.file()}`, scope: 'host', pid: null, state: 'held', used: 1,
    holders: [[one.pid, A, true]], waiters: [[two.pid, B]],
  }
  await until(async () => (await one.call(look)).locks.some(({ scope, waiterCount }) => scope === 'host' && waiterCount === 1))
  for (const looker of [one, two, alone]) assert.deepEqual(sendLocks(await looker.call(look), pids), [shared])
  const { stdout } = await runCli(['status', '--json'], { env: { XDG_RUNTIME_DIR: world.directory } })
  assert.deepEqual(sendLocks(JSON.parse(stdout), pids), [shared])
  // Asked for one process, it is told of the lock that it holds or waits for, and a stranger's own lock stays its own.
  for (const { pid } of [one, two]) {
    assert.deepEqual(sendLocks(await alone.call(look, { pid }), pids), [shared])
  }
  const [own, ...rest] = sendLocks(await one.call(look, { pid: alone.pid }), [alone.pid])
  assert.deepEqual([own.scope, own.pid, own.state, rest], ['process', alone.pid, 'held', []])
})

test('is about all who share it also while it is free', { skip, timeout: 60_000 }, async (t) => {
  const world = hostWorld(t)
  const one = await world.start({ cooldownMs: 0 })
  const alone = await world.start()
  await one.call(acquire, A)
  await one.call(release)
  const [free, ...more] = (await alone.call(look, { pid: one.pid, all: true })).locks.filter(({ kind }) => kind === 'send')
  assert.deepEqual([free.scope, free.state, free.acquisitions, more], ['host', 'free', 1, []])
  const others = (await alone.call(look, { pid: alone.pid, all: true })).locks.filter(({ kind }) => kind === 'send')
  assert.deepEqual(others.map(({ scope }) => scope), ['process'], 'who does not share it hears nothing of it')
})
