// `chainlock run --scope cluster`: a command under a lease. Every exit code, the token, and above all that a command
// does not go on when its lease is lost.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { command, startCommand } = require('./helpers/command')
const { folder } = require('./helpers/folders')
const { STEADY_MS, managerFor } = require('./helpers/leases')
const { engineTest, startRedis } = require('./helpers/servers')
const { until } = require('./helpers/waiting')

const skip = process.platform === 'win32' ? 'signals' : false
/** A command that nobody ends would hang. */
const LIMIT_MS = 180_000
const HANGS_MS = 60_000
/** Whatever the command is given, it says that it is there, and what it hears. */
const PATIENT = `
  process.on('SIGTERM', () => { console.log('heard SIGTERM'); if (process.argv[1] !== 'deaf') process.exit(0) })
  process.stdin.once('data', () => process.exit(0))
  console.log('in', process.env.CHAINLOCK_TOKEN)`

/** A store of the test's own, and commands under its leases. */
function world(t, store = `sqlite:${path.join(folder(t), 'leases.db')}`) {
  const env = { CHAINLOCK_STORE: '', XDG_RUNTIME_DIR: folder(t) }
  const started = []
  t.after(() => Promise.all(started.map(({ child, ended }) => (child.kill('SIGKILL'), ended))))
  const start = (...args) => {
    const one = startCommand(['run', '--store', store, ...args], { env })
    started.push(one)
    return one
  }
  const leases = managerFor(t, { store, ttlMs: 60_000 })
  /** Kept until the end: what nobody reaches is given back. */
  const kept = []
  t.after(() => kept.splice(0))
  return {
    store,
    env,
    start,
    leases,
    steal: async (...asked) => kept[kept.push(await leases.steal(...asked)) - 1],
    run: (...args) => command(['run', '--store', store, ...args], { env }),
    /** Starts one whose command has begun when this resolves; a line on its stdin ends it. */
    async hold(...args) {
      const split = args.indexOf('--') < 0 ? args.length : args.indexOf('--')
      const one = start(...args.slice(0, split), '--', process.execPath, '-e', PATIENT, ...args.slice(split + 1))
      await until(() => /in \d+\n/.test(one.output.stdout) || one.child.exitCode !== null, 'the command', HANGS_MS)
      return { ...one, token: Number(one.output.stdout.split(' ')[1]), end: () => (one.child.stdin.write('x\n'), one.ended) }
    },
  }
}

