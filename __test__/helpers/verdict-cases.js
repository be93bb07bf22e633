// Of each verdict: snapshots that fire it, and some next to them that must not.
'use strict'

const make = require('./snapshots')

const { holder, waiter, event, lease, store, lock, sendLock, processView, thread, unseen, times, PID } = make

const A = `${PID}:lock:a`
const B = `${PID}:lock:b`

/** Two flows, each of which holds one lock and waits for the other. */
function abba({ mode = 'exclusive', permits = null } = {}) {
  const kind = permits === null ? 'lock' : 'semaphore'
  const [a, b] = [`${PID}:${kind}:a`, `${PID}:${kind}:b`]
  return [
    lock({
      name: 'a',
      kind,
      permits,
      holders: [holder({ token: 1, mode, waitsFor: b })],
      waiters: [waiter({ insideOf: [2] })],
    }),
    lock({
      name: 'b',
      kind,
      permits,
      holders: [holder({ token: 2, mode, waitsFor: a })],
      waiters: [waiter({ insideOf: [1] })],
    }),
  ]
}

const busy = { threads: [thread({ silentMs: 6_000 })] }
const waited = (waitedMs) => [waiter({ waitedMs })]
const held = (heldMs, over) => [holder({ heldMs, ...over })]
const many = times({ count: 500, p50Ms: 20, p99Ms: 31 })

const agoIso = (ms) => new Date(make.NOW - ms).toISOString()
/** A store that has not answered for 7 seconds. */
const down = (over) => store({ state: 'down', since: agoIso(7_000), failures: 9, error: 'connection refused', ...over })

