// What a snapshot is made of what was read: verdicts on locks that are free again, and who is who on a lock file.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { NOW, PID } = require('./helpers/snapshots')
const { assemble } = require('../lib/snapshot/assemble')

/** @param {object} process @param {object[]} [files] */
const read = (process, files = [], facts = []) =>
  assemble({
    look: { processes: [{ pid: PID, rows: [], ...process }], unseen: [] },
    files,
    facts,
    onlyPid: null,
    all: false,
    takenAtMs: NOW,
    tookMs: () => 1,
  })
const line = (over) => ({ name: '-host:/run/x.lock', kind: 'lock', holderCount: 1, ...over })
const FILE = { kind: 'host', path: '/run/x.lock', name: 'x', holders: [], waiters: [], foreign: [] }

test('what went wrong with a lock that is free again is told, and the lock shown', () => {
  const gone = { kind: 'recovered', atMs: NOW - 50, label: 'crunch' }
  const named = [{ name: 'work', kind: 'lock', events: [gone] }, { name: 'free', kind: 'lock' }]
  const { verdict, locks } = read({ locks: named })
  assert.deepEqual(verdict.map(({ rule, lock }) => [rule, lock]), [['STALE', 'work']])
  assert.deepEqual(locks.map(({ name, state }) => [name, state]), [['work', 'free']])
})

test('a silent loop is told as the table has it', () => {
  const { processes } = read({ rows: [{ threadId: 0, live: true, silentMs: 6_000 }] })
  assert.equal(processes[0].threads[0].silentMs, 6_000)
})

test('the first of a process that waits for a file has its name, and waits since then', () => {
  const first = { pid: PID, threadId: 0, label: 'hare', sinceAtMs: NOW - 35_000 }
  const { locks, verdict } = read({ locks: [line({ holders: [first] })] }, [
    { ...FILE, waiters: [{ pid: PID }], foreign: [{ pid: 7, command: 'sleep', mode: 'exclusive', waiting: false }] },
  ])
  const [{ label, thread, waitedMs }] = locks[0].waiters
  assert.deepEqual([label, thread, waitedMs, locks[0].waiterCount], ['hare', 'main', 35_000, 1])
  assert.deepEqual([verdict[0].rule, verdict[0].pid, Date.parse(verdict[0].since)], ['STUCK', 7, NOW - 35_000])
})

test('who has the pid of a dead holder by now is not named in its place', () => {
  const dead = { pid: PID, command: 'node ship.js', alive: false, sinceAtMs: NOW - 900 }
  const heir = [{ pid: PID, state: 'stopped', command: 'heir' }]
  const { locks, verdict } = read({}, [{ ...FILE, holders: [dead] }], heir)
  assert.equal(locks[0].holders[0].command, 'node ship.js')
  assert.deepEqual(verdict.map(({ rule }) => rule), ['STALE'])
})
