// Where in the program a request is made, for those who watch the order of locks.
// @ts-check
'use strict'

const { native, face } = require('./face')

/** Whether the order of locks is watched. Asked only by requests inside of a hold. */
const isWatched = () => native.locksSettings(face).lockOrder > 0

/** Frames of this package say nothing about the program. */
const OWN = __dirname

/** The stack of the caller's program. */
function site() {
  const lines = String(new Error().stack).split('\n').slice(1)
  return lines.filter((line) => !line.includes(OWN)).join('\n')
}

module.exports = { isWatched, site }
