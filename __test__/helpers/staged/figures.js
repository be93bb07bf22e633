// Figures of looking: what it costs who is looked at, and how long it takes.
'use strict'

const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const { pause } = require('../waiting')

/** Holds a lock and does nothing. */
async function idles({ chainlock: { locks } }) {
  globalThis.kept = await locks.acquire('index')
  process.stdin.resume()
  console.log('ready')
}

/** Takes and gives back a lock as fast as it can: no system call, and no garbage; never turns its event loop. */
function hurries({ chainlock }) {
  chainlock.configureSendLock({ layers: 'any', cooldownMs: 0 })
  process.stdout.write('ready\n', () => {
    for (;;) {
      chainlock.tryAcquireSendLock('agent')
      chainlock.releaseSendLock('agent')
    }
  })
}

const LOOKS = 10
const EVERY_MS = 100

/** How many system calls a process makes, of all its threads, while it is looked at or let alone. */
async function callsOf({ child }, watched) {
  const { chainlock } = require('../package')
  const strace = spawn('strace', ['-c', '-f', '-p', `${child.pid}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  let told = ''
  const attached = new Promise((resolve) => {
    strace.stderr.setEncoding('utf8').on('data', (text) => (told += text).includes('attached') && resolve())
  })
  const gone = once(strace, 'close')
  await Promise.race([attached, gone])
  for (let looks = 0; looks < LOOKS; looks++) {
    if (watched) chainlock.snapshot({ pid: child.pid })
    await pause(EVERY_MS)
  }
  strace.kill('SIGINT')
  await gone
  return Number(/(\d+)(?: +\d+)? +total$/m.exec(told)?.[1] ?? 0)
}

/** Holds 1,000 locks; somebody waits for each tenth. */
async function holdsThousand({ chainlock: { locks } }) {
  globalThis.kept = []
  for (let at = 0; at < 1_000; at++) {
    kept.push(await locks.acquire(`lock ${at}`, { label: 'owner' }))
    if (at % 10 === 0) locks.acquire(`lock ${at}`, { label: 'waiter', timeoutMs: Infinity }).catch(() => {})
  }
  console.log('ready')
  setInterval(() => {}, 1_000)
}

/** How long `node` runs with these arguments. */
function timeOf(args) {
  const began = performance.now()
  spawnSync(process.execPath, args, { stdio: 'ignore' })
  return performance.now() - began
}

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]

module.exports = { idles, hurries, callsOf, LOOKS, holdsThousand, timeOf, median }
