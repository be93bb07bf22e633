// Whether a thread's event loop turns, as the lock table tells it: whoever looks sees that it does not, since when, and
// nothing else; and looking after it keeps nobody alive.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { runNode, startNode, said } = require('./helpers/processes')
const { root } = require('./helpers/package')
const { stateOf } = require('./helpers/host-kernel')
const { until } = require('./helpers/waiting')
const { native } = require('../lib/native')

const onLinux = { skip: process.platform !== 'linux' && 'the portable half tells nothing' }

/**
 * Runs `block({ chainlock, wait, ... })` in the main thread of a process of its own, until a worker there has seen the
 * main thread silent for 300 ms; then `after` until the worker has seen it idle. Answers what the worker saw.
 */
function watched(block, { rest = '() => {}', ...options } = {}) {
  const program = `({ chainlock }) => {
    const { Worker } = require('node:worker_threads')
    const flags = new Int32Array(new SharedArrayBuffer(16))
    const [SEEN, BEGUN] = [0, 1]
    const worker = new Worker(${JSON.stringify(watch)}, { eval: true, workerData: { flags, root: ${JSON.stringify(root)} } })
    // Busy until the worker has seen it.
    const spin = () => {
      Atomics.store(flags, BEGUN, 1)
      for (const limit = Date.now() + 60_000; Atomics.load(flags, SEEN) === 0; ) if (Date.now() > limit) throw new Error('never seen')
    }
    const sleep = () => {
      Atomics.store(flags, BEGUN, 1)
      Atomics.wait(flags, SEEN, 0, 60_000)
    }
    chainlock.isSendLocked()
    ;(${rest})()
    worker.once('message', () => (${block})({ chainlock, spin, sleep }))
  }`
  return runNode(`(argument) => (${program})(argument)`, null, options)
}

/** The worker: it says when it is there, what it has seen, and ends when the main thread is idle again. */
const watch = `
  const { parentPort, workerData: { flags, root } } = require('node:worker_threads')
  const { native } = require(root + '/lib/native')
  const main = () => JSON.parse(native.silences()).find((thread) => thread.threadId === 0)
  const until = (is) => {
    for (const limit = Date.now() + 60_000; Date.now() < limit; Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)) if (is()) return true
    return false
  }
  parentPort.postMessage('ready')
  until(() => flags[1] === 1)
  const seen = until(() => main().silentMs >= 300)
  Atomics.store(flags, 0, 1)
  Atomics.notify(flags, 0)
  const idle = until(() => main().silentMs === null)
  require('node:fs').writeSync(1, JSON.stringify({ seen, idle }))
`

/** @param {(tools: any) => void} block */
async function assertSeen(block, options) {
  const { code, stdout, stderr, hung } = await watched(block, options)
  assert.deepEqual({ code, hung, stdout }, { code: 0, hung: false, stdout: '{"seen":true,"idle":true}' }, stderr)
}

describe('a main thread that is blocked is silent, and idle afterwards', onLinux, () => {
  // A timer that is far away is no turn of the loop.
  const rest = '() => setTimeout(() => {}, 1e6).unref()'
  test('in an immediate', () => assertSeen(({ spin }) => setImmediate(spin), { rest }))
  test('in a timer', () => assertSeen(({ spin }) => setTimeout(spin, 1), { rest }))
  test('asleep, as who waits synchronously is', () => assertSeen(({ sleep }) => setTimeout(sleep, 1), { rest }))
  test('in the callback of a file, with a timer running', () =>
    assertSeen(({ spin }) => {
      const timer = setInterval(() => {}, 50)
      setTimeout(() => require('node:fs').readFile(process.execPath, { flag: 'r', encoding: null }, () => (spin(), clearInterval(timer))), 200)
    }))
  test('in the callback of a file, after a call of chainlock', () =>
    assertSeen(({ chainlock, spin }) => {
      require('node:fs').stat('/', () => {
        chainlock.isSendLocked()
        spin()
      })
    }))
})

test('start-up code before the first turn counts', onLinux, async () => {
  const program = ({ chainlock }) => {
    const { native } = require(`${process.env.ROOT}/lib/native`)
    chainlock.isSendLocked()
    for (const limit = Date.now() + 60_000; Date.now() < limit; ) {
      const [main] = JSON.parse(native.silences())
      if (main.silentMs >= 100) return process.stdout.write('seen')
    }
  }
  const { stdout, code } = await runNode(program, null, { env: { ROOT: root } })
  assert.deepEqual({ stdout, code }, { stdout: 'seen', code: 0 })
})

