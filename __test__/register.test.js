// The witness of the fault tests: its report on histories that are made up here, each with one thing wrong; and the
// register itself, over its socket.
'use strict'

const assert = require('node:assert/strict')
const { describe, test } = require('node:test')
const { startRegister, connect, nowMs } = require('./helpers/register')
const { analyse, spread } = require('./helpers/register-report')
const { startNode } = require('./helpers/processes')

const grant = (worker, token, from, more = {}) => ({ type: 'grant', key: 'k', worker, token, asked: from - 1, from, deadline: from + 100, ...more })
const belief = (worker, token, from, until, more = {}) => ({ type: 'belief', key: 'k', worker, token, from, until, reason: 'release', deadline: from + 100, ...more })
const write = (worker, token, n, accepted, more = {}) => ({ type: 'write', key: 'k', worker, token, n, at: n, accepted, ...more })
const kill = (worker, at) => ({ type: 'kill', worker, at })

/** Two workers take turns; one is killed, one is told late that it has lost, one's last write is fenced off. */
const CLEAN = [
  grant('a', 1, 10),
  write('a', 1, 1, true),
  belief('a', 1, 10, 50),
  grant('b', 2, 51),
  write('b', 2, 2, true),
  kill('b', 60),
  grant('c', 3, 152),
  belief('c', 3, 152, 260, { reason: 'signal', toldAt: 260 }),
  grant('a', 4, 270),
  write('a', 4, 4, true),
  write('c', 3, 5, false),
  belief('a', 4, 270, 280),
  { type: 'calm', at: 290, keys: ['k'] },
  grant('d', 5, 300),
  belief('d', 5, 300, 310),
]

const VIOLATIONS = ['duplicates', 'regressions', 'staleAccepted', 'overlaps', 'unrecovered', 'unended', 'stuck']

/** The names of what the report finds wrong. */
const wrong = (history) => {
  const report = analyse(history)
  return VIOLATIONS.filter((name) => report[name].length > 0)
}

describe('the report on a history', () => {
  test('of nothing is empty', () => {
    assert.deepEqual(wrong([]), [])
    assert.equal(analyse([]).grants, 0)
    assert.deepEqual(spread([]), { count: 0, p50: undefined, p99: undefined, max: undefined })
  })

  test('without faults in it is clean, and counts', () => {
    assert.deepEqual(wrong(CLEAN), [])
    const report = analyse(CLEAN)
    assert.deepEqual([report.grants, report.writes, report.accepted, report.fencedOff], [5, 4, 3, 1])
    assert.deepEqual(report.notice, { count: 1, p50: 8, p99: 8, max: 8 })
    assert.deepEqual(report.recovery, { count: 1, p50: 92, p99: 92, max: 92 })
  })

  test('does not care in which order workers have told their tales', () => {
    const tales = CLEAN.filter(({ type }) => type !== 'write')
    assert.deepEqual(wrong([...CLEAN.filter(({ type }) => type === 'write'), ...tales.reverse()]), [])
  })

  test('finds a token that was granted twice', () => {
    assert.deepEqual(wrong([...CLEAN, grant('e', 5, 320), belief('e', 5, 320, 330)]), ['duplicates'])
    // The same number under another key is another token.
    assert.deepEqual(wrong([...CLEAN, grant('e', 5, 320, { key: 'l' }), belief('e', 5, 320, 330, { key: 'l' })]), [])
  })

  test('finds two grants of one token to one worker', () => {
    assert.deepEqual(wrong([grant('a', 1, 10), belief('a', 1, 10, 20), grant('a', 1, 30), belief('a', 1, 30, 40)]), ['duplicates'])
  })

  test('finds a token that is lower than one before', () => {
    const later = (asked) => [...CLEAN, grant('e', 0, 320, { asked }), belief('e', 0, 320, 330)]
    assert.deepEqual(wrong(later(315)), ['regressions'])
    // Asked for before the higher one was known: either may have been the first.
    assert.deepEqual(wrong(later(5)), [])
  })

  test('finds a write that came in with an old token', () => {
    assert.deepEqual(analyse([...CLEAN, write('c', 3, 6, true)]).staleAccepted, [{ key: 'k', token: 3, worker: 'c', n: 6 }])
    assert.deepEqual(wrong([...CLEAN, write('c', 3, 6, true)]), ['staleAccepted'])
    assert.deepEqual(wrong([...CLEAN, write('c', 3, 6, true, { key: 'l' })]), [])
  })

  test('finds two who believed at once', () => {
    const both = [grant('a', 1, 10), belief('a', 1, 10, 50), grant('b', 2, 49), belief('b', 2, 49, 60)]
    assert.deepEqual(analyse(both).overlaps, [{ key: 'k', workers: ['a', 'b'], tokens: [1, 2], ms: 1 }])
    assert.deepEqual(wrong(both), ['overlaps'])
    assert.deepEqual(wrong([belief('a', 1, 10, 50), belief('b', 2, 50, 60)]), [])
    assert.deepEqual(wrong([belief('a', 1, 10, 50), belief('b', 2, 20, 60, { key: 'l' })]), [])
  })

  test('finds one who believed all the time among many', () => {
    assert.deepEqual(analyse([belief('a', 1, 10, 90), belief('b', 2, 20, 30), belief('c', 3, 40, 50)]).overlaps.map(({ workers }) => workers), [['a', 'b'], ['a', 'c']])
  })

  test('lets those believe at once who share, but nobody beside them', () => {
    const shared = { mode: 'shared' }
    assert.deepEqual(wrong([belief('a', 1, 10, 50, shared), belief('b', 2, 20, 60, shared)]), [])
    assert.deepEqual(wrong([belief('a', 1, 10, 50, shared), belief('b', 2, 20, 60)]), ['overlaps'])
  })

  test('ends a belief at its deadline, at its signal, and at its death', () => {
    const next = [grant('b', 2, 111), belief('b', 2, 111, 120)]
    assert.deepEqual(wrong([grant('a', 1, 10), belief('a', 1, 10, 500, { reason: 'deadline' }), ...next]), [])
    assert.deepEqual(wrong([grant('a', 1, 10), belief('a', 1, 10, 500, { deadline: 600, reason: 'signal', toldAt: 100 }), ...next]), [])
    assert.deepEqual(wrong([grant('a', 1, 10, { deadline: 600 }), kill('a', 105), ...next]), [])
    assert.deepEqual(wrong([grant('a', 1, 10, { deadline: 600 }), ...next]), ['overlaps', 'unended'])
  })

  test('believes a renewed deadline rather than the first one', () => {
    const renewed = [grant('a', 1, 10, { deadline: 60 }), belief('a', 1, 10, 150, { deadline: 160 })]
    assert.deepEqual(wrong([...renewed, belief('b', 2, 100, 120)]), ['overlaps'])
    const killed = [grant('a', 1, 10, { deadline: 60 }), write('a', 1, 50, true, { deadline: 160 }), kill('a', 120)]
    assert.deepEqual(wrong([...killed, belief('b', 2, 110, 130)]), ['overlaps'])
    assert.deepEqual(wrong([...killed, belief('b', 2, 121, 130)]), [])
  })

  test('takes no notice of what a blocked or stopped holder was told late', () => {
    const late = { reason: 'signal', toldAt: 500 }
    assert.equal(analyse([belief('a', 1, 10, 500, late)]).notice.max, 390)
    assert.equal(analyse([belief('a', 1, 10, 500, { ...late, awake: false })]).notice.count, 0)
    assert.equal(analyse([belief('a', 1, 10, 80, { reason: 'signal', toldAt: 80 })]).notice.max, 0)
  })

  test('finds what nobody got after its holder was killed', () => {
    assert.deepEqual(analyse([grant('a', 1, 10), kill('a', 20)]).unrecovered, [{ key: 'k', token: 1, worker: 'a' }])
    // What it had given back before is not waited for, and what it had lost to another does not count.
    assert.deepEqual(wrong([grant('a', 1, 10), belief('a', 1, 10, 15), kill('a', 20)]), [])
    const lost = [grant('a', 1, 10), belief('b', 2, 120, 130), kill('a', 200), belief('c', 3, 210, 220)]
    assert.deepEqual([wrong(lost), analyse(lost).recovery.count], [[], 0])
  })

  test('finds a key that is stuck', () => {
    assert.deepEqual(analyse([...CLEAN, { type: 'calm', at: 400, keys: ['k', 'l'] }]).stuck, ['k', 'l'])
    assert.deepEqual(wrong([...CLEAN, { type: 'calm', at: 400, keys: ['k'] }]), ['stuck'])
  })

  test('finds a belief without an end', () => {
    assert.deepEqual(wrong([grant('a', 1, 10)]), ['unended'])
    assert.deepEqual(wrong([grant('a', 1, 10, { deadline: undefined }), belief('b', 2, 900, 910)]), ['overlaps', 'unended'])
  })

  test('gives the middle, the ninety-ninth and the last', () => {
    assert.deepEqual(spread([...Array(200).keys()]), { count: 200, p50: 99, p99: 197, max: 199 })
  })
})