/** Of each rule: what fires it, and what comes near and must not. */
const CASES = {
  DEADLOCK: {
    fires: {
      'two in a circle': { locks: abba() },
      'a holder that waits for itself': {
        locks: [
          lock({ name: 'a', holders: [holder({ token: 1, waitsFor: A })], waiters: [waiter({ insideOf: [1] })] }),
        ],
      },
      'a ring of five': {
        locks: [0, 1, 2, 3, 4].map((at) =>
          lock({
            name: `r${at}`,
            holders: [holder({ token: at + 1, waitsFor: `${PID}:lock:r${(at + 1) % 5}` })],
            waiters: [waiter({ insideOf: [((at + 4) % 5) + 1] })],
          }),
        ),
      },
      'two that upgrade': {
        locks: [
          lock({
            name: 'a',
            mode: 'shared',
            holders: [1, 2].map((token) => holder({ token, mode: 'shared', waitsFor: A })),
            waiters: [1, 2].map((token) => waiter({ insideOf: [token] })),
          }),
        ],
      },
      'over two processes': {
        locks: [
          lock({
            name: 'a',
            kind: 'host',
            holders: [holder({ pid: 1, waitsFor: 'host:b' })],
            waiters: [waiter({ pid: 2 })],
          }),
          lock({
            name: 'b',
            kind: 'host',
            holders: [holder({ pid: 2, waitsFor: 'host:a' })],
            waiters: [waiter({ pid: 1 })],
          }),
        ],
      },
      'all permits in the circle': { locks: abba({ mode: 'shared', permits: 1 }) },
      'one that was refused': { locks: [lock({ events: [event('deadlock', 2_000, { label: 'rebuild' })] })] },
    },
    silent: {
      'a permit is free': { locks: abba({ mode: 'shared', permits: 2 }) },
      'a chain': {
        locks: [
          lock({ name: 'a', holders: [holder({ token: 1, waitsFor: B })] }),
          lock({ name: 'b', holders: held(50, { token: 2 }), waiters: [waiter({ insideOf: [1] })] }),
        ],
      },
      'one that upgrades, and a reader that will leave': {
        locks: [
          lock({
            name: 'a',
            mode: 'shared',
            holders: [holder({ token: 1, mode: 'shared', waitsFor: A }), holder({ token: 2, mode: 'shared' })],
            waiters: [waiter({ insideOf: [1] })],
          }),
        ],
      },
      'a circle that began while it was read': {
        locks: abba().map((one) => ({ ...one, waiters: one.waiters.map((wait) => ({ ...wait, waitedMs: 0 })) })),
      },
      'one that was refused long ago': { locks: [lock({ events: [event('deadlock', 400_000)] })] },
    },
  },
  LOST: {
    fires: {
      forced: {
        locks: [
          sendLock({ events: [event('forced', 2_000, { layer: 'agent', other: 'timeout', spanMs: 600_000 })] }),
        ],
      },
      stolen: { locks: [lock({ events: [event('stolen', 2_000)] })] },
      lost: { locks: [lock({ events: [event('lost', 2_000)] })] },
      'a lease that has expired': { leases: [lease({ state: 'lost' })], stores: [store()] },
      'a lease of a process that stands still': { leases: [lease({ state: 'lost', untold: true })] },
      'a lease that was stolen': { leases: [lease({ state: 'lost', cause: 'stolen', other: 'ops' })] },
    },
    silent: {
      'long ago': { locks: [lock({ events: [event('forced', 301_000)] })] },
      'a lease that is held': { leases: [lease()], stores: [store()] },
      'a request for a lease': { leases: [lease({ state: 'waiting', other: 'ci-3' })], stores: [store()] },
    },
  },
  'STORE-DOWN': {
    fires: {
      'a lease is held there': {
        leases: [lease({ key: 'b', leftMs: 9_000 }), lease({ key: 'a', leftMs: 4_000, failures: 3 })],
        stores: [down()],
      },
      'somebody waits there': { leases: [lease({ state: 'waiting' })], stores: [down()] },
      'nobody holds anything there': { stores: [down()] },
    },
    silent: {
      'one request has failed': { leases: [lease()], stores: [down({ failures: 1 })] },
      'nobody wants anything of it, and it is long ago': { stores: [down({ since: agoIso(301_000) })] },
      'its manager is closed': { stores: [down({ open: false })] },
    },
  },
  'RENEW-FAILING': {
    fires: { 'again and again': { leases: [lease({ failures: 2 })], stores: [store({ error: 'READONLY' })] } },
    silent: {
      once: { leases: [lease({ failures: 1 })], stores: [store()] },
      'the store is down, which is told': { leases: [lease({ failures: 5 })], stores: [down()] },
    },
  },
  STUCK: {
    fires: {
      'a send lock over its limit': {
        locks: [
          sendLock({
            holders: held(310_000, { layer: 'agent' }),
            send: { dueTimeoutMs: -10_000, dueForceMs: 290_000 },
          }),
        ],
      },
      'somebody gave up': {
        locks: [lock({ holders: held(3_000), events: [event('timed_out', 500, { spanMs: 1_000 })] })],
      },
      'a long hold and a long wait': { locks: [lock({ holders: held(40_000), waiters: waited(35_000) })] },
      'a long wait for somebody without chainlock': {
        locks: [lock({ kind: 'host', holders: held(null, { foreign: true, alive: null }), waiters: waited(35_000) })],
      },
    },
    silent: {
      'somebody gave up on an earlier hold': {
        locks: [lock({ holders: held(300), events: [event('timed_out', 500)] })],
      },
      'a long hold for which nobody waits': { locks: [lock({ holders: held(9_000_000) })] },
      'a wait for somebody without chainlock': {
        locks: [lock({ kind: 'host', holders: held(null, { foreign: true, alive: null }), waiters: waited(25_000) })],
      },
      'a long wait, handed on quickly': {
        locks: [lock({ holders: held(200), waiters: waited(40_000), wait: times() })],
      },
    },
  },
  STALE: {
    fires: {
      'a dead holder': {
        locks: [lock({ kind: 'host', holders: held(900, { alive: false }), waiters: waited(500) })],
      },
      'one that was recovered': { locks: [lock({ events: [event('recovered', 4_000, { other: 'thread_exit' })] })] },
    },
    silent: {
      'nobody knows whether it lives': { locks: [lock({ kind: 'host', holders: held(900, { alive: null }) })] },
    },
  },
  STOPPED: {
    fires: {
      stopped: {
        locks: [lock({ holders: held(900), waiters: waited(500) })],
        processes: [processView({ state: 'stopped' })],
      },
    },
    silent: {
      'stopped, and holds nothing': { locks: [lock()], processes: [processView({ state: 'stopped' })] },
      'stopped, with the pid of a dead holder': {
        locks: [lock({ kind: 'host', holders: held(900, { alive: false }), waiters: waited(500) })],
        processes: [processView({ state: 'stopped' })],
      },
    },
  },
  SILENT: {
    fires: {
      'somebody waits': {
        locks: [lock({ holders: held(6_000), waiters: waited(5_900) })],
        processes: [processView(busy)],
      },
      'a send lock': {
        locks: [sendLock({ holders: held(6_000, { layer: 'agent' }) })],
        processes: [processView(busy)],
      },
    },
    silent: {
      'nobody waits': { locks: [lock({ holders: held(6_000) })], processes: [processView(busy)] },
      'another thread': {
        locks: [lock({ holders: held(6_000, { threadId: 2 }), waiters: waited(5_900) })],
        processes: [processView(busy)],
      },
      'for a moment': {
        locks: [lock({ holders: held(6_000), waiters: waited(90) })],
        processes: [processView({ threads: [thread({ silentMs: 4_000 })] })],
      },
    },
  },
  ORDER: {
    fires: { 'both orders': { locks: [lock({ events: [event('order', 9_000, { other: 'b' })] })] } },
    silent: { 'long ago': { locks: [lock({ events: [event('order', 900_000, { other: 'b' })] })] } },
  },
  STARVING: {
    fires: { 'the first in line': { locks: [lock({ holders: held(200), waiters: waited(1_200), wait: many })] } },
    silent: {
      'too few waits to say': {
        locks: [lock({ holders: held(200), waiters: waited(1_200), wait: times({ count: 99, p99Ms: 31 }) })],
      },
      'not the first': {
        locks: [lock({ holders: held(200), waiters: [...waited(10), ...waited(1_200)], wait: many })],
      },
      'stuck says it already': { locks: [lock({ holders: held(400_000), waiters: waited(350_000), wait: many })] },
    },
  },
  HOT: {
    fires: {
      'most have to wait': {
        locks: [lock({ acquisitions: 2_000, contended: 1_100, wait: many, holders: held(20), waiters: waited(30) })],
      },
    },
    silent: {
      'few acquisitions': {
        locks: [lock({ acquisitions: 900, contended: 800, wait: many, holders: held(20), waiters: waited(30) })],
      },
      'handed over at once': {
        locks: [lock({ acquisitions: 2_000, contended: 1_100, holders: held(20), waiters: waited(30) })],
      },
      'nobody waits now': { locks: [lock({ acquisitions: 2_000, contended: 1_100, wait: many })] },
    },
  },
  FULL: {
    fires: {
      'the slots': { processes: [processView({ table: { ...processView().table, used: 3_277 } })] },
      'the rows': { processes: [processView({ table: { ...processView().table, rowsUsed: 900 } })] },
      'a queue': { locks: [lock({ holders: held(20), waiters: waited(30), waiterCount: 8_000 })] },
      'the journal': {
        processes: [processView({ journal: { path: '/j', pending: 0, written: 1, dropped: 3, lagMs: 1 } })],
      },
    },
    silent: {
      nearly: {
        processes: [processView({ table: { ...processView().table, used: 3_276 } })],
        locks: [lock({ holders: held(20), waiters: waited(30), waiterCount: 7_999 })],
      },
    },
  },
  SKEW: {
    fires: {
      ahead: { stores: [store({ skewMs: 3_600_000 })] },
      behind: { stores: [store({ skewMs: -9_000, skewErrorMs: 2_100 })] },
    },
    silent: {
      'as far as can be seen': { stores: [store({ skewMs: 9_000, skewErrorMs: 7_001 })] },
      'a store without a clock': { stores: [store({ skewMs: null, skewErrorMs: null, skewSeen: null })] },
      'of a store that nobody uses': { stores: [store({ skewMs: 3_600_000, open: false })] },
    },
  },
  UNSEEN: {
    fires: Object.fromEntries(
      ['permission', 'other_pid_namespace', 'version', 'torn'].map((reason) => [
        reason,
        { unseen: [unseen(reason)] },
      ]),
    ),
    silent: { gone: { unseen: [unseen('gone')] }, 'without chainlock': { unseen: [unseen('no_table')] } },
  },
}

module.exports = { abba, busy, waited, held, agoIso, down, CASES }
