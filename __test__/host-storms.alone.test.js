// F7, F8, F13 and F14 for host locks, with processes that run Node: they are killed and stopped at any moment, their wall
// clock jumps, their pids come again. Two never hold at a time, nothing stays locked, nobody waits for the dead.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const { once } = require('node:events')
const { hostLock, freshName, freshPath, startOther } = require('./helpers/host')
const { failure } = require('./helpers/locks')
const { percentile, random } = require('./helpers/figures')
const { waitersFor, stop } = require('./helpers/host-kernel')
const { clockLibrary } = require('./helpers/faketime')
const { deep } = require('./helpers/package')
const { startNode, said } = require('./helpers/processes')
const { pause, until } = require('./helpers/waiting')

const KILLS = deep(5_000, 300)
const LIMIT_MS = deep(20 * 60_000, 25_000)
const CREW = 6

const now = () => Number(process.hrtime.bigint()) / 1e6

/**
 * Holds and waits for ever. Who is inside leaves its pid in a file and looks at it again and again: another one there at
 * the same time would be seen. What the guard says of the one before is compared with what that one has left there.
 */
async function live({ chainlock, data: { name, marker, log } }) {
  const fs = require('node:fs')
  const lock = chainlock.hostLock(name)
  const tell = (word) => fs.appendFileSync(log, `${process.pid} ${Number(process.hrtime.bigint()) / 1e6} ${word}\n`)
  const mine = String(process.pid)
  for (;;) {
    const guard = await lock.acquire({ timeoutMs: Infinity })
    const before = fs.readFileSync(marker, 'utf8')
    fs.writeFileSync(marker, mine)
    const died = guard.previousHolderDied?.pid
    if (before !== '' && died === undefined) tell(`untold of ${before}`)
    // A pid is not used again so soon; and one that was killed before it left its mark is told of all the same.
    tell(`granted ${guard.token} after ${died ?? 'nobody'} ${before !== '' && died !== Number(before) ? 'unmarked' : ''}`)
    const end = performance.now() + Math.random() * 3
    while (performance.now() < end) {
      if (fs.readFileSync(marker, 'utf8') !== mine) tell('overlap')
      if (Math.random() < 0.2) await new Promise((resolve) => setImmediate(resolve))
    }
    fs.writeFileSync(marker, '')
    guard.release()
    if (Math.random() < 0.3) await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
  }
}

class Storm {
  constructor() {
    const name = freshName('storm')
    this.lock = hostLock(name)
    this.data = { name, marker: freshPath('marker'), log: freshPath('log') }
    fs.writeFileSync(this.data.marker, '')
    fs.writeFileSync(this.data.log, '')
    this.crew = []
    this.random = random(7)
  }

  hire() {
    this.crew.push(startNode(live, this.data))
  }

  /** What the processes have written down: `{ pid, at, word }`. */
  log() {
    return fs.readFileSync(this.data.log, 'utf8').split('\n').slice(0, -1).map((line) => {
      const [pid, at, ...words] = line.split(' ')
      return { pid: Number(pid), at: Number(at), word: words.join(' ') }
    })
  }

  grants = () => this.log().filter(({ word }) => word.startsWith('granted'))

  inside() {
    const pid = Number(fs.readFileSync(this.data.marker, 'utf8'))
    return this.crew.find(({ child }) => child.pid === pid)
  }

  assertClean() {
    const log = this.log()
    assert.deepEqual(log.filter(({ word }) => /overlap|untold/.test(word)), [])
    const tokens = this.grants().map(({ word }) => Number(word.split(' ')[1]))
    assert.deepEqual(tokens, [...tokens].sort((a, b) => a - b), 'tokens grow from process to process')
    assert.equal(new Set(tokens).size, tokens.length)
  }

  async end() {
    for (const { child } of this.crew) child.kill('SIGKILL')
    await Promise.all(this.crew.map(({ ended }) => ended))
  }
}

