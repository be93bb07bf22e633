// A process with a million names of locks: its metrics stay small.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { locks, metrics } = require('chainlock')
const { residentBytes } = require('./helpers/figures')
const { samplesOf, valueOf } = require('./helpers/prometheus')

test('a million names are at most a hundred classes and the rest, and little text and memory', (t) => {
  const word = (number) => [...String(number)].map((digit) => 'abcdefghij'[digit]).join('')
  metrics()
  for (let number = 0; number < 1_000_000; number++) {
    locks.tryAcquire(number % 2 === 0 ? `order-${number}` : `user-${word(number)}`).release()
    if (number % 100_000 === 0) metrics()
  }
  const begun = performance.now()
  const text = metrics()
  const tookMs = performance.now() - begun
  const classes = new Set(samplesOf(text).map(({ labels }) => labels.lock).filter(Boolean))
  t.diagnostic(`1,000,000 names: ${classes.size} classes, ${(text.length / 1e6).toFixed(2)} MB of text, ${tookMs.toFixed(0)} ms`)
  assert.ok(classes.has('order-*') && classes.has('other'))
  assert.ok(classes.size <= 101, `${classes.size} classes`)
  assert.ok(text.length <= 5e6, `${text.length} bytes`)
  assert.ok(valueOf(text, 'chainlock_label_overflow_total') > 0)
})

