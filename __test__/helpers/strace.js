// A process whose system calls fail or kill it, one by one: strace comes to it when it is ready, so that it counts
// the calls of the one operation that it is then told to do.
'use strict'

const fs = require('node:fs')
const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const { said, startNode } = require('./processes')

const CALLS = ['openat', 'newfstatat', 'fstat', 'statx', 'readlinkat', 'flock', 'write', 'pread64', 'pwrite64', 'fsync',
  'fchmod', 'fchown', 'renameat', 'renameat2', 'unlinkat', 'ftruncate', 'fcntl', 'close']

/** Why there is no strace here, in words; nothing where there is one that may do its work. */
function whyNot() {
  if (process.platform !== 'linux') return 'strace is for Linux'
  const { status, error } = spawnSync('strace', ['-o', '/dev/null', 'true'])
  if (error) return 'NOT TESTED: strace is missing (Debian: apt-get install strace)'
  return status === 0 ? undefined : 'NOT TESTED: strace may not trace processes here'
}

/** A process that does `run({ chainlock, data })` each time it is told to, and says what came of it. */
function subject(run, data) {
  const program = `async ({ chainlock, data }) => {
    const run = ${run}
    run({ chainlock, data: { ...data, file: data.file + '-warm' } })
    require('node:fs').rmSync(data.file + '-warm')
    for await (const _ of process.stdin.on('end', () => process.exit())) {
      let answer = { ok: true }
      try {
        run({ chainlock, data })
      } catch (error) {
        const { code, path, errno, syscall, replaced, message } = error
        answer = { ok: false, isOurs: error instanceof chainlock.ChainlockError, code, path, errno, syscall, replaced, message }
      }
      process.stdout.write(JSON.stringify(answer) + '\\n')
    }
  }`
  const node = startNode(`(argument) => { (${program})(argument); process.stdout.write('ready\\n') }`, data)
  return { ...node, ready: said(node, 'ready') }
}

/** Lets the subject run once under strace; its answer (null when it died) and the log of its calls. */
async function traced(node, log, inject = []) {
  const args = ['-p', String(node.child.pid), '-o', log, '-e', `trace=${CALLS.join(',')}`, ...inject.flatMap((one) => ['-e', `inject=${one}`])]
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const gone = once(strace, 'close')
  await new Promise((resolve, reject) => {
    let told = ''
    strace.stderr.setEncoding('utf8').on('data', (text) => (told += text).includes('attached') && resolve())
    gone.then(() => reject(new Error(`strace: ${told}`)))
  })
  const before = node.output.stdout.length
  node.child.stdin.write('go\n')
  const answered = new Promise((resolve) => {
    const look = () => {
      const text = node.output.stdout.slice(before)
      if (!text.includes('\n')) return
      node.child.stdout.off('data', look)
      resolve(JSON.parse(text))
    }
    node.child.stdout.on('data', look)
  })
  const answer = await Promise.race([answered, node.ended.then(() => null)])
  strace.kill('SIGINT')
  await gone
  return { answer, log: fs.readFileSync(log, 'utf8') }
}

/** Which calls were made, and how often each. @returns {Map<string, number>} */
function countCalls(log) {
  const counts = new Map()
  // What comes last is the answer.
  for (const line of log.slice(0, log.lastIndexOf('write(1, ')).split('\n')) {
    const [, call] = /^(?:\d+ +)?(\w+)\(/.exec(line) ?? []
    if (call) counts.set(call, (counts.get(call) ?? 0) + 1)
  }
  return counts
}

module.exports = { whyNot, subject, traced, countCalls }