describe('F7: a storm of kills', () => {
  test(`${KILLS} Node processes, one lock: no orphan, no second holder, the dead are named`, async (t) => {
    const storm = new Storm()
    t.after(() => storm.end())
    const takeovers = []
    const [started, dead] = [performance.now(), new Set()]
    for (let left = CREW; left > 0; left--) storm.hire()
    await until(() => storm.grants().length > 0, 'they begin')
    let killed = 0
    while (killed < KILLS && performance.now() - started < LIMIT_MS) {
      const holder = storm.random() < 0.7 ? storm.inside() : undefined
      const victim = holder ?? storm.crew[Math.floor(storm.random() * storm.crew.length)]
      const isAwaited = waitersFor(storm.lock.path) > 0
      const [size, at] = [fs.statSync(storm.data.log).size, now()]
      victim.child.kill('SIGKILL')
      storm.crew.splice(storm.crew.indexOf(victim), 1)
      storm.hire()
      killed++
      dead.add(victim.child.pid)
      const next = await until(() => fs.statSync(storm.data.log).size > size, 'somebody goes on').then(() => storm.log().find((entry) => entry.at > at))
      if (isAwaited && next?.word.includes(`after ${victim.child.pid}`)) takeovers.push(next.at - at)
      await victim.ended
    }
    await storm.end()
    storm.assertClean()
    const told = storm.grants().map(({ word }) => word.split(' ')[3]).filter((who) => who !== 'nobody')
    assert.ok(told.length > 0 && told.every((pid) => dead.has(Number(pid))), 'only the dead are told of')
    const guard = await storm.lock.acquire({ timeoutMs: 20_000 })
    guard.release()
    assert.deepEqual(storm.lock.status().holders, [])
    t.diagnostic(
      `${killed} kills, ${storm.grants().length} grants, ${told.length} told of a death, 0 overlaps; takeover p50 ` +
        `${percentile(takeovers, 0.5).toFixed(2)} ms, p99 ${percentile(takeovers, 0.99).toFixed(2)} ms (${takeovers.length})`,
    )
  })

  test('the next holder is told by pid, label and command; the one after that of nobody', async () => {
    const name = freshName()
    const other = startOther()
    await other.acquire(name, { label: 'the dead' })
    const waiting = hostLock(name).acquire()
    await until(() => hostLock(name).status().waiters > 0, 'it waits')
    await other.kill()
    const guard = await waiting
    const { pid, label, command } = guard.previousHolderDied
    assert.deepEqual([pid, label], [other.pid, 'the dead'])
    assert.match(command, /node/)
    guard.release()
    assert.equal((await hostLock(name).acquire()).previousHolderDied, null)
  })
})

describe('F8: pauses', () => {
  test('a stopped holder keeps its lock; a stopped waiter holds up nobody', async () => {
    const name = freshName('stopped')
    const lock = hostLock(name)
    const [holder, waiter] = [startOther(), startOther()]
    await holder.acquire(name)
    holder.child.kill('SIGSTOP')
    assert.equal((await failure(lock.acquire({ timeoutMs: 200 }))).code, 'ERR_LOCK_TIMEOUT')
    holder.child.kill('SIGCONT')
    const waiting = waiter.acquire(name)
    await until(() => waitersFor(lock.path) > 0, 'it waits')
    await stop(waiter.pid)
    await holder.release(name)
    for (let round = 0; round < 20; round++) (await lock.acquire({ timeoutMs: 30_000 })).release()
    waiter.child.kill('SIGCONT')
    await waiting
    assert.equal(lock.tryAcquire(), null)
    await Promise.all([holder.kill(), waiter.kill()])
  })

  test('behind a stopped waiter a free lock is soon free for tryAcquire, too', async (t) => {
    const name = freshName('stopped')
    const lock = hostLock(name)
    const guard = lock.tryAcquire()
    const waiter = startOther()
    t.after(() => waiter.kill())
    waiter.acquire(name).catch(() => {})
    await until(() => waitersFor(lock.path) > 0, 'it waits')
    await stop(waiter.pid)
    guard.release()
    let taken
    await until(() => (taken = lock.tryAcquire()), 'the lock is free, and nobody can take it who does not wait', 30_000)
    taken.release()
  })
})

describe('F13: a pid that comes again', () => {
  test('is not taken for the holder that had it', async () => {
    const name = freshName()
    const other = startOther()
    await other.acquire(name, { label: 'of another start' })
    const lock = hostLock(name)
    const page = fs.readFileSync(lock.path)
    assert.equal(lock.status().holders[0].label, 'of another start')
    // As if the kernel had given its pid to this process since.
    const at = page.indexOf(pidWord(other.pid))
    assert.ok(at > 0)
    await other.kill()
    const file = fs.openSync(lock.path, 'r+')
    fs.writeSync(file, pidWord(process.pid), 0, 8, at)
    fs.closeSync(file)
    assert.deepEqual(lock.status().holders, [])
    const guard = lock.tryAcquire()
    const { pid, label, isAlive } = guard.previousHolderDied
    assert.deepEqual([pid, label, isAlive], [process.pid, 'of another start', false])
    guard.release()
  })
})

