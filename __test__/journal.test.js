// The journal as a user sees it: what is written of each kind of lock, how it is read and followed, by whom it is
// shared, and what becomes of a file that cannot be one.
'use strict'

const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { freshProcessLock, root } = require('./helpers/package')
const { folder } = require('./helpers/folders')
const { runNode, startNode, said } = require('./helpers/processes')
const { memoryFile } = require('./helpers/struct-pages')
const { pause, until } = require('./helpers/waiting')
const { request } = require('../lib/control/client')

const chainlock = freshProcessLock({ cooldownMs: 0 })
const { locks, openJournal, hostLock } = chainlock

/** A journal in a folder of its own, closed and removed with the test. */
function journalOf(t, options = {}) {
  const file = path.join(folder(t), 'locks.journal')
  const journal = openJournal({ path: file, ...options })
  t.after(() => journal.close())
  return journal
}

/** What happened, in short: the columns that the test names. */
async function told(journal, query, ...columns) {
  await journal.flush()
  const events = await journal.query(query)
  return events.map((event) => columns.map((column) => event[column]).join(' '))
}

test('every event of a named lock is written, with its label, its token and its times', async (t) => {
  const journal = journalOf(t)
  const held = await locks.acquire('deploy', { label: 'first' })
  assert.equal(locks.tryAcquire('deploy', { label: 'hasty' }), null)
  const late = locks.acquire('deploy', { label: 'late', timeoutMs: 5 })
  await assert.rejects(late, { code: 'ERR_LOCK_TIMEOUT' })
  const next = locks.acquire('deploy', { label: 'next' })
  held.release()
  const second = await next
  second.release()
  assert.deepEqual(await told(journal, { lock: 'deploy' }, 'kind', 'label', 'mode', 'other'), [
    'acquired first exclusive ',
    'blocked hasty exclusive first',
    'waiting late exclusive first',
    'timed_out late exclusive ',
    'waiting next exclusive first',
    'released first exclusive ',
    'acquired next exclusive ',
    'released next exclusive ',
  ])
  const events = await journal.query({ lock: 'deploy' })
  const tokens = [held.token, null, null, null, null, held.token, second.token, second.token]
  assert.deepEqual(events.map(({ token }) => token), tokens)
  assert.ok(events[3].spanMs >= 4, 'how long it waited')
  assert.ok(events[5].spanMs > 0 && events[6].spanMs > 0, 'how long it was held, and had waited')
  for (const { pid, threadId, at, atMs, lockKind } of events) {
    assert.deepEqual([pid, threadId, lockKind], [process.pid, 0, 'lock'])
    assert.ok(Math.abs(Date.now() - atMs) < 60_000 && Date.parse(at) === Math.floor(atMs))
  }
})

test('forced, stolen, aborted, failed, upgraded and downgraded', async (t) => {
  const journal = journalOf(t)
  const aborting = new AbortController()
  await locks.acquire('a')
  const waiting = locks.acquire('a', { signal: aborting.signal })
  aborting.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
  locks.forceRelease('a')
  await assert.rejects(locks.withLock('a', () => { throw new Error('of the user') }), /of the user/)
  const shared = await locks.acquire('a', { mode: 'shared' })
  await shared.upgrade()
  shared.downgrade()
  shared.release()
  assert.deepEqual(await told(journal, { lock: 'a' }, 'kind', 'mode'), [
    'acquired exclusive', 'waiting exclusive', 'aborted exclusive', 'forced exclusive', 'acquired exclusive',
    'failed exclusive', 'acquired shared', 'upgraded shared', 'downgraded exclusive', 'released shared',
  ])
})

test('reasons of holds that were taken away by force', async (t) => {
  const journal = journalOf(t)
  for (const reason of ['it hangs', undefined, '\u001b[2Jred']) {
    assert.notEqual(locks.tryAcquire('forced', { label: 'worker' }), null)
    assert.equal(locks.forceRelease('forced', reason), 1)
  }
  const guard = locks.tryAcquire('forced')
  const order = { op: 'release', kind: 'lock', name: 'forced', token: guard.token, reason: 'on call' }
  if (process.platform === 'linux') assert.equal((await request(process.pid, order, { timeoutMs: 30_000 })).released, true)
  else locks.forceRelease('forced', 'operator: on call')
  assert.deepEqual(await told(journal, { lock: 'forced', kind: 'forced' }, 'label', 'other'), [
    'worker it hangs', 'worker ', 'worker \ufffd[2Jred', ' operator: on call',
  ])
})

