// The verdicts: for each rule a snapshot that fires it and one next to it that must not; and that healthy processes
// get none.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const make = require('./helpers/snapshots')
const { abba, busy, waited, held, agoIso, down, CASES } = require('./helpers/verdict-cases')
const { RULES } = require('../lib/snapshot/verdicts')
const { SEQUENCES, HARMFUL } = require('./helpers/terminal-sequences')

const { holder, waiter, event, lease, store, lock, sendLock, processView, unseen, times, snapshotOf, PID } = make

for (const [rule, { fires, silent }] of Object.entries(CASES)) {
  describe(rule, () => {
    for (const [what, parts] of Object.entries(fires)) {
      test(`fires: ${what}`, () => {
        const { verdict, ok } = snapshotOf(parts)
        const found = verdict.filter((one) => one.rule === rule)
        assert.equal(found.length, 1, JSON.stringify(verdict))
        assert.equal(
          ok,
          verdict.every(({ level }) => level !== 'bad'),
        )
        const [{ level, lock: name, pid, next, since, sentence, evidence }] = found
        assert.ok(['bad', 'warn'].includes(level))
        assert.ok(name !== null || pid !== null, 'it says what it is about')
        assert.ok(/^(chainlock|kill|sudo|nsenter) /.test(next), `a command to type: ${next}`)
        assert.ok(since !== null || rule === 'UNSEEN', 'it says since when')
        for (const line of [sentence, ...evidence]) assert.doesNotMatch(line, /\n|undefined|NaN|null/)
      })
    }
    for (const [what, parts] of Object.entries(silent)) {
      test(`is silent: ${what}`, () => {
        assert.deepEqual(
          snapshotOf(parts).verdict.filter((one) => one.rule === rule),
          [],
        )
      })
    }
  })
}

test('every rule has its cases', () => {
  assert.deepEqual(RULES.map(({ id }) => id).sort(), Object.keys(CASES).sort())
})

test('what is said of leases names the lease, its holder, since when, and what is at stake', () => {
  const leases = [lease({ key: 'a', leftMs: 4_000 }), lease({ key: 'b', leftMs: 9_000 })]
  const [{ sentence, evidence, lockId, since, next }] = snapshotOf({ leases, stores: [down()] }).verdict
  assert.equal(sentence, 'redis://127.0.0.1:6379/0 has not answered for 7s; lease "a" of "ci-7" (controller.mjs 4242) is lost in 4s')
  assert.deepEqual(evidence, ['it was tried 9 times: connection refused', 'lease "b" is lost in 9s'])
  assert.deepEqual([lockId, since, next], [`${PID}:lease:17:a`, agoIso(7_000), `chainlock why a --pid ${PID}`])
  const stolen = lease({ key: 'c', state: 'lost', cause: 'stolen', other: 'ops', untold: true })
  const [lost] = snapshotOf({ leases: [stolen] }).verdict
  assert.match(lost.sentence, /^lease "c" of "ci-7" .* was stolen 5s ago; its code still runs$/)
  assert.match(lost.evidence.join('\n'), /token 88[^]*now held by "ops"[^]*does not know it yet/)
})

test('two processes that do not reach one store are told once', () => {
  const leases = [lease(), lease({ pid: 7, leftMs: 1_000 })]
  const { verdict } = snapshotOf({ leases, stores: [down(), down({ pid: 7, since: agoIso(9_000) })] })
  assert.deepEqual(verdict.map(({ rule, pid, since }) => [rule, pid, since]), [['STORE-DOWN', 7, agoIso(9_000)]])
})

test('1,000 busy and healthy snapshots get no verdict but OK', () => {
  for (let seed = 0; seed < 1_000; seed++) {
    const { verdict, ok } = make.healthySnapshot(seed)
    assert.deepEqual(
      verdict.map(({ rule }) => rule),
      ['OK'],
      `seed ${seed}: ${JSON.stringify(verdict)}`,
    )
    assert.ok(ok)
  }
})

test('the worst stands first, whatever is found', () => {
  const parts = [
    CASES.HOT.fires['most have to wait'],
    CASES.STUCK.fires['a send lock over its limit'],
    { locks: abba() },
  ]
  const { verdict } = snapshotOf({ locks: parts.flatMap(({ locks }) => locks), unseen: [unseen('permission')] })
  assert.deepEqual(
    verdict.map(({ rule }) => rule),
    ['DEADLOCK', 'STUCK', 'HOT', 'UNSEEN'],
  )
})

test('a deadlock is told as jstack tells it: who waits for what, which is held by whom', () => {
  const {
    verdict: [{ evidence }],
  } = snapshotOf({ locks: abba() })
  assert.match(
    evidence.join('\n'),
    /waiting to lock "b".*\n.*which is held by.*\n.*locked "a"[^]*waiting to lock "a"/,
  )
})

test('what a stopped process holds besides is evidence, not one more verdict', () => {
  const locks = ['x', 'y', 'z'].map((name) =>
    lock({ name, holders: held(900), waiters: name === 'y' ? waited(500) : [] }),
  )
  const { verdict } = snapshotOf({ locks, processes: [processView({ state: 'stopped' })] })
  assert.equal(verdict.length, 1)
  assert.equal(verdict[0].lock, 'y')
  assert.match(verdict[0].evidence.join('\n'), /also holds "x", "z"/)
})

test('OK says when the last problem was', () => {
  const {
    verdict: [{ rule, sentence }],
  } = snapshotOf({ locks: [lock({ events: [event('forced', 3 * 3_600_000)] })] })
  assert.equal(rule, 'OK')
  assert.match(sentence, /nothing waits.*last problem 3h ago/)
})

test('OK says how long a send lock cools down', () => {
  const { verdict } = snapshotOf({ locks: [sendLock({ state: 'cooldown', send: { cooldownLeftMs: 1_500 } })] })
  assert.match(verdict[0].sentence, /"send" cools down for another 1\.5s/)
})

test('no name, layer, label or reason drives a terminal or breaks a line', () => {
  for (const text of SEQUENCES) {
    const name = `x${text}y`
    const { verdict } = snapshotOf({
      locks: [
        sendLock({ name, holders: held(310_000, { layer: name, command: name }), send: { dueTimeoutMs: -1 } }),
        lock({
          name,
          holders: held(40_000, { label: name }),
          waiters: [waiter({ waitedMs: 35_000, label: name })],
          events: [event('order', 10, { other: name })],
        }),
        lock({ name, events: [event('forced', 10, { label: name, other: name })] }),
      ],
      unseen: [unseen('permission', { command: name })],
    })
    assert.ok(verdict.length >= 4)
    for (const { sentence, evidence, next } of verdict) {
      for (const line of [sentence, ...evidence, next ?? '']) assert.ok(!HARMFUL.test(line), JSON.stringify(line))
    }
  }
})
