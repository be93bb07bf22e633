// Other people's locks: what is said of each kind, what is cleared, and what is left alone.
'use strict'

const { test, describe, after } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const chainlock = require('chainlock')
const { folder } = require('./helpers/folders')
const { startNode, said } = require('./helpers/processes')

const { detectStaleLock, detectStaleLockSync, clearStaleLock, clearStaleLockSync, ChainlockError } = chainlock
const home = folder()
const children = []
after(() => children.forEach((child) => child.kill('SIGKILL')))

const onLinux = process.platform === 'linux' ? {} : { skip: 'LOUD SKIP: judged on Linux only' }
const OLD = { maxAgeMs: 0 }
const HOST = os.hostname()

let count = 0
const fresh = (name = 'lock') => path.join(fs.mkdtempSync(path.join(home, `${count++}-`)), name)
const deadPid = () => spawnSync('true').pid

function file(text, name) {
  const lock = fresh(name)
  fs.writeFileSync(lock, text)
  return lock
}

function link(target) {
  const lock = fresh()
  fs.symlinkSync(target, lock)
  return lock
}

function directory(inside = {}) {
  const lock = fresh('lock.d')
  fs.mkdirSync(lock)
  for (const [name, text] of Object.entries(inside)) fs.writeFileSync(path.join(lock, name), text)
  return lock
}

/** A Git repository, and the path of its index lock. */
function repository() {
  const tree = path.dirname(fresh())
  assert.equal(spawnSync('git', ['init', '-q', tree]).status, 0)
  return { tree, lock: path.join(tree, '.git', 'index.lock') }
}

/** The verdict, which both ways to call give. */
async function verdictOf(lock, options) {
  const [one, other] = [await detectStaleLock(lock, options), detectStaleLockSync(lock, options)]
  assert.equal(one.verdict, other.verdict)
  assert.equal(one.path, lock)
  assert.ok(one.reasons.length > 0 && one.reasons.every((reason) => typeof reason === 'string'))
  return one.verdict
}

