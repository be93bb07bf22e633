// What the send lock must answer, in plain JavaScript: the rules without their times (the cooldown is either
// nothing or longer than any test), for comparing whole sequences of calls.
'use strict'

const percent = (part, whole) => (whole > 0 ? `${((part / whole) * 100).toFixed(2)}%` : 'N/A')

class Twin {
  layers = new Set(['e2e-executor', 'window-monitor', 'chain-loop-monitor', 'chain-keyword-monitor', 'test-layer'])
  resting = false
  cooldown = false
  limit = 100

  constructor() {
    this.reset()
    this.holder = null
  }

  reset() {
    Object.assign(this, { acquired: 0, released: 0, blocked: 0, forced: 0, history: [] })
  }

  note(layerId, success, action, currentLayer) {
    this.history.push({ layerId, success, action, lockState: { isSending: currentLayer !== null, currentLayer } })
    if (this.history.length > 1_000) this.history.shift()
  }

  tryAcquireSendLock(layerId) {
    if (!this.layers.has(layerId)) return false
    if (this.cooldown && this.resting) {
      this.blocked++
      return false
    }
    if (this.holder !== null) {
      this.blocked++
      this.note(layerId, false, 'duplicate_blocked', this.holder)
      return false
    }
    this.holder = layerId
    this.resting = true
    this.acquired++
    this.note(layerId, true, 'acquired', layerId)
    return true
  }

  releaseSendLock(layerId) {
    if (this.holder === null || this.holder !== layerId) return false
    this.holder = null
    this.released++
    this.note(layerId, true, 'released', null)
    return true
  }

  forceReleaseLock(reason) {
    if (this.holder === null) return false
    this.forced++
    this.note(this.holder, true, `force_released_${reason}`, null)
    this.holder = null
    return true
  }

  skipCooldown() {
    this.resting = false
  }

  isSendLocked() {
    return this.holder !== null
  }

  seen() {
    return {
      totalAcquisitions: this.acquired,
      totalReleases: this.released,
      duplicatesBlocked: this.blocked,
      forceReleases: this.forced,
      lockEfficiency: percent(this.released, this.acquired),
      duplicateRate: this.acquired > 0 ? percent(this.blocked, this.acquired + this.blocked) : 'N/A',
      recentActivity: this.history.slice(-this.limit).slice(-10),
      sendingLayerId: this.holder,
      historyLength: Math.min(this.history.length, this.limit),
    }
  }
}

module.exports = { Twin }
