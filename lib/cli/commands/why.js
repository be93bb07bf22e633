// `chainlock why`: everything about one lock.
// @ts-check
'use strict'

const { CommandError, EXIT } = require('../exit')
const { JSON_OPTION, PID_OPTION } = require('../args')

/** @typedef {import('../../../index').SnapshotLock} Lock */
/** @typedef {import('../../../index').Snapshot} Snapshot */

module.exports = {
  summary: 'one lock: who holds it, who waits, what happened, what next',
  usage: '<lock> [options]',
  details: [
    'A lock is named by its name, by the path of its file or by its id in the JSON. The send lock is "send".',
  ],
  options: { json: JSON_OPTION, pid: PID_OPTION },
  examples: ['chainlock why send', 'chainlock why index --pid 4242 --json'],
  exits: [EXIT.bad, EXIT.notFound, EXIT.permission],

  /** @param {import('../commands').Context} context */
  run(context) {
    const { isMeant, look } = require('../look')
    const [wanted] = context.args
    const taken = look(context, { all: true })
    const found = taken.locks.filter((lock) => isMeant(lock, wanted))
    if (found.length === 0) throw notFound(wanted, taken)
    const about = aboutOnly(found, taken)
    if (context.json) context.out(JSON.stringify(about))
    else {
      const { whyLines } = require('../views/why')
      const parts = found.map((lock) => whyLines(lock, taken, context).join('\n'))
      context.out(parts.join('\n\n'))
      if (found.length > 1) context.err(which(found))
    }
    return about.ok ? EXIT.ok : EXIT.bad
  },
}

/** How to ask for one of them. @param {readonly Lock[]} found */
function which(found) {
  const { short, typed } = require('../../snapshot/words')
  const pids = new Set(found.map(({ pid }) => pid))
  const isByPid = pids.size === found.length && !pids.has(null)
  const ids = () => found.map(({ id }) => typed(id) ?? short(id)).join(' or ')
  return `${found.length} locks have that name; ${isByPid ? '--pid N chooses one process' : `name one by its id: ${ids()}`}`
}

/**
 * The part of a snapshot that is about these locks.
 * @param {Lock[]} found
 * @param {Snapshot} taken
 * @returns {Snapshot}
 */
function aboutOnly(found, taken) {
  const ids = new Set(found.map(({ id }) => id))
  const pids = new Set(
    found.flatMap(({ pid, holders, waiters }) => [
      pid,
      ...holders.map((one) => one.pid),
      ...waiters.map((one) => one.pid),
    ]),
  )
  const verdict = taken.verdict.filter(({ lockId }) => lockId !== null && ids.has(lockId))
  return {
    ...taken,
    ok: verdict.every(({ level }) => level !== 'bad'),
    verdict: verdict.length > 0 ? verdict : [nothingWrong(found)],
    locks: found,
    processes: taken.processes.filter(({ pid }) => pids.has(pid)),
  }
}

/** @param {Lock[]} found @returns {import('../../../index').Verdict} */
function nothingWrong([{ name, path, id, pid }]) {
  const { lockName } = require('../../snapshot/words')
  const sentence = `nothing is wrong with ${lockName({ name, path, kind: 'lock' })}`
  return {
    rule: 'OK',
    level: 'good',
    lock: name ?? path,
    lockId: id,
    pid,
    sentence,
    evidence: [],
    next: null,
    since: null,
  }
}

/** @param {string} wanted @param {Snapshot} taken */
function notFound(wanted, { locks, processes }) {
  const { clean, said } = require('../text')
  const { nearest } = require('../nearest')
  const names = locks.map(({ name, path }) => name ?? path).filter((name) => name !== null)
  const near = nearest(wanted, names)
  const hint = near === null ? '' : `; did you mean "${clean(near)}"?`
  const among = `${processes.length} ${processes.length === 1 ? 'process' : 'processes'}`
  return new CommandError(
    EXIT.notFound,
    `there is no lock "${said(wanted)}" in ${among}${hint}`,
    'chainlock status --all',
  )
}
