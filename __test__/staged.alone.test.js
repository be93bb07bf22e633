// O1 to O4: failures staged with real processes, each of which `chainlock status` has to name: the rule, the lock, who
// holds it, since when, and what to type next; none for the healthy; at no cost to who is looked at.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { folder } = require('./helpers/folders')

// Before the package is loaded; children inherit it.
process.env.XDG_RUNTIME_DIR = folder()

const { chainlock, root } = require('./helpers/package')
const { faultsOf } = require('./helpers/schema')
const { BIN, runCli } = require('./helpers/cli')
const { runNode, startNode, said } = require('./helpers/processes')
const { whyNot: whyNoStrace } = require('./helpers/strace')
const { pause } = require('./helpers/waiting')
const STAGED = require('./helpers/staged')
const { works } = require('./helpers/staged/healthy')
const { idles, hurries, callsOf, LOOKS, holdsThousand, median, timeOf } = require('./helpers/staged/figures')

const schema = require('../docs/formats/snapshot.schema.json')

const onLinux = { skip: process.platform !== 'linux' && 'only Linux shows processes from outside' }
/** For what is never told. */
const LIMIT_MS = 60_000
const BETWEEN_MS = 100
const MOST_ROUNDS = 10

/** What `status --json` says; it always fits the schema, and the exit code is the verdict's. */
async function status(args, how) {
  const began = performance.now()
  const { code, stdout, stderr } = await runCli(['status', '--json', ...args], how)
  const ms = performance.now() - began
  if (!stdout.endsWith('}\n')) return { verdict: [], missing: stderr, ms }
  const snapshot = JSON.parse(stdout)
  assert.deepEqual(faultsOf(snapshot, schema), [])
  if (code !== 3) assert.equal(code, snapshot.ok ? 0 : 1)
  return { ...snapshot, ms }
}

/** Looks until that verdict is there. */
async function told(pid, { everywhere = false, as }, { rule, lock }) {
  const isIt = (one) => one.rule === rule && (one.pid === pid || rule === 'OK') &&
    (lock instanceof RegExp ? lock.test(one.lock) : one.lock === lock)
  for (const end = Date.now() + LIMIT_MS; ; await pause(BETWEEN_MS)) {
    const snapshot = await status(everywhere ? [] : ['--pid', `${pid}`], { command: as })
    const verdict = snapshot.verdict.find(isIt)
    if (verdict) return { snapshot, verdict }
    assert.ok(Date.now() < end, `not told: ${snapshot.missing ?? JSON.stringify(snapshot.verdict)}`)
  }
}

/** Starts processes that end with the test. */
const starterFor = (t) => async (program, data, options) => {
  const started = startNode(program, data, { ...options, env: { ROOT: root } })
  t.after(async () => {
    started.child.kill('SIGKILL')
    await started.ended
  })
  await said(started, 'ready')
  return started
}

describe('O4: a staged failure is named', { ...onLinux, concurrency: 4 }, () => {
  for (const [name, { skip = false, before, program, data, command, then, tells, never, shows }] of Object.entries(STAGED)) {
    test(name, { skip }, async (t) => {
      const began = Date.now()
      const start = starterFor(t)
      const prepared = await before?.({ t })
      const started = await start(program, prepared?.given ?? data, { command })
      const how = (await then?.(started, start, { t, said: (text) => said(started, text), before: prepared })) ?? {}
      const pid = how.pid ?? started.child.pid
      const { snapshot, verdict } = await told(pid, how, tells)
      const why = (of) => `chainlock why ${verdict.lock}${how.everywhere ? '' : ` --pid ${of}`}`
      const { level, says, next = why } = tells
      assert.equal(verdict.level, level)
      assert.match([verdict.sentence, ...verdict.evidence].join('\n'), says)
      if (verdict.lock !== null) {
        assert.ok([...snapshot.locks, ...snapshot.leases].some(({ id }) => id === verdict.lockId), 'the lock is shown')
      }
      if (!how.everywhere) assert.equal(snapshot.verdict[0].rule, tells.rule, 'the worst is told first')
      assert.ok(!snapshot.verdict.some(({ rule, lock }) => rule === never && lock === verdict.lock), never)
      if (shows) assert.ok(shows(snapshot), JSON.stringify(snapshot.locks))
      if (tells.rule !== 'OK') {
        assert.equal(verdict.next, next(pid))
        // A process that cannot be looked at does not tell since when.
        if (tells.rule !== 'UNSEEN') {
          const since = Date.parse(verdict.since)
          // What goes on may have been seen again while the snapshot was being taken.
          assert.ok(since >= began - 100 && since <= Date.now() + 100, `since ${verdict.since}, begun at ${began}`)
        }
        const [first, ...rest] = verdict.next.split(' ')
        if (first === 'chainlock') assert.ok([0, 1].includes((await runCli(rest)).code), `${verdict.next} can be typed`)
      }
      t.diagnostic(`${tells.rule}: ${verdict.sentence} (${snapshot.ms.toFixed(0)} ms for the look)`)
    })
  }
})

