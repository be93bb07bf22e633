// @ts-check
// The send lock as a plain JavaScript module: the same rules in the same order, the same history and the
// same totals, kept in an ordinary object of one thread. It is what the native lock is compared with.
'use strict'

const FAMILIAR_LAYERS = ['e2e-executor', 'window-monitor', 'chain-loop-monitor', 'chain-keyword-monitor', 'test-layer']
const HISTORY_LIMIT = 100
const RECENT = 10

class SingletonLock {
  /** @param {((level: string, text: string) => void) | null} log Where the lines go; null for none at all. */
  constructor(log) {
    this.log = log
    this.COOLDOWN_MS = 2_000
    this.TIMEOUT_MS = 300_000
    this.FORCE_RELEASE_THRESHOLD = 600_000
    this.validLayerIds = new Set(FAMILIAR_LAYERS)
    this.lastSendTime = 0
    this.isSendingToClaude = false
    /** @type {string | null} */
    this.sendingLayerId = null
    /** @type {number | null} */
    this.lockStartTime = null
    /** @type {object[]} */
    this.lockHistory = []
    this.totalAcquisitions = 0
    this.totalReleases = 0
    this.duplicatesBlocked = 0
    this.forceReleases = 0
  }

  /** @param {unknown} id */
  validateLayerId(id) {
    if (typeof id !== 'string' || id === '') {
      if (this.log) this.log('ERROR', '❌ INVALID LAYER ID')
      return false
    }
    if (this.validLayerIds.has(id)) return true
    if (this.log) this.log('WARNING', `⚠️ UNKNOWN LAYER: ${id}`)
    return false
  }

  /** @param {string} layerId */
  tryAcquireSendLock(layerId) {
    if (!this.validateLayerId(layerId)) return false
    this.checkAndForceRelease()
    const now = Date.now()
    const sinceLast = now - this.lastSendTime
    if (sinceLast < this.COOLDOWN_MS) {
      this.duplicatesBlocked++
      if (this.log) this.log('WARNING', `⚠️ COOLDOWN: ${layerId} has to wait ${this.COOLDOWN_MS - sinceLast} ms`)
      return false
    }
    if (this.isSendingToClaude) {
      this.duplicatesBlocked++
      this.record(layerId, false, 'duplicate_blocked', null)
      if (this.log) this.log('WARNING', `⚠️ DUPLICATE BLOCKED: ${layerId}, held by ${this.sendingLayerId}`)
      return false
    }
    this.isSendingToClaude = true
    this.sendingLayerId = layerId
    this.lockStartTime = now
    this.lastSendTime = now
    this.totalAcquisitions++
    this.record(layerId, true, 'acquired', null)
    if (this.log) this.log('INFO', `ℹ️ 🔒 SEND LOCK ACQUIRED: ${layerId}`)
    return true
  }

  /** @param {string} layerId */
  releaseSendLock(layerId) {
    if (!this.validateLayerId(layerId)) return false
    if (!this.isSendingToClaude || this.sendingLayerId !== layerId) {
      if (this.log) this.log('WARNING', `⚠️ NOT THE HOLDER: ${layerId}, held by ${this.sendingLayerId}`)
      return false
    }
    const duration = Date.now() - Number(this.lockStartTime)
    this.isSendingToClaude = false
    this.sendingLayerId = null
    this.lockStartTime = null
    this.totalReleases++
    this.record(layerId, true, 'released', duration)
    if (this.log) this.log('INFO', `ℹ️ 🔓 SEND LOCK RELEASED: ${layerId} after ${duration} ms`)
    return true
  }

  checkAndForceRelease() {
    if (!this.isSendingToClaude || this.lockStartTime === null) return false
    const age = Date.now() - this.lockStartTime
    if (age <= this.FORCE_RELEASE_THRESHOLD) return false
    const layerId = this.sendingLayerId
    this.isSendingToClaude = false
    this.sendingLayerId = null
    this.lockStartTime = null
    this.forceReleases++
    this.record(String(layerId), true, 'force_released_stale_timeout', age)
    if (this.log) this.log('WARNING', `⚠️ FORCE RELEASED: ${layerId} after ${age} ms`)
    return true
  }

  /**
   * @param {string} layerId
   * @param {boolean} success
   * @param {string} action
   * @param {number | null} duration
   */
  record(layerId, success, action, duration) {
    this.lockHistory.push({
      timestamp: Date.now(),
      layerId,
      success,
      action,
      duration,
      lockState: { isSending: this.isSendingToClaude, currentLayer: this.sendingLayerId },
    })
    if (this.lockHistory.length > HISTORY_LIMIT) this.lockHistory.shift()
  }

  getMetrics() {
    return {
      totalAcquisitions: this.totalAcquisitions,
      totalReleases: this.totalReleases,
      duplicatesBlocked: this.duplicatesBlocked,
      forceReleases: this.forceReleases,
      recentActivity: this.lockHistory.slice(-RECENT),
    }
  }
}

module.exports = { SingletonLock }
