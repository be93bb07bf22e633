// Orders from outside: the control socket obeys though every event loop is blocked, ends exactly the hold that is
// meant, and stands whatever is sent to it.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { spawn } = require('node:child_process')
const { controlWorld, refusal, raw, request } = require('./helpers/control')
const { folder, permissions } = require('./helpers/folders')
const { root } = require('./helpers/package')
const { turn, until, block } = require('./helpers/waiting')

const skip = process.platform === 'linux' ? false : 'control sockets are Linux only'

/** Uses chainlock, and goes on until it is told to end. */
const idle = ({ chainlock }) => {
  chainlock.isSendLocked()
  console.log('ready')
  process.stdin.on('data', () => process.exit(0))
}

const REASON = 'the night watch'
const order = (kind, name, token) => ({ op: 'release', kind, name, token, reason: REASON })

describe('the socket', { skip }, () => {
  test('answers who it is, is private, and goes with its process', async (t) => {
    const world = controlWorld(t)
    const { pid, child, ended } = await world.start(idle)
    const { version } = require('../package.json')
    const answer = await request(pid, { op: 'ping' })
    const startTime = Number(fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')[19])
    assert.deepEqual({ ...answer, layoutVersion: 0 }, { ok: true, protocol: 1, pid, startTime, version, layoutVersion: 0 })
    assert.ok(Number.isInteger(answer.layoutVersion) && answer.layoutVersion > 0)
    assert.deepEqual([permissions(world.sockets), permissions(world.socketOf(pid))], [0o700, 0o600])
    child.stdin.write('end\n')
    await ended
    assert.deepEqual(fs.readdirSync(world.sockets), [])
  })

  test('keeps no process alive, and is not there with CHAINLOCK_CONTROL=off', async (t) => {
    const world = controlWorld(t)
    const short = await world.start(({ chainlock }) => {
      chainlock.isSendLocked()
      console.log('ready')
    }, null, { reachable: false })
    assert.equal((await short.ended).code, 0)
    const closed = await world.start(idle, null, { env: { CHAINLOCK_CONTROL: 'off' }, reachable: false })
    const { code } = await refusal(request(closed.pid, { op: 'ping' }))
    assert.equal(code, 'no_socket')
  })

  test('of a killed process is taken away by the next that starts', async (t) => {
    const world = controlWorld(t)
    const first = await world.start(idle)
    first.child.kill('SIGKILL')
    await first.ended
    assert.deepEqual(fs.readdirSync(world.sockets), [`${first.pid}.sock`])
    assert.equal((await refusal(request(first.pid, { op: 'ping' }))).code, 'no_process')
    const second = await world.start(idle)
    assert.deepEqual(fs.readdirSync(world.sockets), [`${second.pid}.sock`])
    const third = await world.start(idle)
    assert.equal(fs.readdirSync(world.sockets).length, 2, 'those of the living stay')
    await request(second.pid, { op: 'ping' })
    await request(third.pid, { op: 'ping' })
  })

  test('is not touched by the children of its process', async (t) => {
    const world = controlWorld(t)
    const { pid } = await world.start(({ chainlock, data }) => {
      chainlock.isSendLocked()
      const { spawnSync } = require('node:child_process')
      spawnSync(process.execPath, ['-e', `require(${JSON.stringify(data)}).isSendLocked()`])
      const { stdout } = spawnSync('sh', ['-c', 'ls -l /proc/$$/fd'], { encoding: 'utf8' })
      console.log(stdout.includes('socket:') ? 'inherited' : 'closed', 'ready')
      setInterval(() => {}, 1_000)
    }, root)
    assert.equal((await request(pid, { op: 'ping' })).pid, pid)
    assert.deepEqual(fs.readdirSync(world.sockets), [`${pid}.sock`])
  })

  test('is found under a path that is too long for an address', async (t) => {
    const world = controlWorld(t)
    const home = path.join(world.home, 'x'.repeat(140))
    fs.mkdirSync(home, { mode: 0o700 })
    const { pid } = await world.start(idle, null, { env: { XDG_RUNTIME_DIR: home } })
    assert.equal((await request(pid, { op: 'ping' })).pid, pid)
  })

  test('of a stopped process says so at once', async (t) => {
    const world = controlWorld(t)
    const { pid, child } = await world.start(idle)
    child.kill('SIGSTOP')
    await until(() => fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') T '))
    const started = performance.now()
    assert.equal((await refusal(request(pid, { op: 'ping' }, { timeoutMs: 60_000 }))).code, 'stopped')
    assert.ok(performance.now() - started < 30_000)
    child.kill('SIGCONT')
    await until(() => !fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') T '))
    assert.equal((await request(pid, { op: 'ping' })).pid, pid)
  })

  test('is answered in time, though whoever asked stood still meanwhile', async (t) => {
    const world = controlWorld(t)
    const { pid } = await world.start(idle)
    const timeoutMs = 1_000
    const answer = request(pid, { op: 'ping' }, { timeoutMs })
    await turn()
    // The timers are served before what has come meanwhile.
    block(1.5 * timeoutMs)
    assert.equal((await answer).pid, pid)
  })

  test('does not obey what is meant for another process with its pid', async (t) => {
    const world = controlWorld(t)
    const { pid } = await world.start(idle)
    for (const to of [{ pid, startTime: 1 }, { pid: pid + 1 }]) {
      const answer = JSON.parse(await raw(world.socketOf(pid), `${JSON.stringify({ op: 'ping', to })}\n`, 1))
      assert.deepEqual([answer.ok, answer.error], [false, 'other_process'])
    }
  })
})

