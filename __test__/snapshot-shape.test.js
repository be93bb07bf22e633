// The shape of snapshots: what is read becomes what the JSON schema and index.d.ts say, also from half-filled and
// hostile tables; host locks are joined from their file and the tables of those who use them.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const ts = require('typescript')
const { root } = require('./helpers/package')
const { faultsOf } = require('./helpers/schema')
const { NOW, healthySnapshot } = require('./helpers/snapshots')
const { assemble } = require('../lib/snapshot/assemble')
const { classOf } = require('../lib/snapshot/classes')

const schema = require('../docs/formats/snapshot.schema.json')

function taken({ processes = [], files = [], facts = [], unseen = [], ...over }) {
  return assemble({
    look: { processes, unseen },
    files,
    facts,
    onlyPid: null,
    all: true,
    takenAtMs: NOW,
    tookMs: () => 1,
    ...over,
  })
}

const fits = (snapshot) => assert.deepEqual(faultsOf(snapshot, schema), [])

describe('the schema', () => {
  /** The interfaces of index.d.ts and the schema's parts that describe them. */
  const PARTS = {
    Snapshot: schema,
    Verdict: schema.$defs.verdict,
    ...Object.fromEntries(
      [
        'Process',
        'Thread',
        'Table',
        'Journal',
        'Lock',
        'Holder',
        'Waiter',
        'Event',
        'Times',
        'Send',
        'Layer',
        'Unseen',
      ].map((name) => [`Snapshot${name}`, schema.$defs[name.toLowerCase()]]),
    ),
  }
  const source = ts.createSourceFile(
    'index.d.ts',
    fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8'),
    ts.ScriptTarget.ES2022,
  )

  for (const [name, part] of Object.entries(PARTS)) {
    test(`has the members of ${name}`, () => {
      const declared = source.statements.find((one) => ts.isInterfaceDeclaration(one) && one.name.text === name)
      const members = declared.members.map((member) => member.name.text)
      assert.deepEqual(Object.keys(part.properties).sort(), members.sort())
      const optional = declared.members.filter((member) => member.questionToken).map((member) => member.name.text)
      assert.deepEqual([...part.required, ...optional].sort(), members.sort())
    })
  }

  test('the checker sees what is wrong', () => {
    const [process] = healthySnapshot(3).processes
    const wrong = [
      { ...process, state: 'asleep' },
      { ...process, pid: '7' },
      { ...process, more: 1 },
      { ...process, cwd: undefined },
    ]
    for (const one of wrong) assert.notDeepEqual(faultsOf({ ...healthySnapshot(3), processes: [one] }, schema), [])
  })

  test('healthy snapshots fit', () => {
    for (let seed = 0; seed < 50; seed++) fits(healthySnapshot(seed))
  })
})

