// STUCK, STOPPED, SILENT: holders that do not let go, and those that cannot.
// @ts-check
'use strict'

const { duration, lockName, who } = require('../words')
const { longestWait, onLock, processOf } = require('./finding')

/** @typedef {import('./finding').Rule} Rule */
/** @typedef {import('./finding').Lock} Lock */
/** @typedef {import('./finding').Holder} Holder */
/** @typedef {import('./finding').Seen} Seen */

/** A hold and a wait this long are worth a look, though nobody set a limit. */
const LONG_MS = 30_000
/** And this long they are wrong: it is a send lock's own limit by default. */
const TOO_LONG_MS = 300_000
/** An event loop that has not turned for so long is silent. */
const SILENT_MS = 5_000

/** @param {Lock} lock */
function waiting(lock) {
  if (lock.waiterCount === 0) return 'nobody waits'
  const many = lock.waiterCount === 1 ? 'one waits' : `${lock.waiterCount} wait`
  return `${many}, the longest for ${duration(longestWait(lock))}`
}

/**
 * How long the loop of a holder's thread has been silent; 0 for a loop that turns.
 * @param {Seen} seen
 * @param {Holder} holder
 */
function silenceOf(seen, holder) {
  const thread = processOf(seen, holder)?.threads.find(({ threadId }) => threadId === holder.threadId)
  return thread?.silentMs != null && thread.silentMs > SILENT_MS ? thread.silentMs : 0
}

/** @type {Rule} */
const stuck = {
  id: 'STUCK',
  check: (seen) =>
    seen.locks.flatMap((lock) => {
      const holder = lock.holders.find(({ alive }) => alive !== false)
      const why = holder ? whyStuck(lock, holder) : null
      if (!holder || why === null) return []
      const silent = silenceOf(seen, holder)
      const held = holder.heldMs === null ? 'is held' : `held ${duration(holder.heldMs)}`
      const sentence =
        `${lockName(lock)} ${held} by ${who(holder)}` +
        (silent > 0 ? `; its event loop has been silent for ${duration(silent)}` : `; ${waiting(lock)}`)
      const evidence = [why.because]
      if (silent > 0) evidence.push(waiting(lock))
      if (lock.hold.count > 0)
        evidence.push(`usual hold: ${duration(lock.hold.p50Ms)}, 99 % within ${duration(lock.hold.p99Ms)}`)
      if (lock.send?.dueForceMs != null)
        evidence.push(`forced free in ${duration(Math.max(0, lock.send.dueForceMs))}`)
      const since = holder.since ?? why.since ?? null
      return [onLock('STUCK', why.level, lock, { sentence, evidence, pid: holder.pid, since })]
    }),
}

/**
 * @param {Lock} lock
 * @param {Holder} holder
 * @returns {{ level: 'bad' | 'warn', because: string, since?: string | null } | null} `since`: held since then at the
 *   latest, where nobody knows better.
 */
function whyStuck(lock, holder) {
  const { send } = lock
  if (send?.dueTimeoutMs != null && send.dueTimeoutMs <= 0) {
    return { level: 'bad', because: `its limit of ${duration(send.timeoutMs)} is over` }
  }
  const sinceMs = holder.since === null ? null : Date.parse(holder.since)
  const gaveUp = lock.events.findLast(({ kind, atMs }) => kind === 'timed_out' && sinceMs !== null && atMs >= sinceMs)
  if (gaveUp) {
    const by = gaveUp.layer ?? gaveUp.label
    return {
      level: 'bad',
      because: `${by === null ? 'a request' : `"${by}"`} gave up waiting after ${duration(gaveUp.spanMs)}`,
    }
  }
  const waited = longestWait(lock)
  const held = holder.heldMs ?? waited
  if (waited < LONG_MS || held < LONG_MS) return null
  return {
    level: waited >= TOO_LONG_MS ? 'bad' : 'warn',
    because: `held for ${duration(held)} while others wait for ${duration(waited)}`,
    since: lock.waiters.find(({ waitedMs }) => waitedMs === waited)?.since,
  }
}

/**
 * For each holder that cannot let go, the lock that is most waited for; what else it holds is evidence.
 * @param {Seen} seen
 * @param {(holder: Holder, lock: Lock) => boolean} cannot
 * @param {(holder: Holder) => string} key
 */
function worstOfEach(seen, cannot, key) {
  /** @type {Map<string, { lock: Lock, holder: Holder, others: string[] }>} */
  const found = new Map()
  for (const lock of [...seen.locks].sort((a, b) => b.waiterCount - a.waiterCount)) {
    const holder = lock.holders.find((one) => cannot(one, lock))
    if (!holder) continue
    const known = found.get(key(holder))
    if (known) known.others.push(lockName(lock))
    else found.set(key(holder), { lock, holder, others: [] })
  }
  return [...found.values()]
}

/** @param {string[]} others */
function alsoHolds(others) {
  if (others.length === 0) return []
  const more = others.length > MOST_OTHERS ? ` and ${others.length - MOST_OTHERS} more` : ''
  return [`it also holds ${others.slice(0, MOST_OTHERS).join(', ')}${more}`]
}

const MOST_OTHERS = 5

/** @type {Rule} */
const stopped = {
  id: 'STOPPED',
  check: (seen) =>
    worstOfEach(
      seen,
      (holder) => processOf(seen, holder)?.state === 'stopped',
      ({ pid }) => `${pid}`,
    ).map(({ lock, holder, others }) => {
      const sentence = `${lockName(lock)} is held by ${who(holder)}, a process that is stopped; ${waiting(lock)}`
      const state = 'the process is in state T (SIGSTOP, ctrl-Z, or a debugger)'
      const evidence = [`held for ${duration(holder.heldMs)}; ${state}`, ...alsoHolds(others)]
      const level = lock.waiterCount > 0 || lock.kind === 'send' ? 'bad' : 'warn'
      const { pid, since } = holder
      return onLock('STOPPED', level, lock, { sentence, evidence, pid, since, next: `kill -CONT ${pid}` })
    }),
}

/** @type {Rule} */
const silent = {
  id: 'SILENT',
  check: (seen) =>
    worstOfEach(
      seen,
      // A stopped process is silent, too, and that is said already.
      (holder, { waiterCount, kind }) =>
        (waiterCount > 0 || kind === 'send') &&
        silenceOf(seen, holder) > 0 &&
        processOf(seen, holder)?.state !== 'stopped',
      ({ pid, threadId }) => `${pid}/${threadId}`,
    ).map(({ lock, holder, others }) => {
      const silence = silenceOf(seen, holder)
      const blocked = `whose event loop has been blocked for ${duration(silence)}`
      const sentence = `${lockName(lock)} is held by ${who(holder)}, ${blocked}; ${waiting(lock)}`
      const evidence = [
        `held for ${duration(holder.heldMs)}, token ${holder.token ?? '?'}`,
        ...alsoHolds(others),
        `kill -USR1 ${holder.pid} opens Node's inspector there, which shows what it is doing`,
      ]
      const since = new Date(seen.takenAtMs - silence).toISOString()
      return onLock('SILENT', 'bad', lock, { sentence, evidence, pid: holder.pid, since })
    }),
}

module.exports = { stuck, stopped, silent }