const isAlive = (pid) => {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

describe('the exit code', { skip }, () => {
  test("is the command's, or 128 and its signal", async (t) => {
    const { run } = world(t)
    for (const code of [0, 1, 7]) assert.equal((await run('a', '-c', `exit ${code}`)).code, code)
    for (const [signal, code] of [['KILL', 137], ['TERM', 143]]) assert.equal((await run('a', '-c', `kill -${signal} $$`)).code, code)
  })

  test('says what else can be', async (t) => {
    const { run, env, store } = world(t)
    const cases = [
      [2, /<command> is missing/, 'a'],
      [2, /--ttl is a time/, 'a', '--ttl', 'soon', '--', 'true'],
      [2, /--ttl is at least 1ms and at most 7d/, 'a', '--ttl', '8d', '--', 'true'],
      [2, /--grace is a time/, 'a', '--grace', 'x', '--', 'true'],
      [2, /a lock of scope process|--store is about leases/, 'a', '--scope', 'process', '--', 'true'],
      [2, /<key> must be a string of 1 to 512 bytes/, 'x'.repeat(513), '--', 'true'],
      [4, /shorter than this store can keep; the least is 50 ms/, 'a', '--ttl', '5ms', '--', 'true'],
      [126, /cannot be run/, 'a', '--', __filename],
      [127, /no command "nosuch"/, 'a', '--', 'nosuch'],
    ]
    for (const [code, pattern, ...args] of cases) {
      const found = await run(...args)
      assert.deepEqual([found.code, found.stdout], [code, ''], `${args.join(' ')}: ${found.stderr}`)
      assert.match(found.stderr, pattern)
    }
    const gone = await command(['run', 'a', '--store', 'redis://127.0.0.1:1', '--', 'echo', 'in'], { env })
    assert.deepEqual([gone.code, gone.stdout], [3, ''])
    const named = { env: { ...env, CHAINLOCK_STORE: store } }
    assert.equal((await command(['run', 'a', '--scope', 'cluster', '--', 'true'], named)).code, 0)
  })

  test('is 75 when the wait ends first, with who is in the way', async (t) => {
    const { run, hold } = world(t)
    const holder = await hold('a', '--label', 'nightly')
    for (const wait of ['0', '4s']) {
      const { code, stderr, stdout } = await run('a', '--wait', wait, '--', 'echo', 'in')
      assert.deepEqual([code, stdout], [75, ''])
      assert.match(stderr, new RegExp(`held by worker .* ${holder.pid}\\), token ${holder.token}`))
    }
    assert.equal((await holder.end()).code, 0)
    assert.equal((await run('a', '--wait', '0', '--', 'true')).code, 0)
  })
})

describe('the lease', { skip }, () => {
  test('lasts as long as the command, with a token that grows and a label that tells no secret', async (t) => {
    const { leases, hold } = world(t)
    const first = await hold('a', '--', 'password=hunter2')
    const { holders, held } = await leases.status('a')
    assert.deepEqual([held, holders[0].token, holders[0].pid], [true, first.token, first.pid])
    assert.deepEqual(holders[0].metadata, { label: path.basename(process.execPath) })
    await first.end()
    assert.equal((await leases.status('a')).held, false)
    const second = await hold('a', '--label', 'nightly')
    assert.ok(second.token > first.token)
    assert.deepEqual((await leases.status('a')).holders[0].metadata, { label: 'nightly' })
    await second.end()
  })

  test('is waited for; readers are together', async (t) => {
    const { start, hold, run } = world(t)
    const reader = await hold('a', '--shared')
    assert.equal((await run('a', '--shared', '--wait', '0', '--', 'true')).code, 0)
    const writer = start('a', '--', 'echo', 'in')
    assert.equal(writer.output.stdout, '')
    await reader.end()
    const { code, stdout } = await writer.ended
    assert.deepEqual([code, stdout], [0, 'in\n'])
  })

  test('is given back when a signal ends the command', async (t) => {
    const { leases, hold } = world(t)
    const { child, ended } = await hold('a')
    child.kill('SIGTERM')
    const { code, stdout } = await ended
    assert.equal(code, 0)
    assert.match(stdout, /heard SIGTERM/)
    assert.equal((await leases.status('a')).held, false)
  })
})

describe('a lease that is lost', { skip, timeout: LIMIT_MS }, () => {
  const LOST = ['--ttl', `${STEADY_MS}ms`]

  test('ends the command by SIGTERM, and the code says so', async (t) => {
    const { steal, hold } = world(t)
    const { ended, token } = await hold('a', ...LOST)
    await steal('a', { expectToken: token, workerId: 'operator' })
    const { code, stdout, stderr } = await ended
    assert.equal(code, 76, stderr)
    assert.match(stdout, /heard SIGTERM/)
    assert.match(stderr, /the lease on 'a' \(token 1\) is lost: it was taken away by worker 'operator', token 2; the command is ended/)
  })

  test('ends a command that hears nothing by SIGKILL, after the grace time', async (t) => {
    const { leases, hold } = world(t)
    const { ended, token } = await hold('a', ...LOST, '--grace', '5s', '--', 'deaf')
    await leases.steal('a', { expectToken: token })
    const { code, stdout } = await ended
    assert.equal(code, 76)
    assert.match(stdout, /heard SIGTERM/)
  })

  test('ends what the command has started, too', { skip: process.platform !== 'linux' && 'needs /proc' }, async (t) => {
    const { steal, start } = world(t)
    const { ended, output } = start('a', ...LOST, '--grace', '300ms', '-c', `sh -c 'trap "" TERM; echo pid $$; sleep 600 & wait; sleep 600' & echo shell; wait; sleep 600`)
    await until(() => /pid \d+\n/.test(output.stdout), 'the command of the command', HANGS_MS)
    const pid = Number(output.stdout.match(/pid (\d+)/)[1])
    assert.ok(isAlive(pid))
    await steal('a', { expectToken: 1 })
    assert.equal((await ended).code, 76)
    // What is killed takes a moment to go.
    await until(() => !isAlive(pid), 'its end', HANGS_MS)
  })

  test('in the time of a command that ends well makes it no success', async (t) => {
    const { steal, hold } = world(t)
    // Too long for a renewal to tell before the command ends.
    const { end, token } = await hold('a', '--ttl', '1h')
    const lease = await steal('a', { expectToken: token })
    const { code, stderr } = await end()
    assert.equal(code, 76)
    assert.match(stderr, /was lost while the command ran|is lost: it was taken away/)
    await lease.release()
  })
})

describe('with Redis', { skip, timeout: LIMIT_MS }, () => {
  engineTest('a store that goes away ends the command before its lease', 'redis', async (t) => {
    const redis = await startRedis({ password: 'hunter2' })
    t.after(() => redis.stop())
    const { hold, run, leases } = world(t, redis.url)
    assert.equal((await run('a', '--', 'true')).code, 0)
    const { ended, output } = await hold('a', '--ttl', `${STEADY_MS}ms`)
    await leases.destroy()
    await redis.kill()
    const { code, stdout, stderr } = await ended
    assert.equal(code, 76, stderr)
    assert.match(stdout, /heard SIGTERM/)
    assert.match(stderr, /"a" cannot be renewed; the lease ends in [^]*is lost: it could not be renewed in time; the command is ended/)
    assert.equal(output.stderr.match(/cannot be renewed/g).length, 1)
  })

  engineTest('the password is not in the list of processes, and the command does not get it', 'redis', async (t) => {
    const redis = await startRedis({ password: 'hunter2' })
    t.after(() => redis.stop())
    const { start } = world(t, redis.url)
    const { child, output, ended } = start('a', '-c', 'echo in; env; read line')
    await until(() => output.stdout.includes('in\n'), 'the command', HANGS_MS)
    if (process.platform === 'linux') assert.ok(!fs.readFileSync(`/proc/${child.pid}/cmdline`, 'latin1').includes('hunter2'))
    child.stdin.write('\n')
    const { stdout, stderr, code } = await ended
    assert.equal(code, 0)
    assert.ok(!`${stdout}${stderr}`.includes('hunter2'))
    assert.match(stdout, /^CHAINLOCK_TOKEN=\d+$/m)
  })
})
