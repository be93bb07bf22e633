// Traces out of events: every span where it was, on tracks that a viewer can draw, with hand-offs, counts of waiters
// and moments; and small and fast enough for many events.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { pictureOf } = require('../lib/trace/spans')
const { traceOf } = require('../lib/trace/chrome')
const { eventsOfSnapshot } = require('../lib/trace/from-snapshot')
const { random } = require('./helpers/figures')
const { readTrace } = require('./helpers/trace')
const { NOW, event: snapshotEvent, healthySnapshot, holder, lock, sendLock, snapshotOf, waiter } = require('./helpers/snapshots')

const PID = 4242

/** An event so many milliseconds after the beginning, as a journal has it. */
function at(ms, kind, over = {}) {
  const none = { pid: PID, threadId: 0, lock: 'index', lockKind: 'lock', layer: null, label: null, mode: 'exclusive', token: null, spanMs: null, other: null }
  return { id: ms, at: new Date(NOW + ms).toISOString(), atMs: NOW + ms, kind, ...none, ...over }
}

const textOf = (picture, commands) => [...traceOf(picture, commands)].join('')

/** The trace of events, which must be one that can be shown. */
function traced(events, endMs, commands) {
  const trace = readTrace(textOf(pictureOf(events, endMs), commands))
  assert.deepEqual(trace.faults, [])
  return trace
}

/** A span in milliseconds. */
const short = ({ name, track, ts, end, args }) => [name, track, ts / 1_000, end / 1_000, args]
const shorts = ({ spans }) => spans.map(short).sort((a, b) => a[2] - b[2] || (a[0] < b[0] ? -1 : 1))

test('a hold, a wait for it and the hand-off between them', () => {
  const trace = traced([
    at(0, 'acquired', { token: 1 }),
    at(2, 'waiting', { threadId: 1, other: 'main' }),
    at(10, 'released', { token: 1, spanMs: 10 }),
    at(10.2, 'acquired', { threadId: 1, token: 2, spanMs: 8.2 }),
    at(15, 'released', { threadId: 1, token: 2, spanMs: 4.8 }),
  ])
  assert.deepEqual(shorts(trace), [
    ['hold index', 'main', 0, 10, { lock: 'index', token: 1 }],
    ['wait index', 'w1', 2, 10.2, { lock: 'index', blocked_by: 'main' }],
    ['hold index', 'w1', 10.2, 15, { lock: 'index', token: 2 }],
  ])
  const arrows = trace.events.filter(({ ph }) => ph === 's' || ph === 'f').map(({ ph, ts }) => [ph, ts / 1_000])
  assert.deepEqual(arrows.sort(), [['f', 10.2], ['s', 10]])
  const counts = trace.events.filter(({ ph }) => ph === 'C').map(({ name, ts, args }) => [name, ts / 1_000, args.waiters])
  assert.deepEqual(counts, [['waiting for index', 2, 1], ['waiting for index', 10.2, 0]])
})

test('a layer has a track of its own, and a cooldown shows between its hold and the next', () => {
  const send = (ms, kind, over) => at(ms, kind, { lock: 'send', lockKind: 'send', ...over })
  const trace = traced([
    send(0, 'acquired', { layer: 'agent', token: 7 }),
    send(100, 'released', { layer: 'agent', token: 7, spanMs: 100 }),
    send(150, 'waiting', { layer: 'controller' }),
    send(2_000, 'acquired', { layer: 'controller', token: 8, spanMs: 1_850 }),
    send(2_100, 'released', { layer: 'controller', token: 8, spanMs: 100 }),
    send(2_500, 'blocked', { layer: 'agent', other: 'cooldown' }),
  ])
  assert.deepEqual(shorts(trace), [
    ['hold send', 'agent', 0, 100, { lock: 'send', token: 7 }],
    ['cooldown send', 'agent', 100, 2_000, { lock: 'send' }],
    ['wait send', 'controller', 150, 2_000, { lock: 'send' }],
    ['hold send', 'controller', 2_000, 2_100, { lock: 'send', token: 8 }],
    ['cooldown send', 'controller', 2_100, 2_500, { lock: 'send' }],
  ])
})