test('what becomes of the processes of the registry', async (t) => {
  const journal = journalOf(t)
  const { registry } = chainlock
  registry.register({ id: 'job-1', name: 'the job', command: 'secret command' })
  registry.setStatus('job-1', 'running')
  registry.update('job-1', { pid: 4_242 })
  registry.setStatus('job-1', 'running')
  registry.exit('job-1', 0)
  assert.throws(() => registry.setStatus('job-1', 'running'), { code: 'ERR_REGISTRY_FINISHED' })
  registry.remove('job-1')
  registry.register({ id: 'nameless' })
  // Listeners change who is told, not what is written.
  t.after(registry.subscribe(() => {}))
  registry.setStatus('nameless', 'failed')
  registry.clearFinished()
  const worker = new Worker(`
    require(${JSON.stringify(root)}).registry.register({ id: 'of a worker', name: 'left behind' })`, { eval: true })
  await once(worker, 'exit')
  assert.deepEqual(await told(journal, { kind: 'status' }, 'lockKind', 'lock', 'label', 'other'), [
    'registry the job job-1 pending',
    'registry the job job-1 running',
    'registry the job job-1 success',
    'registry the job job-1 removed',
    'registry nameless nameless pending',
    'registry nameless nameless failed',
    'registry nameless nameless removed',
    'registry left behind of a worker pending',
    'registry left behind of a worker failed',
  ])
  const [begun, ended] = await journal.query({ kind: 'status', lock: 'left behind' })
  assert.ok(begun.threadId > 0 && ended.threadId === begun.threadId, 'the thread that registered it')
  registry.clearFinished()
})

test('the send lock, a semaphore and a host lock', async (t) => {
  const journal = journalOf(t)
  freshProcessLock({ cooldownMs: 0 })
  chainlock.tryAcquireSendLock('e2e-executor')
  chainlock.tryAcquireSendLock('window-monitor')
  await assert.rejects(chainlock.acquireSendLock('test-layer', { timeoutMs: 1 }), { code: 'ERR_LOCK_TIMEOUT' })
  chainlock.releaseSendLock('e2e-executor')
  assert.deepEqual((await told(journal, { lock: 'send' }, 'lockKind', 'kind', 'layer', 'other')).slice(-5), [
    'send acquired e2e-executor ', 'send blocked window-monitor e2e-executor', 'send waiting test-layer e2e-executor',
    'send timed_out test-layer e2e-executor', 'send released e2e-executor ',
  ])
  assert.deepEqual(await told(journal, { layer: 'test-layer' }, 'kind'), ['waiting', 'timed_out'])

  const permits = locks.semaphore('slots', 2)
  const permit = await permits.acquire()
  permit.release()
  const ofSlots = await told(journal, { lock: 'slots' }, 'lockKind', 'kind')
  assert.deepEqual(ofSlots, ['semaphore acquired', 'semaphore released'])

  const file = path.join(folder(t), 'index.lock')
  const host = hostLock(file)
  const first = await host.acquire({ label: 'indexer' })
  const second = host.acquire({ label: 'second' })
  first.release()
  ;(await second).release()
  assert.deepEqual(await told(journal, { lock: file }, 'lockKind', 'kind', 'label'), [
    'host acquired indexer', 'host waiting second', 'host released indexer', 'host acquired second',
    'host released second',
  ])
})

