// F10: processes that end in any way while they write a journal and hold locks. The file is sound; it has a beginning of each
// process's events, without gaps; what is missing is of the last moment. Several processes write one file at once.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { chainlock, deep } = require('./helpers/package')
const { folder } = require('./helpers/folders')
const { random } = require('./helpers/figures')
const { startNode, runNode, said } = require('./helpers/processes')

/** Who has not ended by then never will, however busy the machine is. */
const HANGS_MS = 60_000
/** What a death may take away, and how often it is looked again where it took more. */
const [LOST_MS, MOST_ROUNDS] = [100, 5]

/** What a process does: holds a lock, makes pairs without end, each told in a file of its own before; then the way. */
function program({ chainlock, data: { journal, log, way } }) {
  const { appendFileSync } = require('node:fs')
  // So much that a journal that is only written at the end would be seen to be.
  const [BUSY, LAST] = [1_000, 3_000]
  const written = chainlock.openJournal({ path: journal })
  globalThis.kept = chainlock.locks.tryAcquire(`held by ${process.pid}`)
  let token = 1
  let isBusy = false
  const pair = () => {
    appendFileSync(log, `${++token} ${Date.now()}\n`)
    chainlock.locks.tryAcquire(`of ${process.pid}`).release()
  }
  const beating = setInterval(() => {
    for (let count = 0; count < 5; count++) pair()
    // A machine that gives its writer no time has nothing written of a whole life.
    if (!isBusy && token >= BUSY && written.stats().written > 0) {
      isBusy = true
      console.log('busy')
    }
    if (!isBusy || token < LAST || !way) return
    clearInterval(beating)
    new Function(`(${way})()`)()
  }, 1)
}

const END = {
  return: () => {},
  'process.exit': () => process.exit(7),
  throw: () => { throw new Error('of the user') },
  rejection: () => void Promise.reject(new Error('of the user')),
}
const KILLED = {
  abort: () => process.abort(),
  'out of memory': () => {
    const hoard = []
    for (;;) hoard.push(new Array(10_000).fill(Math.random()))
  },
}
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGKILL']

/** All events of the file, page by page, after SQLite's own look at it. */
async function read(file) {
  const journal = chainlock.openJournal({ path: file, readOnly: true })
  assert.deepEqual(await journal.check(), [], 'integrity_check')
  const events = []
  for (;;) {
    const page = await journal.query({ after: events.at(-1)?.id ?? 0, limit: 100_000 })
    if (page.length === 0) break
    events.push(...page)
  }
  await journal.close()
  return events
}

/** The events of one process are a beginning of what it did; answers how old the oldest missing one was at its end. */
function judge(events, pid, log, what) {
  const did = fs.readFileSync(log, 'utf8').trim().split('\n').map((line) => line.split(' ').map(Number))
  const [held, ...own] = events.filter((event) => event.pid === pid)
  assert.deepEqual([held?.kind, held?.lock, held?.token], ['acquired', `held by ${pid}`, 1], `${what}: the lock it died with`)
  own.forEach(({ token, kind, lock }, index) => {
    const expected = [Math.floor(index / 2) + 2, index % 2 === 0 ? 'acquired' : 'released', `of ${pid}`]
    assert.deepEqual([token, kind, lock], expected, `${what}: event ${index} without a gap`)
  })
  const end = did.at(-1)[1]
  const missing = did.slice(Math.floor(own.length / 2))
  return { written: own.length, did: did.length * 2, lostMs: missing.length > 0 ? end - missing[0][1] : 0 }
}

/** Runs one process to its end, or ends it. */
async function end(t, name) {
  const home = folder(t)
  const [journal, log] = [path.join(home, 'journal'), path.join(home, 'log')]
  const way = { ...END, ...KILLED }[name]
  const data = { journal, log, way: way && String(way) }
  const nodeArgs = name === 'out of memory' ? ['--max-old-space-size=20', '--max-semi-space-size=1'] : []
  const started = startNode(program, data, { nodeArgs })
  const timer = setTimeout(() => started.child.kill('SIGKILL'), HANGS_MS)
  if (!way) {
    await said(started, 'busy')
    started.child.kill(name)
  }
  const result = await started.ended
  clearTimeout(timer)
  return { ...judge(await read(journal), started.child.pid, log, name), ...result }
}

