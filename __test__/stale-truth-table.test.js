// Who is alive: every way in which a pid says the wrong thing (bar F13), staged with real processes.
'use strict'

const { test, describe, after } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const { detectStaleLockSync } = require('chainlock')
const { folder } = require('./helpers/folders')
const { startNode, runNode, said } = require('./helpers/processes')

const home = folder()
const children = []
after(() => children.forEach((child) => child.kill('SIGKILL')))

const onLinux = process.platform === 'linux' ? {} : { skip: 'LOUD SKIP: only Linux tells when a process started' }

/** Whether a namespace of that kind can be made here. */
const can = (...flags) => spawnSync('unshare', [...flags, 'true']).status === 0
const needs = (...flags) => (can(...flags) ? onLinux : { skip: `LOUD SKIP: unshare ${flags.join(' ')} is refused here` })

function sleeper(command = ['sleep', '1000']) {
  const child = spawn(command[0], command.slice(1), { stdio: 'ignore' })
  children.push(child)
  return child
}

function lockOf(pid, name = `${pid}.pid`) {
  const lock = path.join(home, name)
  fs.writeFileSync(lock, `${pid}\n`)
  return lock
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5))
const stateOf = (pid) => /\) (\S) /.exec(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'))[1]

async function until(condition) {
  while (!condition()) await pause()
}

/**
 * A pid that was given again, in a namespace of its own: elsewhere the processes of other tests would get the pids of
 * those that are dead. Answers what was said of its lock: first, when it was dead, given again, and of a lock of the
 * second process; nothing of the last two where the kernel lets nobody choose.
 */
async function givenAgain({ chainlock, data: lock }) {
  const fs = require('node:fs')
  const { spawn } = require('node:child_process')
  const { once } = require('node:events')
  const sleeper = () => spawn('sleep', ['1000'], { stdio: 'ignore' })
  const reuse = (pid) => {
    for (let attempt = 0; attempt < 2_000; attempt++) {
      try {
        fs.writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1))
      } catch {
        return null
      }
      const child = sleeper()
      if (child.pid === pid) return child
      child.kill('SIGKILL')
    }
    return null
  }
  const said = { verdicts: [] }
  const look = () => {
    // Nothing of another namespace has written it.
    const report = chainlock.detectStaleLockSync(lock, { samePidNamespace: true })
    said.verdicts.push(report.verdict)
    return report
  }
  const first = sleeper()
  await once(first, 'spawn')
  fs.writeFileSync(lock, `${first.pid}\n`)
  look()
  first.kill('SIGKILL')
  await once(first, 'exit')
  look()
  // Longer than the times of files can be wrong.
  said.written = fs.statSync(lock).ctimeMs
  while (Date.now() <= said.written + 2_200) await new Promise((resolve) => setTimeout(resolve, 5))
  const second = reuse(first.pid)
  if (second) {
    Object.assign(said, look())
    fs.writeFileSync(lock, `${second.pid}\n`)
    look()
  }
  // The namespace ends with its first process, and all others with it.
  console.log(JSON.stringify(said))
  process.exit()
}

