// `query`: what is held and what waits, in all threads.
'use strict'

const assert = require('node:assert/strict')
const { locks, freshName, hold, standing, untilStanding, withPeers, neverRuns } = require('../stage')

const shared = { mode: 'shared' }
const clients = (list, name) => list.filter((entry) => entry.name === name).map((entry) => entry.clientId)

module.exports = {
  'a held lock is listed once, in its mode': async () => {
    const name = freshName()
    for (const mode of ['exclusive', 'shared']) {
      await locks.request(name, { mode }, async () => assert.deepEqual(await standing(name), { held: [mode], pending: [] }))
    }
    assert.deepEqual(await standing(name), { held: [], pending: [] })
  },

  'all held locks are listed': async () => {
    const [one, other] = [freshName(), freshName()]
    await locks.request(one, () =>
      locks.request(other, shared, async () => {
        assert.deepEqual((await standing(one)).held, ['exclusive'])
        assert.deepEqual((await standing(other)).held, ['shared'])
      }),
    )
  },

  'each hold of a shared lock is listed': async () => {
    const name = freshName()
    const holds = [await hold(name, shared), await hold(name, shared)]
    assert.deepEqual((await standing(name)).held, ['shared', 'shared'])
    await Promise.all(holds.map((held) => held.release()))
  },

  'requests that wait are listed in the order in which they were made': async () => {
    const name = freshName()
    const held = await hold(name)
    const modes = ['shared', 'exclusive', 'shared', 'shared', 'exclusive']
    const waiting = modes.map((mode) => locks.request(name, { mode }, () => {}))
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: modes })
    held.release()
    await Promise.all(waiting)
    assert.deepEqual(await standing(name), { held: [], pending: [] })
  },

  'a request counts from the moment it is made': async () => {
    const name = freshName()
    const waiting = [locks.request(name, () => {}), locks.request(name, () => {})]
    const { held, pending } = await standing(name)
    assert.equal(held.length + pending.length, 2)
    await Promise.all(waiting)
  },

  'all locks of a thread have the same client id': async () => {
    const [one, other] = [freshName(), freshName()]
    const holds = [await hold(one), await hold(other)]
    const waiting = locks.request(one, () => {})
    const { held, pending } = await locks.query()
    const ids = [...clients(held, one), ...clients(held, other), ...clients(pending, one)]
    assert.equal(ids.length, 3)
    assert.equal(new Set(ids).size, 1)
    await Promise.all([...holds.map((each) => each.release()), waiting])
  },

  'other threads have other client ids': () =>
    withPeers(2, async (...peers) => {
      const name = freshName()
      for (const peer of peers) await peer.hold(name, shared)
      await locks.request(name, shared, async () => {
        const ids = clients((await locks.query()).held, name)
        assert.equal(ids.length, 3)
        assert.equal(new Set(ids).size, 3)
      })
    }),

  'requests of several threads are listed in the order in which they were made': () =>
    withPeers(3, async (...peers) => {
      const [name, mark] = [freshName(), freshName('mark')]
      const idOf = new Map()
      for (const peer of peers) {
        const marked = await peer.hold(mark)
        idOf.set(peer, clients((await locks.query()).held, mark)[0])
        await marked.release()
      }
      const held = await hold(name)
      const order = [0, 1, 2, 2, 0, 1].map((index) => peers[index])
      const requests = []
      for (const peer of order) requests.push(await peer.request(name))
      const wanted = order.map((peer) => idOf.get(peer))
      assert.deepEqual(clients((await locks.query()).pending, name), wanted)
      held.release()
      for (const request of requests.slice(0, 2)) {
        await request.granted
        await request.release()
      }
      await requests[2].granted
      assert.deepEqual(clients((await locks.query()).pending, name), wanted.slice(3))
    }),

  'two threads that wait for each other can be seen': () =>
    withPeers(1, async (peer) => {
      const [theirs, mine] = [freshName('theirs'), freshName('mine')]
      await peer.hold(theirs)
      const held = await hold(mine)
      await peer.request(mine)
      const asked = locks.request(theirs, () => {})
      await untilStanding(theirs, 1, 1)
      const state = await locks.query()
      const [theirHolder, theirWaiter] = [clients(state.held, theirs), clients(state.pending, theirs)]
      const [myHolder, myWaiter] = [clients(state.held, mine), clients(state.pending, mine)]
      assert.deepEqual([theirHolder, theirWaiter, myHolder, myWaiter].map((list) => list.length), [1, 1, 1, 1])
      assert.equal(theirHolder[0], myWaiter[0])
      assert.equal(myHolder[0], theirWaiter[0])
      assert.notEqual(theirHolder[0], myHolder[0])
      await held.release()
      await peer.terminate()
      await asked
    }),

  'a deadlock in nested callbacks hangs, as the standard says, and can be seen': () =>
    withPeers(1, async (peer) => {
      const [theirs, mine] = [freshName('theirs'), freshName('mine')]
      await peer.hold(theirs)
      const stuck = locks.request(mine, async () => {
        const inner = new AbortController()
        const asked = locks.request(theirs, { signal: inner.signal }, neverRuns)
        await peer.request(mine)
        assert.deepEqual(await standing(mine), { held: ['exclusive'], pending: ['exclusive'] })
        assert.deepEqual(await standing(theirs), { held: ['exclusive'], pending: ['exclusive'] })
        inner.abort()
        await asked.catch(() => {})
        return 'got out by the signal'
      })
      assert.equal(await stuck, 'got out by the signal')
    }),

  'a request for a name that its own callback holds hangs, as the standard says, until it is aborted': async () => {
    const name = freshName()
    await locks.request(name, async () => {
      const controller = new AbortController()
      const inner = locks.request(name, { signal: controller.signal }, neverRuns)
      assert.deepEqual(await standing(name), { held: ['exclusive'], pending: ['exclusive'] })
      controller.abort('enough')
      await assert.rejects(inner, (reason) => reason === 'enough')
    })
  },
}
