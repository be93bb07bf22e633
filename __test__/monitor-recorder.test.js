// What the monitor remembers and works out: stretches of time per layer, the timeline's cells, the growth of a minute,
// the wait-for tree, health, and the lines that are written where there is no terminal.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const scenes = require('./helpers/monitor-scenes')
const { Recorder } = require('../lib/monitor/recorder')
const { cellsOf } = require('../lib/monitor/timeline')
const { waitTrees } = require('../lib/monitor/tree')
const { healthOf } = require('../lib/monitor/health')
const { Changes } = require('../lib/monitor/lines')

const { AT, event, holder, lock, sendBlock, snapshot, waiter } = scenes

function recorded(...snapshots) {
  const recorder = new Recorder()
  for (const one of snapshots) recorder.take(one)
  return recorder
}
const spansOf = (recorder, name) => {
  const track = [...recorder.tracks.values()].find((one) => one.name === name)
  return (track?.spans ?? []).map(({ kind, fromMs, toMs }) => [kind, fromMs - AT, toMs - AT])
}
const of = (locks, atMs = AT) => snapshot({ locks, takenAtMs: atMs })
const drawn = (recorder, name, fromMs, count) => {
  const track = [...recorder.tracks.values()].find((one) => one.name === name)
  return cellsOf(track, AT + fromMs, AT, count).map((kind) => kind[0]).join('')
}

describe('recorder', () => {
  test('a hold that is seen again and again is one stretch of time, and ends when its event says', () => {
    const held = (at) => of([lock('a', { holders: [holder({ layer: 'x', heldMs: 10_000 + at - AT })] })], at)
    const recorder = recorded(held(AT), held(AT + 1_000), held(AT + 2_000))
    assert.deepEqual(spansOf(recorder, 'x'), [['hold', -10_000, 2_000]])
    recorder.take(of([lock('a', { events: [event(AT + 2_400, 'released', { layer: 'x', threadId: 0, spanMs: 12_400 })] })], AT + 3_000))
    assert.deepEqual(spansOf(recorder, 'x'), [['hold', -10_000, 2_400]])
  })

  test('what came and went between two looks is known from its events, and counted once', () => {
    const events = [
      event(AT - 900, 'acquired', { layer: 'x', threadId: 0, spanMs: 300 }),
      event(AT - 500, 'released', { layer: 'x', threadId: 0, spanMs: 400 }),
      event(AT - 100, 'timed_out', { layer: 'y', threadId: 0, spanMs: 250 }),
    ]
    const recorder = recorded(of([lock('a', { events })]), of([lock('a', { events })], AT + 1_000))
    assert.deepEqual(spansOf(recorder, 'x'), [['wait', -1_200, -900], ['hold', -900, -500]])
    assert.deepEqual(spansOf(recorder, 'y'), [['wait', -350, -100]])
    assert.equal(recorder.recent.length, 3)
  })

  test('hold, then another hold of the same layer right between two looks: both', () => {
    const first = of([lock('a', { holders: [holder({ layer: 'x', token: 1, heldMs: 1_000 })] })])
    const second = of([
      lock('a', {
        holders: [holder({ layer: 'x', token: 2, heldMs: 100 })],
        events: [event(AT + 400, 'released', { layer: 'x', threadId: 0, token: 1, spanMs: 1_400 })],
      }),
    ], AT + 1_000)
    assert.deepEqual(spansOf(recorded(first, second), 'x'), [['hold', -1_000, 400], ['hold', 900, 1_000]])
  })

  test('a cooldown belongs to the layer that held last, from its release on', () => {
    const cooling = lock('send', {
      kind: 'send', state: 'cooldown', send: sendBlock({ cooldownMs: 5_000, cooldownLeftMs: 2_000 }),
      events: [event(AT - 3_000, 'released', { layer: 'x', threadId: 0, spanMs: 2_000 })],
    })
    const recorder = recorded(of([cooling]))
    assert.deepEqual(spansOf(recorder, 'x'), [['hold', -5_000, -3_000], ['cooldown', -3_000, 0]])
    assert.equal(drawn(recorder, 'x', -6_000, 6), 'ihhccc')
  })

  test('journal rows fill in what no snapshot shows, and nothing is told twice', () => {
    const row = (atMs) => ({ ...event(atMs, 'released', { layer: 'x', threadId: 0, spanMs: 100 }), id: 1, pid: 4242, lock: 'a', lockKind: 'lock', mode: null })
    const recorder = new Recorder()
    recorder.takeJournal([row(AT - 40_000), row(AT - 20_000)])
    recorder.take(of([lock('a', { events: [event(AT - 20_000, 'released', { layer: 'x', threadId: 0, spanMs: 100 })] })]))
    recorder.takeJournal([row(AT - 20_000)])
    assert.equal(recorder.recent.length, 2)
    assert.equal(spansOf(recorder, 'x').length, 2)
  })

  test('old stretches go, and a crowd of names is kept within bounds', () => {
    const recorder = new Recorder({ keepMs: 60_000 })
    for (let second = 0; second < 180; second += 1) {
      const at = AT + second * 1_000
      const holders = Array.from({ length: 20 }, (_, index) => holder({ layer: `layer-${second * 20 + index}`, heldMs: 10 }))
      recorder.take(of([lock('a', { holders }), lock('b', { holders: [holder({ layer: 'steady', heldMs: 5 })] })], at))
    }
    assert.ok(recorder.tracks.size <= 500, `${recorder.tracks.size} tracks`)
    assert.ok(spansOf(recorder, 'steady').length <= 62)
    assert.ok(recorder.samples.length <= 20)
  })

  test('the growth of the last minute, not of all time', () => {
    const at = (second, contended, timeouts) => of([lock('a', { acquisitions: contended * 2, contended, timeouts, wait: scenes.times(contended, 10, 20, 30) })], AT + second * 1_000)
    const recorder = new Recorder()
    let last
    for (let second = 0; second <= 120; second += 5) recorder.take((last = at(second, 100 + second, second)))
    const growth = recorder.growth(last)
    assert.equal(growth.overMs, 60_000)
    assert.deepEqual([growth.acquisitions, growth.contended, growth.timeouts], [120, 60, 60])
    assert.equal(growth.locks[0].totalMs, 600)
  })
})

