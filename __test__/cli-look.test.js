// Looking at real processes: `snapshot()`, status, why and doctor tell what is so, also of those that are blocked,
// stopped or dead.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { chainlock } = require('./helpers/package')
const { folder } = require('./helpers/folders')
const { faultsOf } = require('./helpers/schema')
const { runCli, patient } = require('./helpers/cli')

process.env.XDG_RUNTIME_DIR = folder()
const schema = require('../docs/formats/snapshot.schema.json')

/** What `status --json` says of a process; it always fits the schema. */
async function look(pid, ...args) {
  const { code, stdout, stderr } = await runCli(['status', '--json', '--pid', `${pid}`, ...args])
  assert.ok(stdout.endsWith('}\n'), stderr)
  const snapshot = JSON.parse(stdout)
  assert.deepEqual(faultsOf(snapshot, schema), [])
  assert.equal(code, snapshot.ok ? 0 : 1)
  return snapshot
}

/** Looks until a verdict of that rule is there. */
async function verdictOf(pid, rule) {
  for (;;) {
    const snapshot = await look(pid)
    const found = snapshot.verdict.find((verdict) => verdict.rule === rule)
    if (found) return { ...found, snapshot }
  }
}

/** Holds "index" and the send lock; one waits for each. */
async function busy({ chainlock: { locks, configureSendLock, acquireSendLock } }) {
  configureSendLock({ layers: 'any' })
  await acquireSendLock('agent')
  acquireSendLock('fallback').catch(() => {})
  // What nobody reaches is given back.
  globalThis.kept = [await locks.acquire('index', { label: 'rebuild' }), await locks.semaphore('pool', 3).acquire({ weight: 2 })]
  locks.acquire('index', { label: 'reader', timeoutMs: Infinity }).catch(() => {})
  console.log('ready')
  setInterval(() => {}, 1_000)
}

describe('status --json', () => {
  test('tells who holds, who waits, and where', async (t) => {
    const { pid } = await patient(t, busy)
    const {
      processes: [process],
      locks,
      verdict,
      ok,
    } = await look(pid)
    assert.equal(ok, true)
    assert.deepEqual(
      verdict.map(({ rule }) => rule),
      ['OK'],
    )
    assert.deepEqual([process.pid, process.isOwn, process.threads[0].name], [pid, false, 'main'])
    const index = locks.find(({ name }) => name === 'index')
    assert.deepEqual(
      [index.id, index.state, index.holders[0].label, index.waiters[0].label],
      [`${pid}:lock:index`, 'held', 'rebuild', 'reader'],
    )
    assert.ok(index.holders[0].token > 0 && index.holders[0].heldMs >= 0 && index.waiters[0].waitedMs >= 0)
    const send = locks.find(({ kind }) => kind === 'send')
    assert.deepEqual([send.holders[0].layer, send.waiterCount, send.send.dueTimeoutMs > 0], ['agent', 1, true])
    const pool = locks.find(({ name }) => name === 'pool')
    assert.deepEqual([pool.kind, pool.permits, pool.used], ['semaphore', 3, 2])
  })

  test('sorts by name when it is asked to', async (t) => {
    const { pid } = await patient(t, busy)
    const { locks } = await look(pid, '--sort', 'name')
    assert.deepEqual(
      locks.map(({ name }) => name),
      ['index', 'pool', 'send'],
    )
  })

  test('a host lock over two processes is one lock with one queue', async (t) => {
    const file = path.join(folder(t), 'deploy.lock')
    const holding = await patient(
      t,
      async ({ chainlock: { hostLock }, data }) => {
        globalThis.kept = await hostLock(data).acquire({ label: 'ship' })
        console.log('ready')
        setInterval(() => {}, 1_000)
      },
      file,
    )
    const waiting = await patient(
      t,
      ({ chainlock: { hostLock }, data }) => {
        hostLock(data)
          .acquire({ timeoutMs: 600_000 })
          .catch(() => {})
        console.log('ready')
      },
      file,
    )
    for (;;) {
      const { locks } = chainlock.snapshot()
      const found = locks.filter((lock) => lock.path === file)
      if (found[0]?.waiterCount !== 1) continue
      assert.equal(found.length, 1)
      assert.deepEqual(
        [found[0].id, found[0].holders[0].pid, found[0].holders[0].label],
        [`host:${file}`, holding.pid, 'ship'],
      )
      assert.equal(found[0].waiters[0].pid, waiting.pid)
      break
    }
  })
})