test('a blocked worker is seen by its main thread', onLinux, async () => {
  const program = async ({ chainlock }) => {
    const { Worker } = require('node:worker_threads')
    const { native } = require(`${process.env.ROOT}/lib/native`)
    chainlock.isSendLocked()
    const worker = new Worker(
      `const chainlock = require(process.env.ROOT)
       chainlock.isSendLocked()
       setTimeout(() => { for (;;); }, 1)
       require('node:worker_threads').parentPort.postMessage('there')`,
      { eval: true },
    )
    await new Promise((resolve) => worker.once('message', resolve))
    const of = (threadId) => JSON.parse(native.silences()).find((thread) => thread.threadId === threadId)
    for (const limit = Date.now() + 60_000; Date.now() < limit; await new Promise((resolve) => setTimeout(resolve, 5))) {
      if (of(worker.threadId).silentMs >= 300) break
    }
    const seen = of(worker.threadId).silentMs >= 300
    const nativeIds = JSON.parse(native.silences()).map(({ nativeId }) => require('node:fs').existsSync(`/proc/self/task/${nativeId}`))
    await worker.terminate()
    console.log(JSON.stringify({ seen, nativeIds, left: of(worker.threadId) === undefined && worker.threadId === -1 }))
  }
  const { stdout, code, stderr } = await runNode(program, null, { env: { ROOT: root } })
  assert.deepEqual({ stdout: stdout.trim(), code }, { stdout: '{"seen":true,"nativeIds":[true,true],"left":true}', code: 0 }, stderr)
})

test('a stopped process is told as stopped', onLinux, async (t) => {
  const program = ({ chainlock }) => {
    chainlock.isSendLocked()
    setInterval(() => {}, 1e6)
    console.log('ready')
  }
  const node = startNode(program)
  t.after(() => node.child.kill('SIGKILL'))
  await said(node, 'ready')
  const facts = () => JSON.parse(native.processFacts(JSON.stringify([node.child.pid])))[0]
  await until(() => facts().state === 'sleeping')
  const { command, commandLine, cwd, uid, pidNamespaceIsOurs, threads, startTimeMs } = facts()
  assert.deepEqual({ command, program: commandLine[0], cwd, uid, pidNamespaceIsOurs }, {
    command: 'node -e', program: process.execPath, cwd: process.cwd(), uid: process.getuid(), pidNamespaceIsOurs: true,
  })
  assert.ok(threads > 1 && startTimeMs <= Date.now() + 1_000 && startTimeMs > Date.now() - 600_000)
  node.child.kill('SIGSTOP')
  await until(() => stateOf(node.child.pid) === 'T')
  assert.equal(facts().state, 'stopped')
  node.child.kill('SIGCONT')
  node.child.kill('SIGKILL')
  await node.ended
  assert.equal(facts(), undefined, 'nobody has the pid any more')
})

test('nothing is kept alive, however the end comes', async () => {
  for (const end of ['', 'process.exit()', 'setTimeout(() => {}, 5)', 'process.exitCode = 0; setImmediate(() => {})']) {
    const { code, hung, stderr } = await runNode(`({ chainlock }) => { chainlock.isSendLocked(); ${end} }`, null, { limitMs: 60_000 })
    assert.deepEqual({ code, hung }, { code: 0, hung: false }, `${end}: ${stderr}`)
  }
})

test('workers come and go, also in the middle of a turn, and leave no row behind', async () => {
  const program = async ({ chainlock }) => {
    const { Worker } = require('node:worker_threads')
    const { native } = require(`${process.env.ROOT}/lib/native`)
    chainlock.isSendLocked()
    const source = (end) => `require(process.env.ROOT).isSendLocked(); require('node:worker_threads').parentPort.postMessage(0); ${end}`
    const ends = ['', 'process.exit()', 'setInterval(() => {}, 1)', 'for (;;);', 'const f = () => setImmediate(f); f()', 'throw 1']
    for (let round = 0; round < 4; round++) {
      await Promise.all(ends.map(async (end) => {
        const worker = new Worker(source(end), { eval: true })
        worker.on('error', () => {})
        await new Promise((resolve) => worker.once('message', resolve).once('exit', resolve))
        await worker.terminate()
      }))
    }
    console.log(JSON.parse(native.silences()).length)
  }
  const { stdout, code, stderr } = await runNode(program, null, { env: { ROOT: root } })
  assert.deepEqual({ stdout: stdout.trim(), code }, { stdout: '1', code: 0 }, stderr)
})
