// UNSEEN: processes that could not be looked at, and why.
// @ts-check
'use strict'

const { short } = require('../words')

/** Whoever has ended, or never had chainlock, is nobody's worry. */
const NO_WORRY = ['gone', 'no_table']

/** What to type. @type {Record<string, (pid: number) => string>} */
const NEXT = {
  permission: (pid) => `sudo chainlock status --pid ${pid}`,
  other_pid_namespace: (pid) => `nsenter --target ${pid} --pid --mount chainlock status`,
}

/** @type {Record<string, string>} */
const WHY = {
  permission: 'its memory may not be read',
  other_pid_namespace: 'it runs in another container',
  version: 'it runs another version of chainlock',
  torn: 'it changed all the time while it was read',
}

/** @param {number} pid @param {string | null} command */
function nameOf(pid, command) {
  return command === null ? `process ${pid}` : `process ${pid} (${short(command)})`
}

/** @type {import('./finding').Rule} */
module.exports = {
  id: 'UNSEEN',
  check: ({ unseen }) =>
    unseen
      .filter(({ reason }) => !NO_WORRY.includes(reason))
      .map(({ pid, command, reason, advice }) => ({
        rule: 'UNSEEN',
        level: 'warn',
        lock: null,
        lockId: null,
        pid,
        sentence: `${nameOf(pid, command)} cannot be looked at: ${WHY[reason] ?? reason}`,
        evidence: [advice],
        next: (NEXT[reason] ?? (() => 'chainlock doctor'))(pid),
        since: null,
      })),
}
