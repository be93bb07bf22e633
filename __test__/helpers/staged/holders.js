// Staged failures: holders that do not let go, cannot, or are gone.
'use strict'

const fs = require('node:fs')
const { spawn } = require('node:child_process')
const { until } = require('../waiting')
const { isLocked } = require('../host-kernel')
const { whyNot } = require('./tools')

/** Holds "index" for good; one waits for it. */
async function holds({ chainlock: { locks } }) {
  globalThis.kept = await locks.acquire('index', { label: 'rebuild' })
  locks.acquire('index', { label: 'reader', timeoutMs: Infinity }).catch(() => {})
  console.log('ready')
  setInterval(() => {}, 1_000)
}

/** Blocks its main thread in native code, as soon as it has said so. */
async function blocks({ chainlock: { locks } }) {
  globalThis.kept = await locks.acquire('index', { label: 'rebuild' })
  locks.acquire('index', { label: 'reader', timeoutMs: Infinity }).catch(() => {})
  process.stdout.write('ready\n', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
}

/** The same in JavaScript. */
async function spins({ chainlock: { locks } }) {
  globalThis.kept = await locks.acquire('index', { label: 'rebuild' })
  locks.acquire('index', { label: 'reader', timeoutMs: Infinity }).catch(() => {})
  process.stdout.write('ready\n', () => {
    for (;;);
  })
}

/** Holds a host lock and says where its file lies. */
async function holdsHost({ chainlock: { hostLock }, data: name }) {
  const lock = hostLock(name)
  globalThis.kept = await lock.acquire({ label: 'ship' })
  console.log(`ready ${lock.path}`)
  setInterval(() => {}, 1_000)
}

async function losesAWorker({ chainlock }) {
  const { Worker } = require('node:worker_threads')
  chainlock.isSendLocked()
  const source = `const { packagePath } = require('node:worker_threads').workerData
    require(packagePath).locks.acquire('work', { label: 'crunch' }).then((guard) => {
      globalThis.kept = guard
      require('node:worker_threads').parentPort.postMessage('there')
    })`
  const worker = new Worker(source, { eval: true, workerData: { packagePath: process.env.ROOT } })
  await new Promise((resolve) => worker.once('message', resolve))
  await worker.terminate()
  console.log('ready')
  setInterval(() => {}, 1_000)
}

async function forces({ chainlock }) {
  chainlock.configureSendLock({ layers: 'any' })
  await chainlock.acquireSendLock('agent')
  chainlock.forceReleaseLock('he is on holiday')
  console.log('ready')
  setInterval(() => {}, 1_000)
}

async function coolsDown({ chainlock }) {
  chainlock.configureSendLock({ layers: 'any', cooldownMs: 600_000 })
  ;(await chainlock.acquireSendLock('agent')).release()
  chainlock.acquireSendLock('fallback').catch(() => {})
  console.log('ready')
  setInterval(() => {}, 1_000)
}

async function givesUp({ chainlock: { locks } }) {
  globalThis.kept = await locks.acquire('slow', { label: 'snail' })
  await locks.acquire('slow', { label: 'hare', timeoutMs: 20 }).catch(({ code }) => console.log(code))
  console.log('ready')
  setInterval(() => {}, 1_000)
}

async function starves({ chainlock: { locks } }) {
  for (let round = 0; round < 120; round++) {
    const guard = await locks.acquire('pump')
    const next = locks.acquire('pump')
    guard.release()
    ;(await next).release()
  }
  globalThis.kept = await locks.acquire('pump', { label: 'hog' })
  locks.acquire('pump', { label: 'poor', timeoutMs: Infinity }).catch(() => {})
  console.log('ready')
  setInterval(() => {}, 1_000)
}

/** Where the record of an exclusive holder has its process: docs/formats/host-lock.md. */
const PID_AT = 64 + 8

const STUCK = { level: 'bad', lock: 'index' }

module.exports = {
  'foreign flock': {
    skip: whyNot('flock', '--version'),
    program: async ({ chainlock: { hostLock }, data: name }) => {
      const lock = hostLock(name)
      ;(await lock.acquire()).release()
      console.log(`ready ${lock.path}`)
      process.stdin.once('data', () => lock.acquire({ label: 'hare', timeoutMs: Infinity }).catch(() => {}))
    },
    data: 'deploy-foreign',
    async then({ child, output }, start, { t }) {
      const [, path] = /^ready (.*)$/m.exec(output.stdout)
      const shell = spawn('flock', ['--no-fork', path, 'sleep', '1000'], { stdio: 'ignore' })
      t.after(() => shell.kill('SIGKILL'))
      // It locks, and then becomes the command.
      const isTheCommand = () => fs.readFileSync(`/proc/${shell.pid}/cmdline`, 'latin1').startsWith('sleep')
      await until(() => isLocked(path) && isTheCommand())
      child.stdin.write('try\n')
      return { everywhere: true, pid: shell.pid }
    },
    // A shell may hold it for a while: that is no failure before the half minute is over.
    tells: { rule: 'STUCK', level: 'warn', lock: 'deploy-foreign', says: /held by sleep 1000 \d+, without chainlock; one waits/ },
  },
  'dead holder': {
    program: holdsHost,
    data: 'deploy-dead',
    async then({ child, ended }) {
      child.kill('SIGKILL')
      await ended
      return { everywhere: true }
    },
    tells: { rule: 'STALE', level: 'warn', lock: 'deploy-dead', says: /held by the dead: "ship" \(.* \d+\/main\)/ },
  },
  'reused pid': {
    program: holdsHost,
    data: 'deploy-reused',
    async then({ child, ended, output }, start) {
      const [, path] = /^ready (.*)$/m.exec(output.stdout)
      child.kill('SIGKILL')
      await ended
      const heir = await start(holds)
      heir.child.kill('SIGSTOP')
      const file = fs.openSync(path, 'r+')
      const pid = Buffer.alloc(8)
      pid.writeBigUInt64LE(BigInt(heir.child.pid))
      fs.writeSync(file, pid, 0, 8, PID_AT)
      fs.closeSync(file)
      return { everywhere: true, pid: heir.child.pid }
    },
    tells: { rule: 'STALE', level: 'warn', lock: 'deploy-reused', says: /held by the dead: "ship"/ },
    never: 'STOPPED',
  },
  stopped: {
    program: holds,
    then: ({ child }) => void child.kill('SIGSTOP'),
    tells: { rule: 'STOPPED', ...STUCK, says: /"rebuild"[^]*a process that is stopped; one waits/, next: (pid) => `kill -CONT ${pid}` },
  },
  'blocked loop': { program: spins, tells: { rule: 'SILENT', ...STUCK, says: /"rebuild"[^]*has been blocked for/ } },
  'blocked in native code': { program: blocks, tells: { rule: 'SILENT', ...STUCK, says: /"rebuild"[^]*has been blocked for/ } },
  'worker terminated': {
    program: losesAWorker,
    tells: { rule: 'STALE', level: 'warn', lock: 'work', says: /"work" was recovered .* ago: "crunch" ended without/ },
  },
  forced: {
    program: forces,
    tells: { rule: 'LOST', level: 'warn', lock: 'send', says: /by force from "agent" .* ago \(he is on holiday\)/ },
  },
  timeout: {
    program: givesUp,
    tells: { rule: 'STUCK', level: 'bad', lock: 'slow', says: /by "snail"[^]*"hare" gave up waiting after/ },
  },
  starvation: {
    program: starves,
    tells: { rule: 'STARVING', level: 'warn', lock: 'pump', says: /^"poor"[^]*first in line[^]*held for .* by "hog"/ },
  },
  cooldown: {
    program: coolsDown,
    tells: { rule: 'OK', level: 'good', lock: null, says: /"send" cools down for another/ },
    shows: ({ locks }) => locks.some(({ kind, state, waiterCount }) => kind === 'send' && state === 'cooldown' && waiterCount === 1),
  },
}