describe('what is said', onLinux, () => {
  test('nothing there', async () => {
    assert.deepEqual(await detectStaleLock(path.join(home, 'none')), {
      verdict: 'absent', path: path.join(home, 'none'), kind: null, evidence: {}, reasons: ['nothing is there'],
    })
    assert.equal(await verdictOf(path.join(home, 'none', 'below')), 'absent')
  })

  for (const [what, text] of [
    ['a pid', (pid) => `${pid}\n`],
    ['a pid without a line end', (pid) => `${pid}`],
    ['a pid with spaces before it, as UUCP writes', (pid) => `     ${pid}\n`],
    ['a pid and this host', (pid) => `${pid} ${HOST}\n`],
    ['a pid, and this host below', (pid) => `${pid}\n${HOST}\n`],
    ['a pid and more lines, as PostgreSQL writes', (pid) => `${pid}\n/var/lib/data\n1700000000\n5432\n`],
    ['JSON with a pid', (pid) => JSON.stringify({ pid, startedAt: 'now' })],
    ['JSON with pid and host', (pid) => JSON.stringify({ pid, hostname: HOST })],
  ]) {
    test(`a file with ${what}`, async () => {
      assert.equal(await verdictOf(file(text(process.pid))), 'live')
      assert.equal(await verdictOf(file(text(process.pid)), OLD), 'live', 'age does not count while the holder lives')
      assert.equal(await verdictOf(file(text(deadPid()))), 'stale', 'nor does it when it is dead')
    })
  }

  for (const [what, target] of [
    ['Emacs', (pid) => `user@${HOST}.${pid}:1700000000`],
    ['Emacs without a boot', (pid) => `user@${HOST}.${pid}`],
    ['Chromium', (pid) => `${HOST}-${pid}`],
  ]) {
    test(`a symbolic link as ${what} makes it`, async () => {
      assert.equal(await verdictOf(link(target(process.pid)), OLD), 'live')
      assert.equal(await verdictOf(link(target(deadPid()))), 'stale')
    })
  }

  test('a holder on another machine is unknown', async () => {
    for (const lock of [file(`${deadPid()} elsewhere.example`), link(`user@elsewhere.example.${deadPid()}:1`), link(`10.0.0.7:+${deadPid()}`)]) {
      const { verdict, evidence } = detectStaleLockSync(lock, OLD)
      assert.equal(verdict, 'unknown')
      assert.ok(['elsewhere.example', '10.0.0.7'].includes(evidence.host))
    }
  })

  test('a link that names nobody is not followed', async () => {
    const target = file(`${deadPid()}\n`)
    assert.equal(await verdictOf(link(target), OLD), 'unknown')
  })

  test('a file that names nobody: age, if the caller says which', async () => {
    for (const text of ['', 'text', '0', '-1', '99999999999', '{"pid":"x"}', '{broken', '12abc']) {
      assert.equal(await verdictOf(file(text)), 'unknown', text)
      assert.equal(await verdictOf(file(text), { maxAgeMs: 600_000 }), 'unknown', text)
      assert.equal(await verdictOf(file(text), OLD), 'stale', text)
    }
  })

  test('who has it open for writing holds it; who reads it does not', async () => {
    const lock = file('')
    const fd = fs.openSync(lock, 'r')
    assert.equal(await verdictOf(lock, OLD), 'stale')
    fs.closeSync(fd)
    const holder = startNode(({ data }) => {
      globalThis.fd = require('node:fs').openSync(data, 'a')
      console.log('open')
      process.stdin.resume()
    }, lock)
    children.push(holder.child)
    await said(holder, 'open')
    const { verdict, evidence } = await detectStaleLock(lock, OLD)
    assert.equal(verdict, 'live')
    assert.equal(evidence.openedBy[0].pid, holder.child.pid)
    assert.match(evidence.openedBy[0].command, /node/)
    holder.child.kill('SIGKILL')
    await holder.ended
    assert.equal(await verdictOf(lock, OLD), 'stale')
  })

  test('who holds a kernel lock on it holds it', async (t) => {
    const lock = file(`${deadPid()}\n`)
    const holder = spawn('flock', ['-F', lock, 'sh', '-c', 'echo held; exec sleep 1000'], { stdio: ['ignore', 'pipe', 'ignore'] })
    children.push(holder)
    const failed = await Promise.race([once(holder, 'error'), once(holder.stdout, 'data').then(() => null)])
    if (failed) return t.skip('LOUD SKIP: there is no flock(1) here')
    const { verdict, evidence } = detectStaleLockSync(lock, OLD)
    assert.equal(verdict, 'live')
    assert.equal(evidence.lockedBy.length, 1)
    assert.equal(clearStaleLockSync(lock, OLD).cleared, false)
  })

  test('a directory: empty, with a pid file, with something else', async () => {
    assert.equal(await verdictOf(directory()), 'unknown')
    assert.equal(await verdictOf(directory(), { maxAgeMs: 600_000 }), 'unknown')
    assert.equal(await verdictOf(directory(), OLD), 'stale')
    assert.equal(await verdictOf(directory({ pid: `${process.pid}` }), OLD), 'live')
    assert.equal(await verdictOf(directory({ 'x.pid': `${deadPid()}` })), 'stale')
    assert.equal(await verdictOf(directory({ data: 'x' }), OLD), 'unknown')
    assert.equal(await verdictOf(directory({ pid: `${deadPid()}`, data: 'x' }), OLD), 'unknown')
  })

  test('pipes, sockets and devices are neither opened nor judged', async () => {
    const pipe = fresh()
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0)
    const socket = fresh()
    const server = net.createServer().listen(socket)
    await once(server, 'listening')
    for (const [lock, kind] of [[pipe, 'fifo'], [socket, 'socket'], ['/dev/null', 'device']]) {
      const report = detectStaleLockSync(lock, OLD)
      assert.deepEqual([report.verdict, report.kind], ['unknown', kind])
      assert.equal(clearStaleLockSync(lock, OLD).cleared, false)
    }
    server.close()
  })

  test("chainlock's own lock files are refused with advice", async () => {
    const lock = file('CHNLHOST\0\0\0')
    const refused = (error) => error instanceof TypeError && error.code === 'ERR_LOCK_INVALID_ARGUMENT' && /hostLock/.test(error.message)
    await assert.rejects(detectStaleLock(lock), refused)
    assert.throws(() => clearStaleLockSync(lock, OLD), refused)
    assert.ok(fs.existsSync(lock))
  })

  test('a format that does not fit is unknown', async () => {
    assert.equal(await verdictOf(directory(), { ...OLD, format: 'pid-file' }), 'unknown')
    assert.equal(await verdictOf(file(''), { ...OLD, format: 'directory' }), 'unknown')
    assert.equal(await verdictOf(file(`${process.pid}`), { ...OLD, format: 'plain' }), 'stale', 'the caller says that it is no pid')
  })
})

