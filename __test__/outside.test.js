// Lock files seen from outside: who holds, who waits, with chainlock or without it, by files that are only read.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const { join } = require('node:path')
const { createHash } = require('node:crypto')
const { folder, hostLock, freshName, freshPath, startOther } = require('./helpers/host')
const { isLocked, waitersFor } = require('./helpers/host-kernel')
const { until } = require('./helpers/waiting')
const { hostWorld, acquire, attempt } = require('./helpers/host-world')
const { native } = require('../lib/native')

const skip = process.platform !== 'linux' && 'only Linux lists locks'
const noFlock = spawnSync('flock', ['--version']).error && 'NOT TESTED: flock(1) is missing (Debian: util-linux)'

/** Every file that is seen, or the one of a path. */
const lookAt = (...paths) => JSON.parse(native.lookAtHostLocks(JSON.stringify(paths)))
const seen = (path, ...paths) => lookAt(...paths).find((one) => one.path === path)

/** Another process, gone when the test is. */
function other(t) {
  const process = startOther()
  t.after(() => process.kill())
  return process
}

/** Runs flock(1) on a lock file until it is killed. */
function shell(t, path, ...options) {
  const child = spawn('flock', [...options, '--no-fork', path, 'sleep', '1000'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  return child
}

/** What must not change by looking. */
function bytesAndTimes(path) {
  const { atimeNs, mtimeNs, ctimeNs, size, ino } = fs.lstatSync(path, { bigint: true })
  const bytes = createHash('sha256').update(fs.readFileSync(path)).digest('hex')
  return [path, atimeNs, mtimeNs, ctimeNs, size, ino, bytes].map(String)
}

describe('a lock file', { skip }, () => {
  test('tells who holds it, how and since when, and who waits', async (t) => {
    const name = freshName('deploy now: ü%')
    const [holder, waiter] = [other(t), other(t)]
    const before = Date.now()
    const token = await holder.acquire(name, { label: 'release 7' })
    const path = hostLock(name).path
    const { startTime, sinceAtMs, command, ...rest } = seen(path).holders[0]
    assert.deepEqual(rest, { pid: holder.pid, threadId: 0, label: 'release 7', mode: 'exclusive', token, alive: true, waitsFor: null })
    assert.ok(startTime > 0 && command.includes('node') && sinceAtMs >= before - 50 && sinceAtMs <= Date.now() + 50)
    void waiter.acquire(name).catch(() => {})
    await until(() => waitersFor(path) === 1)
    const { holders, ...view } = seen(path)
    assert.equal(holders.length, 1)
    assert.deepEqual(view, {
      path, name, nameCut: false, kind: 'host', token, mode: 'exclusive', waiters: [{ pid: waiter.pid, mode: 'exclusive' }], foreign: [],
    })
    await holder.release(name)
    await until(() => seen(path).holders[0]?.pid === waiter.pid)
    assert.deepEqual(seen(path).waiters, [])
    await waiter.release(name)
    const free = seen(path)
    assert.deepEqual([free.mode, free.holders, free.token], [null, [], token + 1])
  })

  test('tells of all who share it, and for what a holder waits', async (t) => {
    const [name, wanted] = [freshName('index'), freshName('wanted')]
    const [one, two] = [other(t), other(t)]
    await one.acquire(name, { mode: 'shared' })
    await two.acquire(name, { mode: 'shared' })
    const path = hostLock(name).path
    assert.deepEqual([seen(path).mode, seen(path).holders.map(({ pid }) => pid)], ['shared', [one.pid, two.pid]])
    await two.acquire(wanted)
    void one.run(async ({ chainlock }, name, wanted) => {
      const first = chainlock.hostLock(`${name}-2`)
      await first.withLock(() => chainlock.hostLock(wanted).withLock(() => {}))
    }, name, wanted).catch(() => {})
    const second = hostLock(`${name}-2`).path
    await until(() => seen(second)?.holders[0]?.waitsFor === hostLock(wanted).path)
  })

  test('of a dead holder has nobody', async (t) => {
    const name = freshName('dead')
    const holder = other(t)
    await holder.acquire(name)
    await holder.kill()
    const { mode, holders } = seen(hostLock(name).path)
    assert.deepEqual([mode, holders.map(({ pid, alive }) => [pid, alive])], [null, [[holder.pid, false]]])
  })

  test('is seen to be held by a shell, and waited for by one', { skip: noFlock }, async (t) => {
    const path = freshPath('shell')
    const lock = hostLock(path)
    const first = shell(t, path, '--shared')
    await until(() => isLocked(path))
    // It holds the lock before it has become the program that it runs.
    await until(() => seen(path, path).foreign[0]?.command?.endsWith('sleep 1000'))
    const [{ command: _, ...holder }] = seen(path, path).foreign
    assert.deepEqual(holder, { pid: first.pid, mode: 'shared', waiting: false })
    assert.equal(seen(path, path).mode, 'shared')
    const second = shell(t, path)
    await until(() => waitersFor(path) === 1)
    const told = seen(path, path)
    assert.deepEqual(told.foreign.map(({ pid, mode, waiting }) => ({ pid, mode, waiting })), [
      { pid: first.pid, mode: 'shared', waiting: false },
      { pid: second.pid, mode: 'exclusive', waiting: true },
    ])
    assert.deepEqual([told.holders, told.waiters], [[], []])
    const waiting = lock.acquire({ timeoutMs: 60_000 })
    await until(() => seen(path, path).waiters.length === 1)
    assert.equal(seen(path, path).waiters[0].pid, process.pid)
    first.kill('SIGKILL')
    second.kill('SIGKILL')
    ;(await waiting).release()
  })

  test('is left as it is, and so is the folder', async (t) => {
    const name = freshName('untouched')
    const holder = other(t)
    await holder.acquire(name)
    const place = join(folder, 'chainlock')
    const files = () => fs.readdirSync(place).sort().map((file) => join(place, file))
    const state = () => files().filter((file) => fs.lstatSync(file).isFile()).map(bytesAndTimes)
    // The test's own reading is no change.
    state()
    const before = state()
    for (let round = 0; round < 10; round++) lookAt(join(folder, 'not-there.lock'))
    assert.deepEqual(state(), before)
    assert.equal(fs.existsSync(join(folder, 'not-there.lock')), false)
  })

  test('that is none is passed over with a reason, at once', async (t) => {
    const place = fs.mkdtempSync(join(folder, 'planted-'))
    const at = (file) => join(place, file)
    fs.writeFileSync(at('short'), 'CHNLHOST')
    fs.writeFileSync(at('garbage'), Buffer.alloc(16_384, 'x'))
    fs.writeFileSync(at('version'), Buffer.concat([Buffer.from('CHNLHOST\x09\0\0\0\0\0\0\0', 'latin1'), Buffer.alloc(16_368)]))
    fs.writeFileSync(at('empty'), '')
    fs.symlinkSync(at('garbage'), at('link'))
    fs.mkdirSync(at('folder'))
    spawnSync('mkfifo', [at('fifo')])
    fs.writeFileSync(at('huge'), '')
    fs.truncateSync(at('huge'), 2 ** 40)
    const reasons = { short: 'not_a_lock', garbage: 'not_a_lock', version: 'version', empty: undefined, link: 'not_a_file', folder: 'not_a_file', fifo: 'not_a_file', huge: 'not_a_lock', none: 'gone' }
    const found = lookAt(...Object.keys(reasons).map(at)).filter(({ path }) => path.startsWith(place))
    assert.deepEqual(Object.fromEntries(found.map(({ path, skipped }) => [path.slice(place.length + 1), skipped])), reasons)
    assert.throws(() => native.lookAtHostLocks('nonsense'), { code: 'ERR_LOCK_INTERNAL' })
  })
})

test('a busy lock never shows a chainlock process as a stranger', { skip }, async (t) => {
  const name = freshName('busy')
  const others = [other(t), other(t), other(t)]
  const path = hostLock(name).path
  const pids = new Set(others.map(({ pid }) => pid))
  const LOOKS = 200
  const enough = join(folder, 'enough')
  let running = true
  const storms = others.map((one) =>
    one.run(async ({ chainlock }, name, enough) => {
      const { existsSync } = require('node:fs')
      const lock = chainlock.hostLock(name)
      while (!existsSync(enough)) await lock.withLock(() => {})
    }, name, enough))
  void Promise.all(storms).then(() => (running = false), () => (running = false))
  const strangers = []
  let looks = 0
  for (const begun = Date.now(); running; ) {
    const { foreign, holders, mode } = seen(path)
    strangers.push(...foreign)
    assert.ok(holders.length <= 1 && holders.every(({ pid }) => pids.has(pid)))
    assert.notEqual(mode, 'shared')
    looks++
    if (looks >= LOOKS && Date.now() - begun > 1_500) fs.writeFileSync(enough, '')
    if (looks % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(storms)
  assert.deepEqual(strangers, [])
  assert.ok(looks >= LOOKS, String(looks))
})

test('a send lock that processes share', { skip }, async (t) => {
  const world = hostWorld(t)
  const before = process.env.XDG_RUNTIME_DIR
  process.env.XDG_RUNTIME_DIR = world.directory
  t.after(() => (process.env.XDG_RUNTIME_DIR = before))
  const [one, two] = [await world.start({ cooldownMs: 60_000, timeoutMs: 120_000 }), await world.start({})]
  const token = await one.call(acquire, 'e2e-executor')
  void two.call(acquire, 'window-monitor', { timeoutMs: 50_000 })
  const send = () => lookAt().find(({ kind }) => kind === 'send')
  await until(() => send().waiterCount === 1)
  const view = send()
  assert.deepEqual([view.path, view.name, view.state, view.mode, view.lastToken], [world.file(), 'default', 'held', 'exclusive', token])
  const [{ sinceAtMs, command, ...holder }] = view.holders
  assert.deepEqual(holder, { pid: one.pid, threadId: 0, layer: 'e2e-executor', token, mode: 'exclusive', weight: 1, alive: true })
  assert.ok(Math.abs(sinceAtMs - Date.now()) < 60_000 && command.includes('host-child.js'))
  const [{ deadlineAtMs, sinceAtMs: _, ...waiter }] = view.waiters
  assert.deepEqual(waiter, { position: 1, pid: two.pid, threadId: 0, layer: 'window-monitor', mode: 'exclusive', weight: 1 })
  assert.ok(deadlineAtMs > Date.now() - 60_000)
  assert.ok(view.send.dueTimeoutMs > 0 && view.send.dueTimeoutMs <= 120_000 && view.send.cooldownLeftMs <= 60_000)
  assert.deepEqual([view.send.cooldownMs, view.send.timeoutMs, view.acquisitions, view.contended], [60_000, 120_000, 1, 1])
  assert.deepEqual(view.events.map(({ kind, layer }) => [kind, layer]), [['acquired', 'e2e-executor']])
  assert.equal(view.send.layers.find(({ layer }) => layer === 'e2e-executor').acquisitions, 1)
  one.signal('SIGSTOP')
  assert.deepEqual(send().holders[0].alive, true, 'it is stopped, and holds')
  await two.call(attempt, 'e2e-executor')
  await one.kill()
  await until(() => send().state === 'cooldown')
  assert.deepEqual([send().recoveries, send().send.forcedByReason.process_exit, send().holders], [1, 1, []])
  fs.truncateSync(world.file(), 4_096)
  assert.equal(send().skipped, 'torn')
})

