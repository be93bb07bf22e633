// The faults of the Web Locks that Deno has, as of its version 2.9: none of them is here. That the callback never
// runs synchronously is (l) in node-defects.test.js; what used names and many holds cost is in
// long-lines.alone.test.js.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { chainlock } = require('../helpers/package')
const { locks, freshName, hold, standing, rejectsWith, neverRuns, withPeers } = require('./stage')

const LIMIT = { timeout: 60_000 }
const shared = { mode: 'shared' }

test('an abort moves the line: shared requests behind an aborted exclusive one are granted, in all threads', LIMIT, () =>
  withPeers(1, async (peer) => {
    const name = freshName()
    const reader = await hold(name, shared)
    const controller = new AbortController()
    const writer = rejectsWith('of the test', locks.request(name, { signal: controller.signal }, neverRuns))
    const theirs = await peer.request(name, shared)
    const mine = locks.request(name, shared, () => 'mine')
    controller.abort('of the test')
    assert.equal(await mine, 'mine')
    await theirs.granted
    await writer
    await reader.release()
  }))

test('ifAvailable looks at those who wait, too: it answers null at once and does not join the line', LIMIT, async () => {
  const name = freshName()
  const reader = await hold(name, shared)
  const writer = locks.request(name, () => 'writer')
  assert.equal(await locks.request(name, { ...shared, ifAvailable: true }, (lock) => lock), null)
  assert.deepEqual(await standing(name), { held: ['shared'], pending: ['exclusive'] })
  await reader.release()
  assert.equal(await writer, 'writer')
})

test('the name of a lock is the text that was made of what was given', LIMIT, async () => {
  for (const given of [1n, 1, null, ['a'], { toString: () => 'made' }]) {
    const lock = await locks.request(given, (granted) => granted)
    assert.equal(lock.name, `${given}`)
    assert.equal(typeof lock.name, 'string')
  }
})

test('a name that nobody holds or waits for any more is not in any list', LIMIT, async () => {
  const names = Array.from({ length: 100 }, () => freshName())
  await Promise.all(names.map((name) => locks.request(name, () => {})))
  const { held, pending } = await locks.query()
  assert.deepEqual([...held, ...pending].filter((entry) => names.includes(entry.name)), [])
  assert.deepEqual(chainlock.locks.getLockStatus().filter((status) => names.includes(status.name)), [])
})
