// hostLock: who holds, over threads and processes; how waits end; what the next one learns of a holder that died.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { spawn, execFile } = require('node:child_process')
const { once } = require('node:events')
const { existsSync, statSync } = require('node:fs')
const { join } = require('node:path')
const { promisify } = require('node:util')
const { folder, chainlock, hostLock, freshName, freshPath, inLine, startOther } = require('./helpers/host')
const { failure } = require('./helpers/locks')
const { startWorker, message, exited } = require('./helpers/threads')
const { until, turn, pause, stateOf } = require('./helpers/waiting')

const { ChainlockError } = chainlock

let other
before(() => (other = startOther()))
after(() => other.end())

/** Resolves when a process waits for the kernel's lock. */
const somebodyWaits = (lock, count = 1) => until(() => lock.status().waiters >= count, 'somebody waits for the kernel')

describe('a host lock', () => {
  test('of a name lies in the private folder of the user, and is there as long as somebody looks', () => {
    const lock = hostLock('deploy')
    assert.equal(lock.name, 'deploy')
    assert.equal(lock.path, join(folder, 'chainlock', 'deploy.lock'))
    assert.equal(statSync(join(folder, 'chainlock')).mode & 0o777, 0o700)
    assert.equal(statSync(lock.path).mode & 0o777, 0o600)
    lock.tryAcquire().release()
    assert.ok(existsSync(lock.path), 'the file is never removed')
  })

  test('of a path is that file', () => {
    const path = freshPath()
    const lock = hostLock(path)
    assert.deepEqual([lock.name, lock.path, existsSync(path)], [path, path, true])
    assert.equal(hostLock(join(folder, '.', path.slice(folder.length))).path, path)
  })

  test('is held by one guard, which says what it is', async () => {
    const lock = hostLock(freshName())
    const started = Date.now()
    const guard = await lock.acquire({ label: 'a test' })
    assert.deepEqual(
      [guard.name, guard.path, guard.mode, guard.label, guard.previousHolderDied, guard.released, guard.check()],
      [lock.name, lock.path, 'exclusive', 'a test', null, false, true],
    )
    assert.ok(Number.isSafeInteger(guard.token) && guard.token > 0)
    assert.ok(guard.acquiredAt >= started - 1_000 && guard.acquiredAt <= Date.now() + 1_000)
    guard.assertHeld()
    assert.equal(guard.signal.aborted, false)
    assert.equal(lock.tryAcquire(), null)
    assert.equal(lock.tryAcquireSync({ mode: 'shared' }), null)
    assert.deepEqual([guard.release(), guard.release(), guard.released, guard.check()], [true, false, true, false])
    assert.throws(() => guard.assertHeld(), { code: 'ERR_LOCK_LOST', token: guard.token })
    assert.equal(guard.signal.aborted, false)
    const next = lock.tryAcquire()
    assert.ok(next.token > guard.token)
    assert.equal(next.label, null)
    next.release()
  })

  test('is given back by `using`, and by withLock however its function ends', async () => {
    const lock = hostLock(freshName())
    const guard = lock.tryAcquire()
    guard[Symbol.dispose ?? Symbol.for('nodejs.dispose')]()
    assert.equal(guard.released, true)
    const second = lock.tryAcquire()
    await second[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]()
    assert.equal(await lock.withLock((held) => held.check() && lock.tryAcquire() === null), true)
    assert.equal(await lock.withLock({ label: 'l' }, async (held) => (await turn(), held.label)), 'l')
    const error = new Error('mine')
    assert.equal(await failure(lock.withLock(() => { throw error })), error)
    assert.equal(await failure(lock.withLock(async () => { await turn(); throw error })), error)
    assert.equal(await lock.withLock((held) => held.release()), true)
    assert.equal(lock.tryAcquire().release(), true)
    assert.deepEqual(inLine(lock), { holders: 0, waiters: 0 })
  })

  test('is shared together and exclusive alone, in one process and over two', async () => {
    const name = freshName()
    const lock = hostLock(name)
    const readers = [lock.tryAcquire({ mode: 'shared' }), await lock.acquire({ mode: 'read' })]
    assert.deepEqual(readers.map(({ mode }) => mode), ['shared', 'shared'])
    await other.acquire(name, { mode: 'shared' })
    assert.equal(lock.tryAcquire(), null)
    assert.equal(lock.status().mode, 'shared')
    for (const reader of readers) reader.release()
    assert.equal(lock.tryAcquire(), null)
    assert.equal(await other.release(name), true)
    const writer = lock.tryAcquire()
    assert.equal(await other.run(({ chainlock }, name) => chainlock.hostLock(name).tryAcquire({ mode: 'shared' }), name), null)
    writer.release()
  })

  test('excludes worker threads', async () => {
    const name = freshName()
    const guard = hostLock(name).tryAcquire()
    const worker = startWorker(async ({ chainlock, port, data }) => {
      const lock = chainlock.hostLock(data)
      port.postMessage(lock.tryAcquire() === null)
      const guard = await lock.acquire()
      port.postMessage(guard.token)
      // Its end gives it back.
    }, name)
    assert.equal(await message(worker), true)
    await until(() => inLine(hostLock(name)).waiters === 1, 'the worker waits')
    guard.release()
    assert.ok((await message(worker)) > guard.token)
    await exited(worker)
    const next = await hostLock(name).acquire()
    assert.equal(next.previousHolderDied?.pid, process.pid)
    next.release()
  })
})