test('queries take a range, a kind, and pages', async (t) => {
  const journal = journalOf(t)
  for (let count = 0; count < 10; count++) locks.tryAcquire('paged').release()
  const all = await (await journal.flush(), journal.query({ lock: 'paged' }))
  assert.equal(all.length, 20)
  const ids = (events) => events.map(({ id }) => id)
  assert.deepEqual(ids(await journal.query({ limit: 3 })), ids(all.slice(-3)), 'the newest')
  assert.deepEqual(ids(await journal.query({ limit: 3, after: 0 })), ids(all.slice(0, 3)), 'a first page')
  assert.deepEqual(ids(await journal.query({ limit: 3, after: all[2].id })), ids(all.slice(3, 6)), 'a second')
  assert.equal((await journal.query({ kind: 'released' })).length, 10)
  const since = all[4].atMs
  for (const instant of [since, new Date(Math.floor(since)), new Date(Math.floor(since)).toISOString()]) {
    const found = await journal.query({ since: instant })
    assert.ok(ids(found).includes(all[4].id), `since ${instant}`)
  }
  assert.deepEqual(ids(await journal.query({ until: all[0].atMs })), [], 'the end of a range does not belong to it')
})

test('who follows hears the events of all processes, from now or from before', { timeout: 60_000 }, async (t) => {
  const journal = journalOf(t)
  locks.tryAcquire('before').release()
  await journal.flush()
  const aborting = new AbortController()
  const heard = []
  let isThere = false
  const following = (async () => {
    for await (const { kind, lock, pid } of journal.follow({ signal: aborting.signal })) {
      isThere = true
      if (lock !== 'knock') heard.push(`${kind} ${lock} ${pid}`)
      if (heard.length === 4) aborting.abort()
    }
  })()
  // From when on it hears is found out on another thread.
  await until(async () => {
    locks.tryAcquire('knock').release()
    await journal.flush()
    await pause(10)
    return isThere
  }, 'it follows', 30_000)
  locks.tryAcquire('here').release()
  const other = startNode(({ chainlock, data }) => {
    chainlock.openJournal({ path: data })
    chainlock.locks.tryAcquire('there').release()
  }, journal.path)
  await assert.rejects(following, { name: 'AbortError' })
  assert.deepEqual(heard.slice(0, 2), [`acquired here ${process.pid}`, `released here ${process.pid}`])
  assert.deepEqual(heard.slice(2), [`acquired there ${other.child.pid}`, `released there ${other.child.pid}`])

  for await (const { lock } of journal.follow({ since: 0 })) {
    assert.equal(lock, 'before')
    break
  }
  const closing = journal.follow()[Symbol.asyncIterator]()
  const end = assert.rejects(closing.next(), { code: 'ERR_JOURNAL_CLOSED' })
  await journal.close()
  await end
})

test('one journal per process: threads share it, another path is refused', async (t) => {
  const journal = journalOf(t)
  assert.equal(openJournal({ path: journal.path }), journal)
  const other = path.join(path.dirname(journal.path), 'other')
  assert.throws(() => openJournal({ path: other }), { code: 'ERR_JOURNAL_OPEN' })
  assert.throws(() => openJournal({ path: journal.path, maxRows: 5 }), { code: 'ERR_JOURNAL_OPEN' })
  assert.equal(fs.existsSync(other), false)
  const worker = new Worker(
    `const { openJournal, locks } = require(${JSON.stringify(root)})
     const { workerData } = require('node:worker_threads')
     const journal = openJournal({ path: workerData })
     locks.tryAcquire('of the worker').release()
     journal.close()`,
    { eval: true, workerData: journal.path },
  )
  const [code] = await once(worker, 'exit')
  assert.equal(code, 0)
  locks.tryAcquire('still open').release()
  assert.deepEqual(await told(journal, {}, 'kind', 'lock'), [
    'acquired of the worker', 'released of the worker', 'acquired still open', 'released still open',
  ])
  const [event] = await journal.query({ lock: 'of the worker' })
  assert.equal(event.threadId, worker.threadId === -1 ? event.threadId : worker.threadId)
  assert.ok(event.threadId > 0)
})

test('what is opened while the last one is being closed is written, too', async (t) => {
  const file = path.join(folder(t), 'locks.journal')
  for (let round = 0; round < 30; round++) {
    const old = openJournal({ path: file })
    locks.tryAcquire(`old ${round}`).release()
    const closing = old.close()
    // By then the closing has begun, and may be over.
    for (let turn = 0; turn < round % 8; turn++) await new Promise(setImmediate)
    const journal = openJournal({ path: file })
    locks.tryAcquire(`new ${round}`).release()
    await journal.flush()
    assert.equal((await journal.query({ lock: `new ${round}` })).length, 2)
    await closing
    await journal.close()
  }
})