test('what lasts still ends with the trace and says so; what began before begins with it', () => {
  const trace = traced([
    at(0, 'released', { token: 3, spanMs: 5_000, lock: 'old' }),
    at(10, 'timed_out', { spanMs: 4_000, lock: 'old', threadId: 2 }),
    at(20, 'acquired', { token: 4 }),
    at(30, 'waiting', { threadId: 1, other: 'main' }),
  ], NOW + 100)
  assert.deepEqual(shorts(trace), [
    ['hold old', 'main', 0, 0, { lock: 'old', token: 3 }],
    ['wait old', 'w2', 0, 10, { lock: 'old' }],
    ['hold index', 'main', 20, 100, { lock: 'index', token: 4, open: true }],
    ['wait index', 'w1', 30, 100, { lock: 'index', blocked_by: 'main', open: true }],
  ])
})

test('moments: taken away, taken back, deadlock, lost', () => {
  const trace = traced([
    at(0, 'acquired', { token: 1 }),
    at(5, 'forced', { token: 1, spanMs: 5, other: 'operator' }),
    at(6, 'acquired', { token: 2 }),
    at(7, 'recovered', { token: 2, spanMs: 1 }),
    at(8, 'waiting', { threadId: 3 }),
    at(9, 'deadlock', { threadId: 3, spanMs: 1 }),
    at(10, 'lost', { token: 9, lock: 'deploy', lockKind: 'host' }),
  ])
  const moments = trace.events.filter(({ ph }) => ph === 'i')
  assert.deepEqual(moments.map(({ s, name, ts, args }) => [s, name, ts / 1_000, args]), [
    ['p', 'forced index', 5, { lock: 'index', token: 1, reason: 'operator' }],
    ['p', 'recovered index', 7, { lock: 'index', token: 2 }],
    ['p', 'deadlock index', 9, { lock: 'index' }],
    ['p', 'lost deploy', 10, { lock: 'deploy', token: 9 }],
  ])
})

test('holds that overlap, as those of asynchronous code do, get lanes of their own', () => {
  const of = (ms, kind, name, token) => at(ms, kind, { lock: name, token })
  const trace = traced([
    of(0, 'acquired', 'a', 1), of(1, 'acquired', 'b', 2), of(5, 'released', 'a', 1), of(9, 'released', 'b', 2),
    of(10, 'acquired', 'a', 3), of(11, 'acquired', 'b', 4), of(12, 'released', 'b', 4), of(13, 'released', 'a', 3),
  ])
  assert.deepEqual(shorts(trace).map(([name, track]) => `${name}: ${track}`), [
    'hold a: main', 'hold b: main (2)', 'hold a: main', 'hold b: main',
  ])
})

test('two processes, shared holds and a host lock that goes from one to the other', () => {
  const host = (ms, kind, pid, token, over) => at(ms, kind, { pid, token, lock: '/run/deploy.lock', lockKind: 'host', ...over })
  const trace = traced([
    host(0, 'acquired', 1, 1),
    host(1, 'waiting', 2, null),
    host(5, 'released', 1, 1, { spanMs: 5 }),
    host(5, 'acquired', 2, 2, { spanMs: 4 }),
    host(6, 'released', 2, 2, { spanMs: 1 }),
    at(7, 'acquired', { mode: 'shared', token: 11 }), at(7, 'acquired', { mode: 'shared', token: 12 }),
    at(8, 'released', { mode: 'shared', token: 11, spanMs: 1 }), at(9, 'released', { mode: 'shared', token: 12, spanMs: 2 }),
  ], undefined, new Map([[1, 'first.mjs'], [2, 'second\u001b[2J']]))
  const arrows = trace.events.filter(({ ph }) => ph === 's' || ph === 'f').map(({ ph, pid }) => [ph, pid])
  assert.deepEqual(arrows.sort(), [['f', 2], ['s', 1]])
  const names = trace.events.filter(({ name }) => name === 'process_name').map(({ args }) => args.name)
  assert.deepEqual(names, ['first.mjs 1', 'second\ufffd[2J 2', 'process 4242'])
})

