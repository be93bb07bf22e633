// S5: whatever comes in as a layer id, a reason or an option's name, nothing that drives a terminal, hides or
// reorders text, or forges a line comes out again: in reports, events, errors or the log.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { freshLock, freshProcessLock, chainlock, deep } = require('./helpers/package')
const { runNode } = require('./helpers/processes')
const { random } = require('./helpers/figures')
const { turn, until } = require('./helpers/waiting')
const { SEQUENCES, HARMFUL } = require('./helpers/terminal-sequences')

// Under the sanitizer a tenth takes as long, and a busy machine many times that.
const STRINGS = process.env.CHAINLOCK_SANITIZED === '1' ? 10_000 : deep(1_000_000, 100_000)

/** Where texts come out. */
function shown(lock, guard, attempt) {
  const texts = [guard.layerId, attempt.holder?.layerId]
  const { sendingLayerId } = lock.getLockStatus()
  const metrics = lock.getMetrics()
  texts.push(sendingLayerId, ...Object.keys(metrics.layers))
  for (const entry of [...metrics.recentActivity, ...lock.lockHistory.slice(-3)]) {
    texts.push(entry.layerId, entry.action, entry.lockState.currentLayer)
  }
  return texts.filter((text) => text !== null && text !== undefined)
}

function assertClean(texts, input) {
  for (const text of texts) {
    assert.ok(typeof text === 'string')
    assert.ok(!HARMFUL.test(text), `${JSON.stringify(input)} came out as ${JSON.stringify(text)}`)
  }
}

/** Random strings, most of them with something in them that may not come out. */
function makeStrings(seed) {
  const next = random(seed)
  const below = (limit) => Math.floor(next() * limit)
  const characters = [
    () => String.fromCharCode(below(0x20)),
    () => String.fromCharCode(0x7f + below(0x21)),
    () => String.fromCharCode(0x2000 + below(0x70)),
    () => String.fromCodePoint(0xe0000 + below(0x80)),
    () => String.fromCharCode(0xd800 + below(0x800)),
    () => '\ufeff',
    () => String.fromCharCode(0x20 + below(0x5f)),
    () => String.fromCodePoint(below(0xd800)),
    () => String.fromCodePoint(0x10000 + below(0x10000)),
    () => SEQUENCES[below(SEQUENCES.length)],
  ]
  return () => Array.from({ length: 1 + below(12) }, () => characters[below(characters.length)]()).join('')
}

/** One string as a layer id, as a reason and as an option's name; answers whether it was one. */
function sendThrough(lock, text) {
  const reason = `r${text}`
  const attempt = lock.trySend('blocker-1').acquired && lock.trySend('x')
  assert.equal(lock.forceReleaseLock(reason), true)
  assertClean([lock.lockHistory.at(-1).action, attempt.holder.layerId], text)
  for (const fail of [() => lock.configure({ [text]: 1 }), () => lock.configure({ cooldownFrom: text }), () => lock.configure({ layers: text })]) {
    assert.throws(fail, (error) => {
      assertClean([error.message], text)
      return true
    })
  }
  let guard
  try {
    guard = lock.trySend(text).guard
  } catch (error) {
    assert.equal(error.code, 'ERR_LOCK_INVALID_ARGUMENT')
    assertClean([error.message], text)
    return false
  }
  assertClean(shown(lock, guard, lock.trySend('x')), text)
  guard.release()
  assert.throws(() => guard.assertHeld(), (error) => {
    assertClean([error.message], text)
    return true
  })
  return true
}

describe('S5', () => {
  test(`${SEQUENCES.length} known sequences`, (t) => {
    assert.ok(SEQUENCES.length >= 200)
    assert.equal(new Set(SEQUENCES).size, SEQUENCES.length)
    const lock = freshLock({ layers: 'any' })
    let names = 0
    for (const sequence of SEQUENCES) {
      assert.ok(HARMFUL.test(sequence), `a harmless sequence: ${JSON.stringify(sequence)}`)
      for (const text of [sequence, `a${sequence}b`]) names += Number(sendThrough(lock, text))
    }
    t.diagnostic(`S5: ${SEQUENCES.length} known sequences, 0 came out; ${names} of ${2 * SEQUENCES.length} as layer ids`)
    assert.ok(names > SEQUENCES.length / 2)
  })

  test(`${STRINGS} random strings`, (t) => {
    const lock = freshLock({ layers: 'any', historyLimit: 5 })
    const make = makeStrings(7)
    let harmful = 0
    let names = 0
    for (let round = 0; round < STRINGS; round++) {
      const text = make()
      harmful += Number(HARMFUL.test(text))
      names += Number(sendThrough(lock, text))
    }
    t.diagnostic(`S5: ${STRINGS} random strings (${harmful} harmful), 0 came out; ${names} as layer ids`)
    assert.ok(harmful > STRINGS / 2 && names > STRINGS / 2)
  })

  test('an ordinary name of any script stays as it is', () => {
    const lock = freshLock({ layers: 'any' })
    for (const name of ['Ünïcode', '漢字かな', 'Ελληνικά', 'עברית', 'العربية', '🔒👩', 'हिन्दी', 'e\u0301']) {
      const { guard } = lock.trySend(name)
      assert.equal(lock.getLockStatus().sendingLayerId, name)
      assert.equal(guard.layerId, name)
      guard.release()
    }
  })

  test('events and the errors of those who wait', async (t) => {
    freshProcessLock({ cooldownMs: 0, layers: 'any' })
    const keepAlive = setInterval(() => {}, 1_000)
    t.after(() => clearInterval(keepAlive))
    const seen = []
    for (const name of ['acquired', 'released', 'blocked', 'forced']) chainlock.sendEvents.on(name, (event) => seen.push(event))
    await turn()
    for (const sequence of SEQUENCES.filter((text) => Buffer.byteLength(text) < 16)) {
      const text = `a${sequence}b`
      chainlock.trySend(text)
      const error = await chainlock.acquireSendLock(`${text}2`, { timeoutMs: 0 }).catch((reason) => reason)
      assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
      assertClean([error.message, error.holder.layerId], text)
      chainlock.tryAcquireSendLock(`${text}3`)
      chainlock.forceReleaseLock(text)
      await turn()
    }
    await until(() => seen.length >= 300)
    for (const { layerId, reason, holder } of seen) assertClean([layerId, reason, holder].filter((text) => text !== null), layerId)
    for (const name of ['acquired', 'released', 'blocked', 'forced']) chainlock.sendEvents.removeAllListeners(name)
    freshProcessLock()
  })

  test('the log: one event is one line, and no byte of the input drives the terminal', async () => {
    const { stderr, code } = await runNode(({ chainlock, data }) => {
      chainlock.configureSendLock({ cooldownMs: 0, layers: 'any' })
      for (const sequence of data) {
        chainlock.tryAcquireSendLock(`a${sequence}b`)
        chainlock.tryAcquireSendLock(`${sequence}c`)
        chainlock.forceReleaseLock(`for ${sequence} reasons`)
      }
    }, SEQUENCES, { env: { CHAINLOCK_LOG: 'info' } })
    assert.equal(code, 0)
    const lines = stderr.split('\n').slice(0, -1)
    const metrics = lines.filter((line) => /^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] \[SHARED_LOCK\] \[(INFO|WARNING)\] /.test(line))
    assert.equal(metrics.length, lines.length, 'every line begins as a line of ours')
    assert.ok(lines.length >= 3 * SEQUENCES.length * 0.9)
    assertClean(lines.map((line) => line.replaceAll('\u{fe0f}', '')), 'a sequence')
  })
})