test('a worker that ends without closing has closed: the path is free again', async (t) => {
  const [one, other] = ['one', 'other'].map((name) => path.join(folder(t), name))
  for (const end of ['', 'process.exit(0)', 'setInterval(() => {}, 1e6)']) {
    const worker = new Worker(
      `const { openJournal } = require(${JSON.stringify(root)})
       const { workerData, parentPort } = require('node:worker_threads')
       openJournal({ path: workerData })
       parentPort.postMessage('open')
       ${end}`,
      { eval: true, workerData: one },
    )
    const ended = once(worker, 'exit')
    await once(worker, 'message')
    if (end.startsWith('setInterval')) await worker.terminate()
    await ended
    const journal = openJournal({ path: other })
    await journal.close()
  }
})

test('each new status of a process of the registry is written', async (t) => {
  const journal = journalOf(t)
  const { registry } = chainlock
  t.after(() => registry.remove('build:7'))
  registry.register({ id: 'build:7', name: 'build' })
  registry.setStatus('build:7', 'running')
  registry.update('build:7', { kind: 'tool' })
  registry.setStatus('build:7', 'success')
  assert.deepEqual(await told(journal, { kind: 'status' }, 'lockKind', 'lock', 'label', 'other'), [
    'registry build build:7 pending', 'registry build build:7 running', 'registry build build:7 success',
  ])
})

test('a journal can be read without being written, by anybody', async (t) => {
  const journal = journalOf(t, { events: ['released'] })
  locks.tryAcquire('x').release()
  await journal.flush()
  const reader = openJournal({ path: journal.path, readOnly: true })
  assert.deepEqual([reader.readOnly, reader.stats(), reader === journal], [true, null, false])
  assert.deepEqual((await reader.query()).map(({ kind }) => kind), ['released'], 'only the kinds that were asked for')
  assert.deepEqual(await reader.check(), [])
  await reader.close()
  await assert.rejects(reader.query(), { code: 'ERR_JOURNAL_CLOSED' })
  assert.throws(() => openJournal({ path: `${journal.path}.none`, readOnly: true }), { code: 'ERR_JOURNAL_IO' })
  assert.equal(fs.existsSync(`${journal.path}.none`), false)
})

test('CHAINLOCK_JOURNAL opens one when the package is loaded; one that cannot be opened is a warning', async (t) => {
  const file = path.join(folder(t), 'locks.journal')
  const program = ({ chainlock }) => void chainlock.locks.tryAcquire('from the environment').release()
  const { code, stderr } = await runNode(program, null, { env: { CHAINLOCK_JOURNAL: file } })
  assert.deepEqual([code, stderr], [0, ''])
  const reader = openJournal({ path: file, readOnly: true })
  assert.deepEqual((await reader.query()).map(({ kind }) => kind), ['acquired', 'released'])
  await reader.close()
  fs.writeFileSync(`${file}.bad`, 'notes of somebody')
  const bad = await runNode(program, null, { env: { CHAINLOCK_JOURNAL: `${file}.bad` } })
  assert.equal(bad.code, 0)
  assert.match(bad.stderr, /ERR_JOURNAL_FOREIGN.*CHAINLOCK_JOURNAL/)
  const threads = ({ chainlock, data }) => {
    const { Worker } = require('node:worker_threads')
    const takes = (name) => `require(${JSON.stringify(data)}).locks.tryAcquire('${name}').release()`
    for (const name of ['a', 'b', 'c']) new Worker(takes(name), { eval: true }).on('error', (error) => { throw error })
    chainlock.locks.tryAcquire('m').release()
  }
  const many = await runNode(threads, root, { env: { CHAINLOCK_JOURNAL: `${file}.bad` } })
  assert.deepEqual([many.code, many.stderr.match(/ERR_JOURNAL_FOREIGN/g).length], [0, 1], 'once, not once a thread')
  assert.equal(fs.readFileSync(`${file}.bad`, 'utf8'), 'notes of somebody')
})

