// Trying again: how often, with what pauses, until when, and what comes out.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { getEventListeners } = require('node:events')
const { retry, ChainlockError } = require('chainlock')
const { runNode } = require('./helpers/processes')

const QUICK = { baseMs: 0 }

/** Fails so often, then answers. */
function failing(times, value = 'done') {
  const calls = []
  const fn = async (context) => {
    calls.push(context)
    if (calls.length <= times) throw new Error(`failure ${calls.length}`)
    return value
  }
  return { fn, calls }
}

describe('how often', () => {
  test('what does not fail runs once', async () => {
    const { fn, calls } = failing(0)
    assert.equal(await retry(fn), 'done')
    assert.equal(calls.length, 1)
  })

  test('five times again by default, then the last error itself, with the number of attempts', async () => {
    const { fn, calls } = failing(Infinity)
    const error = await retry(fn, QUICK).catch((each) => each)
    assert.equal(calls.length, 6)
    assert.deepEqual(calls.map((each) => each.attempt), [1, 2, 3, 4, 5, 6])
    assert.equal(error.message, 'failure 6')
    assert.equal(error.attempts, 6)
    assert.deepEqual(Object.keys(error), [], 'it shows in no log that lists fields')
  })

  test('until it succeeds', async () => {
    const { fn, calls } = failing(3, 7)
    assert.equal(await retry(fn, QUICK), 7)
    assert.equal(calls.length, 4)
    const many = failing(200)
    assert.equal(await retry(many.fn, { ...QUICK, retries: Infinity }), 'done')
  })

  test('retries: 0 is one attempt', async () => {
    const { fn, calls } = failing(Infinity)
    await assert.rejects(retry(fn, { retries: 0 }), /failure 1/)
    assert.equal(calls.length, 1)
  })

  test('a function that throws at once, and one that answers at once', async () => {
    let count = 0
    assert.equal(await retry(() => { if (++count < 3) throw new Error('no'); return count }, QUICK), 3)
  })

  test('what is no error, or frozen, comes out as it is', async () => {
    assert.equal(await retry(() => { throw 'text' }, { ...QUICK, retries: 1 }).catch((each) => each), 'text')
    assert.equal(await retry(() => { throw undefined }, { ...QUICK, retries: 1 }).catch((each) => each), undefined)
    const frozen = Object.freeze(new Error('frozen'))
    assert.equal(await retry(() => { throw frozen }, { ...QUICK, retries: 1 }).catch((each) => each), frozen)
  })
})

describe('the pauses', () => {
  test('double: 0.1, 0.2, 0.4, 0.8, 1.6 s, up to the cap', async (t) => {
    const seen = []
    const look = (options) => retry(() => { throw new Error('x') }, {
      ...options,
      shouldRetry: (_error, { pauseMs }) => { seen.push(pauseMs); return true },
    }).catch(() => {})
    // Divided by a thousand, so that the test need not wait: the steps are what counts.
    await look({ jitter: 'none', baseMs: 0.1 })
    assert.deepEqual(seen.splice(0).map((ms) => Math.round(ms * 10)), [1, 2, 4, 8, 16])
    await look({ jitter: 'none', baseMs: 0.1, capMs: 0.5 })
    assert.deepEqual(seen.splice(0).map((ms) => Math.round(ms * 10)), [1, 2, 4, 5, 5])
    t.diagnostic('the default base is 100 ms: see the next test')
  })

  test('the first is up to 100 ms by default, with full jitter; half of it is certain with equal', async () => {
    const first = async (options) => {
      const seen = []
      const stop = (_error, { pauseMs }) => { seen.push(pauseMs); return false }
      for (let i = 0; i < 300; i++) await retry(() => { throw new Error('x') }, { ...options, shouldRetry: stop }).catch(() => {})
      return { least: Math.min(...seen), most: Math.max(...seen) }
    }
    const none = await first({ jitter: 'none' })
    assert.deepEqual(none, { least: 100, most: 100 })
    const full = await first({})
    assert.ok(full.least >= 0 && full.least < 20 && full.most > 80 && full.most <= 100, JSON.stringify(full))
    const equal = await first({ jitter: 'equal' })
    assert.ok(equal.least >= 50 && equal.least < 60 && equal.most > 90 && equal.most <= 100, JSON.stringify(equal))
  })

  test('a pause keeps the process alive', async () => {
    const { stdout } = await runNode(({ chainlock }) => {
      let count = 0
      chainlock.retry(() => { if (++count < 3) throw new Error('no'); console.log(`after ${count}`) }, { baseMs: 1, jitter: 'none' })
    })
    assert.equal(stdout.trim(), 'after 3')
  })

  test('fake clocks of a test framework do not stop it', async () => {
    const { stdout } = await runNode(({ chainlock }) => {
      globalThis.setTimeout = () => 0
      globalThis.clearTimeout = () => {}
      performance.now = Date.now = () => 0
      let count = 0
      chainlock.retry(() => { if (++count < 2) throw new Error('no') }, { baseMs: 1 }).then(() => console.log('went on'))
    })
    assert.equal(stdout.trim(), 'went on')
  })
})

