// S5 for named locks: whatever comes in as a name, label, class, reason or option, nothing that drives a terminal,
// hides or reorders text comes out in an error, a report or a warning; labels are cleaned wherever they come out,
// names stay what they are as data.
'use strict'

const { test, describe, after } = require('node:test')
const assert = require('node:assert/strict')
const { locks, failure, freshName } = require('./helpers/locks')
const { deep } = require('./helpers/package')
const { random } = require('./helpers/figures')
const { runNode } = require('./helpers/processes')
const { turn, until } = require('./helpers/waiting')
const { SEQUENCES, HARMFUL } = require('./helpers/terminal-sequences')

const STRINGS = deep(100_000, 10_000)

const warnings = []
const listen = (warning) => warnings.push(warning)
process.on('warning', listen)
const before = locks.configure({})
after(() => {
  process.off('warning', listen)
  locks.configure(before)
})

function assertClean(texts, input) {
  for (const text of texts) {
    if (text === null || text === undefined) continue
    // A report has lines; no input may make one.
    for (const line of text.split('\n')) assert.ok(!HARMFUL.test(line), `${JSON.stringify(input)} came out as ${JSON.stringify(line)}`)
  }
}

/** Lines of a text, so that one more from an input is seen. */
const lines = (text) => text.split('\n').length

/** One string as a name and as a label, through everything that shows either. */
async function sendThrough(text) {
  const name = `n${text}`
  const label = `l${text}`
  const guard = locks.tryAcquire(name, { label })
  assert.equal(guard.name, name)
  assertClean([guard.label], text)
  assert.ok(Buffer.byteLength(guard.label) <= 64)
  const status = locks.getLockStatus(name)
  assert.equal(status.name, name)
  assertClean(status.holders.map((holder) => holder.label), text)
  const error = await failure(locks.acquire(name, { timeoutMs: 0, label }))
  assertClean([error.message, ...error.holders.map((holder) => holder.label)], text)
  assert.equal(lines(error.message), 1)
  assert.equal(error.holders[0].name, name)
  guard.release()
  const stolen = locks.tryAcquire(name, { label })
  locks.forceRelease(name, text)
  assertClean([stolen.signal.reason.message], text)
  assert.equal(lines(stolen.signal.reason.message), 1)
  const thrown = (() => {
    try {
      stolen.assertHeld()
    } catch (reason) {
      return reason
    }
  })()
  assertClean([thrown.message], text)
  return error
}