describe('the register', () => {
  test('accepts what is not below the highest token, for each key', async (t) => {
    const register = await startRegister()
    t.after(() => register.stop())
    const tries = [['k', 5], ['k', 5], ['k', 4], ['l', 1], ['k', 6], ['k', 5]]
    const answers = []
    for (const [n, [key, token]] of tries.entries()) answers.push(await register.write({ key, token, worker: 'a', n }))
    assert.deepEqual(answers, [true, true, false, true, true, false])
    const { accepted, fencedOff, staleAccepted } = await register.report()
    assert.deepEqual({ accepted, fencedOff, staleAccepted }, { accepted: 4, fencedOff: 2, staleAccepted: [] })
  })

  test('without its fence lets old tokens write, and the report says so', async (t) => {
    const register = await startRegister({ fenced: false })
    t.after(() => register.stop())
    for (const token of [5, 4]) assert.equal(await register.write({ key: 'k', token, worker: 'a', n: token }), true)
    assert.equal((await register.report()).staleAccepted.length, 1)
  })

  test('hears other processes, whose clock is its own', async (t) => {
    const register = await startRegister()
    t.after(() => register.stop())
    const before = nowMs()
    const { ended } = startNode(
      async ({ data: { port, helper } }) => {
        const { connect, nowMs } = require(helper)
        const { tell, close } = await connect(port)
        await tell('belief', { key: 'k', token: 1, worker: 'other', from: nowMs(), until: nowMs() + 1, reason: 'release' })
        close()
      },
      { port: register.port, helper: require.resolve('./helpers/register') },
    )
    const { code, stderr } = await ended
    assert.equal(code, 0, stderr)
    const [told] = await register.history()
    assert.ok(before < told.from && told.from < nowMs())
    assert.equal((await register.report()).grants, 1)
  })

  test('is gone when it is stopped, and says so to who still writes', async () => {
    const register = await startRegister()
    const worker = await connect(register.port)
    assert.equal(await worker.write({ key: 'k', token: 1, worker: 'a', n: 1 }), true)
    const cut = worker.write({ key: 'k', token: 1, worker: 'a', n: 2 }).catch((error) => error.message)
    await register.stop()
    assert.ok([true, 'the register is gone'].includes(await cut))
    await assert.rejects(connect(register.port), { code: 'ECONNREFUSED' })
  })
})
