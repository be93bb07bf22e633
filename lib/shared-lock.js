// The drop-in object: `sharedLock` and `class SharedLock`, with the properties that a controller knows from
// its JavaScript module, over native state.
// @ts-check
'use strict'

const { native } = require('./native')
const { createSendLock } = require('./send-lock')
const { settingsInForce } = require('./send-scope')
const options = require('./options')

const processLock = createSendLock(false)

/** Properties that the old module let anybody assign; here the native lock alone decides. */
const READ_ONLY = Object.freeze([
  'isSendingToClaude',
  'sendingLayerId',
  'lockStartTime',
  'lockHistory',
  'totalAcquisitions',
  'totalReleases',
  'duplicatesBlocked',
  'forceReleases',
  'validLayerIds',
])

/** The settable times and what they are called among the settings. */
const TIMES = Object.freeze({
  COOLDOWN_MS: 'cooldownMs',
  TIMEOUT_MS: 'timeoutMs',
  FORCE_RELEASE_THRESHOLD: 'forceReleaseMs',
})

/** @type {Set<string>} */
const warned = new Set()

/** @param {string} property */
function warnReadOnly(property) {
  if (warned.has(property)) return
  warned.add(property)
  process.emitWarning(
    `sharedLock.${property} shows native state; assigning it changes nothing. ` +
      'Use forceReleaseLock(), resetMetrics() or configureSendLock().',
    { code: 'CHAINLOCK_READ_ONLY' },
  )
}

/** The set of layers: changes go to the native lock, and reading shows what it says. */
class LayerSet extends Set {
  /** The whole lock: its face's number alone would be another lock's when this one is collected. */
  #lock

  /** @param {typeof processLock} lock @param {readonly string[]} layers */
  constructor(lock, layers) {
    super()
    this.#lock = lock
    for (const layer of layers) super.add(layer)
  }

  /** @param {string} layer */
  add(layer) {
    // The constructor of Set does not come through here: it is given nothing.
    const id = options.layerId('validLayerIds.add', layer)
    const listed = this.#listed()
    if (!listed.includes(id)) {
      options.layerCount('validLayerIds.add', listed.length + 1)
      native.configure(this.#lock.face, { addLayer: id })
    }
    return super.add(id)
  }

  /** @param {string} layer */
  delete(layer) {
    if (this.#listed().includes(layer)) native.configure(this.#lock.face, { removeLayer: layer })
    return super.delete(layer)
  }

  /** The layers now: a set that somebody has kept may be out of date. */
  #listed() {
    return native.settings(this.#lock.face).layers
  }

  clear() {
    native.configure(this.#lock.face, { layers: [] })
    super.clear()
  }
}

class SharedLock {
  #lock

  /** @param {unknown} [which] For this module alone: {@link PROCESS}. */
  constructor(which) {
    this.#lock = which === PROCESS ? processLock : createSendLock(true)
  }

  /** @param {Parameters<ReturnType<typeof createSendLock>['tryAcquireSendLock']>} given */
  tryAcquireSendLock(...given) {
    return this.#lock.tryAcquireSendLock(...given)
  }

  /** @param {Parameters<ReturnType<typeof createSendLock>['releaseSendLock']>} given */
  releaseSendLock(...given) {
    return this.#lock.releaseSendLock(...given)
  }

  /** @param {Parameters<ReturnType<typeof createSendLock>['trySend']>} given */
  trySend(...given) {
    return this.#lock.trySend(...given)
  }

  /** @param {Parameters<ReturnType<typeof createSendLock>['acquireSendLock']>} given */
  acquireSendLock(...given) {
    return this.#lock.acquireSendLock(...given)
  }

  /** @param {[any, any, any?]} given */
  withSendLock(...given) {
    return this.#lock.withSendLock(...given)
  }

  isSendLocked() {
    return this.#lock.isSendLocked()
  }

  /** @param {string} [reason] */
  forceReleaseLock(reason) {
    return this.#lock.forceReleaseLock(reason)
  }

  checkAndForceRelease() {
    return this.#lock.checkAndForceRelease()
  }

  getMetrics() {
    return this.#lock.getMetrics()
  }

  getLockStatus() {
    return this.#lock.getLockStatus()
  }

  resetMetrics() {
    this.#lock.resetMetrics()
  }

  /** @param {import('../index').SendLockSettings} settings */
  configure(settings) {
    return this.#lock.configure(settings)
  }

  get lastSendTime() {
    return this.#lock.getLockStatus().lastSendTime
  }

  set lastSendTime(epochMs) {
    native.setLastSendTime(this.#lock.face, options.milliseconds('sharedLock', 'lastSendTime', epochMs))
  }

  get validLayerIds() {
    return new LayerSet(this.#lock, native.settings(this.#lock.face).layers)
  }

  get isSendingToClaude() {
    return this.#lock.isSendLocked()
  }

  get sendingLayerId() {
    return this.#lock.getLockStatus().sendingLayerId
  }

  get lockStartTime() {
    return this.#lock.getLockStatus().lockStartTime
  }

  /** @returns {import('../index').SendHistoryEntry[]} */
  get lockHistory() {
    return JSON.parse(native.historyJson(this.#lock.face))
  }

  get totalAcquisitions() {
    return this.#lock.getLockStatus().metrics.totalAcquisitions
  }

  get totalReleases() {
    return this.#lock.getLockStatus().metrics.totalReleases
  }

  get duplicatesBlocked() {
    return this.#lock.getLockStatus().metrics.duplicatesBlocked
  }

  get forceReleases() {
    return this.#lock.getLockStatus().metrics.forceReleases
  }

  /** @param {unknown} id */
  validateLayerId(id) {
    return typeof id === 'string' && native.knowsLayer(this.#lock.face, id.slice(0, options.limits.nameBytes + 1))
  }

  /** @param {keyof typeof TIMES} property */
  static #time(property) {
    const setting = /** @type {'cooldownMs'} */ (TIMES[property])
    Object.defineProperty(SharedLock.prototype, property, {
      configurable: true,
      enumerable: true,
      get() {
        return settingsInForce(this.#lock.face)[setting]
      },
      set(value) {
        options.milliseconds('sharedLock', property, value)
        this.#lock.configure({ [setting]: value })
      },
    })
  }

  static {
    for (const property of Object.keys(TIMES)) SharedLock.#time(/** @type {keyof typeof TIMES} */ (property))
    for (const property of READ_ONLY) {
      const { get } = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(SharedLock.prototype, property))
      const set = () => warnReadOnly(property)
      Object.defineProperty(SharedLock.prototype, property, { configurable: true, enumerable: true, get, set })
    }
  }
}

/** What makes the constructor give the process's lock. */
const PROCESS = Symbol('the lock of the process')
const sharedLock = new SharedLock(PROCESS)

module.exports = { SharedLock, sharedLock, processLock }