for (const name of Object.keys(END)) {
  test(`nothing is lost by ${name}`, async (t) => {
    const { written, did, stderr } = await end(t, name)
    assert.ok(did >= 5_000, stderr)
    assert.equal(written, did)
  })
}

for (const name of [...Object.keys(KILLED), ...SIGNALS]) {
  test(`${name} loses the last moment at most`, async (t) => {
    const lost = []
    // A machine that gave the writer no time may be late, but not every time.
    for (let round = 0; round < deep(20, 1) || (round < MOST_ROUNDS && Math.min(...lost) > LOST_MS); round++) {
      const { lostMs, written } = await end(t, name)
      assert.ok(written > 0, 'it was written while it ran')
      lost.push(lostMs)
    }
    const worst = Math.max(...lost)
    t.diagnostic(`journal, ${name}: ${worst} ms of events lost at most (bar: ${LOST_MS} ms on a machine with time)`)
    assert.ok(Math.min(...lost) <= LOST_MS, `always ${lost} ms`)
    if (deep(true, false)) assert.ok(lost.sort((a, b) => a - b)[lost.length >> 1] <= LOST_MS, `usually ${lost} ms`)
    // The bar is for a machine that lets the writer run; what does not depend on that is that it is a moment.
    assert.ok(worst < 5_000, `${worst} ms`)
  })
}

test('processes that write one file and are killed at random leave it sound, each with a beginning', async (t) => {
  const home = folder(t)
  const journal = path.join(home, 'journal')
  const number = random(0x7a11)
  const ends = []
  const AT_ONCE = 3
  for (let round = 0; round < deep(20, 2); round++) {
    const children = Array.from({ length: AT_ONCE }, async (_, index) => {
      const log = path.join(home, `log-${round}-${index}`)
      const started = startNode(program, { journal, log })
      await said(started, 'busy')
      await new Promise((resolve) => setTimeout(resolve, number() * 300))
      started.child.kill('SIGKILL')
      await started.ended
      ends.push([started.child.pid, log])
    })
    await Promise.all(children)
    const events = await read(journal)
    for (const [pid, log] of ends) judge(events, pid, log, `round ${round}`)
    assert.ok(events.length > 0)
  }
  t.diagnostic(`journal, kills: ${ends.length}, 0 gaps`)
})

test('processes that write at once lose nothing', async (t) => {
  const journal = path.join(folder(t), 'journal')
  const PAIRS = 20_000
  const write = async ({ chainlock, data: { journal, pairs } }) => {
    const open = chainlock.openJournal({ path: journal })
    for (let count = 1; count <= pairs; count++) {
      chainlock.locks.tryAcquire('shared name').release()
      if (count % 2_000 === 0) await open.flush()
    }
  }
  const runs = Array.from({ length: 4 }, () => runNode(write, { journal, pairs: PAIRS }, { limitMs: HANGS_MS * 2 }))
  for (const { code, stderr } of await Promise.all(runs)) assert.deepEqual([code, stderr], [0, ''])
  const events = await read(journal)
  const byPid = grouped(events)
  assert.equal(byPid.size, 4)
  for (const [pid, own] of byPid) {
    assert.equal(own.length, PAIRS * 2, `process ${pid}`)
    own.forEach(({ token }, index) => assert.equal(token, Math.floor(index / 2) + 1))
  }
})

/** The events of each process. */
function grouped(events) {
  const groups = new Map()
  for (const event of events) {
    if (!groups.has(event.pid)) groups.set(event.pid, [])
    groups.get(event.pid).push(event)
  }
  return groups
}
