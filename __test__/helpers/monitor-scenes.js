// Moments for the monitor to draw: snapshots as `snapshot()` answers them, made by hand.
'use strict'

const AT = Date.UTC(2026, 2, 14, 18, 57, 3)
const times = (count, p50Ms, p99Ms, maxMs) => ({ count, totalMs: count * p50Ms, p50Ms, p99Ms, maxMs })
const NONE = times(0, 0, 0, 0)

function holder(more = {}) {
  return {
    pid: 4242, threadId: 0, thread: 'main', layer: null, label: null, token: 1, mode: 'exclusive', weight: 1, since: null,
    heldMs: 1_200, command: 'controller.mjs', alive: true, foreign: false, waitsFor: null, ...more,
  }
}

function waiter(position, more = {}) {
  return {
    position, pid: 4242, threadId: 1, thread: 'w1', layer: null, label: null, mode: 'exclusive', weight: 1, since: null,
    waitedMs: 4_000, deadlineMs: null, priority: 0, foreign: false, insideOf: [], ...more,
  }
}

function event(atMs, kind, more = {}) {
  return { at: new Date(atMs).toISOString(), atMs, kind, layer: null, label: null, threadId: null, token: null, spanMs: null, other: null, ...more }
}

function lock(name, more = {}) {
  const { pid = 4242, kind = 'lock', holders = [], waiters = [] } = more
  return {
    id: `${pid}:${kind}:${name}`, name, nameCut: false, kind, scope: 'process', pid, path: null,
    state: holders.length > 0 ? 'held' : waiters.length > 0 ? 'waiting' : 'free',
    mode: holders[0]?.mode ?? null, permits: null, used: holders.length, holders, holderCount: holders.length,
    waiters, waiterCount: waiters.length, lastToken: 1, acquisitions: 10, contended: 1, timeouts: 0, aborts: 0, forced: 0,
    recoveries: 0, deadlocks: 0, wait: NONE, hold: NONE, events: [], class: '*', send: null, ...more,
  }
}

function sendBlock(more = {}) {
  return {
    cooldownMs: 5_000, cooldownLeftMs: 0, timeoutMs: 300_000, forceAfterMs: 600_000, dueTimeoutMs: null, dueForceMs: null,
    duplicatesSuppressed: 3, blockedHeld: 2, blockedCooldown: 1, refusedUnknownLayer: 0,
    layers: [{ layer: 'agent', acquisitions: 7, releases: 6, blocked: 2, forced: 0 }], overdue: 0, lateReleases: 0, ...more,
  }
}

function processView(pid, more = {}) {
  return {
    pid, startTimeMs: AT - 3_600_000, command: 'controller.mjs', commandLine: ['node', 'controller.mjs'], cwd: '/srv/app', state: 'running',
    isOwn: false, version: '0.1.0', layoutVersion: 3, chainlockSince: new Date(AT - 3_600_000).toISOString(),
    threads: [{ threadId: 0, name: 'main', since: new Date(AT - 3_600_000).toISOString(), silentMs: null }],
    table: { slots: 4096, used: 14, unshown: 0, claims: 8192, claimsUsed: 20, claimsUnshown: 0, rows: 64, rowsUsed: 4 },
    journal: null, registry: [], ...more,
  }
}

const OK = { rule: 'OK', level: 'good', lock: null, lockId: null, pid: null, sentence: 'nothing waits', evidence: [], next: null, since: null }

function snapshot(more = {}) {
  const { takenAtMs = AT, verdict = [OK] } = more
  return {
    schema: 1, takenAt: new Date(takenAtMs).toISOString(), takenAtMs, tookMs: 1.2, ok: verdict.every(({ level }) => level !== 'bad'), verdict,
    processes: [processView(4242)], locks: [], leases: [], stores: [], unseen: [], ...more,
  }
}

/** A send lock held for five minutes by a thread whose loop is silent, and a host lock with readers. */
function stuck(takenAtMs = AT, at = AT) {
  const since = at - 312_000
  const heldMs = takenAtMs - since
  const send = lock('send', {
    kind: 'send',
    holders: [holder({ layer: 'agent', threadId: 3, thread: 'w3', token: 1841, heldMs })],
    waiters: [
      waiter(1, { layer: 'controller', threadId: 0, thread: 'main', waitedMs: takenAtMs - at + 291_000, deadlineMs: 9_000 }),
      waiter(2, { layer: 'fallback', waitedMs: takenAtMs - at + 250_000 }),
    ],
    acquisitions: 128, contended: 41, timeouts: 1, lastToken: 1841, wait: times(41, 12, 4_100, 291_000), hold: times(127, 40, 900, 12_000),
    send: sendBlock({ dueForceMs: 288_000, overdue: 1 }),
    events: [
      event(since - 46_000, 'released', { layer: 'controller', threadId: 0, token: 1839, spanMs: 4_000 }),
      event(since - 2_000, 'released', { layer: 'controller', threadId: 0, token: 1840, spanMs: 4_000 }),
      event(since, 'acquired', { layer: 'agent', threadId: 3, token: 1841, spanMs: 2_000 }),
      event(at - 291_000, 'waiting', { layer: 'controller', threadId: 0, other: 'agent' }),
      event(at - 12_000, 'overdue', { layer: 'agent', threadId: 3, token: 1841, spanMs: 300_000 }),
    ],
  })
  const index = lock('index', {
    id: 'host:/run/user/0/index.lock', kind: 'host', scope: 'host', pid: null, path: '/run/user/0/index.lock', mode: 'shared',
    holders: [
      holder({ mode: 'shared', layer: null, heldMs: 1_200 }),
      holder({ mode: 'shared', pid: 4310, command: 'reader.mjs', heldMs: 800 }),
      holder({ mode: 'shared', pid: 977, command: 'flock', foreign: true, threadId: null, thread: null, token: null, heldMs: null }),
    ],
    waiters: [waiter(1, { pid: 4310, waitedMs: 310 })],
    acquisitions: 20_000, contended: 903, wait: times(903, 0.4, 31, 310), hold: times(20_000, 0.2, 2_000, 2_400),
  })
  return snapshot({
    takenAtMs,
    verdict: [
      {
        rule: 'STUCK', level: 'bad', lock: 'send', lockId: send.id, pid: 4242, since: new Date(since).toISOString(),
        sentence: '"send" held 5m12s by layer agent (process 4242, thread w3); its event loop is silent',
        evidence: ['event loop of w3 silent for 5m11s', 'queue: controller (1st), fallback (2nd)'], next: 'chainlock why send --pid 4242',
      },
    ],
    processes: [processView(4242), processView(4310, { command: 'reader.mjs' }), processView(5001, { state: 'stopped', command: 'batch.mjs' })],
    locks: [send, index, lock('reports', { holders: [holder({ layer: 'nightly', pid: 5001, heldMs: 40 })], pid: 5001 }), lock('idle')],
  })
}

