// Many processes clear one lock at once: one of them wins, and what appears meanwhile stays.
'use strict'

const { test, after } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { spawnSync } = require('node:child_process')
const { folder } = require('./helpers/folders')
const { startNode } = require('./helpers/processes')

const onLinux = process.platform === 'linux' ? {} : { skip: 'LOUD SKIP: cleared on Linux only' }
const ROUNDS = process.env.CHAINLOCK_DEEP ? 2_000 : 200
const CLEARERS = 8

const home = folder()
const children = []
after(() => children.forEach(({ child }) => child.kill('SIGKILL')))

/** Does what a line on stdin says, and answers with a line: the clearers, and who takes locks in other ways. */
function worker({ chainlock }) {
  const fs = require('node:fs')
  const jobs = {
    clear: (lock) => chainlock.clearStaleLockSync(lock, { maxAgeMs: 0 }).cleared,
    clearOld: (lock) => chainlock.clearStaleLockSync(lock, { maxAgeMs: 600_000 }).cleared,
    // Removes what is there without a look, and makes its own: who does so gets it, and must keep it.
    seize(lock, kind) {
      for (;;) {
        try {
          if (kind === 'directory') fs.rmdirSync(lock)
          else fs.unlinkSync(lock)
        } catch {}
        try {
          if (kind === 'directory') {
            fs.mkdirSync(lock)
            return true
          }
          const fd = fs.openSync(lock, 'wx')
          fs.writeSync(fd, `${process.pid}\n`)
          const { ino } = fs.fstatSync(fd, { bigint: true })
          fs.closeSync(fd)
          return String(ino)
        } catch (error) {
          if (error.code !== 'EEXIST') throw error
        }
      }
    },
  }
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { job, lock, kind } = JSON.parse(line)
    console.log(JSON.stringify({ answer: jobs[job](lock, kind) }))
  })
}

function start(count) {
  return Array.from({ length: count }, () => {
    const program = startNode(worker)
    children.push(program)
    const answers = []
    const waiting = []
    require('node:readline').createInterface({ input: program.child.stdout }).on('line', (line) => {
      const { answer } = JSON.parse(line)
      const next = waiting.shift()
      if (next) next(answer)
      else answers.push(answer)
    })
    const ask = (request) => new Promise((resolve, reject) => {
      waiting.push(resolve)
      program.ended.then(({ stderr }) => reject(new Error(stderr)))
      program.child.stdin.write(`${JSON.stringify(request)}\n`)
    })
    return { ask, pid: program.child.pid }
  })
}

const deadPid = spawnSync('true').pid
const KINDS = {
  directory: (lock) => fs.mkdirSync(lock),
  'pid file': (lock) => fs.writeFileSync(lock, `${deadPid}\n`),
  'directory with a pid file': (lock) => {
    fs.mkdirSync(lock)
    fs.writeFileSync(path.join(lock, 'pid'), `${deadPid}\n`)
  },
  'symbolic link': (lock) => fs.symlinkSync(`u@${os.hostname()}.${deadPid}`, lock),
}

test('eight processes clear one stale lock: one wins, each time', onLinux, async (t) => {
  const clearers = start(CLEARERS)
  const wins = new Map()
  for (let round = 0; round < ROUNDS; round++) {
    const [kind, make] = Object.entries(KINDS)[round % 4]
    const lock = path.join(home, `lock-${round}`)
    make(lock)
    // Each is asked first in its turn: where there is one processor, the first would always win.
    const asked = clearers.map((_, place) => (place + round) % CLEARERS)
    const answers = await Promise.all(asked.map((index) => clearers[index].ask({ job: 'clear', lock })))
    assert.equal(answers.filter(Boolean).length, 1, `${kind}, round ${round}: ${answers}`)
    const winner = asked[answers.indexOf(true)]
    wins.set(winner, (wins.get(winner) ?? 0) + 1)
  }
  assert.deepEqual(fs.readdirSync(home), [], 'nothing is left behind')
  t.diagnostic(`${ROUNDS} rounds, ${ROUNDS} winners, shared by ${wins.size} processes`)
  assert.ok(wins.size > 1, 'they did meet')
})

test('a lock that appears meanwhile is never removed', onLinux, async (t) => {
  const clearers = start(CLEARERS - 1)
  const [seizer] = start(1)
  let met = 0
  for (let round = 0; round < ROUNDS; round++) {
    const kind = round % 2 ? 'directory' : 'pid file'
    const lock = path.join(home, `seized-${round}`)
    // For a directory, time is all there is: this one was made long ago, the next is new.
    KINDS[kind](lock)
    if (kind === 'directory') fs.utimesSync(lock, 1, 1)
    const clearing = clearers.map(({ ask }) => ask({ job: kind === 'directory' ? 'clearOld' : 'clear', lock }))
    const [inode, ...answers] = await Promise.all([seizer.ask({ job: 'seize', lock, kind }), ...clearing])
    const stat = fs.lstatSync(lock, { bigint: true, throwIfNoEntry: false })
    // Of a directory nobody can say at once which it is; but nobody else makes any.
    const stands = kind === 'directory' ? stat?.isDirectory() && stat.mtimeMs > 1_000n : String(stat?.ino) === inode
    assert.ok(stands, `${kind}, round ${round}: the new lock stands`)
    if (answers.some(Boolean)) met++
    fs.rmSync(lock, { recursive: true })
  }
  assert.deepEqual(fs.readdirSync(home), [], 'nothing is left behind')
  t.diagnostic(`${ROUNDS} rounds; in ${met} of them the stale lock was cleared before it was seized`)
})
