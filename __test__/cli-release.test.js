// `chainlock release`: says what it would break, ends exactly the hold that was meant, and every way to end itself.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const { spawnSync } = require('node:child_process')
const { findTarget } = require('../lib/cli/release-target')
const { controlWorld } = require('./helpers/control')
const { command, terminal, hasTmux } = require('./helpers/command')
const { holder, lock, processView, sendLock, snapshotOf, unseen } = require('./helpers/snapshots')
const { until } = require('./helpers/waiting')

const skip = process.platform === 'linux' ? false : 'control sockets are Linux only'

describe('which hold is meant', () => {
  const find = (parts, wanted, { pid = null, expect = null } = {}) => {
    try {
      const found = findTarget(snapshotOf(parts), wanted, { pid, expect })
      return { id: found.lock.id, token: found.holder.token }
    } catch (error) {
      if (error.exit === undefined) throw error
      return { exit: error.exit, message: error.message, next: error.next }
    }
  }
  const held = (over = {}, hold = {}) => lock({ holders: [holder(hold)], ...over })

  test('the one of that name, path or id', () => {
    assert.deepEqual(find({ locks: [held()] }, 'index'), { id: '4242:lock:index', token: 41 })
    assert.deepEqual(find({ locks: [held()] }, '4242:lock:index'), { id: '4242:lock:index', token: 41 })
    assert.deepEqual(find({ locks: [sendLock({ holders: [holder({ layer: 'agent' })] })] }, 'send', { expect: 41 }).token, 41)
  })

  test('none is 3, and a token without a holder 4', () => {
    const free = { locks: [lock()] }
    assert.deepEqual([find(free, 'index').exit, find(free, 'index', { expect: 41 }).exit], [3, 4])
    assert.deepEqual([find({}, 'index').exit, find({}, 'index', { pid: 1 }).exit], [3, 3])
    const hidden = (reason) => find({ processes: [], unseen: [unseen(reason, { pid: 9 })] }, 'index', { pid: 9 }).exit
    assert.deepEqual([hidden('permission'), hidden('gone'), hidden('version')], [5, 3, 3])
  })

  test('several processes are 2, and name their --pid', () => {
    const locks = [held(), held({ pid: 4300 }, { pid: 4300 })]
    const processes = [processView(), processView({ pid: 4300 })]
    const { exit, message } = find({ locks, processes }, 'index')
    assert.equal(exit, 2)
    assert.match(message, /--pid 4242 or --pid 4300/)
    assert.equal(find({ locks, processes }, 'index', { pid: 4300 }).id, '4300:lock:index')
  })

  test('a lock and a semaphore of one name are told apart by their ids', () => {
    const locks = [held(), held({ kind: 'semaphore' })]
    const { exit, message } = find({ locks }, 'index')
    assert.equal(exit, 2)
    assert.match(message, /4242:lock:index or 4242:semaphore:index/)
    assert.equal(find({ locks }, '4242:semaphore:index').token, 41)
  })

  test('several holders are 2 without --expect, and a moved token is 4', () => {
    const readers = [holder({ mode: 'shared', token: 7 }), holder({ mode: 'shared', token: 8 })]
    const locks = [lock({ holders: readers })]
    const { exit, message } = find({ locks }, 'index')
    assert.equal(exit, 2)
    assert.match(message, /--expect 7[^]*--expect 8/)
    assert.equal(find({ locks }, 'index', { expect: 8 }).token, 8)
    const moved = find({ locks }, 'index', { expect: 9 })
    assert.equal(moved.exit, 4)
    assert.match(moved.message, /token 9 has moved/)
  })

  test('a host lock is never ended here', () => {
    const locks = [held({ kind: 'host', path: '/run/x.lock' })]
    const { exit, message, next } = find({ locks }, 'index')
    assert.deepEqual([exit, next], [4, 'kill 4242'])
    assert.match(message, /controller\.mjs 4242/)
  })
})

