// What the table shows is what the book of the named locks says, after whatever sequence of operations.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { locks, snapshot } = require('./helpers/package').chainlock

const NAMES = ['truth:0', 'truth:1', 'truth:2', 'truth:3', 'truth:4']
const inTurn = (one) => [...one].sort()

/** Holders and waiters as everybody sees them. */
function shown() {
  const all = snapshot({ pid: process.pid, all: true }).locks.filter(({ name }) => NAMES.includes(name))
  const of = (list) => all.flatMap((lock) => lock[list].map(({ mode, token }) => `${lock.name} ${mode} ${token ?? ''}`))
  return { held: inTurn(of('holders')), pending: inTurn(of('waiters')) }
}

/** The same as the process itself knows them. */
async function known() {
  const { held, pending } = await locks.query({ detail: true })
  const of = (list) =>
    list.filter(({ name }) => NAMES.includes(name)).map(({ name, mode, token }) => `${name} ${mode} ${token ?? ''}`)
  return { held: inTurn(of(held)), pending: inTurn(of(pending)) }
}

test('a hold that was taken away is shown no more, alone or one of several locks', async () => {
  const guards = [locks.tryAcquire('truth:0'), await locks.acquireAll(['truth:1', 'truth:2', 'truth:3'])]
  assert.equal(shown().held.length, 4)
  locks.forceRelease('truth:0')
  locks.forceRelease('truth:2')
  assert.deepEqual(shown(), { held: [], pending: [] })
  for (const guard of guards) guard.release()
})

test('a stolen hold of several locks is shown no more', async () => {
  const guard = await locks.acquireAll(['truth:1', 'truth:2'])
  await locks.request('truth:1', { steal: true }, () => {
    assert.deepEqual(shown().held.map((line) => line.split(' ')[0]), ['truth:1'])
  })
  guard.release()
  assert.deepEqual(shown(), { held: [], pending: [] })
})

test('after every step of random work, the table and the locks agree', async () => {
  let seed = 0x2545f491
  const random = (below) => {
    seed ^= seed << 13
    seed ^= seed >>> 17
    seed ^= seed << 5
    return (seed >>> 0) % below
  }
  const name = () => NAMES[random(NAMES.length)]
  const mode = () => (random(2) === 0 ? 'shared' : 'exclusive')
  let held = []
  let waiting = 0
  // No wait ends by its time, which might be between two looks.
  const wait = (asked) => {
    waiting++
    asked.then((guard) => held.push(guard), () => {}).finally(() => waiting--)
  }
  const releaseOne = () => held.splice(random(held.length), 1)[0]?.release()
  const steps = [
    () => waiting < 20 && wait(locks.acquire(name(), { mode: mode(), priority: random(3), label: 'a label', timeoutMs: Infinity })),
    () => waiting < 20 && wait(locks.acquireAll([name(), name(), name()], { mode: mode(), timeoutMs: Infinity })),
    () => held.push(...[locks.tryAcquire(name(), { mode: mode() })].filter(Boolean)),
    () => held[random(held.length)]?.downgrade(),
    () => held[random(held.length)]?.tryUpgrade(),
    () => random(4) === 0 && locks.forceRelease(name()),
    releaseOne,
    releaseOne,
    releaseOne,
  ]
  for (let step = 0; step < 3_000; step++) {
    steps[random(steps.length)]()
    if (random(4) === 0) await new Promise(setImmediate)
    if (random(4) === 0) assert.deepEqual(shown(), await known(), `step ${step}`)
  }
  while (waiting > 0 || held.length > 0) {
    for (const guard of held) guard.release()
    held = []
    await new Promise(setImmediate)
  }
  assert.deepEqual(shown(), { held: [], pending: [] })
})