describe('timeline', () => {
  test('a cell shows what took most of it; what lasted for no time is seen all the same', () => {
    const recorder = recorded(of([
      lock('a', {
        events: [
          event(AT - 8_700, 'acquired', { layer: 'x', threadId: 0, spanMs: 1_300 }),
          event(AT - 8_600, 'released', { layer: 'x', threadId: 0, spanMs: 100 }),
          event(AT - 4_500, 'released', { layer: 'x', threadId: 0, spanMs: 0 }),
        ],
      }),
    ]))
    assert.equal(drawn(recorder, 'x', -10_000, 10), 'wwiiihiiii')
  })

  test('the present belongs to the last cell, and nothing to the cells before it began', () => {
    const recorder = recorded(of([lock('a', { holders: [holder({ layer: 'x', heldMs: 2_000 })] })]))
    assert.equal(drawn(recorder, 'x', -10_000, 10), 'iiiiiiiihh')
    assert.equal(drawn(recorder, 'x', -1_000, 4), 'hhhh')
  })
})

describe('wait-for tree', () => {
  const shape = (node) => node.again ? `again ${node.lock}` : ({ [`${node.holders[0]?.who}>${node.lock}`]: node.waiters.map((w) => (w.blocks.length > 0 ? [w.who, ...w.blocks.map(shape)] : w.who)) })

  test('the one who waits for nobody stands at the root, over all who wait in the end for it', () => {
    const locks = [
      lock('c', { holders: [holder({ layer: 'mid', token: 3, waitsFor: '4242:lock:b' })], waiters: [waiter(1, { layer: 'leaf' })] }),
      lock('b', { holders: [holder({ layer: 'low', token: 2, waitsFor: '4242:lock:a' })], waiters: [waiter(1, { layer: 'mid', insideOf: [3] }), waiter(2, { layer: 'other' })] }),
      lock('a', { holders: [holder({ layer: 'root' })], waiters: [waiter(1, { layer: 'low', insideOf: [2] })] }),
    ]
    const trees = waitTrees(of(locks))
    assert.deepEqual(trees.map(shape), [{ 'root>a': [['low', { 'low>b': [['mid', { 'mid>c': ['leaf'] }], 'other'] }]] }])
    assert.equal(trees[0].circle, false)
  })

  test('a circle is told, cut where it closes, and first', () => {
    const { locks } = scenes.circle()
    const trees = waitTrees(of([lock('z', { holders: [holder({ layer: 'h' })], waiters: [1, 2, 3, 4, 5].map((at) => waiter(at, { layer: `w${at}` })) }), ...locks]))
    assert.deepEqual(trees.map(({ lock, circle }) => [lock, circle]), [['alpha', true], ['z', false]])
    assert.deepEqual(shape(trees[0]), { 'one>alpha': [['two', { 'two>beta': [['one', 'again alpha']] }], 'late'] })
  })

  test('a thousand that wait are counted, and a chain of a hundred ends', () => {
    const many = lock('a', { holders: [holder({})], waiters: Array.from({ length: 1_000 }, (_, index) => waiter(index + 1, { layer: `w${index}` })) })
    const [tree] = waitTrees(of([many]))
    assert.deepEqual([tree.waiters.length, tree.more], [50, 950])
    const chain = Array.from({ length: 100 }, (_, index) =>
      lock(`c${index}`, {
        holders: [holder({ layer: `l${index}`, token: index, waitsFor: index === 99 ? null : `4242:lock:c${index + 1}` })],
        waiters: index === 0 ? [waiter(1, { layer: 'end' })] : [waiter(1, { layer: `l${index - 1}`, insideOf: [index - 1] })],
      }),
    )
    const [first] = waitTrees(of(chain))
    assert.equal(first.lock, 'c99')
    assert.equal(first.circle, false)
  })
})

