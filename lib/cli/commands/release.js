// `chainlock release <lock> --force`: takes a hold away from a holder that lives, by its token, after saying what
// that breaks and having it confirmed. With a store the hold is a lease.
// @ts-check
'use strict'

const { clean, duration, lockName, short, typed, who, withWord } = require('../../snapshot/words')
const { JSON_OPTION, PID_OPTION, STORE_OPTIONS, wholeNumber } = require('../args')
const { confirm } = require('../confirm')
const { CommandError, EXIT } = require('../exit')
const { findTarget } = require('../release-target')

/** @typedef {import('../commands').Context} Context */
/** @typedef {import('../release-target').Target} Target */

/** What an order that was not carried out comes to. @type {Record<string, number>} */
const EXIT_OF = {
  no_process: EXIT.notFound,
  no_socket: EXIT.notFound,
  other_process: EXIT.notFound,
  permission: EXIT.permission,
  stopped: EXIT.refused,
  bad_request: EXIT.refused,
  unknown_op: EXIT.refused,
  timeout: EXIT.timedOut,
  busy: EXIT.timedOut,
  unavailable: EXIT.timedOut,
  closed: EXIT.timedOut,
}

/** @param {Context} context */
async function run(context) {
  const [wanted] = context.args
  const place = require('../store').placeOf(context)
  if (place !== null) return require('../store-release').releaseLease(context, place, wanted)
  const asked = readOptions(wanted, context)
  const { snapshot } = require('../../snapshot')
  const seen = snapshot(asked.pid === null ? { all: true } : { pid: asked.pid, all: true })
  const target = findTarget(seen, wanted, asked)
  const owner = seen.processes.find(({ pid }) => pid === target.holder.pid)
  for (const line of block(target, owner)) context.err(line)
  if (owner?.state === 'stopped') throw stopped(target.holder.pid)
  await confirm(context, { ...asked, name: short(target.lock.name ?? target.lock.id), next: surely(target, asked) })
  await release(context, target, asked)
  return EXIT.ok
}

/** @param {string} wanted @param {Context} context */
function readOptions(wanted, { values }) {
  const word = typed(wanted)
  const wrong = (/** @type {string} */ text) =>
    new CommandError(EXIT.usage, text, word === null ? undefined : withWord('chainlock release', word, ' --force --reason TEXT'))
  if (!values.force) throw wrong('release takes a lock away from a holder that lives; say --force if that is meant')
  const reason = (values.reason ?? '').trim()
  if (reason === '') throw wrong('--reason is needed: a few words for those who ask later why')
  return {
    reason,
    pid: values.pid === undefined ? null : wholeNumber('--pid', values.pid, { min: 1, max: 0x7fff_ffff }),
    expect: values.expect === undefined ? null : wholeNumber('--expect', values.expect, { min: 1 }),
    isSure: values.yes === true,
  }
}

const BREAKS = {
  send: 'a message may be half sent: the old holder can go on sending beside the next one until it looks',
  lock: 'what the lock guards may be half written: the old holder can go on beside the next one until it looks',
  semaphore: 'its permits are given away: the old holder can go on with what they stand for until it looks',
  host: '',
}

/** @param {Target} target @param {import('../../../index').SnapshotProcess | undefined} owner */
function block({ lock, holder }, owner) {
  const thread = owner?.threads.find(({ threadId }) => threadId === holder.threadId)
  const waiting = lock.waiters.slice(0, 3).map((waiter) => `${who(waiter)} for ${duration(waiter.waitedMs)}`)
  const more = lock.waiterCount > waiting.length ? [`${lock.waiterCount - waiting.length} more`] : []
  const silent = thread?.silentMs ? `its event loop has been silent for ${duration(thread.silentMs)}` : null
  return [
    `${lockName(lock)} (${lock.kind}${lock.mode === 'shared' ? ', shared' : ''})`,
    `  held by  ${who(holder)}, token ${holder.token}, for ${duration(holder.heldMs)}`,
    ...(silent === null ? [] : [`  sign     ${silent}`]),
    `  queue    ${lock.waiterCount === 0 ? 'nobody waits' : [...waiting, ...more].join(', ')}`,
    `  breaks   ${BREAKS[lock.kind]};`,
    '           its guard is lost (ERR_LOCK_LOST), its signal aborts, and its token is stale',
  ]
}

