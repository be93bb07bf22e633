// When a hold began, on the wall clock. The native side tells instants on its monotonic clock, which costs
// nothing there; here an instant is made from an age, when somebody looks.
// @ts-check
'use strict'

const { native } = require('./face')

/** A larger change of the lead is a wall clock that was set. */
const SET_MS = 20
/** The wall clock's lead over the native one; kept, so that an instant reads the same however often somebody looks. */
let lead = NaN

/** @param {number} at On the native clock. @returns {number} Milliseconds since 1970. */
function epochMs(at) {
  const seen = Date.now() - native.clockMs()
  if (!(Math.abs(seen - lead) < SET_MS)) lead = seen
  return Math.floor(at + lead)
}

module.exports = { epochMs }
