// `Mutex` and `Semaphore` beside async-mutex: random programs run on both, and what their users see must be the
// same, in the same order. Where async-mutex has a known fault, its side of the program is set right:
//
// - A waiter whose time is up stays in its line, later takes the lock and drops it. Here it leaves at once.
// - `cancel()` may leave the line empty, and those in `waitForUnlock` learn of that at the next release only.
// - A mutex that is given back twice, by `release()` and by the releaser, lets two in, or takes the lock away from
//   the next one. The programs do not do that; `locks-classes.test.js` says what happens then.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const reference = require('async-mutex')
const { chainlock, deep } = require('./helpers/package')
const { random } = require('./helpers/figures')
const { turn } = require('./helpers/waiting')

const PROGRAMS = deep(20_000, 600)
const STEPS = 30
const TIME_UP = new Error('time is up')
const CANCELED = new Error('cancelled')
const THROWN = new Error('thrown by the program')

/** What differs between the two packages. */
const ours = {
  Mutex: chainlock.Mutex,
  Semaphore: chainlock.Semaphore,
  async acquireInTime(sync, args) {
    return chainlock.withTimeout(sync, 1, TIME_UP).acquire(...args)
  },
  cancel: (sync) => sync.cancel(),
}
const theirs = {
  Mutex: reference.Mutex,
  Semaphore: reference.Semaphore,
  async acquireInTime(sync, args) {
    const { _queue: queue } = inner(sync)
    const before = new Set(queue)
    const answer = sync.acquire(...args)
    const waiting = inner(sync)._queue.find((entry) => !before.has(entry))
    if (!waiting) return answer
    answer.catch(() => {})
    inner(sync)._queue = inner(sync)._queue.filter((entry) => entry !== waiting)
    inner(sync)._dispatchQueue()
    throw TIME_UP
  },
  cancel(sync) {
    sync.cancel()
    inner(sync)._dispatchQueue()
  },
}
const inner = (sync) => sync._semaphore ?? sync

/** A random program: plain data, so that both packages get the same one. */
function makeProgram(seed) {
  const next = random(seed)
  const pick = (many) => Math.floor(next() * many)
  const isMutex = next() < 0.4
  const usesPriorities = next() < 0.5
  const steps = Array.from({ length: STEPS }, () => {
    const weight = isMutex ? 1 : 1 + pick(3)
    const priority = usesPriorities ? pick(3) - 1 : 0
    const what = kinds(isMutex)[pick(kinds(isMutex).length)]
    return { what, weight, priority, which: pick(1_000), value: pick(7) - 2, body: ['at once', 'later', 'throws'][pick(3)] }
  })
  return { isMutex, value: pick(6) - 1, steps }
}

const COMMON = ['acquire', 'acquire', 'acquire', 'run', 'run', 'releaser', 'releaser', 'releaser', 'finish', 'onlook', 'in time', 'cancel']
const OF_MUTEX = [...COMMON, 'release']
const OF_SEMAPHORE = [...COMMON, 'release', 'release', 'releaser again', 'set value']
const kinds = (isMutex) => (isMutex ? OF_MUTEX : OF_SEMAPHORE)

/** Runs it; answers, for each step, what was seen. */
async function run({ isMutex, value, steps }, packaged) {
  const sync = isMutex ? new packaged.Mutex(CANCELED) : new packaged.Semaphore(value, CANCELED)
  const releasers = []
  const used = []
  const open = []
  const seen = []
  let events = []
  const say = (kind, id, ...more) => events.push({ kind, id, more })
  const failed = (id) => (error) => say('rejected', id, error.message)
  const args = ({ weight, priority }) => (isMutex ? [priority] : [weight, priority])
  const granted = (id) => (answer) => {
    const [before, releaser] = isMutex ? [null, answer] : answer
    releasers.push(releaser)
    say('granted', id, before)
  }
  const actions = {
    acquire: (step, id) => sync.acquire(...args(step)).then(granted(id), failed(id)),
    'in time': (step, id) => packaged.acquireInTime(sync, args(step)).then(granted(id), failed(id)),
    run(step, id) {
      const body = (before) => {
        say('begun', id, before ?? null)
        if (step.body === 'throws') throw THROWN
        return step.body === 'later' ? new Promise((resolve) => open.push(resolve)) : id
      }
      sync.runExclusive(body, ...args(step)).then((result) => say('ended', id, result ?? null), failed(id))
    },
    onlook: (step, id) => void sync.waitForUnlock(...args(step)).then(() => say('unlocked', id), failed(id)),
    releaser({ which }) {
      if (releasers.length === 0) return
      const [releaser] = releasers.splice(which % releasers.length, 1)
      used.push(releaser)
      releaser()
    },
    'releaser again': ({ which }) => used[which % used.length]?.(),
    finish({ which }) {
      if (open.length > 0) open.splice(which % open.length, 1)[0]()
    },
    release({ weight }) {
      if (!isMutex) return sync.release(weight)
      // Whoever holds has given it back, then: its releaser is not called any more.
      if (open.length > 0) return undefined
      releasers.length = 0
      return sync.release()
    },
    cancel: () => packaged.cancel(sync),
    'set value': ({ value: free }) => sync.setValue(free),
  }
  for (const [id, step] of steps.entries()) {
    events = []
    const settles = actions[step.what](step, id)
    if (step.what === 'in time') await settles
    await turn()
    seen.push(view(events, sync, isMutex))
  }
  return seen
}

