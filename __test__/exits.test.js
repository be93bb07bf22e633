// F10: a process that ends, in any of 9 ways, with the lock held, with a request in line, with a listener or
// with the native timer armed: the right exit code, no hang, and not a word of ours on stderr.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { deep } = require('./helpers/package')
const { startNode, runNode, said } = require('./helpers/processes')

const AT_ONCE = 3
const REPEATS = deep(52, 3)
/** Who has not ended by then never will, however busy the machine is. */
const HANGS_MS = 60_000

/** Each way to end: what the process does, or is done to, and how Node then ends by itself. */
const WAYS = {
  return: { run: () => {}, code: 0 },
  'process.exit': { run: () => process.exit(7), code: 7 },
  throw: { run: () => { throw new Error('of the user') }, code: 1, stderr: /of the user/ },
  rejection: { run: () => { Promise.reject(new Error('of the user')) }, code: 1, stderr: /of the user/ },
  SIGTERM: { signal: 'SIGTERM' },
  SIGINT: { signal: 'SIGINT' },
  SIGKILL: { signal: 'SIGKILL' },
  abort: { run: () => process.abort(), endedBy: 'SIGABRT', anyStderr: true },
  'out of memory': {
    run: () => {
      const hoard = []
      for (;;) hoard.push(new Array(10_000).fill(Math.random()))
    },
    endedBy: 'SIGABRT',
    anyStderr: true,
    nodeArgs: ['--max-old-space-size=20', '--max-semi-space-size=1'],
  },
}

/** What the process has under way when it ends. */
const STATES = {
  held: (chainlock) => chainlock.tryAcquireSendLock('e2e-executor'),
  waiting: (chainlock) => {
    chainlock.tryAcquireSendLock('e2e-executor')
    chainlock.acquireSendLock('window-monitor')
  },
  listening: (chainlock) => chainlock.sendEvents.on('acquired', () => {}),
  'timer armed': (chainlock) => {
    chainlock.configureSendLock({ timeoutMs: 3_600_000, forceReleaseMs: 3_600_000 })
    chainlock.trySend('e2e-executor').guard.signal.addEventListener('abort', () => {})
  },
}

/** Runs the state's and the way's functions in a process of their own; they are sent as texts. */
function program({ chainlock, data: { state, run } }) {
  const begin = new Function('chainlock', `(${state})(chainlock)`)
  begin(chainlock)
  setImmediate(() => {
    if (run) new Function(`(${run})()`)()
    else {
      setInterval(() => {}, 1_000)
      console.log('ready')
    }
  })
}

async function end(wayName, stateName) {
  const { run, signal, nodeArgs } = WAYS[wayName]
  const data = { state: String(STATES[stateName]), run: run && String(run) }
  if (run) return runNode(program, data, { nodeArgs, limitMs: HANGS_MS })
  const started = startNode(program, data, { nodeArgs })
  await said(started, 'ready')
  started.child.kill(signal)
  const timer = setTimeout(() => started.child.kill('SIGKILL'), HANGS_MS)
  const result = await started.ended
  clearTimeout(timer)
  return { ...result, hung: result.signal === 'SIGKILL' && signal !== 'SIGKILL' }
}

function judge(wayName, stateName, { code, signal, stderr, hung }) {
  const what = `${wayName}, ${stateName}`
  const way = WAYS[wayName]
  const endedBy = way.endedBy ?? way.signal ?? null
  assert.equal(hung, false, `${what}: hung`)
  assert.equal(signal, endedBy, `${what}: ${stderr}`)
  if (!endedBy) assert.equal(code, way.code, `${what}: ${stderr}`)
  if (way.stderr) assert.match(stderr, way.stderr, what)
  if (!way.anyStderr && !way.stderr) assert.equal(stderr, '', what)
  assert.doesNotMatch(stderr, /chainlock|SHARED_LOCK|panicked|napi/i, what)
}

describe('F10: process exits', { concurrency: AT_ONCE }, () => {
  let ends = 0
  const running = []
  for (const wayName of Object.keys(WAYS)) {
    for (const stateName of Object.keys(STATES)) {
      // The process that waits for a grant that cannot come does not return by itself: see below.
      if (wayName === 'return' && stateName === 'waiting') continue
      test(`${wayName}, ${stateName}`, async () => {
        const rounds = repeat(wayName, stateName)
        running.push(rounds.catch(() => {}))
        await rounds
      })
    }
  }
  async function repeat(wayName, stateName) {
    for (let round = 0; round < REPEATS; round++) {
      judge(wayName, stateName, await end(wayName, stateName))
      ends++
    }
  }

  test('the bar', async (t) => {
    // The last to begin; some of the others still run.
    await Promise.all(running)
    t.diagnostic(`F10: ${ends} exits, 9 ways × 4 states, 0 hangs, 0 wrong codes`)
    assert.ok(ends >= deep(9 * 200, 90))
  })
})

