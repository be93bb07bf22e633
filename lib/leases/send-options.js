// What callers of a send lock between machines may pass, checked as the send lock of a process checks it.
// @ts-check
'use strict'

const { createHash } = require('node:crypto')
const { invalidArgument } = require('../errors')
const options = require('../options')
const { text, span } = require('./options')

const MOST_NAME_BYTES = 64
const MOST_HISTORY = 100
const MOST_LAYERS = 100
/** A dead holder is found out after this, where the manager's own ttl is longer. */
const USUAL_TTL_MS = 10_000

const REQUEST = ['message', 'messageKey']
const WAIT = [...REQUEST, 'timeoutMs', 'signal']
const SETTINGS = ['cooldownMs', 'cooldownFrom', 'timeoutMs', 'onTimeout', 'forceReleaseMs', 'layers', 'historyLimit', 'dedupWindowMs']

/**
 * @typedef {{
 *   cooldownMs?: number, cooldownFrom?: 'acquire' | 'release', timeoutMs?: number, onTimeout?: 'report' | 'release',
 *   forceReleaseMs?: number, dedupWindowMs?: number, historyLimit?: number, layers?: readonly string[] | null,
 * }} First The settings as they lie in the record; `layers: null` is any.
 */

/** Only a hash leaves this process. @param {string | undefined} message */
const hashed = (message) =>
  message === undefined ? undefined : createHash('sha256').update(message).digest('hex').slice(0, 32)

/** @param {string} call @param {unknown} given */
function request(call, given) {
  return hashed(options.requestOptions(call, options.copyOptions(call, given, REQUEST)).message)
}

/** @param {string} call @param {unknown} given */
function wait(call, given) {
  const { message, timeoutMs, signal } = options.waitOptions(call, options.copyOptions(call, given, WAIT))
  return { message: hashed(message), timeoutMs: timeoutMs < 0 ? undefined : Math.ceil(timeoutMs), signal }
}

/** @param {string} call @param {unknown} given @returns {First} */
function settings(call, given) {
  const { anyLayer, layers, cooldownFromRelease, releaseOnTimeout, historyLimit, ...times } = options.settingsChange(call, given)
  if (historyLimit !== undefined && historyLimit > MOST_HISTORY) {
    throw invalidArgument(`${call}: historyLimit`, `a whole number from 0 to ${MOST_HISTORY}`, historyLimit)
  }
  if (layers !== undefined && layers.length > MOST_LAYERS) {
    throw invalidArgument(`${call}: layers`, `'any' or at most ${MOST_LAYERS} layer ids`, layers.length)
  }
  /** @type {First} */
  const all = Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, Math.ceil(Number(ms))]))
  if (cooldownFromRelease !== undefined) all.cooldownFrom = cooldownFromRelease ? 'release' : 'acquire'
  if (releaseOnTimeout !== undefined) all.onTimeout = releaseOnTimeout ? 'release' : 'report'
  if (historyLimit !== undefined) all.historyLimit = historyLimit
  if (anyLayer) all.layers = null
  else if (layers !== undefined) all.layers = layers
  return all
}

/**
 * What a lock is opened with.
 * @param {unknown} given
 * @param {number} ttlMs The manager's.
 * @param {number} leastTtlMs The store's.
 */
function opening(given, ttlMs, leastTtlMs) {
  const { ttlMs: own, ...rest } = options.copyOptions('sendLock', given, ['ttlMs', ...SETTINGS], 'settings')
  return {
    ttlMs: span('sendLock', 'ttlMs', own, 1) ?? Math.max(leastTtlMs, Math.min(ttlMs, USUAL_TTL_MS)),
    first: settings('sendLock', rest),
  }
}

/** @param {unknown} given */
const name = (given) => text('sendLock', 'name', given, MOST_NAME_BYTES)

/** A force release does not fail over its own reason. @param {unknown} given */
const reason = (given) => options.cleanLayerId(options.reasonText(given)) ?? 'unspecified'

/** @param {unknown} given @returns {boolean} */
function sent(given) {
  const { sent = true } = options.copyOptions('release', given, ['sent'])
  if (typeof sent !== 'boolean') throw invalidArgument('release: options.sent', 'a boolean', sent)
  return sent
}

const { layerId, callback } = options

module.exports = { request, wait, settings, opening, name, reason, sent, layerId, callback }