/** Holds what it is told to, and says when a hold is lost. */
const holding = async ({ chainlock, data }) => {
  const { locks } = chainlock
  // What nobody reaches is given back.
  globalThis.kept = []
  for (const { name, kind = 'lock', mode } of data) {
    const take = {
      lock: () => locks.acquire(name, { mode, label: 'rebuild' }),
      send: () => chainlock.trySend('agent').guard,
      host: () => chainlock.hostLock(name).acquire(),
      free: async () => (await locks.acquire(name)).release(),
    }
    if (kind === 'send') chainlock.configureSendLock({ cooldownMs: 0, layers: ['agent'] })
    const guard = await take[kind]()
    globalThis.kept.push(guard)
    guard?.signal?.addEventListener('abort', () => console.log('lost', name, guard.signal.reason.message))
  }
  process.stdin.on('data', (text) => {
    if (String(text) === 'block\n') {
      require('node:fs').writeSync(1, 'blocked\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600_000)
    }
    console.log('alive')
  })
  console.log('ready')
}

/** Names that no other test has. */
let named = 0
const freshName = () => `release-${process.pid}-${(named += 1)}`

function world(t) {
  const control = controlWorld(t)
  const env = { XDG_RUNTIME_DIR: control.home }
  return {
    ...control,
    env,
    hold: (data, options) => control.start(holding, data, options),
    release: (...args) => command(['release', ...args], { env }),
  }
}

const SURE = ['--force', '--reason', 'the night watch']
const tokenIn = (stderr) => stderr.match(/token (\d+)/)[1]

describe('without a terminal', { skip }, () => {
  test('it says who holds and what to type; that, typed, ends the hold', async (t) => {
    const { hold, release, env } = world(t)
    const name = freshName()
    const { pid, said, output } = await hold([{ name }])
    const asked = await release(name, ...SURE)
    assert.deepEqual([asked.code, asked.stdout], [4, ''])
    assert.match(asked.stderr, new RegExp(`"rebuild" \\(.*${pid}/main\\), token \\d+, for `))
    assert.match(asked.stderr, /breaks .*half written/)
    const next = asked.stderr.match(/next {2}chainlock (.*)/)[1]
    assert.ok(!output.stdout.includes('lost'), 'nothing was done yet')
    const typed = `"${process.execPath}" "${require.resolve('../bin/chainlock.js')}" ${next}`
    const done = spawnSync('sh', ['-c', typed], { encoding: 'utf8', env: { ...process.env, ...env, NODE_OPTIONS: '' } })
    assert.equal(done.status, 0, done.stderr)
    assert.match(done.stdout, /released/)
    assert.match(await said('lost'), /operator: the night watch/)
    assert.equal((await release(name, ...SURE, '--expect', '1', '--yes')).code, 4, 'nobody holds it any more')
    assert.match((await release(name, ...SURE)).stderr, /: nobody holds "/)
  })

  test('a token that has moved ends nothing', async (t) => {
    const { hold, release } = world(t)
    const name = freshName()
    const { child, said, output } = await hold([{ name }])
    const { code, stderr } = await release(name, ...SURE, '--expect', '999999', '--yes')
    assert.equal(code, 4)
    assert.match(stderr, /token 999999 has moved/)
    child.stdin.write('x\n')
    await said('alive')
    assert.ok(!output.stdout.includes('lost'))
  })

  test('what is wrong or missing in the line is 2, what is not there 3', async (t) => {
    const { hold, release } = world(t)
    const name = freshName()
    const { pid } = await hold([{ name, kind: 'free' }])
    const cases = [
      [2, /<lock> is missing/],
      [2, /say --force/, name, '--reason', 'x'],
      [2, /next {2}chainlock release --force --reason TEXT -- '-x'\n/, '--', '-x'],
      [2, /--reason is needed/, name, '--force'],
      [2, /--reason/, name, '--force', '--reason', ' '],
      [2, /--pid is a whole number/, name, ...SURE, '--pid', '0'],
      [2, /--expect is a whole number/, name, ...SURE, '--expect', 'x'],
      [2, /--resaon; did you mean --reason/, name, '--force', '--resaon', 'x'],
      [3, /nobody holds/, name, ...SURE],
      [3, /nobody holds/, `${name}-not`, ...SURE, '--pid', String(pid)],
      [3, /no process|cannot be looked at/, name, ...SURE, '--pid', '2147483647'],
    ]
    for (const [code, pattern, ...args] of cases) {
      const found = await release(...args)
      assert.equal(found.code, code, `${args.join(' ')}: ${found.stderr}`)
      assert.match(found.stderr, pattern)
    }
  })

  test('a blocked event loop obeys; readers and the send lock, too; --json is one object', async (t) => {
    const { hold, release } = world(t)
    const names = [freshName(), freshName()]
    const { pid, child, said, output } = await hold([{ name: names[0] }, { name: names[1], mode: 'shared' }, { name: 'x', kind: 'send' }])
    child.stdin.write('block\n')
    await said('blocked')
    const at = ['--pid', String(pid), '--yes']
    for (const name of [...names, 'send']) {
      const token = tokenIn((await release(name, ...SURE, '--pid', String(pid))).stderr)
      const { code, stdout, stderr } = await release(name, ...SURE, ...at, '--expect', token, '--json')
      assert.equal(code, 0, stderr)
      const { schema, ok, released, lockId, holder: was } = JSON.parse(stdout)
      assert.deepEqual([schema, ok, released, lockId.startsWith(`${pid}:`), was.token], [1, true, true, true, Number(token)])
    }
    assert.ok(!output.stdout.includes('lost'), 'its JavaScript still stands still')
    child.kill('SIGKILL')
    await assert.rejects(said('lost'))
  })

  test('a stopped process is said to be stopped, and not asked', async (t) => {
    const { hold, release } = world(t)
    const name = freshName()
    const { pid, child, said, output } = await hold([{ name }])
    child.kill('SIGSTOP')
    await until(() => fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') T '))
    const { code, stderr } = await release(name, ...SURE, '--expect', '1', '--yes', '--pid', String(pid))
    child.kill('SIGCONT')
    assert.equal(code, 4)
    assert.match(stderr, new RegExp(`is stopped[^]*next {2}kill -CONT ${pid}`))
    child.stdin.write('x\n')
    await said('alive')
    assert.ok(!output.stdout.includes('lost'), 'it does not obey later either')
  })

  test('a host lock is left to its process', async (t) => {
    const { hold, release } = world(t)
    const name = freshName()
    const { pid, child, said } = await hold([{ name, kind: 'host' }])
    const { code, stderr } = await release(name, ...SURE, '--expect', '1', '--yes')
    assert.equal(code, 4, stderr)
    assert.match(stderr, new RegExp(`is a host lock[^]*next {2}kill ${pid}`))
    child.stdin.write('x\n')
    await said('alive')
  })

  test('a process that cannot be reached is 3, one that does not answer 75', async (t) => {
    const { hold, release, socketOf } = world(t)
    const names = [freshName(), freshName()]
    await hold([{ name: names[0] }], { env: { CHAINLOCK_CONTROL: 'off' }, reachable: false })
    const token = tokenIn((await release(names[0], ...SURE)).stderr)
    const closed = await release(names[0], ...SURE, '--expect', token, '--yes')
    assert.equal(closed.code, 3)
    assert.match(closed.stderr, /no control socket: .* CHAINLOCK_CONTROL=off is set/)

    const { pid } = await hold([{ name: names[1] }])
    fs.rmSync(socketOf(pid))
    const deaf = net.createServer(() => {}).listen(socketOf(pid))
    t.after(() => deaf.close())
    const other = tokenIn((await release(names[1], ...SURE)).stderr)
    const late = await release(names[1], ...SURE, '--expect', other, '--yes')
    assert.equal(late.code, 75)
    assert.match(late.stderr, /has not answered/)
  })

  test('a process of another user is 5', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
    const { hold } = world(t)
    const name = freshName()
    const { pid } = await hold([{ name }])
    const { code, stderr } = await command(['release', name, ...SURE, '--pid', String(pid)], { uid: 65_534, cwd: '/' })
    assert.equal(code, 5, stderr)
  })
})

