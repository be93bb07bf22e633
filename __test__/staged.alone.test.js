// O1 to O4: failures staged with real processes, each of which `chainlock status` has to name: the rule, the lock, who
// holds it, since when, and what to type next; none for the healthy; at no cost to who is looked at.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { root } = require('./helpers/package')
const { folder } = require('./helpers/folders')
const { faultsOf } = require('./helpers/schema')
const { runCli } = require('./helpers/cli')
const { startNode, said } = require('./helpers/processes')
const { pause } = require('./helpers/waiting')
const STAGED = require('./helpers/staged')

process.env.XDG_RUNTIME_DIR = folder()
const schema = require('../docs/formats/snapshot.schema.json')

const onLinux = { skip: process.platform !== 'linux' && 'only Linux shows processes from outside' }
/** For what is never told. */
const LIMIT_MS = 60_000
const BETWEEN_MS = 100

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
  for (const [name, { skip = false, program, data, command, then, tells, never, shows }] of Object.entries(STAGED)) {
    test(name, { skip }, async (t) => {
      const began = Date.now()
      const start = starterFor(t)
      const started = await start(program, data, { command })
      const how = (await then?.(started, start, { t, said: (text) => said(started, text) })) ?? {}
      const pid = how.pid ?? started.child.pid
      const { snapshot, verdict } = await told(pid, how, tells)
      const { level, says, next = (of) => `chainlock why ${verdict.lock}${how.everywhere ? '' : ` --pid ${of}`}` } = tells
      assert.equal(verdict.level, level)
      assert.match([verdict.sentence, ...verdict.evidence].join('\n'), says)
      if (verdict.lock !== null) assert.ok(snapshot.locks.some(({ id }) => id === verdict.lockId), 'the lock is shown')
      if (!how.everywhere) assert.equal(snapshot.verdict[0].rule, tells.rule, 'the worst is told first')
      assert.ok(!snapshot.verdict.some((one) => one.rule === never && one.lock === verdict.lock), JSON.stringify(snapshot.verdict))
      if (shows) assert.ok(shows(snapshot), JSON.stringify(snapshot.locks))
      if (tells.rule !== 'OK') {
        assert.equal(verdict.next, next(pid))
        // A process that cannot be looked at does not tell since when.
        if (tells.rule !== 'UNSEEN') {
          const since = Date.parse(verdict.since)
          assert.ok(since >= began - 100 && since <= snapshot.takenAtMs, `since ${verdict.since}`)
        }
        const [first, ...rest] = verdict.next.split(' ')
        if (first === 'chainlock') assert.ok([0, 1].includes((await runCli(rest)).code), `${verdict.next} can be typed`)
      }
      t.diagnostic(`${tells.rule}: ${verdict.sentence} (${snapshot.ms.toFixed(0)} ms for the look)`)
    })
  }
})
