// Waiting for something that the event loop brings.
'use strict'

const assert = require('node:assert/strict')

/** For what never comes. */
const LIMIT_MS = 60_000

/** Lets the event loop turn until it holds. @param {() => boolean} holds */
async function until(holds) {
  const end = Date.now() + LIMIT_MS
  while (!holds()) {
    assert.ok(Date.now() < end, `it has not come to hold: ${holds}`)
    await new Promise(setImmediate)
  }
}

module.exports = { until }
