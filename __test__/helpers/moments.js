// Moments that the library tells by the clock on the wall.
'use strict'

const assert = require('node:assert/strict')

/** How far its clock is from the wall's it keeps, until that has changed by more than 20 ms. */
const APART_MS = 50

/** A moment between `before` and now. Two clocks tell it: what the machine does between their readings moves them apart. */
function assertSince(moment, before) {
  assert.ok(moment >= before - APART_MS && moment <= Date.now() + APART_MS, `${moment - before} ms after it began`)
}

module.exports = { APART_MS, assertSince }