describe('S5: names and labels of locks', () => {
  test(`${SEQUENCES.length} known sequences`, async () => {
    for (const sequence of SEQUENCES) await sendThrough(sequence)
  })

  test(`${STRINGS} random strings`, async (t) => {
    const next = random(11)
    const below = (limit) => Math.floor(next() * limit)
    const characters = [
      () => String.fromCharCode(below(0x20)),
      () => String.fromCharCode(0x7f + below(0x21)),
      () => String.fromCharCode(0x2000 + below(0x70)),
      () => String.fromCharCode(0xd800 + below(0x800)),
      () => String.fromCodePoint(0xe0000 + below(0x80)),
      () => String.fromCodePoint(below(0xd800)),
      () => SEQUENCES[below(SEQUENCES.length)],
    ]
    let harmful = 0
    for (let round = 0; round < STRINGS; round++) {
      const text = Array.from({ length: 1 + below(10) }, () => characters[below(characters.length)]()).join('')
      harmful += Number(HARMFUL.test(text))
      await sendThrough(text)
    }
    t.diagnostic(`S5: ${STRINGS} random strings (${harmful} harmful) as names and labels, 0 came out`)
    assert.ok(harmful > STRINGS / 2)
  })

  test('deadlock errors and reports', async () => {
    for (const sequence of SEQUENCES) {
      const [name, label] = [`n${sequence}`, `l${sequence}`]
      const error = await locks.flow(label, () => locks.withLock(name, { label }, () => failure(locks.acquire(name, { label, timeoutMs: Infinity }))))
      assert.equal(error.code, 'ERR_LOCK_SELF_DEADLOCK')
      assertClean([error.message, error.report], sequence)
      assert.equal(error.cycle[0].request.name, name)
      assertClean(error.cycle.flatMap((edge) => [edge.request.label, edge.heldBy.label]), sequence)
      const plain = await locks.withLock('n', { label: 'l' }, () => failure(locks.acquire('n', { label: 'l', timeoutMs: Infinity })))
      assert.equal(lines(error.report), lines(plain.report), `${JSON.stringify(sequence)} made a line`)
    }
  })

  test('inversions of order, as errors and as warnings', async () => {
    locks.configure({ lockOrder: 'error' })
    for (const sequence of SEQUENCES.slice(0, 60)) {
      const [a, b] = [freshName(`a${sequence}`), freshName(`b${sequence}`)]
      const options = { label: sequence, class: undefined }
      await locks.withLock(a, options, () => locks.withLock(b, options, () => {}))
      const error = await failure(locks.withLock(b, options, () => locks.withLock(a, options, () => {})))
      assertClean([error.message, error.now.label], sequence)
      const byClass = { label: sequence, class: `c${sequence}` }
      const inner = { label: sequence, class: `d${sequence}` }
      await locks.withLock('x', byClass, () => locks.withLock('y', inner, () => {}))
      assertClean([(await failure(locks.withLock('x', inner, () => locks.withLock('y', byClass, () => {})))).message], sequence)
    }
    locks.configure({ lockOrder: 'warn' })
    const told = warnings.length
    const [a, b] = [freshName('\u001b[2Ja'), freshName('\u202eb')]
    await locks.withLock(a, () => locks.withLock(b, () => {}))
    await locks.withLock(b, () => locks.withLock(a, () => {}))
    await until(() => warnings.length > told, 'the warning')
    assertClean(warnings.slice(told).map((warning) => warning.message), 'names of a warning')
    locks.configure({ lockOrder: 'off' })
  })

  test('warnings on the terminal: of a hang, an inversion, a forgotten guard', async () => {
    const { code, stderr } = await runNode(async ({ chainlock: { locks }, data }) => {
      const missing = new Set(['ERR_LOCK_DEADLOCK', 'ERR_LOCK_ORDER', 'CHAINLOCK_GUARD_COLLECTED'])
      process.on('warning', (warning) => missing.delete(warning.code))
      locks.configure({ lockOrder: 'warn' })
      for (const sequence of data) {
        const [a, b] = [`a${sequence}`, `b${sequence}`]
        await locks.withLock(a, { label: sequence }, () => locks.withLock(b, { label: sequence }, () => {}))
        await locks.withLock(b, { label: sequence }, () => locks.withLock(a, { label: sequence }, () => {}))
        ;(() => { locks.tryAcquire(`c${sequence}`, { label: sequence }) })()
      }
      const hang = (first, second) => locks.request(first, async () => {
        await new Promise(setImmediate)
        return locks.request(second, { ref: false }, () => {})
      })
      hang('h\u001b[2J', 'i\u202e')
      hang('i\u202e', 'h\u001b[2J')
      for (let times = 0; times < 60 || (missing.size > 0 && times < 6_000); times++) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }, SEQUENCES.slice(0, 40), { nodeArgs: ['--expose-gc'] })
    assert.equal(code, 0, stderr)
    for (const word of ['ERR_LOCK_DEADLOCK', 'ERR_LOCK_ORDER', 'CHAINLOCK_GUARD_COLLECTED']) assert.ok(stderr.includes(word), word)
    assertClean([stderr], 'what reaches the terminal')
  })

  test('wrong options and values', async () => {
    for (const sequence of SEQUENCES) {
      const name = `n${sequence}`
      const calls = [
        () => locks.acquire(name, { [sequence]: 1 }),
        () => locks.acquire(name, { mode: sequence }),
        () => locks.acquireAll([{ name, mode: sequence }]),
        () => locks.withLock(name, { timeoutMs: sequence }, () => {}),
        () => locks.request(name, { mode: sequence }, () => {}),
      ]
      for (const call of calls) assertClean([(await failure(call())).message], sequence)
      assert.throws(() => locks.configure({ lockOrder: sequence }), (error) => {
        assertClean([error.message], sequence)
        return true
      })
    }
    await turn()
  })

  test('an ordinary name or label of any script stays as it is', async () => {
    for (const text of ['Ünïcode', '漢字かな', 'Ελληνικά', 'עברית', 'العربية', '🔒👩', 'हिन्दी', 'e\u0301']) {
      const guard = locks.tryAcquire(text, { label: text })
      assert.equal(guard.label, text)
      assert.equal(locks.getLockStatus(text).holders[0].label, text)
      guard.release()
    }
  })
})