function pidWord(pid) {
  const word = Buffer.alloc(8)
  word.writeBigUInt64LE(BigInt(pid))
  return word
}

describe('F14: the wall clock', { skip: process.platform === 'linux' ? false : 'libfaketime is for Linux' }, () => {
  for (const jump of ['+1h', '-1h', '+10y']) {
    test(`jumps by ${jump} in the middle: no timeout is early or late, nothing is given back`, async () => {
      const library = clockLibrary()
      assert.ok(library, 'libfaketime is missing: install the package faketime')
      // On a busy machine the wait may be over before the clock has jumped.
      const LOOKS = 10
      let look = 0
      while (!(await hasJumpedInTime(jump, library)) && look < LOOKS) look++
      assert.ok(look < LOOKS, 'the clock did jump')
    })
  }

  /** Lets another process's clock jump while that waits; answers whether it still did. */
  async function hasJumpedInTime(jump, library) {
    const name = freshName('clock')
    const clock = freshPath('clock')
    fs.writeFileSync(clock, '+0\n')
    const guard = hostLock(name).tryAcquire()
    const env = { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1', DONT_FAKE_MONOTONIC: '1' }
    const waiter = startNode(async ({ chainlock, data }) => {
      const begun = process.hrtime.bigint()
      const waiting = chainlock.hostLock(data).acquire({ timeoutMs: 600 }).catch(({ code, waitedMs, holders }) => ({ code, waitedMs, holders }))
      console.log(`waiting ${Date.now()}`)
      const { code, waitedMs, holders } = await waiting
      const ms = Number(process.hrtime.bigint() - begun) / 1e6
      console.log(JSON.stringify({ code, waitedMs, ms, heldMs: holders[0].heldMs, wall: Date.now() }))
    }, name, { env })
    const wallBefore = Number(/waiting (\d+)/.exec(await said(waiter, '\n'))[1])
    await pause(100)
    fs.writeFileSync(clock, `${jump}\n`)
    const { stdout, stderr } = await waiter.ended
    assert.ok(stdout.includes('{'), stderr)
    const { code, waitedMs, ms, heldMs, wall } = JSON.parse(stdout.split('\n')[1])
    assert.equal(code, 'ERR_LOCK_TIMEOUT')
    assert.ok(ms >= 600 && waitedMs >= 599 && waitedMs < 30_000, `${ms} ms, ${waitedMs} ms`)
    assert.ok(heldMs < 60_000, 'ages do not jump')
    assert.equal(guard.check(), true)
    guard.release()
    return Math.abs(wall - wallBefore) > 3_000_000
  }
})

test('the takeover from a killed Node process takes as long as with flock(1), but for the turn of the event loop', async (t) => {
  const lock = hostLock(freshName('takeover'))
  const times = { ours: [], raw: [] }
  for (let round = 0; round < deep(200, 30); round++) {
    const holder = startOther()
    await holder.acquire(lock.name)
    const kind = round % 2 === 0 ? 'ours' : 'raw'
    const raw = kind === 'raw' ? spawn('flock', [lock.path, '-c', 'echo got'], { stdio: ['ignore', 'pipe', 'inherit'] }) : null
    // Its end may be told before its output is.
    const rawEnded = raw && once(raw, 'exit')
    const got = raw === null ? lock.acquire() : once(raw.stdout, 'data')
    await until(() => waitersFor(lock.path) === 1, 'it waits')
    const killedAt = now()
    holder.child.kill('SIGKILL')
    const guard = await got
    times[kind].push(now() - killedAt)
    if (raw === null) guard.release()
    else await rawEnded
    await holder.ended
  }
  const told = (values) => `p50 ${percentile(values, 0.5).toFixed(2)} ms, worst ${Math.max(...values).toFixed(2)} ms`
  t.diagnostic(`takeover: ours ${told(times.ours)}; flock(1) ${told(times.raw)}`)
})
