// The settings of a send lock, and whose it is: this process's alone, or one that all processes of the user share.
// @ts-check
'use strict'

const { native } = require('./native')
const { ChainlockError, quote } = require('./errors')
const options = require('./options')

/** @param {import('./binding.cjs').HostFault} fault */
function hostError({ code, message, path, errno }) {
  return new ChainlockError(
    /** @type {import('../index').ChainlockErrorCode} */ (code),
    `the send lock's shared state ${quote(path)}: ${message}`,
    errno === undefined ? { path } : { path, errno },
  )
}

/** Why the shared state cannot be had. */
function hostFault() {
  const fault = native.hostFault()
  return fault ? hostError(fault) : new ChainlockError('ERR_LOCK_INTERNAL', 'the shared state cannot be had')
}

/**
 * Applies settings, and the scope before them. The scope alone can fail after the arguments were checked; then
 * nothing is changed.
 * @param {number} face
 * @param {boolean} independent
 * @param {unknown} settings
 */
function applySettings(face, independent, settings) {
  const { change, scope, name } = options.lockSettings('configureSendLock', settings)
  if (scope === 'host' && independent) {
    throw new ChainlockError('ERR_LOCK_SCOPE', 'configureSendLock: an independent SharedLock cannot be shared between processes; only the process’s one can')
  }
  if (scope === 'process' && !independent && native.isShared()) {
    throw new ChainlockError('ERR_LOCK_SCOPE', "configureSendLock: this process shares its send lock with others and cannot go back to scope 'process'; start a process that does not")
  }
  const fault = scope === 'host' ? native.joinHost(name) : null
  if (fault) throw hostError(fault)
  native.configure(face, change)
  return settingsInForce(face)
}

/** @param {number} face @returns {Readonly<Required<import('../index').SendLockSettings>>} */
function settingsInForce(face) {
  const { cooldownFromRelease, releaseOnTimeout, anyLayer, layers, ...rest } = native.settings(face)
  return Object.freeze({
    ...rest,
    cooldownFrom: cooldownFromRelease ? 'release' : 'acquire',
    onTimeout: releaseOnTimeout ? 'release' : 'report',
    layers: anyLayer ? 'any' : Object.freeze(layers),
  })
}

module.exports = { applySettings, hostFault, settingsInForce }
