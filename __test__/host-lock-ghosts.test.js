// What is left of a wait that was given up, of a thread that ended, of a file that was garbled: nothing that keeps
// others from the lock, lets two in, or swallows the news of a death.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const { folder, hostLock, freshName, startOther } = require('./helpers/host')
const { stop } = require('./helpers/host-kernel')
const { failure } = require('./helpers/locks')
const { startWorker, message } = require('./helpers/threads')
const { until } = require('./helpers/waiting')

let other
before(() => (other = startOther()))
after(() => other.end())

const hold = ({ chainlock, kept }, name, options) => {
  kept.set(name, chainlock.hostLock(name).tryAcquireSync(options))
  return kept.get(name) !== null
}
const give = ({ kept }, name) => kept.get(name).release()
const tries = ({ chainlock }, name, options) => {
  const guard = chainlock.hostLock(name).tryAcquireSync(options)
  guard?.release()
  return guard !== null
}

/** Writes over words of the lock file, by their documented offsets. */
function garble(path, words) {
  const file = fs.openSync(path, 'r+')
  for (const [offset, value] of words) {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(value)
    fs.writeSync(file, bytes, 0, 8, offset)
  }
  fs.closeSync(file)
}

describe('a wait that was given up', () => {
  for (const how of ['timeout', 'abort']) {
    test(`by ${how} keeps no reader out, here or elsewhere`, async () => {
      const lock = hostLock(freshName())
      assert.equal(await other.run(hold, lock.name, { mode: 'shared' }), true)
      const controller = new AbortController()
      // One whose time is over before anybody has seen it wait is no such wait: then the next has longer.
      for (let [hasWaited, timeoutMs] = [false, 20]; !hasWaited; timeoutMs *= 5) {
        let isOver = false
        const wait = failure(lock.acquire(how === 'timeout' ? { timeoutMs } : { signal: controller.signal }))
        wait.then(() => (isOver = true))
        await until(() => (hasWaited = lock.status().waiters === 1) || isOver, 'it waits')
        controller.abort()
        await wait
      }
      await until(() => lock.tryAcquire({ mode: 'shared' })?.release() === true, 'a reader gets in beside the other')
      assert.equal(await other.run(tries, lock.name, { mode: 'shared' }), true)
      await other.run(give, lock.name)
    })
  }

  test('and had been granted meanwhile passes on who died', async () => {
    const lock = hostLock(freshName())
    const third = startOther()
    await third.run(hold, lock.name, { label: 'the dead' })
    const controller = new AbortController()
    const wait = failure(lock.acquire({ signal: controller.signal }))
    await until(() => lock.status().waiters === 1, 'it waits')
    process.kill(third.pid, 'SIGKILL')
    // This loop stands still until the grant is there, so that the abort comes between it and its promise.
    const end = performance.now() + 10_000
    while (lock.status().holders[0]?.isOwn !== true && performance.now() < end);
    controller.abort()
    await wait
    const guard = lock.tryAcquire()
    assert.deepEqual([guard.previousHolderDied.pid, guard.previousHolderDied.label], [third.pid, 'the dead'])
    guard.release()
  })
})

test('of those who find a death, readers are told until a writer was', async () => {
  const lock = hostLock(freshName())
  const third = startOther()
  await third.run(hold, lock.name)
  process.kill(third.pid, 'SIGKILL')
  for (const mode of ['shared', 'shared', 'exclusive']) {
    const guard = await lock.acquire({ mode })
    assert.equal(guard.previousHolderDied?.pid, third.pid, mode)
    guard.release()
  }
  const last = lock.tryAcquire()
  assert.equal(last.previousHolderDied, null)
  last.release()
})

test('a worker that ends in the line of the process, inside of a host lock, leaves no file open', async () => {
  const [line, around] = [hostLock(freshName('line')), hostLock(freshName('around'))]
  const isOpen = () => fs.readdirSync('/proc/self/fd').some((number) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${number}`) === around.path
    } catch {
      return false
    }
  })
  around.close()
  const guard = await line.acquire()
  const worker = startWorker(({ chainlock: { hostLock }, port, data: [outer, inner] }) => {
    hostLock(outer).withLock(() => {
      setImmediate(() => port.postMessage('asked'))
      return hostLock(inner).withLock(() => {})
    })
  }, [around.name, line.name])
  await message(worker)
  assert.equal(isOpen(), true)
  await worker.terminate()
  await until(() => !isOpen(), 'its file is closed')
  guard.release()
})

describe('a lock file that is garbled', () => {
  test('with zeroes, while another process waits and looks at it, lets one in', async () => {
    const lock = hostLock(freshName())
    await other.run(hold, lock.name)
    const wait = lock.acquire()
    await until(() => lock.status().waiters === 1, 'it waits')
    fs.writeFileSync(lock.path, Buffer.alloc(16_384), { flag: 'r+' })
    lock.status()
    await other.run(give, lock.name)
    const guard = await wait
    assert.equal(await other.run(tries, lock.name), false)
    guard.release()
    assert.equal(await other.run(tries, lock.name), true)
  })

  test('with a release that has not been yet holds up nobody', async () => {
    const lock = hostLock(freshName())
    lock.tryAcquire().release()
    const third = startOther()
    await other.run(hold, lock.name)
    await third.run(({ chainlock }, name) => void chainlock.hostLock(name).acquire().catch(() => {}), lock.name)
    await until(() => lock.status().waiters === 1, 'somebody waits')
    await stop(third.pid)
    await other.run(give, lock.name)
    const { token } = lock.status()
    garble(lock.path, [[32, BigInt(process.pid)], [40, 10n ** 18n], [48, BigInt(token)], [56, 0n]])
    const guard = lock.tryAcquire()
    process.kill(third.pid, 'SIGKILL')
    assert.notEqual(guard, null)
    guard.release()
  })
})

test('who waits, and is stopped, holds up those who try for a moment only', async () => {
  const lock = hostLock(freshName())
  const third = startOther()
  const guard = lock.tryAcquire()
  await third.run(({ chainlock }, name) => void chainlock.hostLock(name).acquire().catch(() => {}), lock.name)
  await until(() => lock.status().waiters === 1, 'it waits')
  await stop(third.pid)
  guard.release()
  await until(() => {
    const tried = lock.tryAcquire()
    tried?.release()
    return tried !== null
  }, 'its turn is over')
  let refused = 0
  for (let i = 0; i < 50; i++) {
    const tried = lock.tryAcquire()
    tried?.release()
    refused += Number(tried === null)
  }
  process.kill(third.pid, 'SIGKILL')
  assert.ok(refused < 50, 'not a turn after each release')
})

test('the private folder is made again when it has gone', async () => {
  const third = startOther({ env: { XDG_RUNTIME_DIR: fs.mkdtempSync(`${folder}/gone-`) } })
  const again = await third.run(async ({ chainlock }) => {
    const { rmSync } = require('node:fs')
    const { dirname } = require('node:path')
    const lock = chainlock.hostLock('again')
    ;(await lock.acquire()).release()
    rmSync(dirname(lock.path), { recursive: true })
    // Later than the last look at the file.
    await new Promise((resolve) => setTimeout(resolve, 10))
    return (await lock.acquire()).release()
  })
  assert.equal(again, true)
  await third.end()
})