describe('from what is read', () => {
  test('nothing gives an empty snapshot with one verdict', () => {
    const snapshot = taken({})
    fits(snapshot)
    assert.equal(snapshot.verdict[0].rule, 'OK')
    assert.equal(snapshot.ok, true)
  })

  test('a table that says little gives defaults, and never less than the schema asks', () => {
    fits(taken({ processes: [{ pid: 7 }] }))
    fits(
      taken({
        processes: [
          {
            pid: 7,
            rows: [{ threadId: 0 }],
            locks: [{ kind: 'lock', holders: [{}], waiters: [{}], events: [{ kind: 'acquired' }] }],
          },
        ],
      }),
    )
    fits(
      taken({ processes: [{ pid: 7, send: { kind: 'send', name: 'send' } }], unseen: [{ pid: 8, reason: 'torn' }] }),
    )
  })

  test('instants of a garbled table give no time, and no error', () => {
    const holders = [
      { token: 1, sinceAtMs: 1e300 },
      { token: 2, sinceAtMs: -1e300 },
    ]
    const snapshot = taken({ processes: [{ pid: 7, locks: [{ kind: 'lock', name: 'a', holders }] }] })
    fits(snapshot)
    assert.deepEqual(
      snapshot.locks[0].holders.map(({ since }) => since),
      [null, null],
    )
  })

  test('ages, threads and commands are put in', () => {
    const rows = [{ threadId: 3, live: true, sinceNs: 1e9, silentMs: 7_000 }]
    const locks = [
      {
        kind: 'lock',
        name: 'a',
        holders: [{ threadId: 3, token: 5, sinceAtMs: NOW - 700 }],
        waiters: [{ threadId: 0, sinceAtMs: NOW - 90, deadlineAtMs: NOW + 10 }],
      },
    ]
    const facts = [
      {
        pid: 7,
        state: 'running',
        command: 'node',
        commandLine: ['/usr/bin/node', '--max-old-space-size=99', '/srv/worker.js', 'x'],
        cwd: '/srv',
      },
    ]
    const {
      processes: [process],
      locks: [lock],
    } = taken({ processes: [{ pid: 7, nowNs: 9e9, rows, locks }], facts })
    assert.deepEqual(process.threads, [
      { threadId: 3, name: 'w3', since: new Date(NOW - 8_000).toISOString(), silentMs: 7_000 },
    ])
    assert.equal(process.command, 'worker.js')
    assert.equal(lock.id, '7:lock:a')
    assert.deepEqual(
      [lock.holders[0].heldMs, lock.holders[0].thread, lock.holders[0].command],
      [700, 'w3', 'worker.js'],
    )
    assert.deepEqual([lock.waiters[0].waitedMs, lock.waiters[0].deadlineMs, lock.waiters[0].thread], [90, 10, 'main'])
  })

  test('a hold waits for the lock that was asked for inside of it, in its own process only', () => {
    const locks = [
      { kind: 'lock', name: 'a', holders: [{ token: 1 }] },
      { kind: 'lock', name: 'b', holders: [{ token: 2 }], waiters: [{ insideOf: [1] }] },
    ]
    const found = taken({
      processes: [
        { pid: 7, locks },
        { pid: 8, locks: [locks[0]] },
      ],
    }).locks
    assert.deepEqual(
      found.map(({ id, holders: [{ waitsFor }] }) => [id, waitsFor]),
      [
        ['7:lock:a', '7:lock:b'],
        ['7:lock:b', null],
        ['8:lock:a', null],
      ],
    )
  })

  test('the send lock counts its tokens alone: its hold is none of those inside of which a named lock is asked for', () => {
    const send = { kind: 'send', name: 'send', holders: [{ token: 1, layer: 'agent' }] }
    const locks = [{ kind: 'lock', name: 'a', holders: [{ token: 9 }], waiters: [{ insideOf: [1] }] }]
    assert.deepEqual(
      taken({ processes: [{ pid: 7, send, locks }] }).locks.map(({ holders: [{ waitsFor }] }) => waitsFor),
      [null, null],
    )
  })

  test('events go to their locks, ten at most, the newest last', () => {
    const events = Array.from({ length: 25 }, (_, at) => ({
      lock: at % 2 ? 'a' : 'b',
      lockKind: 'lock',
      kind: 'waiting',
      atMs: NOW - at,
    }))
    const {
      locks: [a],
    } = taken({ processes: [{ pid: 7, locks: [{ kind: 'lock', name: 'a' }], events }] })
    assert.equal(a.events.length, 10)
    assert.deepEqual(
      a.events.map(({ atMs }) => NOW - atMs),
      [19, 17, 15, 13, 11, 9, 7, 5, 3, 1],
    )
  })

  test('without all, free locks stay out, but a send lock is shown', () => {
    const locks = [
      { kind: 'lock', name: 'free' },
      { kind: 'lock', name: 'held', state: 'held', holders: [{ token: 1 }] },
    ]
    const { locks: shown } = taken({
      processes: [{ pid: 7, locks, send: { kind: 'send', name: 'send', state: 'free' } }],
      all: false,
    })
    assert.deepEqual(
      shown.map(({ name }) => name),
      ['send', 'held'],
    )
  })
})