test('O4: the healthy get no verdict but OK', onLinux, async (t) => {
  const runs = process.env.CHAINLOCK_DEEP ? 1_000 : 30
  let seed = 0
  const one = async () => {
    while (seed < runs) {
      const started = startNode(works, ++seed, { env: { ROOT: root } })
      const mine = `seed ${seed}`
      t.after(() => started.child.kill('SIGKILL'))
      await said(started, 'ready')
      const { verdict } = chainlock.snapshot({ pid: started.child.pid })
      assert.deepEqual(verdict.map(({ rule }) => rule), ['OK'], `${mine}: ${JSON.stringify(verdict)}`)
      started.child.stdin.end()
      const { code, stderr } = await started.ended
      assert.deepEqual([code, stderr], [0, ''], mine)
    }
  }
  await Promise.all([one(), one()])
  t.diagnostic(`${runs} healthy runs, 0 verdicts`)
})

test('O4: a damaged journal is told by doctor', async (t) => {
  const file = path.join(folder(t), 'locks.journal')
  const writer = await runNode(async ({ chainlock, data }) => {
    const journal = chainlock.openJournal({ path: data })
    for (let at = 0; at < 2_000; at++) await chainlock.locks.withLock(`job ${at}`, () => {})
    await journal.close()
  }, file)
  assert.equal(writer.code, 0, writer.stderr)
  const told = async () => {
    const { stdout } = await runCli(['doctor', '--json', '--journal', file])
    return JSON.parse(stdout).checks.find(({ id }) => id === 'journal')
  }
  assert.equal((await told()).level, 'good')
  const journal = fs.openSync(file, 'r+')
  const { size } = fs.fstatSync(journal)
  fs.writeSync(journal, Buffer.alloc(4_096, 0xa5), 0, 4_096, Math.floor(size / 2 / 4_096) * 4_096)
  fs.closeSync(journal)
  const { level, sentence, fix } = await told()
  assert.deepEqual([level, fix], ['bad', `mv ${file} ${file}.broken`])
  t.diagnostic(sentence)
})

describe('O2: the right verdict of who cannot answer, and how long the look took', onLinux, () => {
  const CANNOT = {
    'a blocked loop': 'blocked loop',
    SIGSTOP: 'stopped',
    'native code': 'blocked in native code',
    SIGKILL: 'dead holder',
  }
  for (const [what, staged] of Object.entries(CANNOT)) {
    test(what, async (t) => {
      const { program, data, then, tells } = STAGED[staged]
      const start = starterFor(t)
      const started = await start(program, data && `${data}-again`)
      const how = (await then?.(started, start)) ?? {}
      const { pid } = started.child
      const { verdict } = await told(pid, how, { ...tells, lock: data ? `${data}-again` : tells.lock })
      assert.equal(verdict.pid, pid)
      const looks = Array.from({ length: 5 }, () => chainlock.snapshot(how.everywhere ? {} : { pid }).tookMs)
      const { ms } = await status(how.everywhere ? [] : ['--pid', `${pid}`])
      const took = `the look ${median(looks).toFixed(1)} ms, with the start of the command ${ms.toFixed(0)} ms`
      t.diagnostic(`O2: ${what}: ${verdict.rule}; ${took} (bar: 300 ms)`)
    })
  }
})

test('O1: who is looked at 10 times a second makes no system call more', { skip: whyNoStrace() }, async (t) => {
  for (const [what, program] of Object.entries({ idle: idles, busy: hurries })) {
    const started = await starterFor(t)(program)
    // V8 makes some of its own, and so does being traced: the quietest time counts.
    const least = { alone: Infinity, watched: Infinity }
    for (let round = 0; round < MOST_ROUNDS && !(round >= 2 && least.watched - least.alone < LOOKS / 2); round++) {
      for (const how of /** @type {const} */ (['alone', 'watched'])) {
        least[how] = Math.min(least[how], await callsOf(started, how === 'watched'))
      }
    }
    t.diagnostic(`O1: ${what}: ${least.alone} system calls alone, ${least.watched} while ${LOOKS} times looked at`)
    assert.ok(least.watched - least.alone < LOOKS / 2, `${what}: a look costs the owner system calls`)
  }
})

test('O3: status beside an empty program', onLinux, async (t) => {
  await starterFor(t)(STAGED.stopped.program)
  const [empty, looking] = [[], []]
  for (let round = 0; round < 5; round++) {
    empty.push(timeOf(['-e', '0']))
    looking.push(timeOf([BIN, 'status']))
  }
  const over = median(looking) - median(empty)
  const beside = `${over.toFixed(0)} ms longer than node -e 0 (${median(empty).toFixed(0)} ms)`
  t.diagnostic(`O3: status takes ${beside}; bar: 50 ms`)
  assert.ok(over < 5_000)
})

test('O3: ten processes with 1,000 locks each', onLinux, async (t) => {
  const start = starterFor(t)
  const pids = []
  for (let count = 0; count < 10; count++) pids.push((await start(holdsThousand)).child.pid)
  const snapshot = await status([])
  for (const pid of pids) {
    assert.equal(snapshot.locks.filter((lock) => lock.pid === pid && lock.kind === 'lock').length, 1_000)
  }
  const took = `--json ${snapshot.ms.toFixed(0)} ms, ${snapshot.tookMs.toFixed(0)} ms of it the look`
  t.diagnostic(`O3: 10 processes, 10,000 locks, 1,000 waiters: ${took}`)
  assert.ok(snapshot.ms < 30_000)
})
