// lockOrder: an inversion between two classes of locks is told the first time that both orders were seen, long
// before anything deadlocks, with both chains.
'use strict'

const { test, describe, after, beforeEach } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName, failure, standing } = require('./helpers/locks')
const { turn, until } = require('./helpers/waiting')
const { chainlock } = require('./helpers/package')
const { runWorker } = require('./helpers/threads')

const before = locks.configure({})
const warnings = []
const listen = (warning) => warnings.push(warning)
process.on('warning', listen)
after(() => {
  process.off('warning', listen)
  locks.configure(before)
})

const nest = (outer, inner, options = {}) => locks.withLock(outer, () => locks.withLock(inner, options, () => 'fine'))
/** Two classes that no other test uses. */
const classes = () => [freshName('class-a'), freshName('class-b')]

describe("lockOrder: 'error'", () => {
  beforeEach(() => locks.configure({ lockOrder: 'error' }))

  test('refuses the request that inverts, with both chains; by class, not by name', async () => {
    const [a, b] = classes()
    assert.equal(await nest(`${a}:1`, `${b}:1`), 'fine')
    assert.equal(await nest(`${a}:2`, `${b}:9`), 'fine', 'the same order with other names')
    const error = await failure(nest(`${b}:7`, `${a}:3`, { label: 'the other way' }))
    assert.ok(error instanceof chainlock.ChainlockError)
    assert.equal(error.code, 'ERR_LOCK_ORDER')
    assert.deepEqual([error.first.held, error.first.then], [a, b])
    assert.deepEqual([error.now.held, error.now.then], [b, a])
    assert.deepEqual(error.first.chain, [`${a}:1`, `${b}:1`])
    assert.deepEqual(error.now.chain, [`${b}:7`, `${a}:3`])
    assert.equal(error.now.label, 'the other way')
    assert.equal(error.now.threadId, 0)
    for (const side of [error.first, error.now]) assert.match(side.site, /locks-order\.test\.js/)
    for (const word of [`${a}:1`, `${b}:7`]) assert.ok(error.message.includes(word), error.message)
    assert.equal((await failure(nest(`${b}:7`, `${a}:3`))).code, 'ERR_LOCK_ORDER', 'every time')
    assert.equal(await nest(`${a}:1`, `${b}:1`), 'fine', 'the first order stays the right one')
    for (const name of [`${a}:3`, `${b}:7`]) assert.deepEqual(standing(name), { holders: 0, waiters: 0 })
  })

  test('sees an inversion over a third class', async () => {
    const [a, b] = classes()
    const c = freshName('class-c')
    await nest(a, b)
    await nest(b, c)
    assert.equal((await failure(nest(c, a))).code, 'ERR_LOCK_ORDER')
    assert.equal(await nest(a, c), 'fine')
  })

  test('goes by the class option of several locks, too', async () => {
    const [a, b] = classes()
    await locks.withAll([freshName(), freshName()], { class: a }, () => locks.withLock(freshName(), { class: b }, () => {}))
    const error = await failure(locks.withLock(freshName(), { class: b }, () => locks.acquireAll([freshName(), freshName()], { class: a })))
    assert.equal(error.code, 'ERR_LOCK_ORDER')
    assert.deepEqual([error.now.held, error.now.then], [b, a])
  })

  test('goes by the class option where there is one', async () => {
    const [a, b] = classes()
    const as = (name, group, fn) => locks.withLock(name, { class: group }, fn)
    await as('x:1', a, () => as('x:2', b, () => {}))
    assert.equal((await failure(as('x:3', b, () => as('x:4', a, () => {})))).code, 'ERR_LOCK_ORDER')
  })

  test('sees handles, acquireAll, readers and semaphores, and other threads', async () => {
    const [a, b] = classes()
    await runWorker(async ({ chainlock, data: [a, b] }) => {
      await chainlock.locks.withRead(a, () => chainlock.locks.lock(b).run(() => {}))
    }, [a, b])
    assert.equal((await failure(locks.withLock(b, () => locks.acquireAll([a])))).code, 'ERR_LOCK_ORDER')
    assert.equal((await failure(locks.withRead(b, () => locks.lock(a).run(() => {})))).code, 'ERR_LOCK_ORDER')
    const [c, d] = classes()
    await locks.withLock(c, () => locks.semaphore(d, 2).run(() => {}))
    assert.equal((await failure(locks.semaphore(d).run(() => locks.withLock(c, () => {})))).code, 'ERR_LOCK_ORDER')
  })

  test('says nothing of one class in itself, of siblings, or of what is not nested', async () => {
    const [a, b] = classes()
    await nest(`${a}:1`, `${a}:2`)
    await nest(`${a}:2`, `${a}:1`)
    await Promise.all([locks.withLock(a, turn), locks.withLock(b, turn)])
    await locks.withLock(a, () => {})
    await locks.withLock(b, () => {})
    const [first, second] = [await locks.acquire(b), await locks.acquire(a)]
    first.release()
    second.release()
    assert.equal(await nest(a, b), 'fine')
  })
})

describe("lockOrder: 'warn'", () => {
  test('warns once for a pair, with both chains, and lets the request go on', async () => {
    locks.configure({ lockOrder: 'warn' })
    const [a, b] = classes()
    await nest(`${a}:1`, `${b}:1`)
    for (let round = 0; round < 3; round++) assert.equal(await nest(`${b}:2`, `${a}:2`), 'fine')
    const mine = () => warnings.filter((warning) => warning.code === 'ERR_LOCK_ORDER' && warning.message.includes(a))
    await until(() => mine().length > 0, 'the warning')
    await turn()
    assert.equal(mine().length, 1)
    for (const word of [`${a}:1`, `${b}:1`, `${b}:2`, `${a}:2`]) assert.ok(mine()[0].message.includes(word), mine()[0].message)
  })
})

describe("lockOrder: 'off'", () => {
  test('is the default, and remembers nothing', async () => {
    assert.equal(before.lockOrder, 'off')
    locks.configure({ lockOrder: 'off' })
    const [a, b] = classes()
    const told = warnings.length
    await nest(a, b)
    await nest(b, a)
    locks.configure({ lockOrder: 'error' })
    assert.equal(await nest(b, a), 'fine')
    locks.configure({ lockOrder: 'off' })
    await turn()
    assert.equal(warnings.length, told)
  })
})