describe('at a terminal', { skip: skip || (!hasTmux() && 'needs tmux') }, () => {
  test('the name must be typed: no, Ctrl-C, yes', async (t) => {
    const { hold, env } = world(t)
    const name = freshName()
    const { said, output } = await hold([{ name }])
    const screen = terminal(t, { env })
    const ask = async () => {
      await screen.run(['release', name, ...SURE])
      return screen.shows(/Type the lock's name/)
    }
    assert.match(await ask(), /held by {2}"rebuild"/)
    screen.type('no')
    screen.key('Enter')
    assert.match(await screen.shows(/code <4>/), /not confirmed; nothing was done/)
    await ask()
    screen.key('C-c')
    await screen.shows(/code <130>/)
    await ask()
    screen.key('C-d')
    await screen.shows(/code <4>/)
    assert.ok(!output.stdout.includes('lost'))
    await ask()
    screen.type(name)
    screen.key('Enter')
    assert.match(await screen.shows(/code <0>/), new RegExp(`released "${name}"`))
    await said('lost')
  })

  test('a name that would drive the terminal does not', async (t) => {
    const { hold, env, release } = world(t)
    const name = `\u001b]0;pwned\u0007\u001b[2J${freshName()}`
    const { pid, said } = await hold([{ name }])
    const piped = await release(name, ...SURE)
    assert.equal(piped.code, 4)
    assert.ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(piped.stderr), JSON.stringify(piped.stderr))
    const screen = terminal(t, { env })
    await screen.run(['release', `${pid}:lock:${name}`, ...SURE, '--yes'])
    await screen.shows(/code <0>/)
    await said('lost')
  })
})
