// `chainlock history` and `chainlock trace` over a journal that real locks have written, and what they say when there
// is none.
'use strict'

const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before, test } = require('node:test')
const zlib = require('node:zlib')
const { runNode } = require('./helpers/processes')
const { readTrace } = require('./helpers/trace')

const CLI = path.join(__dirname, '../bin/chainlock.js')
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-history-'))
after(() => fs.rmSync(folder, { recursive: true }))
const journal = path.join(folder, 'locks.journal')
const { CHAINLOCK_JOURNAL, ...env } = process.env

/** @param {string[]} args */
function cli(args, extra = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', env: { ...env, ...extra } })
  return { status, stdout, stderr }
}
const eventsOf = (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line))

/** What a controller does: two layers at the send lock, two pieces of work at a named one. */
async function work({ chainlock, data }) {
  const { configureSendLock, trySend, forceReleaseLock, locks, openJournal, registry } = chainlock
  const written = openJournal({ path: data.journal })
  configureSendLock({ cooldownMs: 0, layers: 'any' })
  const first = trySend('agent')
  trySend('fallback')
  first.guard.release()
  trySend('fallback')
  forceReleaseLock('operator')
  const guard = locks.tryAcquire('index', { label: 'rebuild' })
  const next = locks.acquire('index', { label: 'query' })
  guard.release()
  ;(await next).release()
  registry.register({ id: 'build-1', name: 'build' })
  registry.exit('build-1', 3)
  await written.close()
}

before(async () => {
  const { code, stderr } = await runNode(work, { journal })
  assert.deepEqual([code, stderr], [0, ''])
})

test('history: one JSON object a line where nobody looks, and only what was asked for', () => {
  const all = cli(['history', '--journal', journal])
  assert.deepEqual([all.status, all.stderr], [0, ''])
  const events = eventsOf(all.stdout)
  assert.ok(events.length >= 8)
  assert.ok(events.every(({ id }, at) => at === 0 || id > events[at - 1].id))
  const asked = (args, wanted) => {
    const { status, stdout } = cli(['history', '--json', ...args], { CHAINLOCK_JOURNAL: journal })
    assert.equal(status, 0)
    assert.deepEqual(eventsOf(stdout), events.filter(wanted), args.join(' '))
  }
  asked(['--since', '10m'], () => true)
  asked(['--until', '10m'], () => false)
  asked(['--since', events[3].at], ({ atMs }) => atMs >= Date.parse(events[3].at))
  asked(['--lock', 'index'], ({ lock }) => lock === 'index')
  asked(['--layer', 'agent'], ({ layer }) => layer === 'agent')
  asked(['--kind', 'forced'], ({ kind }) => kind === 'forced')
  assert.equal(eventsOf(cli(['history', '--kind', 'forced', '--journal', journal]).stdout).length, 1)
  const newest = cli(['history', '--journal', journal, '--limit', '2'])
  assert.deepEqual(eventsOf(newest.stdout), events.slice(-2))
  assert.match(newest.stderr, /only the newest 2 are shown/)
})

test('history: times that are none, and ranges that are empty, are told', () => {
  const answer = (...args) => cli(['history', '--journal', journal, ...args])
  for (const wrong of ['25:00', '12:60', '2026-13-01', '7 May', '14:03 yesterday']) {
    const { status, stderr } = answer('--since', wrong)
    assert.deepEqual([status, /--since is a time such as/.test(stderr)], [2, true], wrong)
  }
  const turned = answer('--since', '1m', '--until', '2m')
  assert.deepEqual([turned.status, turned.stderr.split('\n')[0]], [2, 'chainlock: --until must be later than --since'])
  const empty = answer('--lock', 'nobody knows it')
  assert.deepEqual([empty.status, empty.stdout], [0, ''])
  assert.match(empty.stderr, /no such event/)
  const over = cli(['history', '--journal', journal, '--follow', '--until', '1h'])
  assert.equal(over.status, 0, 'what is over is not followed')
})

test('a time of day is the last one before now; a date begins at midnight here', () => {
  const { range } = require('../lib/cli/journal')
  const at = (...parts) => new Date(2026, 10, ...parts).getTime()
  const now = at(21, 0, 20)
  assert.deepEqual(range({ since: '23:50', until: '00:10' }, now), { since: at(20, 23, 50), until: at(21, 0, 10) })
  assert.deepEqual(range({ since: '00:10', until: '00:30' }, now), { since: at(21, 0, 10), until: at(21, 0, 30) })
  assert.deepEqual(range({ since: '2026-11-20' }, now), { since: at(20) })
  assert.deepEqual(range({ since: '2026-11-20T14:03' }, now), { since: at(20, 14, 3) })
})