describe('health', () => {
  const quiet = { overMs: 60_000, acquisitions: 100, contended: 1, timeouts: 0, forced: 0, locks: [] }

  test('all is well: 100', () => {
    assert.deepEqual(healthOf(snapshot(), quiet), { score: 100, word: 'healthy', issues: [] })
  })

  test('each verdict and each bad end costs, and says so', () => {
    const { verdict } = scenes.stuck()
    const warn = { ...verdict[0], level: 'warn', sentence: 'hot' }
    const health = healthOf(snapshot({ verdict: [...verdict, warn] }), { ...quiet, timeouts: 2, forced: 9, contended: 80 })
    assert.equal(health.score, 100 - 40 - 10 - 10 - 20 - 10)
    assert.equal(health.word, 'critical')
    assert.deepEqual(health.issues.slice(1), ['hot', '2 requests timed out in the last minute', '9 forced releases in the last minute', '80 % of the acquisitions of the last minute had to wait'])
    assert.equal(healthOf(snapshot({ verdict: Array(9).fill(verdict[0]) }), quiet).score, 0)
  })
})

describe('lines', () => {
  test('a line for each change, none for what only grows older', () => {
    const changes = new Changes()
    const texts = (one) => changes.take(one).map(({ change, text }) => `${change}: ${text}`)
    assert.deepEqual(texts(snapshot()), ['verdict: OK nothing waits'])
    const first = texts(scenes.stuck())
    assert.match(first[0], /^verdict: STUCK "send" held 5m12s .* -> chainlock why send --pid 4242$/)
    assert.deepEqual(first.slice(1), [
      'lock: send held by agent  4242/w3, 2 waiting up to 4m51s',
      'lock: index held x3r by 4242/main, 4310/main, flock 977 (foreign), 1 waiting up to 310ms',
      'lock: reports held by nightly  5001/main',
    ])
    assert.deepEqual(texts(scenes.stuck(AT + 5_000)), [])
    const after = texts(snapshot({ locks: [lock('send', { kind: 'send' })] }))
    assert.match(after[0], /^verdict: OK/)
    assert.match(after[1], /^verdict: over: STUCK/)
    assert.equal(after[2], 'lock: send free')
  })
})