describe("Git's index.lock", onLinux, () => {
  test('by age, when nobody is at work', async () => {
    const { lock } = repository()
    fs.writeFileSync(lock, '')
    assert.equal((await detectStaleLock(lock)).evidence.format, 'git')
    assert.equal(await verdictOf(lock), 'unknown')
    assert.equal(await verdictOf(lock, { maxAgeMs: 600_000 }), 'unknown')
    assert.equal((await clearStaleLock(lock, OLD)).cleared, true)
    assert.ok(!fs.existsSync(lock))
  })

  test('a Git command that waits for its editor is at work', async () => {
    const { tree, lock } = repository()
    fs.writeFileSync(path.join(tree, 'a'), 'a')
    const settings = { GIT_EDITOR: 'sleep 1000;', GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a' }
    const env = { ...process.env, ...settings }
    assert.equal(spawnSync('git', ['add', 'a'], { cwd: tree }).status, 0)
    const commit = spawn('git', ['commit', '-a'], { cwd: tree, env, stdio: 'ignore', detached: true })
    try {
      while (!fs.existsSync(lock)) await new Promise((resolve) => setTimeout(resolve, 5))
      const { verdict, evidence } = detectStaleLockSync(lock, OLD)
      assert.equal(verdict, 'live')
      assert.ok([...evidence.gitCommands, ...evidence.openedBy].some(({ pid }) => pid === commit.pid))
      assert.equal((await clearStaleLock(lock, OLD)).cleared, false)
      assert.ok(fs.existsSync(lock))
    } finally {
      process.kill(-commit.pid, 'SIGKILL')
      await once(commit, 'exit')
    }
    assert.equal(await verdictOf(lock, OLD), 'stale')
  })
})

describe('what is cleared', onLinux, () => {
  test('every kind that is known, and nothing beside it', async () => {
    for (const make of [() => file(`${deadPid()}\n`), () => link(`u@${HOST}.${deadPid()}`), () => directory(), () => directory({ pid: `${deadPid()}` })]) {
      for (const clear of [clearStaleLock, clearStaleLockSync]) {
        const lock = make()
        const beside = path.join(path.dirname(lock), 'beside')
        fs.writeFileSync(beside, 'mine')
        const report = await clear(lock, OLD)
        assert.deepEqual([report.cleared, report.verdict], [true, 'stale'], report.reasons.join('; '))
        assert.deepEqual(fs.readdirSync(path.dirname(lock)), ['beside'])
        assert.equal((await clear(lock, OLD)).cleared, false)
      }
    }
  })

  test('what is live or unknown stays as it was', async () => {
    for (const lock of [file(`${process.pid}`), file(''), directory(), directory({ data: 'x' }), link(`u@elsewhere.${deadPid()}`)]) {
      const before = fs.lstatSync(lock)
      const report = await clearStaleLock(lock)
      assert.equal(report.cleared, false)
      assert.equal(fs.lstatSync(lock).ino, before.ino)
      assert.equal(fs.readdirSync(path.dirname(lock)).length, 1)
    }
  })

  test('a link that names a dead holder goes, what it leads to stays', () => {
    const lock = link(`u@${HOST}.${deadPid()}`)
    const target = path.join(path.dirname(lock), fs.readlinkSync(lock))
    fs.writeFileSync(target, 'mine')
    assert.equal(clearStaleLockSync(lock).cleared, true)
    assert.equal(fs.readFileSync(target, 'utf8'), 'mine')
  })

  test('a folder that one may not write to is an error that says so', { skip: process.getuid() !== 0 && 'LOUD SKIP: needs root' }, async () => {
    const lock = file(`${deadPid()}\n`)
    const mounted = spawnSync('mount', ['-t', 'tmpfs', 'none', path.dirname(lock)])
    if (mounted.status !== 0) return
    try {
      fs.writeFileSync(lock, `${deadPid()}\n`)
      spawnSync('mount', ['-o', 'remount,ro', path.dirname(lock)])
      await assert.rejects(clearStaleLock(lock), (error) => {
        assert.ok(error instanceof ChainlockError)
        assert.deepEqual([error.code, error.errno, error.path], ['ERR_LOCK_FILE_IO', 'EROFS', lock])
        return true
      })
      assert.ok(fs.existsSync(lock))
    } finally {
      spawnSync('umount', [path.dirname(lock)])
    }
  })
})

describe('bad input', () => {
  const invalid = (word) => (error) => error instanceof TypeError && error.code === 'ERR_LOCK_INVALID_ARGUMENT' && error.message.includes(word)
  for (const [name, call] of Object.entries({ detectStaleLock, detectStaleLockSync, clearStaleLock, clearStaleLockSync })) {
    test(name, async () => {
      const attempt = async (...args) => call(...args)
      for (const wrong of [undefined, null, 5, '', 'a\0b', {}, Buffer.from('a'), 'a/', '.', '..', 'a/..', '/']) {
        await assert.rejects(attempt(wrong), invalid(`${name}: path`))
      }
      await assert.rejects(attempt('a', 5), invalid('options'))
      await assert.rejects(attempt('a', { maxAgeMs: -1 }), invalid('maxAgeMs'))
      await assert.rejects(attempt('a', { maxAgeMs: '5' }), invalid('maxAgeMs'))
      await assert.rejects(attempt('a', { format: 'other' }), invalid('format'))
      await assert.rejects(attempt('a', { samePidNamespace: 1 }), invalid('samePidNamespace'))
      await assert.rejects(attempt('a', { maxAge: 1 }), { code: 'ERR_LOCK_UNKNOWN_OPTION', message: /maxAgeMs/ })
      const long = path.join(home, 'x'.repeat(5_000))
      await assert.rejects(attempt(long), { code: 'ERR_LOCK_FILE_IO', errno: 'ENAMETOOLONG', path: long })
    })
  }
})