test('a journal that cannot be read: the next command looks at that one', () => {
  const broken = path.join(folder, "it's broken")
  fs.writeFileSync(broken, 'nothing that SQLite wrote')
  const { status, stderr } = cli(['history', '--journal', broken])
  assert.equal(status, 1)
  const next = stderr.match(/next {2}chainlock (.*)/)[1]
  const typed = spawnSync('sh', ['-c', `"${process.execPath}" "${CLI}" ${next}`], { encoding: 'utf8', env })
  assert.match(typed.stdout, /journal .*it's broken: it is no SQLite database/)
  const nowhere = cli(['trace', '--journal', journal, '-o', path.join(folder, 'none', 'x.json')])
  assert.deepEqual([nowhere.status, /cannot be written: ENOENT/.test(nowhere.stderr)], [2, true])
})

test('history: what becomes of registered processes', () => {
  const { status, stdout } = cli(['history', '--kind', 'status', '--lock', 'build', '--journal', journal])
  assert.equal(status, 0)
  const short = eventsOf(stdout).map(({ lockKind, label, other }) => [lockKind, label, other].join(' '))
  assert.deepEqual(short, ['registry build-1 pending', 'registry build-1 failed'])
})

test('history: a table in a terminal, no line too long', (t) => {
  const command = `stty cols 80 rows 24; ${process.execPath} ${CLI} history --journal ${journal} --color never`
  const { status, stdout, error } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', env: { ...env, TERM: 'xterm' } })
  if (error) return t.skip('NOT TESTED: there is no script(1) here')
  assert.equal(status, 0, stdout)
  const lines = stdout.replaceAll('\r', '').trimEnd().split('\n')
  assert.match(lines[0], /^TIME +PROCESS +LOCK +EVENT +WHO +TOOK/)
  assert.ok(lines.some((line) => /\bsend +forced +fallback\b/.test(line)), stdout)
  assert.ok(lines.some((line) => /\bindex +acquired +query\b/.test(line)), stdout)
  for (const line of lines) assert.ok(line.length <= 80, `${line.length}: ${line}`)
  assert.ok(!stdout.includes('\u001b'))
})

test('trace: a file for Perfetto, plain or compressed, and on stdout', () => {
  const plain = path.join(folder, 'locks.json')
  const told = cli(['trace', '--since', '10m', '-o', plain, '--journal', journal])
  assert.equal(told.status, 0, told.stderr)
  assert.equal(told.stdout, '')
  assert.match(told.stderr, /^\d+ events are drawn in /)
  const trace = readTrace(fs.readFileSync(plain, 'utf8'))
  assert.deepEqual(trace.faults, [])
  for (const name of ['hold send', 'hold index', 'wait index']) assert.ok(trace.spans.some((span) => span.name === name), name)
  assert.ok(trace.events.some(({ ph, name }) => ph === 'i' && name === 'forced send'))
  assert.ok(trace.events.some(({ ph }) => ph === 's'))
  const packed = path.join(folder, 'locks.json.gz')
  assert.equal(cli(['trace', '-o', packed, '--journal', journal]).status, 0)
  assert.deepEqual(readTrace(zlib.gunzipSync(fs.readFileSync(packed)).toString()).faults, [])
  assert.deepEqual(readTrace(cli(['trace', '--journal', journal]).stdout).faults, [])
  const { pid } = trace.spans[0]
  const one = readTrace(cli(['trace', '--journal', journal, '--pid', String(pid)]).stdout)
  assert.deepEqual([...new Set(one.spans.map((span) => span.pid))], [pid])
})

test('what is not there, and what cannot be meant', () => {
  const said = (args, status, message) => {
    const answer = cli(args)
    assert.deepEqual([answer.status, answer.stdout], [status, ''], args.join(' '))
    assert.match(answer.stderr, message)
  }
  said(['history'], 3, /there is no journal: give --journal PATH, or set CHAINLOCK_JOURNAL/)
  said(['history', '--journal', path.join(folder, 'nowhere')], 3, /there is no journal at /)
  said(['trace', '--journal', path.join(folder, 'nowhere')], 3, /there is no journal at /)
  said(['trace', '--journal', journal, '--until', '1h'], 3, /nothing happened in that time/)
  said(['history', '--journal', journal, '--kind', 'forcd'], 2, /did you mean forced/)
  said(['history', '--journal', journal, '--since', 'yesterday'], 2, /--since is a time such as 10m/)
  said(['history', '--journal', journal, '--limit', '0'], 2, /--limit is a whole number from 1/)
  const foreign = path.join(folder, 'notes.txt')
  fs.writeFileSync(foreign, 'no journal at all\n'.repeat(100))
  said(['history', '--journal', foreign], 1, /chainlock: /)
  assert.equal(fs.readFileSync(foreign, 'utf8').slice(0, 18), 'no journal at all\n')
})

test('history: follows what happens from now on', { timeout: 120_000 }, async (t) => {
  const args = [CLI, 'history', '--follow', '--journal', journal, '--lock', 'index']
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  let text = ''
  const seen = () => eventsOf(text.slice(0, text.lastIndexOf('\n') + 1))
  const saw = (count) => new Promise((resolve) => {
    const look = () => seen().length >= count && resolve()
    child.stdout.on('data', look)
    look()
  })
  child.stdout.setEncoding('utf8').on('data', (piece) => (text += piece))
  const earlier = eventsOf(cli(['history', '--journal', journal, '--lock', 'index']).stdout).length
  await saw(earlier)
  await runNode(work, { journal })
  await saw(2 * earlier)
  const ids = seen().map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  assert.ok(seen().every(({ lock }) => lock === 'index'))
})