describe('other processes', () => {
  test('wait until it is given back; tokens grow over all of them', async () => {
    const name = freshName()
    const lock = hostLock(name)
    const first = await lock.acquire()
    const waiting = other.acquire(name)
    await somebodyWaits(lock)
    assert.equal(await stateOf(waiting), 'pending')
    first.release()
    const second = await waiting
    const third = lock.acquire()
    await somebodyWaits(lock)
    await other.release(name)
    const { token } = await third
    assert.ok(first.token < second && second < token, `${first.token} < ${second} < ${token}`)
    ;(await third).release()
  })

  test('are told apart from this one in the status', async () => {
    const name = freshName()
    const lock = hostLock(name)
    assert.deepEqual(lock.status(), { name, path: lock.path, mode: null, token: 0, waiters: 0, holders: [] })
    const token = await other.acquire(name, { label: 'the other one' })
    const status = lock.status()
    assert.deepEqual([status.mode, status.token, status.holders.length], ['exclusive', token, 1])
    const [holder] = status.holders
    assert.deepEqual(
      [holder.pid, holder.threadId, holder.label, holder.token, holder.isOwn, holder.isAlive, holder.waitsFor, holder.kind],
      [other.pid, 0, 'the other one', token, false, true, null, 'host'],
    )
    assert.match(holder.command, /node/)
    assert.ok(holder.heldMs >= 0 && Math.abs(Date.now() - holder.acquiredAt) < 60_000)
    await other.release(name)
    assert.deepEqual(lock.status().holders, [])
    const guard = lock.tryAcquire()
    assert.equal(lock.status().holders[0].isOwn, true)
    guard.release()
  })

  test('that are killed while they hold give it up; the next one learns who it was, once', async () => {
    const name = freshName()
    const victim = startOther()
    const token = await victim.acquire(name, { label: 'the victim' })
    const waiting = hostLock(name).acquire()
    await somebodyWaits(hostLock(name))
    await victim.kill()
    const guard = await waiting
    const { pid, label, threadId, command, heldMs } = guard.previousHolderDied
    assert.deepEqual([pid, label, threadId], [victim.pid, 'the victim', 0])
    assert.match(command, /node/)
    assert.ok(heldMs >= 0)
    assert.ok(guard.token > token)
    guard.release()
    const next = hostLock(name).tryAcquire()
    assert.equal(next.previousHolderDied, null)
    next.release()
  })

  test('that were started by the holder do not keep the lock', async () => {
    const name = freshName()
    const victim = startOther()
    await victim.acquire(name)
    const pid = await victim.run(({ kept }) => {
      const child = require('node:child_process').spawn('sleep', ['60'], { stdio: 'ignore', detached: true })
      kept.set('child', child)
      return child.pid
    })
    try {
      await victim.kill()
      const guard = await hostLock(name).acquire({ timeoutMs: 20_000 })
      assert.equal(process.kill(pid, 0), true, 'the child lives on')
      guard.release()
    } finally {
      process.kill(pid, 'SIGKILL')
    }
  })

  test('keep each other out with flock(1)', async (t) => {
    if (!existsSync('/usr/bin/flock')) return t.skip('flock(1) is not installed: install util-linux')
    const path = freshPath()
    const lock = hostLock(path)
    const guard = lock.tryAcquire()
    const refused = await promisify(execFile)('flock', ['-n', path, '-c', 'true']).catch(({ code }) => code)
    assert.equal(refused, 1)
    guard.release()
    const shell = spawn('flock', [path, '-c', 'echo held; read line'], { stdio: ['pipe', 'pipe', 'inherit'] })
    // Asked for now: it may have closed before the grant is told.
    const closed = once(shell, 'close')
    await once(shell.stdout, 'data')
    assert.equal(lock.tryAcquire(), null)
    const error = await failure(lock.acquire({ timeoutMs: 20 }))
    assert.deepEqual([error.code, error.holders], ['ERR_LOCK_TIMEOUT', []])
    assert.match(error.message, /flock/)
    const waiting = lock.acquire()
    assert.equal(await stateOf(waiting), 'pending')
    shell.stdin.end('\n')
    ;(await waiting).release()
    await closed
  })
})