/**
 * A mutex lets one in at a time: the order in which that happens is one. Units of a semaphore are granted in one
 * order, too, but how many microtasks lie between a grant and what its holder does is nobody's promise, nor when
 * those hear who only look on, are sent away or are done: there the order is that of each kind of event, or none.
 */
function view(events, sync, isMutex) {
  const of = (...kinds) => events.filter(({ kind }) => kinds.includes(kind))
  const byId = (one, other) => one.id - other.id
  return {
    entered: isMutex ? of('granted', 'begun') : [of('granted'), of('begun')],
    ended: of('ended'),
    rejected: of('rejected').sort(byId),
    unlocked: of('unlocked').sort(byId),
    isLocked: sync.isLocked(),
    value: isMutex ? null : sync.getValue(),
  }
}

describe('beside async-mutex', () => {
  test(`${PROGRAMS.toLocaleString('en-US')} random programs look the same`, async () => {
    const done = {}
    for (let seed = 1; seed <= PROGRAMS; seed++) {
      const program = makeProgram(seed)
      const [actual, expected] = [await run(program, ours), await run(program, theirs)]
      for (const [index, step] of program.steps.entries()) {
        const soFar = JSON.stringify({ ...program, steps: program.steps.slice(0, index + 1) })
        assert.deepEqual(actual[index], expected[index], `seed ${seed}, step ${index}: ${soFar}`)
        done[step.what] = (done[step.what] ?? 0) + 1
      }
    }
    for (const what of OF_SEMAPHORE) assert.ok(done[what] > 0, `no program did '${what}'`)
  })

  test('who is cancelled hears of it in the order of the line', async () => {
    for (const packaged of [ours, theirs]) {
      const semaphore = new packaged.Semaphore(1, CANCELED)
      const log = []
      for (const [weight, priority] of [[3, 0], [1, 0], [1, -1], [2, 0], [5, 2]]) {
        semaphore.acquire(weight, priority).catch(() => log.push([weight, priority]))
      }
      semaphore.cancel()
      await turn()
      assert.deepEqual(log, [[5, 2], [3, 0], [1, 0], [2, 0], [1, -1]])
      assert.equal(semaphore.getValue(), 1, 'nobody was granted on the way')
    }
  })

  test('the same names, and as many parameters or more', () => {
    for (const [name, value] of Object.entries(reference)) {
      assert.equal(typeof chainlock[name], typeof value, name)
      if (name.startsWith('E_')) assert.ok(chainlock[name] instanceof Error)
    }
    const pairs = [
      [new ours.Mutex(), new theirs.Mutex()],
      [new ours.Semaphore(2), new theirs.Semaphore(2)],
      [chainlock.withTimeout(new ours.Semaphore(2), 5), reference.withTimeout(new theirs.Semaphore(2), 5)],
    ]
    for (const [mine, other] of pairs) {
      const methods = new Set([...Object.keys(other), ...Object.getOwnPropertyNames(Object.getPrototypeOf(other))])
      for (const method of methods) {
        if (method.startsWith('_') || typeof other[method] !== 'function' || method in Object.prototype) continue
        assert.equal(typeof mine[method], 'function', method)
      }
    }
  })
})
