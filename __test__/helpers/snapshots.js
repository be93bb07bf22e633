// Snapshots made by hand: each builder gives a whole part with healthy values, and takes what a test wants otherwise.
'use strict'

const { judge } = require('../../lib/snapshot/verdicts')
const { classOf } = require('../../lib/snapshot/classes')
const { random } = require('./figures')

/** The moment of all made snapshots: 18:57:03 on a Friday. */
const NOW = Date.parse('2026-11-20T18:57:03.000Z')
const PID = 4242

const agoIso = (ms) => (ms === null ? null : new Date(NOW - ms).toISOString())

function times(over = {}) {
  return { count: 0, totalMs: 0, p50Ms: 0, p99Ms: 0, maxMs: 0, ...over }
}

/** A hold of so many milliseconds. */
function holder({ heldMs = 120, threadId = 0, ...over } = {}) {
  return {
    pid: PID,
    threadId,
    thread: threadId === null ? null : threadId === 0 ? 'main' : `w${threadId}`,
    layer: null,
    label: null,
    token: 41,
    mode: 'exclusive',
    weight: 1,
    since: agoIso(heldMs),
    heldMs,
    command: 'controller.mjs',
    alive: true,
    foreign: false,
    waitsFor: null,
    ...over,
  }
}

/** A request that has waited for so many milliseconds. */
function waiter({ waitedMs = 40, threadId = 0, ...over } = {}) {
  return {
    position: 1,
    pid: PID,
    threadId,
    thread: threadId === null ? null : threadId === 0 ? 'main' : `w${threadId}`,
    layer: null,
    label: null,
    mode: 'exclusive',
    weight: 1,
    since: agoIso(waitedMs),
    waitedMs,
    deadlineMs: null,
    priority: 0,
    foreign: false,
    insideOf: [],
    ...over,
  }
}

/** Something that happened so many milliseconds ago. */
function event(kind, agoMs, over = {}) {
  const none = { layer: null, label: null, threadId: 0, token: null, spanMs: null, other: null }
  return { at: agoIso(agoMs), atMs: NOW - agoMs, kind, ...none, ...over }
}

/** A lease that is held well. */
function lease({ key = 'deploy', pid = PID, state = 'held', heldMs = 41_000, ...over } = {}) {
  return {
    id: `${pid}:lease:17:${key}`,
    key,
    keyCut: false,
    class: classOf(key),
    store: 'redis://127.0.0.1:6379/0',
    engine: 'redis',
    pid,
    command: 'controller.mjs',
    state,
    cause: state === 'lost' ? 'expired' : null,
    untold: false,
    mode: 'exclusive',
    permits: null,
    worker: 'ci-7',
    other: null,
    token: 88,
    ttlMs: 30_000,
    since: agoIso(heldMs),
    heldMs: state === 'waiting' ? null : heldMs,
    waitedMs: state === 'waiting' ? heldMs : null,
    leftMs: state === 'lost' ? null : 19_000,
    renewed: state === 'waiting' ? null : agoIso(4_000),
    renewedMsAgo: state === 'waiting' ? null : 4_000,
    failures: 0,
    waiterCount: 0,
    lostSince: state === 'lost' ? agoIso(5_000) : null,
    lostMsAgo: state === 'lost' ? 5_000 : null,
    ...over,
  }
}

/** A store that answers. */
function store(over = {}) {
  return {
    id: `${PID}:store:0`,
    pid: PID,
    engine: 'redis',
    store: 'redis://127.0.0.1:6379/0',
    open: true,
    state: 'up',
    since: agoIso(60_000),
    answeredAt: agoIso(4_000),
    failures: 0,
    error: null,
    skewMs: 0.4,
    skewErrorMs: 1.2,
    skewSeen: agoIso(4_000),
    acquisitions: 12,
    releases: 11,
    timeouts: 0,
    aborts: 0,
    refused: 0,
    failed: 0,
    conflicts: 2,
    renewals: 7,
    failedRenewals: 0,
    lost: { expired: 0, stolen: 0, gone: 0, session: 0, maxHold: 0, loop: 0, closed: 0 },
    renew: times({ count: 7, totalMs: 14, p50Ms: 2, p99Ms: 3, maxMs: 3 }),
    ...over,
  }
}

function lock({ name = 'index', kind = 'lock', pid = PID, path = null, holders = [], waiters = [], ...over } = {}) {
  const isHost = kind === 'host'
  const state = holders.length > 0 ? 'held' : waiters.length > 0 ? 'waiting' : 'free'
  return {
    id: isHost ? `host:${path ?? name}` : `${pid}:${kind}:${name}`,
    name,
    nameCut: false,
    kind,
    scope: isHost ? 'host' : 'process',
    pid: isHost ? null : pid,
    path,
    state,
    mode: holders[0]?.mode ?? null,
    permits: kind === 'semaphore' ? 4 : null,
    used: holders.length,
    holders,
    holderCount: holders.length,
    waiters: waiters.map((one, index) => ({ ...one, position: index + 1 })),
    waiterCount: waiters.length,
    lastToken: 41,
    acquisitions: 200,
    contended: 10,
    timeouts: 0,
    aborts: 0,
    forced: 0,
    recoveries: 0,
    deadlocks: 0,
    wait: times({ count: 200, totalMs: 900, p50Ms: 2, p99Ms: 31, maxMs: 40 }),
    hold: times({ count: 200, totalMs: 8_000, p50Ms: 12, p99Ms: 900, maxMs: 1_100 }),
    events: [],
    class: classOf(name),
    send: null,
    ...over,
  }
}

