// What other people's locks say of their holders.
// @ts-check
'use strict'

const { hostname } = require('node:os')

/**
 * @typedef {object} Holder
 * @property {number} pid
 * @property {string | null} host Null where the lock does not say.
 */

/** The largest pid of any system. */
const MOST_PID = 4_194_304

/**
 * @param {string | undefined} digits
 * @param {string | null} [host]
 * @returns {Holder | null}
 */
function holder(digits, host = null) {
  const pid = Number(digits)
  return Number.isInteger(pid) && pid > 0 && pid <= MOST_PID ? { pid, host } : null
}

/**
 * A pid file: the pid in the first line, perhaps a host name behind it or in the second; or a JSON object with
 * `pid`, and perhaps `hostname` or `host`.
 * @param {string} text
 * @returns {Holder | null}
 */
function inFile(text) {
  if (text.trimStart().startsWith('{')) return inJson(text)
  const found = /^\s*(\d{1,10})(?:[ \t@:,]+|\r?\n|$)([^\s]*)/.exec(text)
  if (!found) return null
  const [, pid, next] = found
  // The second word of a pid file may be anything; a path or a number is no host.
  const isHost = /^[A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*$/.test(next)
  return holder(pid, isHost ? next : null)
}

/** @param {string} text */
function inJson(text) {
  try {
    const { pid, hostname, host } = JSON.parse(text)
    const named = hostname ?? host
    return typeof pid === 'number' ? holder(String(pid), typeof named === 'string' && named !== '' ? named : null) : null
  } catch {
    return null
  }
}

const LINKS = [
  // Emacs, and who does as it does: user@host.pid, and when the machine was started.
  /^[^@/]*@(?<host>[^/]*)\.(?<pid>\d+)(?::\d+)?$/,
  // Firefox: address:+pid
  /^(?<host>[0-9A-Fa-f.:]+):\+?(?<pid>\d+)$/,
  // Chromium: host-pid
  /^(?<host>[^/@]+)-(?<pid>\d+)$/,
]

/**
 * Where a symbolic link points to nothing, and its text is the lock.
 * @param {string} text
 * @returns {Holder | null}
 */
function inLink(text) {
  for (const form of LINKS) {
    const groups = form.exec(text)?.groups
    if (groups) return holder(groups.pid, groups.host)
  }
  return null
}

/** Whether the lock's host is this machine; a full name and its first part are one. @param {string} host */
function isThisHost(host) {
  const own = hostname().toLowerCase()
  const other = host.toLowerCase()
  return own === other || own.split('.')[0] === other || other.split('.')[0] === own
}

module.exports = { inFile, inLink, isThisHost }
