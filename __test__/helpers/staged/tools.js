// What staging a failure needs of the system.
'use strict'

const { spawnSync } = require('node:child_process')

/** Why a program cannot do that here, in words; false where it can. */
function whyNot(program, ...args) {
  const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status === 0) return false
  return `LOUD SKIP: ${program} ${args.join(' ')} does not work here: ${error?.message ?? stderr.trim()}`
}

module.exports = { whyNot }
