// The shapes that the standard's interface definitions prescribe: of the manager, of a lock, of the answers.
'use strict'

const assert = require('node:assert/strict')
const { chainlock, locks, freshName, rejectsWithTypeError } = require('../stage')

const { LockManager, Lock } = chainlock
const aLock = () => locks.request(freshName('shape'), { mode: 'shared' }, (lock) => lock)

module.exports = {
  'the manager is a LockManager, which nobody can make': () => {
    assert.ok(locks instanceof LockManager)
    assert.equal(Object.prototype.toString.call(locks), '[object LockManager]')
    assert.throws(() => new LockManager(), TypeError)
    assert.throws(() => LockManager(), TypeError)
    assert.throws(() => new (class extends LockManager {})(), TypeError)
  },

  'a lock is a Lock, which nobody can make': async () => {
    const lock = await aLock()
    assert.ok(lock instanceof Lock)
    assert.equal(Object.prototype.toString.call(lock), '[object Lock]')
    assert.throws(() => new Lock(), TypeError)
    assert.throws(() => new Lock('name', 'shared'), TypeError)
  },

  'the methods have the lengths and names of the standard': () => {
    assert.deepEqual([locks.request.length, locks.request.name], [2, 'request'])
    assert.deepEqual([locks.query.length, locks.query.name], [0, 'query'])
    assert.ok(!Object.hasOwn(locks, 'request') && !Object.hasOwn(locks, 'query'))
  },

  'the methods called on something else reject': async () => {
    await rejectsWithTypeError(locks.request.call({}, freshName(), () => {}))
    await rejectsWithTypeError(Reflect.apply(locks.query, undefined, []))
  },

  'name and mode of a lock are getters of the class, and cannot be written': async () => {
    const lock = await aLock()
    for (const key of ['name', 'mode']) {
      const { get, set } = Object.getOwnPropertyDescriptor(Lock.prototype, key)
      assert.equal(set, undefined)
      assert.equal(get.call(lock), lock[key])
      assert.throws(() => get.call({}), TypeError)
      assert.throws(() => (lock[key] = 'other'), TypeError)
      assert.ok(!Object.hasOwn(lock, key))
    }
  },

  'a lock tells its name and mode even after it was released': async () => {
    const name = freshName()
    const lock = await locks.request(name, (given) => given)
    assert.deepEqual([lock.name, lock.mode], [name, 'exclusive'])
  },

  'request and query answer with native promises': async () => {
    const answers = [locks.request(freshName(), () => 1), locks.query(), locks.request().catch(() => {})]
    for (const answer of answers) assert.equal(Promise.resolve(answer), answer)
    await Promise.all(answers)
  },

  'a state is a plain object of two arrays of plain objects': async () => {
    const name = freshName()
    await locks.request(name, async () => {
      const waiting = locks.request(name, { mode: 'shared' }, () => {})
      const state = await locks.query()
      assert.deepEqual(Object.keys(state).sort(), ['held', 'pending'])
      for (const [list, mode] of [[state.held, 'exclusive'], [state.pending, 'shared']]) {
        assert.ok(Array.isArray(list))
        const mine = list.filter((entry) => entry.name === name)
        assert.equal(mine.length, 1)
        assert.deepEqual(Object.keys(mine[0]).sort(), ['clientId', 'mode', 'name'])
        assert.equal(mine[0].mode, mode)
        assert.equal(typeof mine[0].clientId, 'string')
        assert.equal(Object.getPrototypeOf(mine[0]), Object.prototype)
      }
      return { waiting }
    }).then(({ waiting }) => waiting)
  },

  'each query gives an object of its own': async () => {
    const [one, other] = await Promise.all([locks.query(), locks.query()])
    assert.notEqual(one, other)
    assert.notEqual(one.held, other.held)
  },
}