/** A day of locks: a third of the requests waits, holds overlap, some are taken away, the end is cut off. */
function randomEvents(count, seed) {
  const next = random(seed)
  const below = (limit) => Math.floor(next() * limit)
  const events = []
  let ms = 0
  const busy = Array.from({ length: 20 }, (_, index) => ({ name: `lock-${index}`, holder: null, waiting: [] }))
  let token = 0
  const grant = (one, who, spanMs) => {
    one.holder = { ...who, token: ++token, since: ms }
    events.push(at(ms, 'acquired', { lock: one.name, token, threadId: who.threadId, label: who.label, spanMs }))
  }
  while (events.length < count) {
    ms += next() * 2
    const one = busy[below(busy.length)]
    if (!one.holder) grant(one, { threadId: below(4), label: null }, 0)
    else if (next() < 0.3 && one.waiting.length < 5) {
      const who = { threadId: below(4), label: `r${below(3)}`, since: ms }
      one.waiting.push(who)
      events.push(at(ms, 'waiting', { lock: one.name, threadId: who.threadId, label: who.label, other: `w${one.holder.threadId}` }))
    } else {
      const { threadId, label, since } = one.holder
      const kind = next() < 0.02 ? 'forced' : 'released'
      events.push(at(ms, kind, { lock: one.name, token: one.holder.token, threadId, label, spanMs: ms - since }))
      one.holder = null
      const first = one.waiting.shift()
      if (first) {
        ms += next() * 0.05
        grant(one, first, ms - first.since)
      }
    }
  }
  return events
}

test('whatever happens, the trace can be shown, and no span is lost', () => {
  for (let seed = 0; seed < 60; seed++) {
    const events = randomEvents(20 + seed * 10, seed)
    const from = seed % 3 === 0 ? events.slice(10 + seed) : events
    const { spans } = traced(from)
    const granted = from.filter(({ kind }) => kind === 'acquired').length
    assert.ok(spans.filter(({ name }) => name.startsWith('hold ')).length >= granted, `seed ${seed}`)
  }
})

test('a hundred thousand events: within 2 s on a quiet machine, within 10 MB', (t) => {
  const events = randomEvents(100_000, 7)
  const before = process.cpuUsage()
  const text = textOf(pictureOf(events))
  const { user, system } = process.cpuUsage(before)
  const tookMs = (user + system) / 1_000
  assert.deepEqual(readTrace(text).faults, [])
  t.diagnostic(`100,000 events: ${tookMs.toFixed(0)} ms of processor time, ${(text.length / 1e6).toFixed(1)} MB`)
  assert.ok(text.length <= 10e6, `${text.length} bytes`)
  assert.ok(tookMs < 20_000)
})

test('ten thousand who wait at once', () => {
  const events = [at(0, 'acquired', { token: 1 })]
  for (let index = 0; index < 10_000; index++) events.push(at(1 + index / 100, 'waiting', { label: `${index}` }))
  const { spans } = traced(events, NOW + 1_000)
  assert.equal(spans.length, 10_001)
})

test('without a journal, what a snapshot remembers is drawn', () => {
  const held = holder({ heldMs: 400, token: 9, threadId: 2 })
  const seen = snapshotOf({
    locks: [
      lock({
        name: 'index',
        holders: [held],
        waiters: [waiter({ waitedMs: 300, threadId: 1 }), waiter({ waitedMs: 100, threadId: 3, label: 'rebuild' })],
        events: [
          snapshotEvent('waiting', 900),
          snapshotEvent('acquired', 800, { token: 8, spanMs: 100 }),
          snapshotEvent('waiting', 300, { threadId: 1 }),
        ],
      }),
      sendLock({ state: 'cooldown', send: { cooldownLeftMs: 50 }, events: [
        snapshotEvent('acquired', 600, { layer: 'agent', token: 3 }),
        snapshotEvent('released', 500, { layer: 'agent', token: 3, spanMs: 100 }),
      ] }),
    ],
  })
  const trace = traced(eventsOfSnapshot(seen, NOW - 60_000), seen.takenAtMs)
  assert.deepEqual(shorts(trace).map(([name, track, from, to, args]) => [name, track, from, to, args.open === true]), [
    ['wait index', 'main', 0, 100, false],
    ['hold index', 'main', 100, 100, false],
    ['hold send', 'agent', 300, 400, false],
    ['cooldown send', 'agent', 400, 900, false],
    ['hold index', 'w2', 500, 900, true],
    ['wait index', 'w1', 600, 900, true],
    ['wait index', 'w3', 800, 900, true],
  ])
  for (let seed = 0; seed < 200; seed++) traced(eventsOfSnapshot(healthySnapshot(seed), 0))
})