describe('host locks', () => {
  const at = '/run/x/deploy.lock'
  const file = (over) => ({
    path: at,
    name: 'deploy',
    token: 9,
    mode: 'exclusive',
    holders: [],
    waiters: [],
    foreign: [],
    ...over,
  })
  const line = (over) => ({ kind: 'lock', name: `-host:${at}`, ...over })

  test('file and tables become one lock', () => {
    const processes = [
      {
        pid: 7,
        locks: [line({ holders: [{ threadId: 2, token: 3, label: 'ship', sinceAtMs: NOW - 50 }], acquisitions: 4 })],
      },
      { pid: 8, locks: [line({ waiters: [{ threadId: 0, sinceAtMs: NOW - 40 }] })] },
    ]
    const files = [
      file({ holders: [{ pid: 7, threadId: 2, token: 9, alive: true, sinceAtMs: NOW - 50 }], waiters: [{ pid: 8 }] }),
    ]
    const snapshot = taken({ processes, files })
    fits(snapshot)
    const [lock, ...others] = snapshot.locks
    assert.deepEqual(others, [])
    assert.deepEqual(
      [lock.id, lock.name, lock.scope, lock.state, lock.acquisitions],
      [`host:${at}`, 'deploy', 'host', 'held', 4],
    )
    assert.deepEqual([lock.holders.length, lock.holders[0].token, lock.holders[0].label], [1, 9, 'ship'])
    assert.deepEqual(
      lock.waiters.map(({ pid, waitedMs, position }) => [pid, waitedMs, position]),
      [[8, 40, 1]],
    )
  })

  test('those without chainlock are told, holding and waiting', () => {
    const {
      locks: [lock],
    } = taken({
      files: [
        file({
          foreign: [
            { pid: 977, command: 'sh', mode: 'exclusive' },
            { pid: 978, command: 'flock', waiting: true },
          ],
        }),
      ],
    })
    assert.deepEqual(
      lock.holders.map(({ pid, command, foreign }) => [pid, command, foreign]),
      [[977, 'sh', true]],
    )
    assert.deepEqual(
      lock.waiters.map(({ pid, foreign }) => [pid, foreign]),
      [[978, true]],
    )
  })

  test('a dead holder makes it stale', () => {
    const snapshot = taken({
      files: [file({ holders: [{ pid: 7, alive: false, token: 9, sinceAtMs: NOW - 50 }], waiters: [{ pid: 8 }] })],
    })
    assert.equal(snapshot.locks[0].state, 'stale')
    assert.equal(snapshot.verdict[0].rule, 'STALE')
  })

  test('a circle over processes is a deadlock', () => {
    const other = '/run/x/b.lock'
    const files = [
      file({ holders: [{ pid: 7, token: 1, alive: true, waitsFor: other }], waiters: [{ pid: 8 }] }),
      file({
        path: other,
        name: 'b',
        holders: [{ pid: 8, token: 2, alive: true, waitsFor: at }],
        waiters: [{ pid: 7 }],
      }),
    ]
    const {
      verdict: [{ rule, sentence }],
      ok,
    } = taken({ files })
    assert.equal(rule, 'DEADLOCK', sentence)
    assert.equal(ok, false)
  })

  test('what could not be read is left out', () => {
    assert.deepEqual(taken({ files: [file({ skipped: 'it is a pipe' })] }).locks, [])
  })
})

test('classes of names: what varies becomes one star', () => {
  const classes = {
    'job-17': 'job-*',
    'user/3f2504e0-4f89-11d3-9a0c-0305e82c3301/inbox': 'user/*/inbox',
    'blob-9ae16a3b2f90404f': 'blob-*',
    '0xdeadBEEF!': '*!',
    deadbeef: 'deadbeef',
    index: 'index',
    'v2.10.3': 'v*.*.*',
  }
  for (const [name, expected] of Object.entries(classes)) assert.equal(classOf(name), expected)
})
