// Where in the program a request is made, for those who watch the order of locks.
// @ts-check
'use strict'

const { native, face, scratch } = require('./face')

let level = native.locksSettings(face).lockOrder

/** Reads how closely the order is watched off the answer to a request, which is where this thread hears of it. */
function hear() {
  level = scratch[2]
}

/** Frames of this package say nothing about the program. */
const OWN = __dirname

/** The stack of the caller's program. */
function site() {
  const lines = String(new Error().stack).split('\n').slice(1)
  return lines.filter((line) => !line.includes(OWN)).join('\n')
}

/** @param {number} now */
function setLevel(now) {
  level = now
}

/** Before a request inside of a hold: says where it is made, if somebody wants to know. */
function tellSite() {
  if (level > 0) native.setSite(face, site())
}

module.exports = { hear, setLevel, tellSite }
