// Who waits and who holds: whether they are one.
// @ts-check
'use strict'

/**
 * Whether the one who waits for that lock is the one who holds another meanwhile: by the tokens inside of which it
 * asked, where they are known, else by layer and thread.
 * @param {import('../../index').SnapshotHolder} holder
 * @param {import('../../index').SnapshotWaiter} waiter
 * @param {string} lockId The lock waited for.
 */
function isSame(holder, waiter, lockId) {
  if (holder.waitsFor !== lockId || holder.pid !== waiter.pid) return false
  if (waiter.insideOf.length > 0 && holder.token !== null) return waiter.insideOf.includes(holder.token)
  return holder.layer === waiter.layer && holder.threadId === waiter.threadId
}

module.exports = { isSame }