/** Holds everything that can be held, and blocks its event loop until the worker says that the hold is gone. */
const blockedHolder = async ({ chainlock, data }) => {
  const { Worker } = require('node:worker_threads')
  const flag = new Int32Array(new SharedArrayBuffer(4))
  chainlock.configureSendLock({ cooldownMs: 0, layers: ['agent', 'fallback'] })
  const forced = []
  chainlock.sendEvents.on('forced', ({ reason, token }) => forced.push({ reason, token }))
  const semaphore = chainlock.locks.semaphore('pool', 2)
  const guards = {
    lock: await chainlock.locks.acquire('index', { label: 'rebuild' }),
    semaphore: await semaphore.acquire(),
    send: chainlock.trySend('agent').guard,
  }
  const waiter = ({ chainlock, flag, kind }) => {
    const got = () => {
      Atomics.store(flag, 0, 1)
      Atomics.notify(flag, 0)
    }
    const ask = {
      lock: () => chainlock.locks.acquire('index'),
      semaphore: () => chainlock.locks.semaphore('pool', 2).acquire({ weight: 2 }),
      send: () => chainlock.acquireSendLock('fallback'),
    }[kind]
    ask().then(got)
    require('node:worker_threads').parentPort.postMessage('asked')
  }
  const source = `const { workerData: { root, kind, flag } } = require('node:worker_threads')
    ;(${waiter})({ chainlock: require(root), flag, kind })`
  const worker = new Worker(source, { eval: true, workerData: { ...data, flag } })
  await new Promise((resolve) => worker.once('message', resolve))
  const tokens = Object.fromEntries(Object.entries(guards).map(([kind, { token }]) => [kind, token]))
  require('node:fs').writeSync(1, `ready ${JSON.stringify(tokens)}\n`)
  // Nothing of JavaScript runs here until the worker has the lock.
  const how = Atomics.wait(flag, 0, 0, 60_000)
  const guard = guards[data.kind]
  const held = guard.check()
  const others = Object.entries(guards).filter(([kind]) => kind !== data.kind)
  const { signal } = guard
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
  while (data.kind === 'send' && forced.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const { code, message } = signal.reason
  const rest = others.every(([, other]) => other.check())
  require('node:fs').writeSync(1, `told ${JSON.stringify({ how, held, code, message, forced, rest })}\n`)
  process.exit(0)
}

describe('a release by order', { skip }, () => {
  for (const [kind, name] of [['lock', 'index'], ['semaphore', 'pool'], ['send', 'send']]) {
    test(`of a ${kind} is obeyed though the holder's event loop is blocked`, async (t) => {
      const world = controlWorld(t)
      const holder = await world.start(blockedHolder, { root, kind })
      const tokens = JSON.parse((await holder.said('}')).match(/ready (.*)/)[1])
      const answer = await request(holder.pid, order(kind, name, tokens[kind]))
      assert.deepEqual([answer.released, answer.holder.token, answer.holder.kind], [true, tokens[kind], kind])
      assert.equal(answer.holder.label, { lock: 'rebuild', semaphore: null, send: 'agent' }[kind])
      const told = JSON.parse((await holder.said('told')).match(/told (.*)/)[1])
      assert.equal(told.how === 'ok' || told.how === 'not-equal', true, 'who waited was granted meanwhile')
      assert.deepEqual([told.held, told.code, told.rest], [false, 'ERR_LOCK_LOST', true])
      if (kind === 'send') {
        assert.deepEqual(told.forced, [{ reason: `operator: ${REASON}`, token: tokens.send }])
      } else {
        assert.match(told.message, new RegExp(`operator: ${REASON}`))
      }
    })
  }

  test('never ends another hold than the one that was looked at', async (t) => {
    const world = controlWorld(t)
    const { pid, child, said } = await world.start(async ({ chainlock }) => {
      chainlock.configureSendLock({ cooldownMs: 0, layers: ['agent'] })
      const { locks } = chainlock
      const pool = locks.semaphore('pool', 1)
      const take = { lock: () => locks.acquire('index'), semaphore: () => pool.acquire(), send: () => chainlock.acquireSendLock('agent') }
      const tokens = {}
      const now = {}
      for (const [kind, ask] of Object.entries(take)) {
        const first = await ask()
        first.release()
        now[kind] = await ask()
        tokens[kind] = [first.token, now[kind].token]
      }
      const readers = [await locks.acquire('many', { mode: 'shared' }), await locks.acquire('many', { mode: 'shared' })]
      tokens.many = readers.map(({ token }) => token)
      console.log('ready', JSON.stringify(tokens))
      process.stdin.on('data', () => {
        const held = Object.values(now).map((guard) => guard.check())
        const state = [...held, ...readers.map((guard) => guard.check())]
        now.lock.release()
        console.log('state', JSON.stringify(state))
      })
    })
    const tokens = JSON.parse((await said('}')).match(/ready (.*)/)[1])
    for (const [kind, name] of [['lock', 'index'], ['semaphore', 'pool'], ['send', null]]) {
      const [old, now] = tokens[kind]
      const { released, refused, holder } = await request(pid, order(kind, name, old))
      assert.deepEqual([released, refused, holder.token], [false, 'moved', now], kind)
      const ahead = await request(pid, order(kind, name, now + 1_000))
      assert.deepEqual([ahead.released, ahead.refused], [false, 'moved'], kind)
    }
    const wrongLock = await request(pid, order('lock', 'many', tokens.lock[1]))
    assert.deepEqual([wrongLock.refused, wrongLock.holder.token], ['moved', tokens.many[0]])
    assert.equal((await request(pid, order('lock', 'nothing', 1))).refused, 'unknown')
    const one = await request(pid, order('lock', 'many', tokens.many[1]))
    assert.equal(one.released, true)
    child.stdin.write('x')
    const state = JSON.parse((await said('state')).match(/state (.*)/)[1])
    assert.deepEqual(state, [true, true, true, true, false], 'one reader of two, and nobody else')
    assert.equal((await request(pid, order('lock', 'index', tokens.lock[1]))).refused, 'free')
  })

  test('brings a reason that is clean and short', async (t) => {
    const world = controlWorld(t)
    const { pid, said } = await world.start(({ chainlock }) => {
      chainlock.configureSendLock({ cooldownMs: 0, layers: ['agent'] })
      chainlock.sendEvents.on('forced', ({ reason }) => console.log('reason', JSON.stringify(reason)))
      console.log('ready', chainlock.trySend('agent').guard.token)
      setInterval(() => {}, 1_000)
    })
    const token = Number((await said('\n')).match(/ready (\d+)/)[1])
    const reason = `\u001b]0;x\u0007\n${'ü'.repeat(200)}`
    const answer = await request(pid, { ...order('send', null, token), reason, by: { pid: process.pid, command: 'x' } })
    assert.equal(answer.released, true)
    const shown = JSON.parse((await said('reason')).match(/reason (.*)/)[1])
    assert.ok(shown.startsWith('operator: \ufffd]0;x\ufffd\ufffdü') && Buffer.byteLength(shown) <= 64, shown)
  })
})

describe('whatever is sent', { skip }, () => {
  test('is answered by name, and what cannot be understood ends its connection', async (t) => {
    const world = controlWorld(t)
    const { pid } = await world.start(idle)
    const socket = world.socketOf(pid)
    const long = `{"op":"ping","x":"${'x'.repeat(1024 * 1024)}"}\n`
    const cases = [
      ['nonsense\n', 'bad_frame'],
      [Buffer.from([0xff, 0xfe, 0x0a]), 'bad_frame'],
      ['\n', 'bad_frame'],
      [long, 'too_long'],
      ['x'.repeat(64 * 1024), 'too_long'],
    ]
    for (const [bytes, error] of cases) {
      const lines = (await raw(socket, bytes)).trim().split('\n')
      assert.deepEqual([lines.length, JSON.parse(lines[0]).error], [1, error])
    }
    const several = '{"op":"status"}\n{"op":"ping","force":1}\n{"op":"ping"}\n'
    const answers = (await raw(socket, several, 3)).trim().split('\n').map((line) => JSON.parse(line))
    assert.deepEqual(answers.map(({ ok, error }) => [ok, error]), [[false, 'unknown_op'], [false, 'bad_request'], [true, undefined]])
    assert.equal((await request(pid, { op: 'ping' })).pid, pid)
  })

  test('a hundred connections are sixteen, and memory stays', async (t) => {
    const world = controlWorld(t)
    const { pid } = await world.start(idle)
    const resident = () => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1])
    const before = resident()
    const refused = []
    let closed = 0
    const connections = Array.from({ length: 100 }, () => {
      const connection = net.connect(world.socketOf(pid))
      connection.setEncoding('utf8')
      connection.on('data', (text) => refused.push(JSON.parse(text).error))
      connection.on('close', () => (closed += 1)).on('error', () => {})
      // As much of a frame as there may be.
      connection.write('x'.repeat(60 * 1024))
      return connection
    })
    // Those that stay are let go only after ten seconds.
    await until(() => closed === 84, 'what is too many is closed')
    assert.deepEqual([...new Set(refused)], ['busy'])
    assert.equal((await refusal(request(pid, { op: 'ping' }))).code, 'busy')
    assert.ok(resident() - before < 10 * 1024, `${resident() - before} KiB`)
    for (const connection of connections) connection.destroy()
    let answer = { code: 'busy' }
    while (answer.code === 'busy') answer = await refusal(request(pid, { op: 'ping' }))
    assert.equal(answer.answer.pid, pid)
  })

  test('who says nothing is let go, and others are served meanwhile', async (t) => {
    const world = controlWorld(t)
    const { pid } = await world.start(idle)
    const silent = net.connect(world.socketOf(pid))
    silent.write('{"op":')
    const closed = new Promise((resolve) => silent.on('close', resolve))
    silent.resume()
    assert.equal((await request(pid, { op: 'ping' })).pid, pid)
    await closed
  })

  test('by another user is refused, though the folder is open', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
    const world = controlWorld(t)
    const { pid } = await world.start(idle)
    const as = (uid) => new Promise((resolve) => {
      const program = `const c = require('node:net').connect(${JSON.stringify(world.socketOf(pid))})
        c.on('connect', () => c.write('{"op":"ping"}\\n'))
        c.on('error', ({ code }) => console.log(code)).on('data', (d) => { console.log(String(d)); c.destroy() })`
      const child = spawn(process.execPath, ['-e', program], { uid, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] })
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (piece) => (text += piece))
      child.on('close', () => resolve(text))
    })
    assert.match(await as(65_534), /EACCES/)
    for (const [at, mode] of [[world.home, 0o755], [path.dirname(world.sockets), 0o755], [world.sockets, 0o755], [world.socketOf(pid), 0o666]]) {
      fs.chmodSync(at, mode)
    }
    assert.equal(JSON.parse(await as(65_534)).error, 'permission')
    assert.equal(JSON.parse(await as(0)).ok, true)
  })
})

test('a folder that others may look into is not used', { skip }, async (t) => {
  const world = controlWorld(t)
  const open = folder(t)
  fs.mkdirSync(path.join(open, 'chainlock'))
  fs.chmodSync(path.join(open, 'chainlock'), 0o755)
  const { pid } = await world.start(idle, null, { env: { XDG_RUNTIME_DIR: open }, reachable: false })
  assert.equal((await refusal(request(pid, { op: 'ping' }))).code, 'no_socket')
  assert.deepEqual(fs.readdirSync(path.join(open, 'chainlock')), [])
})