describe('liveness', onLinux, () => {
  test('a pid that was given again is stale, though a process has it', needs('-pf', '--mount-proc'), async (t) => {
    const command = ['unshare', '-pf', '--kill-child', '--mount-proc']
    const { stdout, stderr } = await runNode(givenAgain, path.join(home, 'again.pid'), { command })
    assert.notEqual(stdout, '', stderr)
    const { verdicts, written, reasons, evidence } = JSON.parse(stdout)
    assert.deepEqual(verdicts.slice(0, 2), ['live', 'stale'])
    if (verdicts.length === 2) return t.skip('LOUD SKIP: /proc/sys/kernel/ns_last_pid cannot be written here')
    const [again, own] = verdicts.slice(2)
    assert.equal(again, 'stale', reasons.join('; '))
    assert.match(reasons.join(), /the pid was given again/)
    assert.equal(evidence.command, 'sleep 1000')
    assert.ok(evidence.startTime > written)
    assert.equal(own, 'live', 'a lock of the new process is its own')
  })

  test('a pid of another pid namespace is unknown, from within and from without', needs('-pf', '--mount-proc'), async () => {
    const lock = lockOf(process.pid, 'outer.pid')
    const command = ['unshare', '-pf', '--kill-child', '--mount-proc']
    const look = ({ chainlock, data }) => {
      const verdict = (options) => chainlock.detectStaleLockSync(data, options).verdict
      console.log(verdict(), verdict({ samePidNamespace: true }))
    }
    const inside = await runNode(look, lock, { command })
    assert.equal(inside.stdout.trim(), 'unknown stale', inside.stderr)

    const gone = spawnSync('true').pid
    const inner = startNode(({ data }) => {
      const { spawn } = require('node:child_process')
      const fs = require('node:fs')
      fs.writeFileSync('/proc/sys/kernel/ns_last_pid', String(data.gone - 1))
      const child = spawn('sleep', ['1000'])
      fs.writeFileSync(data.lock, `${child.pid}\n`)
      console.log(`pid ${child.pid}.`)
    }, { gone, lock: path.join(home, 'inner.pid') }, { command })
    children.push(inner.child)
    await said(inner, '.')
    const { verdict, reasons } = detectStaleLockSync(path.join(home, 'inner.pid'))
    assert.ok(inner.output.stdout.includes(`pid ${gone}.`), inner.output.stdout)
    assert.equal(verdict, 'unknown', reasons.join('; '))
    assert.match(reasons.join(), /another pid namespace/)
    inner.child.kill('SIGKILL')
    await inner.ended
  })

  test('a /proc of another pid namespace says nothing', needs('-pf'), async () => {
    const look = ({ chainlock, data }) => console.log(...data.map((lock) => chainlock.detectStaleLockSync(lock, { maxAgeMs: 0 }).verdict))
    const empty = path.join(home, 'empty.lock')
    fs.writeFileSync(empty, '')
    const { stdout, stderr } = await runNode(look, [lockOf(process.pid, 'proc.pid'), empty], { command: ['unshare', '-pf', '--kill-child'] })
    assert.equal(stdout.trim(), 'unknown unknown', stderr)
  })

  test('a time namespace changes no verdict', needs('-T', '--boottime', '100000'), async () => {
    const live = lockOf(process.pid, 'here.pid')
    const dead = lockOf(spawnSync('true').pid, 'gone.pid')
    const look = ({ chainlock, data }) => console.log(...data.map((lock) => chainlock.detectStaleLockSync(lock).verdict))
    for (const offset of ['100000', '1']) {
      const { stdout, stderr } = await runNode(look, [live, dead], { command: ['unshare', '-T', '--boottime', offset, '--monotonic', offset] })
      assert.equal(stdout.trim(), 'live stale', stderr)
    }
  })

  test('a mark of another boot decides nothing: it may be of another machine', (t) => {
    const lock = path.join(home, 'boot.lock')
    fs.mkdirSync(lock)
    const mark = `chainlock 1 ${process.pid} 1 1 2 4026531836 4026531834`
    const set = spawnSync('python3', ['-c', 'import os,sys; os.setxattr(sys.argv[1], "user.chainlock.holder", sys.argv[2].encode())', lock, mark])
    if (set.status !== 0) return t.skip(`LOUD SKIP: no extended attributes here: ${set.stderr}`)
    assert.equal(detectStaleLockSync(lock).verdict, 'unknown')
    assert.equal(detectStaleLockSync(lock, { maxAgeMs: 600_000 }).verdict, 'unknown')
    assert.equal(detectStaleLockSync(lock, { maxAgeMs: 0 }).verdict, 'stale')
  })

  test("another user's process is alive", { skip: process.getuid?.() !== 0 && 'LOUD SKIP: needs root to become another user' }, async () => {
    fs.chmodSync(home, 0o755)
    const lock = lockOf(process.pid, 'foreign.pid')
    const look = ({ chainlock, data }) => {
      // Loads what it needs while it may.
      chainlock.detectStaleLockSync(data)
      process.setgroups([])
      process.setgid(65534)
      process.setuid(65534)
      const refusal = (() => { try { process.kill(Number(require('node:path').parse(data).name) || process.ppid, 0) } catch (error) { return error.code } })()
      console.log(refusal, chainlock.detectStaleLockSync(data).verdict)
    }
    const { stdout, stderr } = await runNode(look, lock)
    assert.equal(stdout.trim(), 'EPERM live', stderr)
  })

  test('a zombie is dead', async () => {
    // The shell starts a child and becomes a program that waits for nobody; then the child ends.
    const parent = spawn('sh', ['-c', 'exec 3<&0; cat <&3 >/dev/null & echo $!; exec sleep 1000'], { stdio: ['pipe', 'pipe', 'ignore'] })
    children.push(parent)
    const pid = Number((await once(parent.stdout, 'data'))[0])
    await until(() => fs.readFileSync(`/proc/${parent.pid}/comm`, 'latin1') === 'sleep\n')
    parent.stdin.end()
    await until(() => stateOf(pid) === 'Z')
    const lock = lockOf(pid)
    assert.equal(detectStaleLockSync(lock).verdict, 'stale')
  })

  test('a stopped process is alive, however old its lock', async () => {
    const { pid } = sleeper()
    const lock = lockOf(pid)
    process.kill(pid, 'SIGSTOP')
    await until(() => stateOf(pid) === 'T')
    assert.equal(detectStaleLockSync(lock, { maxAgeMs: 0 }).verdict, 'live')
  })

  test('a traced process is alive', async (t) => {
    const tracer = spawn('strace', ['-qq', '-o', '/dev/null', 'sleep', '1000'], { stdio: 'ignore' })
    const failed = await new Promise((resolve) => tracer.once('error', resolve).once('spawn', () => resolve(null)))
    if (failed) return t.skip('LOUD SKIP: there is no strace here')
    children.push(tracer)
    const list = `/proc/${tracer.pid}/task/${tracer.pid}/children`
    let pid = 0
    // It begins with trials of its own; the one that stays is the one.
    await until(() => {
      const last = fs.readFileSync(list, 'latin1').trim().split(' ').pop()
      pid = Number(last)
      try {
        return pid > 0 && fs.readFileSync(`/proc/${pid}/comm`, 'latin1') === 'sleep\n'
      } catch {
        return false
      }
    })
    process.kill(pid, 'SIGSTOP')
    await until(() => 'tT'.includes(stateOf(pid)))
    assert.equal(detectStaleLockSync(lockOf(pid), { maxAgeMs: 0 }).verdict, 'live')
    process.kill(pid, 'SIGKILL')
  })
})
