// CHAINLOCK_LOG: silent by default; told to, one line an event in the form that the controller's operators
// know.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { startNode } = require('./helpers/processes')

const LINE = /^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] \[SHARED_LOCK\] \[(INFO|WARNING|ERROR)\] (.+)$/u

/** One of each event, in a process of its own. */
function oneOfEach({ chainlock, data: { waits } }) {
  chainlock.configureSendLock({ cooldownMs: 0, timeoutMs: 60_000, forceReleaseMs: 60_000, dedupWindowMs: 60_000 })
  chainlock.tryAcquireSendLock('e2e-executor', { message: 'x' })
  chainlock.tryAcquireSendLock('window-monitor')
  chainlock.releaseSendLock('e2e-executor')
  chainlock.tryAcquireSendLock('window-monitor', { message: 'x' })
  chainlock.tryAcquireSendLock('test-layer')
  chainlock.forceReleaseLock('by hand')
  // Only now: a hold before may last long on a busy machine, and is not to be overdue.
  chainlock.configureSendLock({ cooldownMs: 60_000, timeoutMs: 20 })
  chainlock.tryAcquireSendLock('test-layer')
  chainlock.sharedLock.lastSendTime = 0
  chainlock.tryAcquireSendLock('chain-loop-monitor')
  const look = setInterval(() => {
    if (!chainlock.getLockStatus().overdue) return
    clearInterval(look)
    // The clock's thread tells of it only after it has marked it.
    if (waits) process.stdin.once('data', goOn)
    else goOn()
  }, 1)
  const goOn = () => {
    const { Worker } = require('node:worker_threads')
    const packagePath = Object.keys(require.cache).find((name) => name.endsWith('index.js'))
    chainlock.releaseSendLock('chain-loop-monitor')
    chainlock.configureSendLock({ cooldownMs: 0, timeoutMs: 60_000 })
    new Worker("require(require('node:worker_threads').workerData).tryAcquireSendLock('window-monitor')", { eval: true, workerData: packagePath })
  }
}

const EVENTS = [
  ['INFO', 'ℹ️ 🔒 SEND LOCK ACQUIRED: e2e-executor'],
  ['WARNING', '⚠️ DUPLICATE BLOCKED: window-monitor - e2e-executor already sending'],
  ['INFO', 'ℹ️ 🔓 SEND LOCK RELEASED: e2e-executor (held for 0ms)'],
  ['WARNING', '⚠️ DUPLICATE BLOCKED: window-monitor - message already sent'],
  ['INFO', 'ℹ️ 🔒 SEND LOCK ACQUIRED: test-layer'],
  ['WARNING', '⚠️ FORCE RELEASING STALE LOCK: test-layer (by hand, held for 0ms)'],
  ['WARNING', '⚠️ ⏸️ Cooldown active for test-layer'],
  ['INFO', 'ℹ️ 🔒 SEND LOCK ACQUIRED: chain-loop-monitor'],
  ['WARNING', '⚠️ SEND LOCK OVERDUE: chain-loop-monitor (held for 0ms)'],
  ['INFO', 'ℹ️ 🔓 SEND LOCK RELEASED: chain-loop-monitor (held for 0ms)'],
  ['INFO', 'ℹ️ 🔒 SEND LOCK ACQUIRED: window-monitor'],
  ['ERROR', '❌ SEND LOCK RECOVERED: window-monitor (thread_exit, held for 0ms)'],
]

/** Resolves when the child has written `text` to its stderr, or has ended. */
const written = ({ child, output, ended }, text) => new Promise((resolve) => {
  const look = () => output.stderr.includes(text) && resolve()
  child.stderr.on('data', look)
  ended.then(resolve)
  look()
})

async function logged(env) {
  const waits = ['info', 'warn'].includes(env.CHAINLOCK_LOG)
  const started = startNode(oneOfEach, { waits }, { env })
  const hangs = setTimeout(() => started.child.kill('SIGKILL'), 120_000)
  if (waits) {
    await written(started, 'OVERDUE')
    started.child.stdin.end('go on')
  }
  const { code, stdout, stderr } = await started.ended
  clearTimeout(hangs)
  assert.equal(code, 0, stderr)
  assert.equal(stdout, '')
  return stderr.split('\n').slice(0, -1).map((line) => {
    const [, level, text] = LINE.exec(line) ?? assert.fail(`not a line of ours: ${line}`)
    return [level, text.replace(/held for \d+ms/, 'held for 0ms')]
  })
}

describe('CHAINLOCK_LOG', () => {
  test('nothing is printed without it', async () => assert.deepEqual(await logged({}), []))

  test('info: every event is one line', async () => assert.deepEqual(await logged({ CHAINLOCK_LOG: 'info' }), EVENTS))

  test('warn and error print as much as they say, in any case', async () => {
    assert.deepEqual(await logged({ CHAINLOCK_LOG: 'warn' }), EVENTS.filter(([level]) => level !== 'INFO'))
    assert.deepEqual(await logged({ CHAINLOCK_LOG: 'ERROR' }), EVENTS.filter(([level]) => level === 'ERROR'))
  })

  for (const level of ['', 'off', 'loud', 'chainlock=info', '7']) {
    test(`'${level}' prints nothing`, async () => assert.deepEqual(await logged({ CHAINLOCK_LOG: level }), []))
  }
})

describe('a log that cannot be written', () => {
  /** Takes the lock, and lets the lock's own clock take it away, twice. */
  async function forcedTwice({ chainlock }) {
    const limit = setTimeout(() => process.exit(3), 30_000)
    const answers = []
    for (let round = 0; round < 2; round++) {
      // Nothing is to be taken away between these two calls, however long a busy machine makes them.
      chainlock.configureSendLock({ cooldownMs: 0, forceReleaseMs: 600_000 })
      answers.push(chainlock.tryAcquireSendLock('e2e-executor'))
      chainlock.releaseSendLock('e2e-executor')
      chainlock.configureSendLock({ forceReleaseMs: 50 })
      const { signal } = chainlock.trySend('window-monitor').guard
      await new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', resolve)))
      answers.push(chainlock.isSendLocked())
    }
    clearTimeout(limit)
    console.log(JSON.stringify({ answers, forced: chainlock.getMetrics().forcedByReason.stale_timeout }))
  }

  const WAYS = {
    'a full device': { command: ['sh', '-c', 'exec "$@" 2>/dev/full', 'sh'] },
    'a closed pipe': { begin: ({ child }) => child.stderr.destroy() },
  }
  for (const [where, { command, begin = () => {} }] of Object.entries(WAYS)) {
    test(`to ${where}, harms neither a call nor the lock's clock`, async () => {
      const started = startNode(forcedTwice, null, { command, env: { CHAINLOCK_LOG: 'info' } })
      begin(started)
      const { code, stdout } = await started.ended
      assert.equal(code, 0)
      assert.deepEqual(JSON.parse(stdout), { answers: [true, false, true, false], forced: 2 })
    })
  }
})