describe('the right verdict of a process that cannot answer', { timeout: 120_000 }, () => {
  test('stopped', async (t) => {
    const { pid, child } = await patient(t, busy)
    child.kill('SIGSTOP')
    const { next, level, lock, evidence } = await verdictOf(pid, 'STOPPED')
    assert.deepEqual([next, level], [`kill -CONT ${pid}`, 'bad'])
    assert.ok(['index', 'send'].includes(lock) && /also holds/.test(evidence.join()))
  })

  test('its main thread blocked', async (t) => {
    const { pid } = await patient(t, async ({ chainlock: { locks } }) => {
      globalThis.kept = await locks.acquire('index')
      locks.acquire('index', { timeoutMs: Infinity }).catch(() => {})
      process.stdout.write('ready\n', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
    })
    const { lock, pid: told, next, snapshot } = await verdictOf(pid, 'SILENT')
    assert.deepEqual([lock, told, next], ['index', pid, `chainlock why index --pid ${pid}`])
    assert.ok(snapshot.processes[0].threads[0].silentMs > 5_000)
  })

  test("a circle that only the standard's face allows", async (t) => {
    const { pid } = await patient(t, ({ chainlock: { locks } }) => {
      const both = (first, second) =>
        locks.request(first, async () => {
          await new Promise((resolve) => setTimeout(resolve, 50))
          console.log('ready')
          await locks.request(second, () => {})
        })
      both('a', 'b')
      both('b', 'a')
      setInterval(() => {}, 1_000)
    })
    const { lock, evidence, snapshot } = await verdictOf(pid, 'DEADLOCK')
    assert.ok(['a', 'b'].includes(lock))
    assert.match(evidence.join('\n'), /waiting to lock "[ab]"[^]*waiting to lock "[ab]"/)
    assert.equal(snapshot.ok, false)
  })
})

describe('why', () => {
  test('shows holder, queue and the next command', async (t) => {
    const { pid } = await patient(t, busy)
    const { code, stdout } = await runCli(['why', 'index', '--pid', `${pid}`])
    assert.equal(code, 0)
    assert.match(stdout, new RegExp(`^"index" {2}lock of .*${pid}: held, exclusive`))
    assert.match(stdout, /^held by +"rebuild" \(.*main\), token \d+, for /m)
    assert.match(stdout, /^waiting +└─ 1\. "reader"/m)
    assert.match(stdout, new RegExp(`^next +chainlock release index --pid ${pid} --force --expect \\d+`, 'm'))
    const about = JSON.parse((await runCli(['why', 'index', '--pid', `${pid}`, '--json'])).stdout)
    assert.deepEqual(faultsOf(about, schema), [])
    assert.deepEqual(
      about.locks.map(({ name }) => name),
      ['index'],
    )
  })

  test('what is stuck has a next command though nobody waits any more; two of a name in one process have ids', async (t) => {
    const { pid } = await patient(t, async ({ chainlock: { acquireSendLock, configureSendLock, locks } }) => {
      configureSendLock({ layers: 'any' })
      globalThis.kept = [await acquireSendLock('agent'), await locks.acquire('send'), await locks.acquire('')]
      await locks.acquire('send', { timeoutMs: 10 }).catch(() => {})
      process.stdout.write('ready\n')
      setInterval(() => {}, 1_000)
    })
    const { code, stdout, stderr } = await runCli(['why', 'send', '--pid', `${pid}`])
    assert.equal(code, 1)
    assert.match(stdout, new RegExp(`^next +chainlock release send --pid ${pid} --force --expect \\d+`, 'm'))
    assert.ok(stderr.includes(`2 locks have that name; name one by its id: ${pid}:`), stderr)
    for (const id of stderr.match(/\d+:\w+:send/g)) assert.match((await runCli(['why', id])).stdout, /^"send" /)
    assert.match((await runCli(['status', '--pid', `${pid}`])).stdout, /^"" +lock +held/m)
  })

  test('an unknown lock: the nearest name', async (t) => {
    const { pid } = await patient(t, busy)
    const { code, stderr } = await runCli(['why', 'idnex', '--pid', `${pid}`])
    assert.equal(code, 3)
    assert.match(stderr, /there is no lock "idnex" in 1 process; did you mean "index"\?/)
  })
})

describe('snapshot()', () => {
  test('of the own process sees its own locks', async () => {
    const guard = await chainlock.locks.acquire('own', { label: 'me' })
    const { processes, locks } = chainlock.snapshot({ pid: process.pid })
    assert.deepEqual(
      processes.map(({ pid, isOwn }) => [pid, isOwn]),
      [[process.pid, true]],
    )
    assert.equal(locks.find(({ name }) => name === 'own').holders[0].label, 'me')
    guard.release()
    assert.equal(
      chainlock.snapshot({ pid: process.pid }).locks.find(({ name }) => name === 'own'),
      undefined,
    )
    const all = chainlock.snapshot({ pid: process.pid, all: true })
    assert.equal(all.locks.find(({ name }) => name === 'own').acquisitions, 1)
    assert.deepEqual(faultsOf(all, schema), [])
  })

  test('wrong options say which', () => {
    const cases = [
      [{ pid: 0 }, /options\.pid must be a process id/],
      [{ pid: 1.5 }, /options\.pid/],
      [{ pid: '7' }, /the string '7'/],
      [{ all: 1 }, /options\.all must be a boolean/],
      [{ host: true }, /unknown option 'host'/],
      [7, /options must be an object/],
    ]
    for (const [options, message] of cases)
      assert.throws(() => chainlock.snapshot(options), { name: 'TypeError', message })
  })

  test('a process that is not there is told, not thrown', () => {
    const { processes, unseen } = chainlock.snapshot({ pid: 0x7fff_fffe })
    assert.deepEqual([processes.length, unseen[0]?.reason], [0, 'gone'])
  })
})

describe('doctor', () => {
  test('finds this machine fit, line by line and as JSON', async () => {
    const { code, stdout } = await runCli(['doctor'])
    assert.match(stdout, /^✔ +ok +node /m)
    const looks = async () => JSON.parse((await runCli(['doctor', '--json'])).stdout)
    const isClockGood = ({ checks }) => checks.find((one) => one.id === 'clock').level === 'good'
    // Two clocks are read one after the other: a busy machine may pause in between, but not every time.
    let told = await looks()
    for (let look = 0; look < 4 && !isClockGood(told); look++) told = await looks()
    const { schema: version, ok, checks } = told
    assert.deepEqual([version, typeof ok], [1, 'boolean'])
    assert.ok([0, 1].includes(code))
    for (const id of ['node', 'native', 'sealing', 'folder', 'clock', 'limits'])
      assert.equal(checks.find((one) => one.id === id).level, 'good', id)
    assert.deepEqual(
      checks.filter(({ sentence }) => sentence.startsWith('could not be checked')),
      [],
    )
  })

  test('a private folder that others may look into is bad, and --fix closes it', async (t) => {
    const runtime = folder(t)
    const own = path.join(runtime, 'chainlock')
    fs.mkdirSync(own)
    fs.chmodSync(own, 0o755)
    const env = { XDG_RUNTIME_DIR: runtime }
    const before = await runCli(['doctor'], { env })
    assert.equal(before.code, 1)
    assert.match(before.stdout, /✖ +bad +folder .*\n +→ chmod 700/)
    assert.equal(fs.statSync(own).mode & 0o777, 0o755)
    const { stdout } = await runCli(['doctor', '--fix'], { env })
    assert.match(stdout, /ok +folder .*\(mended\)/)
    assert.equal(fs.statSync(own).mode & 0o777, 0o700)
  })

  test('sockets of the dead are told, and removed by --fix alone', async (t) => {
    const runtime = folder(t)
    const sockets = path.join(runtime, 'chainlock', 'control')
    fs.mkdirSync(sockets, { recursive: true, mode: 0o700 })
    const dead = path.join(sockets, `${0x7fff_fffe}.sock`)
    fs.writeFileSync(dead, '')
    const env = { XDG_RUNTIME_DIR: runtime }
    assert.match((await runCli(['doctor'], { env })).stdout, /warn sockets +1 of 1 control sockets/)
    assert.ok(fs.existsSync(dead))
    await runCli(['doctor', '--fix'], { env })
    assert.ok(!fs.existsSync(dead))
  })
})