/** The command that asks nothing. @param {Target} target @param {ReturnType<typeof readOptions>} asked */
function surely({ lock, holder }, { reason }) {
  const words = [typed(lock.id), typed(reason)]
  if (words.includes(null)) return undefined
  return `chainlock release ${words[0]} --force --reason ${words[1]} --pid ${holder.pid} --expect ${holder.token} --yes`
}

/** @param {number} pid */
function stopped(pid) {
  const message = `process ${pid} is stopped and cannot obey; let it go on (kill -CONT ${pid}) or end it (kill ${pid})`
  return new CommandError(EXIT.refused, message, `kill -CONT ${pid}`)
}

/**
 * @param {Context} context
 * @param {Target} target
 * @param {ReturnType<typeof readOptions>} asked
 */
async function release(context, { lock, holder }, { reason }) {
  const { request, ControlError } = require('../../control/client')
  const { kind, name, nameCut } = lock
  const by = { pid: process.pid, command: process.argv.slice(1).join(' ') }
  const order = { op: 'release', kind, name, ...(nameCut ? { nameCut } : {}), token: holder.token, reason, by }
  let answer
  try {
    answer = await request(holder.pid, order)
  } catch (error) {
    if (!(error instanceof ControlError)) throw error
    if (error.code === 'stopped') throw stopped(holder.pid)
    throw new CommandError(EXIT_OF[error.code] ?? EXIT.bug, clean(error.message), 'chainlock doctor')
  }
  if (!answer.released) throw refused(lock, holder.token, answer)
  const what = `released ${lockName(lock)}: it was held by ${who(holder)}, token ${holder.token}, for ${duration(holder.heldMs)}`
  if (context.json) context.out(JSON.stringify({ schema: 1, ok: true, released: true, lockId: lock.id, holder: answer.holder }))
  else context.out(`${context.colour.good(context.glyphs.good)} ${what}`)
}

/** @param {Target['lock']} lock @param {number} token @param {Record<string, any>} answer */
function refused(lock, token, { refused: why, holder }) {
  if (why === 'unknown') return new CommandError(EXIT.notFound, `its process knows no ${lock.kind} ${lockName(lock)} any more`)
  const now = why === 'free' ? 'nobody holds it now' : `its token is ${Number(holder?.token)} now`
  return new CommandError(EXIT.refused, `token ${token} has moved: ${lockName(lock)} was given on meanwhile; ${now}`)
}

module.exports = {
  summary: 'take a lock away from a holder that lives',
  usage: '<lock> --force [options]',
  options: {
    force: { type: 'boolean', help: 'needed: the holder is not asked' },
    reason: { type: 'string', value: 'TEXT', help: 'why, for the old holder and the events; a lock needs one' },
    pid: PID_OPTION,
    expect: { type: 'string', value: 'TOKEN', help: 'only if this is still the token of the hold' },
    yes: { type: 'boolean', help: 'ask nothing; without a terminal it goes with --expect' },
    json: JSON_OPTION,
    ...STORE_OPTIONS,
  },
  details: [
    'The native code of the holder\'s process, or the store, compares the token: a hold that has begun since is never ' +
      'ended. A host lock is the kernel\'s: its process is named.',
  ],
  examples: [
    "chainlock release send --force --reason 'stuck since 14:03'",
    'chainlock release deploy --store redis://127.0.0.1 --force --expect 88 --yes',
  ],
  exits: [EXIT.notFound, EXIT.refused, EXIT.permission, EXIT.timedOut],
  run,
}
