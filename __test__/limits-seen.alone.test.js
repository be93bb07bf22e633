// S7: what is shown and kept of many locks is bounded; the locks themselves go on beyond it.
'use strict'

const assert = require('node:assert/strict')
const path = require('node:path')
const { test } = require('node:test')
const { chainlock } = require('./helpers/package')
const { folder } = require('./helpers/folders')
const { native } = require('../lib/native')

const { locks, openJournal } = chainlock
const SLOTS = 4_096
const lookAtOwn = (all = false) => JSON.parse(native.lookAt(process.pid, all)).processes[0]

test(`${SLOTS} locks are shown; the next one and many more work unseen`, { skip: process.platform !== 'linux' }, async (t) => {
  const guards = Array.from({ length: SLOTS }, (_, index) => locks.tryAcquire(`session ${index}`))
  assert.deepEqual([lookAtOwn().locks.length, lookAtOwn().table.unshown], [SLOTS, 0])
  const best = Math.min(...Array.from({ length: 20 }, () => {
    const began = performance.now()
    native.lookAt(process.pid, false)
    return performance.now() - began
  }))
  t.diagnostic(`${SLOTS} held locks: looked at and told as JSON in ${best.toFixed(2)} ms`)
  guards.push(locks.tryAcquire('one more'))
  const seen = lookAtOwn()
  assert.deepEqual([seen.locks.length, seen.table.used, seen.table.unshown], [SLOTS, SLOTS, 1])
  // What is not shown excludes, waits and is served as ever.
  assert.equal(locks.tryAcquire('one more'), null)
  const next = locks.acquire('one more')
  guards.pop().release()
  guards.push(await next)
  for (let index = 0; index < SLOTS; index++) guards.push(locks.tryAcquire(`beyond ${index}`))
  assert.ok(guards.every((guard) => guard !== null))
  assert.equal(lookAtOwn().table.unshown, SLOTS + 1)
  assert.equal(chainlock.snapshot({ pid: process.pid }).verdict.some(({ rule }) => rule === 'FULL'), true)
  guards.forEach((guard) => guard.release())
  assert.equal(lookAtOwn().locks.length, 0)
})

test('a journal keeps the newest rows, as many as it is told', { timeout: 240_000 }, async (t) => {
  const MOST = 1_000
  const file = path.join(folder(t), 'journal')
  const journal = openJournal({ path: file, maxRows: MOST })
  t.after(() => journal.close())
  for (let round = 0; round < 10; round++) {
    for (let count = 0; count < MOST; count++) locks.tryAcquire('busy').release()
    await journal.flush()
  }
  await journal.close()
  // Old rows go when a journal is opened, and from time to time.
  const again = openJournal({ path: file, maxRows: MOST })
  t.after(() => again.close())
  const read = () => again.query({ limit: 100_000 })
  let events = await read()
  while (events.length > MOST) events = await read()
  assert.equal(events.length, MOST)
  assert.equal(events.at(-1).kind, 'released')
  assert.ok(events.every(({ id }, index) => index === 0 || id === events[index - 1].id + 1), 'the newest')
})
