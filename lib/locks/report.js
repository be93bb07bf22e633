// Holders, waiters and deadlocks in words: for errors, reports and warnings.
// @ts-check
'use strict'

const { quote } = require('../errors')

/**
 * @typedef {import('../../index').LockHolder} Holder
 * @typedef {import('../../index').LockWaiter} Waiting
 * @typedef {import('../../index').DeadlockEdge} Edge
 */

/** Names can be long; a message is for people. */
const LONGEST_SHOWN = 80
const MOST_NAMES = 8
/** What the names begin with of the locks that stand in front of host locks (`host/file.js`). */
const HOST = '-host:'

/** @param {string} text */
function shown(text) {
  return quote(text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text)
}

/** @param {number} ms */
function whole(ms) {
  return Math.round(ms).toLocaleString('en-US')
}

/** @param {number} ms */
function lasting(ms) {
  return ms < 1_000 ? `${whole(ms)} ms` : `${(ms / 1_000).toLocaleString('en-US', { maximumFractionDigits: 1 })} s`
}

/** @param {number} threadId */
const onThread = (threadId) => (threadId === 0 ? 'the main thread' : `worker ${threadId}`)

/**
 * What is asked for or held: `lock 'skills' (exclusive)`.
 * @param {{ name: string | null, names?: readonly (string | null)[], kind: string, mode: string | null, weight: number }} what
 */
function thing({ name, names, kind, mode, weight }) {
  if (kind === 'send') return 'the send lock'
  if (names && names.length > 1) return together(names)
  if (name !== null && name.startsWith(HOST)) return `host lock ${shown(name.slice(HOST.length))} (${mode})`
  const named = name === null ? `a ${kind} without a name` : `${kind} ${shown(name)}`
  return kind === 'semaphore' ? `${named} (${whole(weight)} permits)` : `${named} (${mode})`
}

/** @param {readonly (string | null)[]} names */
function together(names) {
  const rest = names.length - MOST_NAMES
  const more = rest > 0 ? ` and ${whole(rest)} more` : ''
  return `${whole(names.length)} locks together (${names.slice(0, MOST_NAMES).map((name) => shown(name ?? '')).join(', ')}${more})`
}

/** @param {Holder} holder */
function holding({ label, threadId, token, heldMs }) {
  const who = label === null ? 'somebody' : shown(label)
  // Of the send lock no more is known here than its token.
  if (threadId === null || heldMs === null) return `${who}, token ${token}`
  return `${who} on ${onThread(threadId)}, token ${token}, for ${lasting(heldMs)}`
}

/** @param {{ holders: Holder[], holderCount: number }} report */
function heldBy({ holders, holderCount }) {
  if (holders.length === 0) return 'nobody holds it: others stand before it in line'
  const rest = holderCount - holders.length
  return `held by ${holders.map(holding).join('; by ')}${rest > 0 ? `; and by ${whole(rest)} others` : ''}`
}

/** @param {Waiting} request */
function asker({ label, threadId }) {
  const thread = threadId === null ? 'another process' : onThread(threadId)
  return label === null ? thread : `${shown(label)} on ${thread}`
}

/** The cycle, one paragraph a request. @param {readonly Edge[]} cycle */
function deadlockReport(cycle) {
  const many = cycle.length === 1 ? '1 request waits for itself' : `${cycle.length} requests wait for each other`
  const parts = cycle.map(({ request, heldBy: holder, behind }, index) => {
    const next = `[${(index + 1) % cycle.length + 1}]`
    const place = request.position > 0 ? `, place ${request.position} in line` : ''
    const why = holder
      ? [`    held by ${holding(holder)}`, `    inside of that hold, ${next} was requested`]
      : [`    behind ${next}${behind ? `, which waits for ${thing(behind)}` : ''}`]
    return [
      `[${index + 1}] ${asker(request)}`,
      `    waits for ${thing(request)}${place}, for ${lasting(request.waitedMs)}`,
      ...why,
    ].join('\n')
  })
  return [`Deadlock: ${many}.`, ...parts].join('\n')
}

/** @param {import('../../index').LockOrderSide} side */
function orderSide({ held, then, chain, threadId, label, site }) {
  const who = label === null ? onThread(threadId) : `${shown(label)} on ${onThread(threadId)}`
  const where = site ? `\n${site}` : ''
  return `${shown(held)} before ${shown(then)}: ${chain.map(shown).join(' > ')}, by ${who}${where}`
}

/** @param {{ first: import('../../index').LockOrderSide, now: import('../../index').LockOrderSide }} report */
function orderReport({ first, now }) {
  return [
    `the locks of class ${shown(now.then)} and of class ${shown(now.held)} are taken in both orders, which can deadlock`,
    `  first seen: ${orderSide(first)}`,
    `  now:        ${orderSide(now)}`,
  ].join('\n')
}

/** @param {{ cycle: Edge[] }} report */
function warnDeadlock({ cycle }) {
  process.emitWarning(deadlockReport(cycle), { code: 'ERR_LOCK_DEADLOCK' })
}

/** @param {Parameters<typeof orderReport>[0]} report */
function warnDisorder(report) {
  process.emitWarning(orderReport(report), { code: 'ERR_LOCK_ORDER' })
}

module.exports = { HOST, shown, thing, together, whole, lasting, onThread, heldBy, deadlockReport, orderReport, warnDeadlock, warnDisorder }