/** Two flows that wait for each other, and one who waits behind them. */
function circle(takenAtMs = AT) {
  const alpha = lock('alpha', {
    holders: [holder({ layer: 'one', token: 11, waitsFor: '4242:lock:beta' })],
    waiters: [waiter(1, { layer: 'two', threadId: 2, thread: 'w2', insideOf: [22] }), waiter(2, { layer: 'late', threadId: 4, thread: 'w4' })],
  })
  const beta = lock('beta', {
    holders: [holder({ layer: 'two', threadId: 2, thread: 'w2', token: 22, waitsFor: '4242:lock:alpha' })],
    waiters: [waiter(1, { layer: 'one', threadId: 0, thread: 'main', insideOf: [11] })],
  })
  const verdict = {
    rule: 'DEADLOCK', level: 'bad', lock: 'alpha', lockId: alpha.id, pid: 4242, since: null, next: 'chainlock why alpha --pid 4242',
    sentence: 'layer one holds "alpha" and waits for "beta", which layer two holds and who waits for "alpha"', evidence: [],
  }
  return snapshot({ takenAtMs, verdict: [verdict], locks: [alpha, beta] })
}

/** Names in which each character takes two columns, none, or writes from right to left; and long ones. */
const ODD_NAMES = [
  '送信ロック／コントローラー', '🔒🚀👍🏽🇩🇪', 'קובץ נעילה', 'قفل الإرسال', 'n'.repeat(64), '锁'.repeat(21), 'e\u0301'.repeat(20), 'क्षि नि हिन्दी',
  '한국어 잠금', 'a\u0300\u0301\u0302\u0303b', '①②③ ½ ™', '\u{1f469}\u200d\u{1f4bb} coder', '❤\ufe0f heart', 'ﬀ ligature', '\u1100\u1161\u11a8 jamo',
  'ไทยน้ำ', '\t\u001b[2Jclear', 'x\u202eevil', '(:', '▁▁████', '𝒻𝒶𝓃𝒸𝓎', 'ーーー', '｡ﾟ halfwidth', '\ud800 lone',
]

function odd(takenAtMs = AT) {
  const locks = ODD_NAMES.map((name, index) => {
    const other = ODD_NAMES[(index + 5) % ODD_NAMES.length]
    return lock(name, {
      holders: [holder({ layer: other, label: name, heldMs: 900 * index, command: other })],
      waiters: index % 2 === 0 ? [waiter(1, { layer: name, waitedMs: 500 * index })] : [],
      events: [event(takenAtMs - 30_000 + index * 900, 'released', { layer: other, threadId: 0, token: index, spanMs: 700, other: name })],
    })
  })
  const verdict = ODD_NAMES.slice(0, 6).map((name, index) => ({
    rule: 'STARVING', level: 'warn', lock: name, lockId: locks[index].id, pid: 4242, since: null, evidence: [`evidence of ${name}`],
    sentence: `"${name}" makes ${ODD_NAMES[index + 6]} wait ten times as long as usual`, next: `chainlock why ${name}`,
  }))
  return snapshot({ takenAtMs, verdict, locks, processes: [processView(4242, { command: ODD_NAMES[0] })] })
}

/** A thousand locks, each with ten that wait. */
function crowd(count = 1_000, waiters = 10, takenAtMs = AT) {
  const locks = Array.from({ length: count }, (_, index) =>
    lock(`order-${index}`, {
      holders: [holder({ layer: `layer-${index % 40}`, heldMs: index })],
      waiters: Array.from({ length: waiters }, (_, place) => waiter(place + 1, { layer: `layer-${(index + place) % 40}`, waitedMs: place * 10 + index })),
      events: Array.from({ length: 10 }, (_, place) =>
        event(takenAtMs - 60_000 + place * 5_000 + index, 'released', { layer: `layer-${(index + place) % 40}`, threadId: 0, token: place, spanMs: 40 }),
      ),
      contended: index,
    }),
  )
  return snapshot({ takenAtMs, locks })
}

/** Leases, one of them lost, and more than fit. */
function leases(takenAtMs = AT) {
  const { lease, store } = require('./snapshots')
  const lost = lease({ state: 'lost', key: 'deploy' })
  const all = Array.from({ length: 30 }, (_, index) => lease({ key: index % 7 === 6 ? `任务-${index} 🔒` : `task-${index}` }))
  return snapshot({ takenAtMs, leases: [...all, lost], stores: [store()] })
}

module.exports = { AT, OK, ODD_NAMES, circle, crowd, event, holder, lock, odd, processView, sendBlock, snapshot, stuck, times, waiter, leases }
