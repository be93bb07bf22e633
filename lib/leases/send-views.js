// What is known of a send lock between machines, in the shapes of leases.d.ts. The native side tells ages, because only
// the store knows its clock.
// @ts-check
'use strict'

/**
 * @typedef {import('../../leases').ClusterSendStatus} Status
 * @typedef {import('../../leases').ClusterSendAttempt} Attempt
 * @typedef {import('../../leases').ClusterSendHolder} Holder
 * @typedef {import('../../index').SendRefusal} Reason
 * @typedef {{
 *   did: boolean,
 *   settings: import('./send-options').First,
 *   hold: {
 *     layerId: string, token: number, workerId: string, nodeId: string | null, host: string, pid: number, heldMs: number,
 *     overdue: boolean,
 *   } | null,
 *   cooldownMs: number, waiters: number, lastToken: number, lastAcquiredMs: number | null,
 *   counts: { acquisitions: number, releases: number, forced: Record<string, number> },
 *   history: { layerId: string, token: number, action: string, agoMs: number, durationMs: number | null }[],
 * }} NativeLook
 */

const REASONS = ['unknown_layer', 'cooldown', 'held', 'duplicate_message']

/** What the rules have refused; null for anything else. @param {any} error @returns {(Attempt & { acquired: false }) | null} */
function refusalOf(error) {
  if (!REASONS.includes(error?.code)) return null
  const by = /** @type {import('../../leases').LeaseHolder | undefined} */ (error.heldBy)
  const holder = by === undefined ? null : holderOf(by)
  const heldMs = holder === null ? null : Math.max(0, Date.now() - holder.acquiredAt)
  return { acquired: false, reason: error.code, holder, heldMs, retryAfterMs: error.retryAfterMs ?? null }
}

/** @param {import('../../leases').LeaseHolder} holder @returns {Holder} */
function holderOf({ workerId, nodeId, host, pid, token, acquiredAt, metadata }) {
  const layerId = /** @type {{ layerId?: string } | null} */ (metadata)?.layerId ?? ''
  return { layerId, workerId, nodeId, host, pid, token, acquiredAt }
}

/** @param {NativeLook} look @returns {import('../../leases').ClusterSendSettingsInForce} */
function settingsOf({ settings }) {
  const layers = settings.layers === null ? 'any' : Object.freeze(settings.layers)
  return Object.freeze(/** @type {any} */ ({ ...settings, layers }))
}

/** @param {string} name @param {NativeLook} look @returns {Status} */
function statusOf(name, look) {
  const { hold, cooldownMs, waiters, lastToken, lastAcquiredMs } = look
  const now = Date.now()
  return {
    name,
    scope: 'cluster',
    isSendingToClaude: hold !== null,
    sendingLayerId: hold?.layerId ?? null,
    lockStartTime: hold === null ? null : now - hold.heldMs,
    lockAge: hold?.heldMs ?? null,
    token: hold?.token ?? null,
    workerId: hold?.workerId ?? null,
    nodeId: hold?.nodeId ?? null,
    host: hold?.host ?? null,
    pid: hold?.pid ?? null,
    overdue: hold?.overdue ?? false,
    cooldownRemaining: cooldownMs,
    waiters,
    lastToken,
    lastSendTime: lastAcquiredMs === null ? 0 : now - lastAcquiredMs,
    settings: settingsOf(look),
  }
}

/** @param {NativeLook} look @param {Record<Reason, number>} refusedByReason */
function metricsOf({ counts }, refusedByReason) {
  const { process_exit = 0, stale_timeout = 0, timeout = 0, lost = 0, manual = 0 } = counts.forced
  const forcedByReason = { manual, timeout, stale_timeout, process_exit, lost }
  const { cooldown, held, duplicate_message } = refusedByReason
  return {
    scope: /** @type {const} */ ('cluster'),
    totalAcquisitions: counts.acquisitions,
    totalReleases: counts.releases,
    forceReleases: Object.values(forcedByReason).reduce((sum, count) => sum + count, 0),
    forcedByReason,
    duplicatesBlocked: cooldown + held + duplicate_message,
    refusedByReason,
  }
}

/** @param {NativeLook} look */
function historyOf({ history }) {
  const now = Date.now()
  return history.map(({ layerId, token, action, agoMs, durationMs }) => ({
    timestamp: now - agoMs,
    layerId,
    token,
    action,
    duration: durationMs,
  }))
}

module.exports = { refusalOf, statusOf, metricsOf, historyOf, settingsOf }
