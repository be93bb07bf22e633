// What `chainlock status --store` prints: verdicts, then the keys, a line each; of one key, all that is known.
// @ts-check
'use strict'

const { clean, cut, duration, pad } = require('../text')
const { commandFor, heldMs, holdWords, keyName, whoHolds } = require('../store')
const { short } = require('../../snapshot/words')
const { table } = require('./table')
const { verdictLines } = require('./verdict')

/** @typedef {import('../store-status').Look} Found */
/** @typedef {import('../store').LeaseStatus} LeaseStatus */
/** @typedef {import('../store').LeaseHolder} LeaseHolder */
/** @typedef {import('./verdict').Look} Look */

const LONGEST_NAME = 40
const LONGEST_META = 60
/** A key may have 256 holders. */
const MOST_HOLDERS = 20

const HEADS = ['KEY', 'MODE', 'STATE', 'HELD', 'HOLDER', 'WAIT', 'TOKEN', 'ENDS IN', 'METADATA']
const NUMBERS = [5, 6]

/** @param {Found} found @param {Look} look @returns {string[]} */
function storeLines({ verdict, leases, address, more }, look) {
  const { colour, glyphs } = look
  const columns = look.isTty ? look.columns : Infinity
  const rows = leases.map((lease) => rowOf(lease, glyphs))
  const [heads, ...lines] = rows.length > 0 ? table(HEADS, rows, { right: NUMBERS, columns, more: glyphs.more }) : []
  const count = leases.length === 1 ? '1 key' : `${leases.length} keys`
  return [
    ...verdictLines(/** @type {any} */ (verdict), look),
    '',
    ...(heads === undefined ? [] : [colour.dim(heads), ...lines, '']),
    colour.dim(`${count} of ${clean(address)}${more ? '; there are more' : ''}`),
  ]
}

/** @param {LeaseStatus} lease @param {import('../text').Glyphs} glyphs */
function rowOf(lease, glyphs) {
  const { key, holders, waiters, lastToken } = lease
  const [first] = holders
  const name = cut(keyName(key).slice(1, -1), LONGEST_NAME, glyphs.more)
  if (first === undefined) return [name, glyphs.dash, 'free', glyphs.dash, glyphs.dash, String(waiters), String(lastToken), glyphs.dash, '']
  return [
    name,
    first.mode,
    stateOf(lease, glyphs),
    duration(heldMs(first)),
    cut(whoHolds(first), LONGEST_NAME, glyphs.more) + (holders.length > 1 ? ` +${holders.length - 1}` : ''),
    String(waiters),
    String(first.token),
    ends(first, glyphs),
    first.metadata === null ? '' : cut(metadata(first), LONGEST_META, glyphs.more),
  ]
}

/** @param {LeaseStatus} lease @param {import('../text').Glyphs} glyphs */
function stateOf({ held, holders }, glyphs) {
  if (holders.length === 0) return 'free'
  return `${held ? 'held' : 'stale'}${holders.length > 1 ? ` ${glyphs.times}${holders.length}` : ''}`
}

/** @param {LeaseHolder} holder @param {import('../text').Glyphs} glyphs */
function ends({ expiresInMs, ttlMs }, glyphs) {
  if (expiresInMs === null) return glyphs.dash
  return `${duration(expiresInMs)}${ttlMs === null ? '' : `/${duration(ttlMs)}`}`
}

/** @param {LeaseHolder} holder */
const metadata = (holder) => clean(JSON.stringify(holder.metadata))

/**
 * @param {LeaseStatus} lease
 * @param {Found} found
 * @param {import('../store').Place} place
 * @param {Look} look
 * @returns {string[]}
 */
function keyLines(lease, { verdict, address }, place, look) {
  const { colour, glyphs } = look
  const { key, holders, waiters, lastToken, stolen } = lease
  const mode = holders.length === 0 ? '' : `, ${holders[0].mode}`
  const part = (/** @type {string} */ head, /** @type {string[]} */ lines) =>
    lines.map((line, index) => `${colour.dim(pad(index === 0 ? head : '', 10))}${line}`)
  const bad = verdict.filter(({ level }) => level !== 'good').map((one) => ({ ...one, next: null }))
  const next = nextCommand(lease, place)
  return [
    `${colour.strong(clean(keyName(key)))}  lease in ${clean(address)}: ${stateOf(lease, glyphs)}${mode}`,
    ...verdictLines(/** @type {any} */ (bad), look),
    '',
    ...part('held by', holders.length === 0 ? ['nobody'] : holders.slice(0, MOST_HOLDERS).flatMap((one) => holderLines(one, glyphs))),
    ...part('', holders.length > MOST_HOLDERS ? [`and ${holders.length - MOST_HOLDERS} more`] : []),
    ...part('waiting', [waiters === 0 ? 'nobody' : String(waiters)]),
    ...part('token', [`${lastToken} was the last that was granted`]),
    ...part('taken', stolen === null ? [] : [`token ${stolen.token}, by worker ${short(stolen.by)}${reason(stolen)}`]),
    ...(next === undefined ? [] : part('next', [next])),
  ]
}

/** @param {NonNullable<LeaseStatus['stolen']>} stolen */
const reason = (stolen) => (stolen.reason === null ? '' : `: ${clean(stolen.reason)}`)

/** @param {LeaseHolder} holder @param {import('../text').Glyphs} glyphs */
function holderLines(holder, glyphs) {
  const left = holder.expiresInMs === null ? 'ends with the session of its process' : `ends in ${ends(holder, glyphs)} unless it is renewed`
  return [holdWords(holder), ...(holder.stale ? [] : [`  ${left}`]), ...(holder.metadata === null ? [] : [`  metadata ${metadata(holder)}`])]
}

/** @param {LeaseStatus} lease @param {import('../store').Place} place */
function nextCommand({ key, held, holders: [first] }, { options }) {
  return held ? commandFor('chainlock release', key, `${options} --force --expect ${first.token}`) : undefined
}

module.exports = { storeLines, keyLines }
