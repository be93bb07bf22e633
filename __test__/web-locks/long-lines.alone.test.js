// Long lines and many names: (h) and (i) of Node's defects, and Deno's faults of that kind. Times are compared
// only with other times of the same run.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { deep } = require('../helpers/package')
const { residentMb } = require('../helpers/figures')
const { runNode } = require('../helpers/processes')
const { locks, freshName, hold, standing } = require('./stage')

const LIMIT = { timeout: deep(600_000, 240_000) }
const ROUNDS = 5

/** The processor time, in milliseconds, that this process has used: what others do does not count. */
function usedMs() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** The least that `play` takes: what disturbs only ever adds. */
async function leastMs(rounds, play) {
  let least = Infinity
  for (let round = 0; round < rounds; round++) {
    const before = usedMs()
    await play()
    least = Math.min(least, usedMs() - before)
  }
  return least
}

/** Queues so many requests behind a held lock, lets go, and waits until all have had it. */
async function burst(count, options = {}) {
  const name = freshName('burst')
  const held = await hold(name)
  let ran = 0
  const asked = Array.from({ length: count }, () => locks.request(name, options, () => void ran++))
  held.release()
  await Promise.all(asked)
  assert.equal(ran, count)
}

/**
 * That a unit of work does not cost more where there are twenty times as many of them. Work that grew with their
 * number would cost twenty times as much; the memory that so many take may cost something.
 */
async function assertFlat(few, play) {
  const many = 20 * few
  const cost = { few: Infinity, many: Infinity }
  for (let round = 0; round < ROUNDS; round++) {
    cost.few = Math.min(cost.few, (await leastMs(10, () => play(few))) / few)
    cost.many = Math.min(cost.many, (await leastMs(1, () => play(many))) / many)
  }
  const micros = (ms) => `${(ms * 1_000).toFixed(2)} µs`
  const found = `among ${few}: ${micros(cost.few)} each, among ${many}: ${micros(cost.many)} each`
  assert.ok(cost.many <= 8 * cost.few, found)
}

for (const mode of ['exclusive', 'shared']) {
  test(`(h) 10,000 queued ${mode} requests with synchronous callbacks all run, in order`, LIMIT, async () => {
    const { stdout, stderr, code } = await runNode(
      async ({ chainlock: { locks }, data: { mode } }) => {
        const log = []
        let release
        const held = locks.request('line', () => new Promise((resolve) => (release = resolve)))
        const ask = (_, index) => locks.request('line', { mode }, () => void log.push(index))
        const asked = Array.from({ length: 10_000 }, ask)
        await new Promise(setImmediate)
        release()
        await Promise.all([held, ...asked])
        console.log(log.length, log.every((value, index) => value === index))
      },
      { mode },
    )
    assert.deepEqual({ stdout, code }, { stdout: '10000 true\n', code: 0 }, stderr)
  })

  test(`(i) a queued ${mode} request costs the same, however many there are`, LIMIT, () =>
    assertFlat(500, (count) => burst(count, { mode })))
}

test('(i) a grant costs the same whether or not 5,000 requests wait for other names', LIMIT, async () => {
  const some = () => burst(1_000)
  const quiet = await leastMs(4 * ROUNDS, some)
  const others = Array.from({ length: 50 }, () => freshName('other'))
  const holds = await Promise.all(others.map((name) => hold(name)))
  const waiting = others.flatMap((name) => Array.from({ length: 100 }, () => locks.request(name, () => {})))
  const busy = await leastMs(4 * ROUNDS, some)
  await Promise.all(holds.map((held) => held.release()))
  await Promise.all(waiting)
  assert.ok(busy <= 3 * quiet, `${quiet} ms without them, ${busy} ms with them`)
})

test('an abort, the last request first, costs the same, however many wait', LIMIT, () =>
  assertFlat(250, async (count) => {
    const name = freshName('abort')
    const held = await hold(name)
    const controllers = Array.from({ length: count }, () => new AbortController())
    const asked = controllers.map(({ signal }) => locks.request(name, { signal }, () => {}).catch(() => 'aborted'))
    for (const controller of controllers.reverse()) controller.abort()
    assert.ok((await Promise.all(asked)).every((answer) => answer === 'aborted'))
    assert.deepEqual((await standing(name)).pending, [])
    await held.release()
  }))

test('a held name costs the same, however many there are', LIMIT, () =>
  assertFlat(500, async (count) => {
    const prefix = freshName('held')
    const holds = await Promise.all(Array.from({ length: count }, (_, index) => hold(`${prefix}:${index}`)))
    await Promise.all(holds.map((held) => held.release()))
  }))

test('names that were used leave nothing in memory', LIMIT, async () => {
  const prefix = freshName('used')
  let used = 0
  const use = async (count) => {
    for (const last = used + count; used < last; ) {
      await Promise.all(Array.from({ length: 1_000 }, () => locks.request(`${prefix}:${used++}`, () => {})))
    }
  }
  await use(100_000)
  const before = residentMb()
  await use(deep(1_000_000, 200_000))
  const grownMb = residentMb() - before
  // One queue left behind for each name would be 20 MB at least.
  assert.ok(grownMb < 10, `${grownMb} MB more after ${used} names`)
})