test('a file that cannot be a journal is a typed error with its path, and stays as it is', (t) => {
  const file = path.join(folder(t), 'notes')
  fs.writeFileSync(file, 'notes of somebody, longer than the beginning of a database'.repeat(20))
  assert.throws(() => openJournal({ path: file }), { code: 'ERR_JOURNAL_FOREIGN', path: file })
  assert.throws(() => openJournal({ path: path.dirname(file) }), { code: 'ERR_JOURNAL_FOREIGN' })
  assert.throws(() => openJournal({ path: path.join(file, 'below') }), { code: 'ERR_JOURNAL_IO' })
  assert.match(fs.readFileSync(file, 'utf8'), /^notes of somebody/)
})

test('wrong arguments are named', async (t) => {
  const invalid = (message) => ({ name: 'TypeError', code: 'ERR_LOCK_INVALID_ARGUMENT', message })
  assert.throws(() => openJournal(), invalid(/openJournal: options must be an object/))
  assert.throws(() => openJournal({ path: '' }), invalid(/path must be a path/))
  assert.throws(() => openJournal({ path: 'x', flushMs: 101 }), invalid(/flushMs must be .* 0 to 100/))
  assert.throws(() => openJournal({ path: 'x', maxRows: 0 }), invalid(/maxRows must be a whole number/))
  assert.throws(() => openJournal({ path: 'x', events: ['gone'] }), invalid(/events\[0\] must be one of 'acquired'/))
  assert.throws(() => openJournal({ path: 'x', maxAge: 1 }), { code: 'ERR_LOCK_UNKNOWN_OPTION' })
  assert.throws(() => openJournal({ path: 'x', readOnly: true, maxRows: 1 }), invalid(/maxRows is for who writes/))
  const journal = journalOf(t)
  await assert.rejects(journal.query({ since: 'yesterday-ish' }), invalid(/since must be a Date/))
  await assert.rejects(journal.query({ kind: 'gone' }), invalid(/kind must be one of/))
  await assert.rejects(journal.query({ limit: 0 }), invalid(/limit must be a whole number from 1/))
  assert.throws(() => journal.follow({ signal: {} }), invalid(/signal must be an AbortSignal/))
})

test('names and labels are clean in the file, and found by what they were', async (t) => {
  const journal = journalOf(t)
  const name = `\x1b]52;c;AAAA\x07 \u202e ${'n'.repeat(2_000)} \ud800`
  locks.tryAcquire(name, { label: 'a\x1b[2J' }).release()
  await journal.flush()
  const [event] = await journal.query({ lock: name })
  assert.match(event.lock, /^\ufffd\]52;c;AAAA\ufffd \ufffd n+$/)
  assert.equal(event.label, 'a\ufffd[2J')
  assert.ok(Buffer.byteLength(event.lock) <= 1_024)
  const files = [journal.path, `${journal.path}-wal`].filter((file) => fs.existsSync(file))
  const bytes = files.map((file) => fs.readFileSync(file))
  for (const sequence of ['\x1b]52', '\x1b[2J']) assert.equal(Buffer.concat(bytes).includes(sequence), false)
})

test('onlookers see in the lock table how far the journal is', { skip: process.platform !== 'linux' }, async (t) => {
  const file = path.join(folder(t), 'locks.journal')
  const program = ({ chainlock, data }) => {
    const journal = chainlock.openJournal({ path: data })
    chainlock.locks.tryAcquire('x').release()
    journal.flush().then(() => console.log('ready'))
    setInterval(() => {}, 1_000)
  }
  const started = startNode(program, file)
  await said(started, 'ready')
  const { bytes } = memoryFile('chainlock-table', started.child.pid)
  const format = fs.readFileSync(path.join(root, 'docs/formats/table.md'), 'utf8')
  const page = /\| (\d+) \| (\d+) \| `journal` \|/.exec(format)
  const [at, size] = [Number(page[1]), Number(page[2])]
  const words = Array.from({ length: size / 8 }, (_, index) => bytes.readBigUInt64LE(at + index * 8))
  const [open, length] = words.map(Number)
  assert.deepEqual([open, bytes.toString('utf8', at + 16, at + 16 + length)], [1, file])
  const [pending, written, dropped, lastWritten, lastEvent] = words.slice(27).map(Number)
  assert.deepEqual([pending, written, dropped], [0, 2, 0])
  assert.ok(lastWritten >= lastEvent && lastEvent > 0)
  started.child.kill('SIGKILL')
  await started.ended
})
