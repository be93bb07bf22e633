// What of a host lock lives on when it is closed, given back early, or granted for nothing, and what does not.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const { chainlock, hostLock, freshName, inLine, startOther } = require('./helpers/host')
const { failure } = require('./helpers/locks')
const { until, gate } = require('./helpers/waiting')

let other
before(() => (other = startOther()))
after(() => other.end())

const FOREVER = { timeoutMs: Infinity }

describe('close() while a request stands in the line of the process', () => {
  // Other locks that are opened meanwhile would get the number of the closed file.
  const openOthers = () => Array.from({ length: 3 }, () => hostLock(freshName('another')))

  test('lets it have the lock that it asked for, and no other', async () => {
    const lock = hostLock(freshName())
    const first = lock.tryAcquire()
    const second = lock.acquire(FOREVER)
    lock.close()
    first.release()
    const others = openOthers()
    const guard = await second
    assert.deepEqual([guard.path, guard.check()], [lock.path, true])
    assert.equal(await other.run(({ chainlock }, name) => chainlock.hostLock(name).tryAcquire(), lock.name), null)
    for (const each of others) each.tryAcquire().release()
    assert.equal(guard.release(), true)
    assert.deepEqual([inLine(lock), lock.status().holders], [{ holders: 0, waiters: 0 }, []])
  })

  test('lets withLock run, and time out with the holders of the right file', async () => {
    const lock = hostLock(freshName())
    const first = lock.tryAcquire({ label: 'first' })
    const [running, late] = [lock.withLock(FOREVER, (guard) => guard.path), failure(lock.acquire({ timeoutMs: 30 }))]
    lock.close()
    openOthers()
    const error = await late
    assert.deepEqual([error.code, error.path, error.holders[0].label], ['ERR_LOCK_TIMEOUT', lock.path, 'first'])
    first.release()
    assert.equal(await running, lock.path)
    assert.deepEqual(lock.status().holders, [])
  })

  test('closes the file when the last request has left', { skip: !fs.existsSync('/proc/self/fd') && 'there is no /proc' }, async () => {
    const openCount = (path) => fs.readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`) === path
      } catch {
        return false
      }
    }).length
    const lock = hostLock(freshName())
    const first = lock.tryAcquire()
    const controller = new AbortController()
    const asked = [failure(lock.acquire({ signal: controller.signal })), lock.withLock(FOREVER, () => openCount(lock.path))]
    lock.close()
    controller.abort('enough')
    first.release()
    assert.deepEqual(await Promise.all(asked), ['enough', 1])
    await until(() => openCount(lock.path) === 0, 'it is closed')
  })
})

describe('a hold that is over', () => {
  /** The other process holds `outer` and asks, when it is told, for `inner`. */
  const nested = ({ chainlock, kept }, [outer, inner]) => {
    const asks = new Promise((resolve) => kept.set('ask', resolve))
    const wants = () => chainlock.hostLock(inner).withLock({ timeoutMs: Infinity }, () => 'worked')
    kept.set('outcome', chainlock.hostLock(outer).withLock(() => asks.then(wants)).catch(({ code }) => code))
  }

  for (const [what, hold] of [
    ['a callback', (lock, fn) => lock.withLock(fn)],
    ['a flow', (lock, fn) => chainlock.locks.flow('a flow', async () => fn(await lock.acquire()))],
  ]) {
    test(`is in nobody's way, when its guard was released inside of ${what}`, async () => {
      const [s, x] = [hostLock(freshName('s')), hostLock(freshName('x'))]
      const third = startOther()
      await other.run(nested, [x.name, s.name])
      await until(() => x.status().holders.length === 1, 'the other one has x')
      const outcome = hold(s, async (guard) => {
        guard.release()
        await third.acquire(s.name)
        // It waits for s, which is not ours any more.
        await other.run(({ kept }) => kept.get('ask')())
        await until(() => s.status().waiters > 0, 'it waits for s')
        const [got, free] = [x.withLock(FOREVER, () => 'worked'), gate()]
        // Longer than a deadlock needs to be found.
        setTimeout(free.open, 800)
        await Promise.race([got, free.opened])
        await third.release(s.name)
        return got
      })
      assert.equal(await outcome, 'worked')
      assert.equal(await other.run(({ kept }) => kept.get('outcome')), 'worked')
      await third.end()
    })
  }
})

test('a token that has run over leaves nothing held', async () => {
  const lock = hostLock(freshName())
  const file = fs.openSync(lock.path, 'r+')
  const setToken = (byte) => fs.writeSync(file, Buffer.alloc(8, byte), 0, 8, 24)
  for (const ask of [() => lock.acquire(FOREVER), () => lock.withLock(FOREVER, () => null), async () => lock.acquireSync(FOREVER)]) {
    setToken(0xff)
    // Granted with whatever token, or refused: but all of it.
    const guard = await ask().catch((error) => assert.notEqual(error.code, 'ERR_LOCK_INTERNAL', error.message))
    guard?.release()
    setToken(0)
    assert.deepEqual(inLine(lock), { holders: 0, waiters: 0 })
    assert.equal(await other.run(({ chainlock }, name) => chainlock.hostLock(name).tryAcquire()?.release(), lock.name), true)
  }
  fs.closeSync(file)
})
