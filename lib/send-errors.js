// The errors of those who asked for the send lock, in words: who holds it, and what became of the request.
// @ts-check
'use strict'

const { ChainlockError, quote } = require('./errors')
const { limits } = require('./options')

/** @param {import('../index').SendHolder | null} holder */
function heldBy(holder) {
  if (!holder) return 'nobody holds it; the cooldown runs'
  const thread =
    (holder.threadId === 0 ? 'the main thread' : `worker ${holder.threadId}`) +
    (holder.pid === process.pid ? '' : ` of process ${holder.pid}`)
  const seconds = ((Date.now() - holder.acquiredAt) / 1000).toFixed(3)
  return `held by layer ${quote(holder.layerId)} on ${thread}, token ${holder.token}, for ${seconds} s`
}

/** @param {string} layerId @param {import('../index').SendAttempt & { acquired: false }} attempt */
function refused(layerId, { reason, holder, retryAfterMs }) {
  if (reason === 'unknown_layer') {
    return new ChainlockError('ERR_LOCK_UNKNOWN_LAYER', `${quote(layerId)} is not one of the layers that may take the send lock (configureSendLock({ layers }))`)
  }
  return new ChainlockError(
    'ERR_LOCK_DUPLICATE_MESSAGE',
    `the message of layer ${quote(layerId)} was already sent; it may be sent again in ${Math.ceil(Number(retryAfterMs))} ms`,
    { holder, retryAfterMs },
  )
}

/**
 * @param {string} layerId
 * @param {number} startedAt
 * @param {number} position
 * @param {import('../index').SendHolder | null} holder
 */
function timedOut(layerId, startedAt, position, holder) {
  const waitedMs = Math.round(performance.now() - startedAt)
  return new ChainlockError(
    'ERR_LOCK_TIMEOUT',
    `layer ${quote(layerId)} waited ${waitedMs} ms for the send lock (place ${position} in line): ${heldBy(holder)}`,
    { waitedMs, position, holder },
  )
}

/** @param {string} layerId */
function queueFull(layerId) {
  return new ChainlockError(
    'ERR_LOCK_QUEUE_FULL',
    `layer ${quote(layerId)} cannot wait for the send lock: ${limits.waiters} requests are waiting already`,
  )
}

/** @param {string} call @param {string} layerId @param {import('./nesting').Frame} frame */
function selfDeadlock(call, layerId, frame) {
  return new ChainlockError(
    'ERR_LOCK_SELF_DEADLOCK',
    `${call}: layer ${quote(layerId)} would wait for ever, for the hold (token ${frame.hold.token}) inside of which it was called`,
  )
}

module.exports = { queueFull, refused, selfDeadlock, timedOut }