describe('a wait', () => {
  test('of one process is first come, first served, over its threads', async () => {
    const name = freshName()
    const lock = hostLock(name)
    const guard = lock.tryAcquire()
    const log = []
    const ask = (who, options) => lock.acquire(options).then((held) => {
      log.push(who)
      held.release()
    })
    const first = ask('first')
    const worker = startWorker(async ({ chainlock, port, data }) => {
      const guard = await chainlock.hostLock(data).acquire()
      port.postMessage('granted')
      port.once('message', () => guard.release())
    }, name)
    await until(() => inLine(lock).waiters === 2, 'the worker waits')
    const last = [ask('third'), ask('fourth', { mode: 'shared' }), ask('fifth')]
    guard.release()
    await first
    assert.equal(await message(worker), 'granted')
    assert.deepEqual(log, ['first'])
    worker.postMessage('go')
    await Promise.all(last)
    await exited(worker)
    assert.deepEqual(log, ['first', 'third', 'fourth', 'fifth'])
  })

  for (const [where, hold] of [
    ['a holder of this process', async (name) => hostLock(name).tryAcquire({ label: 'the holder' })],
    ['another process', async (name) => {
      await other.acquire(name, { label: 'the holder' })
      return { release: () => other.release(name) }
    }],
  ]) {
    test(`for ${where} times out, says who holds, and leaves the line`, async () => {
      const name = freshName()
      const lock = hostLock(name)
      const held = await hold(name)
      for (const timeoutMs of [0, 30]) {
        const error = await failure(lock.acquire({ timeoutMs }))
        assert.ok(error instanceof ChainlockError)
        assert.deepEqual(
          [error.code, error.path, error.holders.length, error.holderCount, error.holders[0].label, error.position],
          ['ERR_LOCK_TIMEOUT', lock.path, 1, 1, 'the holder', 1],
        )
        assert.ok(error.waitedMs >= timeoutMs - 1)
        assert.match(error.message, new RegExp(`'the holder', process ${error.holders[0].pid} `))
        assert.match(error.message, /host lock .* \(exclusive\)/)
      }
      assert.equal(inLine(lock).waiters, 0)
      await held.release()
      ;(await lock.acquire({ timeoutMs: 20_000 })).release()
    })

    test(`for ${where} ends with its signal at once`, async () => {
      const name = freshName()
      const lock = hostLock(name)
      const held = await hold(name)
      const controller = new AbortController()
      const { signal } = controller
      const [waiting, behind] = [lock.acquire({ signal, timeoutMs: Infinity }), lock.withLock({ signal }, () => assert.fail())]
      const [one, two] = [failure(waiting), failure(behind)]
      await until(() => inLine(lock).waiters + lock.status().waiters >= 1, 'they wait')
      const reason = new Error('enough')
      controller.abort(reason)
      assert.deepEqual([await one, await two], [reason, reason])
      assert.equal(await failure(lock.acquire({ signal })), reason)
      assert.equal(inLine(lock).waiters, 0)
      await held.release()
      const next = await lock.acquire({ timeoutMs: 20_000 })
      next.release()
    })
  }

  test('behind a request that waits for another process says who holds the lock', async () => {
    const name = freshName()
    const lock = hostLock(name)
    await other.acquire(name, { label: 'far away' })
    const first = lock.acquire({ label: 'first in line' })
    const error = await failure(lock.acquire({ timeoutMs: 20 }))
    assert.deepEqual([error.holders.length, error.holders[0].label, error.position], [1, 'far away', 2])
    await other.release(name)
    ;(await first).release()
  })

  test('has one time limit, in the line of the process and at the kernel', async () => {
    const name = freshName()
    const lock = hostLock(name)
    await other.acquire(name)
    // Half of it in the line: a limit of its own at the kernel would end later by as much.
    const LIMIT_MS = 6_000
    const controller = new AbortController()
    const first = failure(lock.acquire({ signal: controller.signal }))
    const asked = performance.now()
    const second = failure(lock.acquire({ timeoutMs: LIMIT_MS }))
    await until(() => inLine(lock).waiters === 1, 'the second waits in line')
    await pause(LIMIT_MS / 2)
    const inLineMs = performance.now() - asked
    controller.abort('enough')
    assert.equal(await first, 'enough')
    assert.equal((await second).code, 'ERR_LOCK_TIMEOUT')
    const tookMs = performance.now() - asked
    assert.ok(tookMs < inLineMs + LIMIT_MS, `${tookMs} ms, of which ${inLineMs} ms in the line`)
    await other.release(name)
  })

  test('keeps the process alive, and ends when the lock comes', async () => {
    const name = freshName()
    const guard = hostLock(name).tryAcquire()
    const waiter = startOther()
    const token = waiter.run(async ({ chainlock }, name) => {
      process.stdin.destroy()
      return (await chainlock.hostLock(name).acquire()).token
    }, name)
    await somebodyWaits(hostLock(name))
    guard.release()
    assert.ok((await token) > guard.token)
    assert.equal((await waiter.ended).code, 0)
  })

  test('that is given up in the moment of the grant leaves nothing behind', async () => {
    const name = freshName()
    const lock = hostLock(name)
    for (let round = 0; round < 50; round++) {
      await other.acquire(name)
      const controller = new AbortController()
      const waiting = lock.acquire({ signal: controller.signal }).then((guard) => guard.release(), () => false)
      const released = other.release(name)
      for (let turns = round % 5; turns > 0; turns--) await turn()
      controller.abort()
      await Promise.all([waiting, released])
    }
    const guard = await lock.acquire({ timeoutMs: 20_000 })
    assert.equal(guard.previousHolderDied, null)
    guard.release()
    assert.deepEqual([inLine(lock), lock.status().holders], [{ holders: 0, waiters: 0 }, []])
  })
})

describe('a lock that is closed', () => {
  test('opens again when it is used, and keeps what it holds', async () => {
    const name = freshName()
    const lock = hostLock(name)
    const guard = lock.tryAcquire()
    lock.close()
    lock.close()
    assert.equal(guard.check(), true)
    assert.equal(await other.run(({ chainlock }, name) => chainlock.hostLock(name).tryAcquire(), name), null)
    assert.equal(lock.tryAcquire(), null)
    assert.equal(guard.release(), true)
    const next = lock.tryAcquire()
    assert.ok(next.token > guard.token)
    next.release()
    lock.close()
  })

  test('gives its descriptor back', { skip: !existsSync('/proc/self/fd') && 'there is no /proc' }, () => {
    const { readdirSync, readlinkSync } = require('node:fs')
    const open = (path) => readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path
      } catch {
        return false
      }
    }).length
    const lock = hostLock(freshName())
    assert.equal(open(lock.path), 1)
    lock.close()
    assert.equal(open(lock.path), 0)
  })
})