describe('when it ends early', () => {
  test('an abort ends the pause at once, with the reason of the signal', async () => {
    const controller = new AbortController()
    const { fn, calls } = failing(Infinity)
    const waiting = retry(fn, {
      baseMs: 2 ** 40, capMs: 2 ** 40, jitter: 'none', signal: controller.signal,
      shouldRetry: () => { setImmediate(() => controller.abort('enough')); return true },
    })
    assert.equal(await waiting.catch((each) => each), 'enough')
    assert.equal(calls.length, 1)
    assert.equal(calls[0].signal, controller.signal)
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
  })

  test('an aborted signal begins nothing; one aborted during an attempt ends with it', async () => {
    const { fn, calls } = failing(0)
    assert.equal(await retry(fn, { signal: AbortSignal.abort('before') }).catch((each) => each), 'before')
    assert.equal(calls.length, 0)
    const controller = new AbortController()
    const during = retry(() => { controller.abort('during'); throw new Error('x') }, { ...QUICK, signal: controller.signal })
    assert.equal(await during.catch((each) => each), 'during')
    const done = new AbortController()
    assert.equal(await retry(() => { done.abort(); return 1 }, { signal: done.signal }), 1, 'what was done was done')
  })

  test('pauses leave no listener behind', async () => {
    const { signal } = new AbortController()
    await retry(failing(20).fn, { ...QUICK, retries: 20, signal })
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  test('a pause that would end after the deadline is not begun', async () => {
    const { fn, calls } = failing(Infinity)
    const error = await retry(fn, { baseMs: 3_600_000, capMs: 3_600_000, jitter: 'none', deadlineMs: 60_000 }).catch((each) => each)
    assert.equal(error.message, 'failure 1')
    assert.equal(calls.length, 1)
    assert.equal(await retry(failing(2).fn, { ...QUICK, deadlineMs: 600_000 }), 'done')
  })

  test('shouldRetry decides, also later; what it throws comes out', async () => {
    const { fn, calls } = failing(Infinity)
    const told = []
    const error = await retry(fn, { ...QUICK, shouldRetry: async (each, { attempt }) => told.push([each.message, attempt]) < 2 }).catch((each) => each)
    assert.equal(error.message, 'failure 2')
    assert.deepEqual(told, [['failure 1', 1], ['failure 2', 2]])
    assert.equal(calls.length, 2)
    await assert.rejects(retry(fn, { ...QUICK, shouldRetry: () => { throw new Error('mine') } }), /mine/)
  })

  test('a call of chainlock that is wrong is not tried again', async () => {
    let count = 0
    const wrong = retry(() => { count++; return retry('nothing') }, QUICK)
    await assert.rejects(wrong, (error) => error instanceof ChainlockError && error.code === 'ERR_LOCK_INVALID_ARGUMENT')
    assert.equal(count, 1)
    let others = 0
    await assert.rejects(retry(() => { others++; throw new TypeError('fetch failed') }, { ...QUICK, retries: 2 }), /fetch failed/)
    assert.equal(others, 3, 'other TypeErrors are: fetch throws one for a network error')
  })
})

describe('bad input', () => {
  const never = () => assert.fail('it ran')
  for (const [what, args, words] of [
    ['no function', [], ['retry: fn', 'undefined']],
    ['options of another kind', [never, 5], ['retry: options', 'an object']],
    ['retries of another kind', [never, { retries: 1.5 }], ['options.retries', '1.5']],
    ['a negative base', [never, { baseMs: -1 }], ['options.baseMs', '-1']],
    ['a base without end', [never, { baseMs: Infinity }], ['options.baseMs', 'Infinity']],
    ['a cap that is no number', [never, { capMs: '1s' }], ['options.capMs', "'1s'"]],
    ['an unknown jitter', [never, { jitter: 'some' }], ['options.jitter', "'full' or 'equal' or 'none'"]],
    ['no signal', [never, { signal: {} }], ['options.signal', 'an AbortSignal']],
    ['a deadline of the past', [never, { deadlineMs: -5 }], ['options.deadlineMs']],
    ['shouldRetry of another kind', [never, { shouldRetry: true }], ['options.shouldRetry', 'a function']],
  ]) {
    test(what, async () => {
      await assert.rejects(retry(...args), (error) => {
        assert.ok(error instanceof TypeError && error instanceof ChainlockError)
        assert.equal(error.code, 'ERR_LOCK_INVALID_ARGUMENT')
        for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" names ${word}`)
        return true
      })
    })
  }

  test('an unknown option', async () => {
    await assert.rejects(retry(never, { base: 5 }), { code: 'ERR_LOCK_UNKNOWN_OPTION', message: /did you mean 'baseMs'/ })
  })
})