/** A send lock; `send` changes its own part. */
function sendLock({ send = {}, ...over } = {}) {
  const own = {
    cooldownMs: 5_000,
    cooldownLeftMs: 0,
    timeoutMs: 300_000,
    forceAfterMs: 600_000,
    dueTimeoutMs: null,
    dueForceMs: null,
    duplicatesSuppressed: 0,
    blockedHeld: 0,
    blockedCooldown: 0,
    refusedUnknownLayer: 0,
    queueFull: 0,
    forcedByReason: { manual: 0, timeout: 0, stale_timeout: 0, thread_exit: 0, process_exit: 0 },
    layers: [{ layer: 'agent', acquisitions: 200, releases: 200, blocked: 0, forced: 0 }],
    overdue: 0,
    lateReleases: 0,
    ...send,
  }
  return lock({ name: 'send', kind: 'send', send: own, ...over })
}

function processView({ threads = [thread()], ...over } = {}) {
  return {
    pid: PID,
    startTimeMs: NOW - 3_600_000,
    command: 'controller.mjs',
    commandLine: ['node', 'controller.mjs'],
    cwd: '/srv/app',
    state: 'sleeping',
    isOwn: false,
    version: '0.1.0',
    layoutVersion: 3,
    chainlockSince: agoIso(3_599_000),
    threads,
    table: {
      slots: 4_096,
      used: 3,
      unshown: 0,
      claims: 16_384,
      claimsUsed: 4,
      claimsUnshown: 0,
      rows: 1_024,
      rowsUsed: 2,
    },
    deadlocks: 0,
    orderInversions: 0,
    journal: null,
    registry: [],
    ...over,
  }
}

function thread({ threadId = 0, ...over } = {}) {
  return {
    threadId,
    name: threadId === 0 ? 'main' : `w${threadId}`,
    since: agoIso(3_599_000),
    silentMs: null,
    ...over,
  }
}

function unseen(reason, over = {}) {
  return { pid: 977, command: 'node', reason, advice: 'look elsewhere', ...over }
}

/** A whole snapshot, judged. */
function snapshotOf({
  locks = [],
  leases = [],
  stores = [],
  processes = [processView()],
  unseen: hidden = [],
  takenAtMs = NOW,
} = {}) {
  const seen = { processes, locks, leases, stores, unseen: hidden }
  const verdict = judge({ ...seen, takenAtMs })
  const ok = verdict.every(({ level }) => level !== 'bad')
  return { schema: 1, takenAt: new Date(takenAtMs).toISOString(), takenAtMs, tookMs: 3.2, ok, verdict, ...seen }
}

/** A snapshot of a busy and healthy process: locks of all kinds, held and waited for, none for long. */
function healthySnapshot(seed) {
  const next = random(seed)
  const below = (limit) => Math.floor(next() * limit)
  const holdersOf = (count, mode, first) =>
    Array.from({ length: count }, (_, at) =>
      holder({
        mode,
        token: first + at,
        heldMs: below(2_000),
        threadId: below(4),
        label: below(3) === 0 ? 'rebuild' : null,
      }),
    )
  const waitersOf = (count) =>
    Array.from({ length: count }, () => waiter({ waitedMs: below(900), threadId: below(4) }))
  const kinds = ['lock', 'semaphore', 'host']
  const locks = Array.from({ length: below(30) }, (_, index) => {
    const kind = kinds[below(kinds.length)]
    const shared = kind === 'semaphore' || below(3) === 0
    const holders = holdersOf(shared ? below(5) : below(2), shared ? 'shared' : 'exclusive', index * 10)
    const waiters = holders.length > 0 ? waitersOf(below(6)) : []
    const acquisitions = below(10_000)
    const events = below(2) === 0 ? [event('acquired', below(9_000), { spanMs: below(300) })] : []
    return lock({
      name: `job-${index}`,
      kind,
      holders,
      waiters,
      acquisitions,
      contended: below(acquisitions / 2 + 1),
      events,
    })
  })
  const isHeld = below(2) === 0
  const due = isHeld ? { dueTimeoutMs: 1_000 + below(300_000), dueForceMs: 301_000 + below(300_000) } : {}
  const cooldownLeftMs = isHeld ? 0 : below(5_000)
  const layer = holder({ layer: 'agent', threadId: 1 })
  locks.unshift(
    sendLock({
      holders: isHeld ? [layer] : [],
      state: isHeld ? 'held' : 'cooldown',
      send: { ...due, cooldownLeftMs },
    }),
  )
  const silences = [null, below(4_000)]
  const threads = [0, 1, 2, 3].map((threadId) => thread({ threadId, silentMs: silences[below(2)] }))
  const leases = Array.from({ length: below(5) }, (_, index) =>
    lease({ key: `task-${index}`, heldMs: below(90_000), renewedMsAgo: below(10_000), failures: below(2) }),
  )
  const stores = leases.length === 0 ? [] : [store({ skewMs: below(1_500) - 750, failures: below(2) })]
  return snapshotOf({ locks, leases, stores, processes: [processView({ threads, state: below(2) === 0 ? 'running' : 'sleeping' })] })
}

module.exports = {
  NOW,
  PID,
  times,
  holder,
  waiter,
  event,
  lease,
  store,
  lock,
  sendLock,
  processView,
  thread,
  unseen,
  snapshotOf,
  healthySnapshot,
}
