// The exit codes, once: commands return them, `--help`, the man page and the documents print them.
// @ts-check
'use strict'

const EXIT = /** @type {const} */ ({
  ok: 0,
  bad: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  permission: 5,
  bug: 70,
  timedOut: 75,
  lost: 76,
  interrupted: 130,
  terminated: 143,
})

/** What each code says. @type {Readonly<Record<number, string>>} */
const MEANING = Object.freeze({
  [EXIT.ok]: 'done, and healthy',
  [EXIT.bad]: 'done, and the verdict is bad',
  [EXIT.usage]: 'the command line is wrong',
  [EXIT.notFound]: 'no such process, lock, store or journal',
  [EXIT.refused]: 'refused: the token moved, or nobody confirmed',
  [EXIT.permission]: 'not permitted',
  [EXIT.bug]: 'a bug in chainlock',
  [EXIT.timedOut]: 'timed out waiting',
  [EXIT.lost]: 'the lease was lost while the command ran',
  [EXIT.interrupted]: 'ended by SIGINT',
  [EXIT.terminated]: 'ended by SIGTERM',
})

/** Ends a command with a code and a sentence on stderr. */
class CommandError extends Error {
  /**
   * @param {number} exit
   * @param {string} message
   * @param {string} [next] A command that can be typed next.
   */
  constructor(exit, message, next) {
    super(message)
    this.exit = exit
    this.next = next
  }
}

/** @param {string} message */
function usageError(message) {
  return new CommandError(EXIT.usage, message)
}

module.exports = { EXIT, MEANING, CommandError, usageError }
