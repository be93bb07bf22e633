// What is known of keys and holders, in the shapes of leases.d.ts: the plain ones, and those of the GitHub-issue
// design.
// @ts-check
'use strict'

/**
 * @typedef {import('../../leases').LeaseHolder} LeaseHolder
 * @typedef {import('../../leases').LeaseStatus} LeaseStatus
 * @typedef {import('../../leases').LockMetadata} LockMetadata
 * @typedef {import('../../leases').LockStatus} LockStatus
 * @typedef {{
 *   worker: string, node: string | null, host: string, pid: number, token: number, mode: LeaseHolder['mode'],
 *   acquiredAt: number, expiresInMs: number | null, ttlMs: number | null, stale: boolean, meta: string | null,
 * }} NativeHolder
 * @typedef {{
 *   holds: NativeHolder[], waiters: number, lastToken: number,
 *   stolen: { token: number, by: string, reason: string | null } | null,
 * }} NativeStatus
 */

/** @param {NativeHolder} native @returns {LeaseHolder} */
function holderOf({ worker, node, host, pid, token, mode, acquiredAt, expiresInMs, ttlMs, stale, meta }) {
  const metadata = meta === null ? null : JSON.parse(meta)
  return { workerId: worker, nodeId: node, host, pid, token, mode, acquiredAt, expiresInMs, ttlMs, stale, metadata }
}

/** @param {string} key @param {NativeStatus} native @returns {LeaseStatus} */
function statusOf(key, { holds, waiters, lastToken, stolen }) {
  const holders = holds.map(holderOf)
  return { key, held: holders.some(({ stale }) => !stale), holders, waiters, lastToken, stolen }
}

/** @param {string} key @param {number} token */
const lockId = (key, token) => `${key}#${token}`

/** @param {LeaseHolder} holder */
function renewedAt({ acquiredAt, expiresInMs, ttlMs }) {
  if (expiresInMs === null || ttlMs === null) return acquiredAt
  return Math.max(acquiredAt, Math.round(Date.now() + expiresInMs - ttlMs))
}

/** @param {string} key @param {LeaseHolder} holder @returns {LockMetadata} */
function lockMetadata(key, holder) {
  return {
    lock_id: lockId(key, holder.token),
    worker_id: holder.workerId,
    node_id: holder.nodeId,
    host: holder.host,
    pid: holder.pid,
    token: holder.token,
    claimed_at: new Date(holder.acquiredAt).toISOString(),
    heartbeat_last: new Date(renewedAt(holder)).toISOString(),
    ttl_ms: holder.ttlMs,
    task_info: holder.metadata,
  }
}

/** @param {LeaseStatus} status @returns {LockStatus} */
function lockStatus({ key, held, holders }) {
  const holder = holders.find(({ stale }) => !stale) ?? holders[0] ?? null
  if (holder === null) {
    const nothing = { assignee: null, holder, metadata: null, token: null, expiresInMs: null, createdAt: null, updatedAt: null }
    return { key, isLocked: false, ...nothing, stale: false }
  }
  return {
    key,
    isLocked: held,
    assignee: holder.workerId,
    holder,
    metadata: lockMetadata(key, holder),
    token: holder.token,
    stale: holder.stale,
    expiresInMs: holder.expiresInMs,
    createdAt: holder.acquiredAt,
    updatedAt: renewedAt(holder),
  }
}

module.exports = { holderOf, statusOf, lockId, lockMetadata, lockStatus }