describe('what keeps a process alive', { concurrency: AT_ONCE }, () => {
  test('a request in line does, until it is granted', async () => {
    const { code, stdout, stderr } = await runNode(({ chainlock }) => {
      chainlock.configureSendLock({ cooldownMs: 300 })
      // Before the cooldown begins: what the machine does in between does not shorten the measured time.
      const started = performance.now()
      chainlock.trySend('e2e-executor').guard.release()
      chainlock.acquireSendLock('window-monitor').then((guard) => {
        console.log(`granted ${performance.now() - started >= 299} ${guard.layerId}`)
      })
    })
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'granted true window-monitor\n', stderr: '' })
  })

  test('a request in line does, until its time is up or it is aborted', async () => {
    const { code, stdout } = await runNode(({ chainlock }) => {
      chainlock.tryAcquireSendLock('e2e-executor')
      chainlock.acquireSendLock('window-monitor', { timeoutMs: 100 }).catch(({ code }) => console.log(code))
      const controller = new AbortController()
      chainlock.acquireSendLock('window-monitor', { signal: controller.signal }).catch(({ name }) => console.log(name))
      setTimeout(() => controller.abort(), 50)
    })
    // Which of the two comes first is the machine's affair.
    assert.deepEqual({ code, lines: stdout.trim().split('\n').sort() }, { code: 0, lines: ['AbortError', 'ERR_LOCK_TIMEOUT'] })
  })

  test('a request that waits for the force release of the holder is granted by it', async () => {
    const { code, stdout } = await runNode(({ chainlock }) => {
      chainlock.configureSendLock({ cooldownMs: 0, forceReleaseMs: 100 })
      chainlock.tryAcquireSendLock('e2e-executor')
      chainlock.acquireSendLock('window-monitor').then(({ layerId }) => console.log(layerId))
    })
    assert.deepEqual({ code, stdout }, { code: 0, stdout: 'window-monitor\n' })
  })

  for (const stateName of ['held', 'listening', 'timer armed']) {
    test(`${stateName}: ends by itself`, async () => {
      const { code, hung, stderr } = await end('return', stateName)
      assert.deepEqual({ code, hung, stderr }, { code: 0, hung: false, stderr: '' })
    })
  }

  test('a worker that holds, listens or has waited ends by itself, and its process', async () => {
    const { code, hung, stdout, stderr } = await runNode(({ chainlock }) => {
      const { Worker } = require('node:worker_threads')
      chainlock.configureSendLock({ cooldownMs: 0 })
      const source = `
        const { workerData } = require('node:worker_threads')
        const chainlock = require(workerData)
        chainlock.sendEvents.on('acquired', () => {})
        chainlock.acquireSendLock('test-layer').then((guard) => guard.signal.addEventListener('abort', () => {}))`
      const packagePath = Object.keys(require.cache).find((name) => name.endsWith('index.js'))
      new Worker(source, { eval: true, workerData: packagePath }).on('exit', (code) => {
        console.log(code, chainlock.isSendLocked(), chainlock.getMetrics().forcedByReason.thread_exit)
      })
    }, null, { limitMs: HANGS_MS })
    assert.deepEqual({ code, hung, stdout, stderr }, { code: 0, hung: false, stdout: '0 false 1\n', stderr: '' })
  })

  test('a process that ends while its workers hold, wait and send ends at once', async () => {
    for (const way of ['process.exit(5)', 'throw new Error("of the user")']) {
      const { hung, code } = await runNode(({ data }) => {
        const { Worker } = require('node:worker_threads')
        const packagePath = Object.keys(require.cache).find((name) => name.endsWith('index.js'))
        const source = `
          const chainlock = require(require('node:worker_threads').workerData)
          chainlock.configureSendLock({ cooldownMs: 0 })
          ;(async () => { for (;;) await chainlock.withSendLock('test-layer', async () => {}) })()`
        for (let count = 0; count < 4; count++) new Worker(source, { eval: true, workerData: packagePath })
        setTimeout(() => new Function(data)(), 300)
      }, way, { limitMs: HANGS_MS })
      assert.equal(hung, false)
      assert.equal(code, way.includes('exit') ? 5 : 1)
    }
  })
})
