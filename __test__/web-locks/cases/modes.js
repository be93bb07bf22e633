// Exclusive and shared, and the order of grants: first come, first served, per name.
'use strict'

const assert = require('node:assert/strict')
const { locks, freshName, deferred, hold, standing } = require('../stage')
const { turn } = require('../../helpers/waiting')

const shared = { mode: 'shared' }
const times = (count, make) => Array.from({ length: count }, (_, index) => make(index))

module.exports = {
  'exclusive requests are granted in the order in which they were made': async () => {
    const name = freshName()
    const log = []
    await Promise.all(times(20, (index) => locks.request(name, () => log.push(index))))
    assert.deepEqual(log, times(20, (index) => index))
  },

  'exclusive requests go one at a time': async () => {
    const name = freshName()
    let inside = 0
    const visit = async () => {
      assert.equal(++inside, 1)
      await turn()
      inside--
    }
    await Promise.all(times(20, () => locks.request(name, visit)))
  },

  'names have nothing to do with each other': async () => {
    const [one, other] = [freshName(), freshName()]
    const log = []
    let inner
    await locks.request(one, async () => {
      inner = Promise.all([
        locks.request(one, () => log.push('same name')),
        locks.request(other, () => log.push('other name')),
      ])
      await turn()
      log.push('released')
    })
    await inner
    assert.deepEqual(log, ['other name', 'released', 'same name'])
  },

  'shared requests of several names are granted in the order in which they were made': async () => {
    const names = times(3, () => freshName())
    const log = []
    await Promise.all(times(12, (index) => locks.request(names[index % 3], shared, () => log.push(index))))
    assert.deepEqual(log, times(12, (index) => index))
  },

  'shared requests are held together': async () => {
    const name = freshName()
    const holds = await Promise.all(times(5, () => hold(name, shared)))
    assert.deepEqual(await standing(name), { held: times(5, () => 'shared'), pending: [] })
    await Promise.all(holds.map((held) => held.release()))
  },

  'a shared request inside of a shared hold of the same name is granted': async () => {
    const name = freshName()
    const inner = () => locks.request(name, shared, (lock) => lock.mode)
    assert.equal(await locks.request(name, shared, inner), 'shared')
  },

  'an exclusive request waits for all shared holds': async () => {
    const name = freshName()
    const log = []
    const readers = await Promise.all(times(3, () => hold(name, shared)))
    const writer = locks.request(name, () => log.push('writer'))
    for (const reader of readers) {
      await turn()
      log.push('reader ends')
      await reader.release()
    }
    await writer
    assert.deepEqual(log, ['reader ends', 'reader ends', 'reader ends', 'writer'])
  },

  'a shared request does not overtake an exclusive one that waits': async () => {
    const name = freshName()
    const reader = await hold(name, shared)
    const log = []
    const writer = locks.request(name, async () => {
      await turn()
      log.push('writer')
    })
    const late = locks.request(name, shared, () => log.push('late reader'))
    await turn()
    assert.deepEqual(await standing(name), { held: ['shared'], pending: ['exclusive', 'shared'] })
    reader.release()
    await Promise.all([writer, late])
    assert.deepEqual(log, ['writer', 'late reader'])
  },

  'the end of an exclusive hold grants all the shared requests behind it at once': async () => {
    const name = freshName()
    const writer = await hold(name)
    const end = deferred()
    const readers = times(5, () => locks.request(name, shared, () => end.promise))
    assert.deepEqual(await standing(name), { held: ['exclusive'], pending: times(5, () => 'shared') })
    await writer.release()
    assert.deepEqual(await standing(name), { held: times(5, () => 'shared'), pending: [] })
    end.resolve()
    await Promise.all(readers)
  },

  'an exclusive request stands between the shared ones before and after it': async () => {
    const name = freshName()
    const [before, between, after] = times(3, () => deferred())
    const early = times(5, () => locks.request(name, shared, () => before.promise))
    const writer = locks.request(name, () => between.promise)
    const late = times(5, () => locks.request(name, shared, () => after.promise))
    const modes = async () => (await standing(name)).held
    assert.deepEqual(await modes(), times(5, () => 'shared'))
    before.resolve()
    await Promise.all(early)
    assert.deepEqual(await modes(), ['exclusive'])
    between.resolve()
    await writer
    assert.deepEqual(await modes(), times(5, () => 'shared'))
    after.resolve()
    await Promise.all(late)
  },

  'mixed requests of one name and free ones of another are granted in the order that follows from it': async () => {
    const [one, other] = [freshName(), freshName()]
    const log = []
    const end = deferred()
    const readers = times(3, (index) =>
      locks.request(one, shared, () => {
        log.push(`reader ${index}`)
        return end.promise
      }),
    )
    const writer = locks.request(one, (lock) => log.push(`writer, ${lock.mode}`))
    await locks.request(other, () => log.push('the other name'))
    assert.deepEqual(log, ['reader 0', 'reader 1', 'reader 2', 'the other name'])
    end.resolve()
    await Promise.all([...readers, writer])
    assert.equal(log.at(-1), 'writer, exclusive')
  },
}
