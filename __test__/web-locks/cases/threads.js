// One set of locks for all threads: order, modes, aborts, steals and the end of a thread, across them.
'use strict'

const assert = require('node:assert/strict')
const stage = require('../stage')

const { locks, freshName, hold, standing, untilStanding, rejectsWithDomException, withPeers, neverRuns } = stage

const shared = { mode: 'shared' }

module.exports = {
  'a shared lock is held by two threads': () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const theirs = await peer.hold(name, shared)
      await locks.request(name, shared, async () => {
        assert.deepEqual(await standing(name), { held: ['shared', 'shared'], pending: [] })
        await theirs.release()
      })
    }),

  'a lock that another thread holds is not available, and is granted when that thread lets go': () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const theirs = await peer.hold(name)
      let granted = false
      const asked = locks.request(name, () => (granted = true))
      assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock), null)
      assert.equal(granted, false)
      await theirs.release()
      assert.equal(await asked, true)
    }),

  'two other threads exclude each other': () =>
    withPeers(2, async (one, other) => {
      const name = freshName()
      const held = await one.hold(name)
      const asked = await other.request(name)
      const refused = await other.request(name, { ifAvailable: true })
      assert.equal(await refused.granted, null)
      assert.deepEqual(await standing(name), { held: ['exclusive'], pending: ['exclusive'] })
      await held.release()
      assert.deepEqual(await asked.granted, { name, mode: 'exclusive' })
    }),

  'requests of several threads are granted in the order in which they were made': () =>
    withPeers(2, async (one, other) => {
      const name = freshName()
      const held = await hold(name)
      const log = []
      const requests = []
      for (const [index, peer] of [one, other, other, one, other].entries()) {
        const request = await peer.request(name)
        requests.push(request.granted.then(() => (log.push(index), request.release())))
      }
      held.release()
      await Promise.all(requests)
      assert.deepEqual(log, [0, 1, 2, 3, 4])
    }),

  'names are the same in all threads, whatever they are made of': () =>
    withPeers(1, async (peer) => {
      for (const name of ['', '\u0000', '\ud800', '\udc00\ud800', '\uffff', '__proto__']) {
        const theirs = await peer.hold(name)
        assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock), null)
        await theirs.release()
      }
      const theirs = await peer.hold('\ud800')
      assert.equal(await locks.request('\ufffd', { ifAvailable: true }, (lock) => lock?.name), '\ufffd')
      await theirs.release()
    }),

  'a thread that is terminated lets go of what it held': () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      await peer.hold(name)
      let granted = false
      const asked = locks.request(name, () => (granted = true))
      assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock), null)
      assert.equal(granted, false)
      peer.terminate()
      assert.equal(await asked, true)
    }),

  'a thread that is terminated while it waits, with a signal and without, is out of the line': () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const held = await hold(name)
      await peer.request(name)
      await peer.request(name, shared)
      assert.deepEqual((await standing(name)).pending, ['exclusive', 'shared'])
      await peer.terminate()
      await untilStanding(name, 1, 0)
      await held.release()
      assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock?.mode), 'exclusive')
    }),

  'an abort lets requests of other threads go': () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const reader = await hold(name, shared)
      const controller = new AbortController()
      const writer = rejectsWithDomException('AbortError', locks.request(name, { signal: controller.signal }, neverRuns))
      const behind = await peer.request(name, shared)
      controller.abort()
      await writer
      assert.deepEqual(await behind.granted, { name, mode: 'shared' })
      await reader.release()
    }),

  'a steal from another thread rejects there, with an AbortError of that thread': () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const theirs = await peer.hold(name)
      assert.equal(await locks.request(name, { steal: true }, (lock) => lock.mode), 'exclusive')
      assert.deepEqual(await theirs.failed, { name: 'AbortError', isDomException: true })
    }),

  'a steal by another thread rejects here, with an AbortError of this thread': () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const mine = await hold(name)
      const theirs = await peer.hold(name, { steal: true })
      await rejectsWithDomException('AbortError', mine.done)
      assert.deepEqual((await standing(name)).held, ['exclusive'])
      await theirs.release()
    }),

  'a thread that stands still is in nobody’s way: query, ifAvailable, steal and other names go on': () =>
    withPeers(1, async (peer) => {
      const [name, free] = [freshName(), freshName()]
      const theirs = await peer.hold(name)
      await peer.block(60_000)
      assert.deepEqual((await standing(name)).held, ['exclusive'])
      assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock), null)
      assert.equal(await locks.request(free, (lock) => lock.mode), 'exclusive')
      assert.equal(await locks.request(name, { steal: true }, (lock) => lock.mode), 'exclusive')
      assert.ok(theirs)
    }),
}
