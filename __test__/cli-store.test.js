// `chainlock status`, `release` and `doctor` with a store of leases: what is there, made free by its token only, every
// exit code, and no secret anywhere.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { command, startCommand, terminal, hasTmux } = require('./helpers/command')
const { folder } = require('./helpers/folders')
const { STEADY_MS, managerFor } = require('./helpers/leases')
const { startNode, said } = require('./helpers/processes')
const { faultsOf } = require('./helpers/schema')
const { engineTest, startRedis } = require('./helpers/servers')
const { until } = require('./helpers/waiting')

const HANGS_MS = 60_000
const SCHEMA = JSON.parse(fs.readFileSync(path.join(__dirname, '../docs/formats/store-status.schema.json'), 'utf8'))

/** A store of the test's own, and commands about it. */
function world(t, store = `sqlite:${path.join(folder(t), 'leases.db')}`) {
  const env = { CHAINLOCK_STORE: '', XDG_RUNTIME_DIR: folder(t) }
  const at = (name) => (...args) => command([name, ...args, '--store', store], { env })
  const leases = managerFor(t, { store, ttlMs: 60_000 })
  /** Kept until the end: what nobody reaches is given back. */
  const kept = []
  const take = async (...asked) => kept[kept.push(await leases.acquire(...asked)) - 1]
  const steal = async (...asked) => kept[kept.push(await leases.steal(...asked)) - 1]
  t.after(() => kept.splice(0))
  return { store, env, leases, take, steal, status: at('status'), release: at('release'), doctor: at('doctor') }
}

const json = ({ stdout }) => JSON.parse(stdout)

describe('status', () => {
  test('shows who holds, how, since when, until when, with what, and who waits', async (t) => {
    const { leases, status, store, take } = world(t)
    const lease = await take('deploy', { workerId: 'ci-7', nodeId: 'eu-1', metadata: { step: 'build' } })
    const waiting = leases.acquire('deploy')
    await until(async () => (await leases.status('deploy')).waiters === 1, 'it waits', HANGS_MS)
    await take('report', { shared: true })
    await take('report', { shared: true })
    await (await take('free')).release()

    const all = await status()
    assert.deepEqual([all.code, all.stderr], [0, ''])
    assert.match(all.stdout, /^✔ OK {7}2 keys are held; /)
    assert.match(all.stdout, /^deploy {2}exclusive {2}held .*worker ci-7 \(\S+ \d+, node eu-1\) .*\{"step":"build"\}$/m)
    assert.match(all.stdout, /^report {2}shared {5}held ×2 /m)
    assert.doesNotMatch(all.stdout, /^free/m)
    assert.match((await status('--all')).stdout, /^free .* free /m)

    const one = (await status('deploy')).stdout
    for (const pattern of [/held, exclusive/, /token 1, for /, /waiting {3}1$/m, /ends in .*\/1m unless/, /metadata \{"step":"build"\}/]) {
      assert.match(one, pattern)
    }
    const next = one.match(/next {6}chainlock (.*)$/m)[1]
    assert.equal(next, `release deploy --store ${store} --force --expect ${lease.token}`)
    await lease.release()
    await (await waiting).release()
  })

  test('as JSON keeps to its schema', async (t) => {
    const { steal, status, take } = world(t)
    await take('a\u001b[2J', { workerId: '\u001b[31mred', metadata: ['x'] })
    const lease = await take('b')
    await steal('b', { expectToken: lease.token, reason: 'so' })
    for (const args of [[], ['--all'], ['b'], ['a\u001b[2J']]) {
      const found = await status('--json', ...args)
      assert.equal(found.code, 0)
      assert.deepEqual(faultsOf(json(found), SCHEMA), [])
    }
    const [first, second] = json(await status('--json')).leases
    assert.deepEqual([first.key, first.holders[0].workerId], ['a\u001b[2J', '\u001b[31mred'])
    assert.equal(second.stolen.reason, 'so')
  })

  test('names a holder that is gone', { skip: process.platform !== 'linux' && 'processes are seen on Linux only' }, async (t) => {
    const { status, store } = world(t)
    const holder = startNode(holding, store)
    await said(holder, 'ready')
    holder.child.kill('SIGKILL')
    await holder.ended
    const { code, stdout } = await status()
    assert.equal(code, 0)
    assert.match(stdout, /^▲ STALE {4}"deploy" is held by worker \S+ \(.*\), which is gone or whose time is over/)
    assert.equal(json(await status('--json')).ok, false)
  })

  test('the store may be named by the environment; looking makes none', async (t) => {
    const { store, env, take } = world(t)
    await take('deploy')
    const named = { env: { ...env, CHAINLOCK_STORE: store } }
    assert.match((await command(['status', '--scope', 'cluster'], named)).stdout, /^deploy /m)
    assert.match((await command(['status', 'deploy'], named)).stdout, /^"deploy" {2}lease in sqlite:/)
    const file = path.join(env.XDG_RUNTIME_DIR, 'nowhere.db')
    for (const args of [['status'], ['release', 'x', '--force'], ['doctor']]) {
      await command([...args, '--store', `sqlite:${file}`], { env })
      assert.ok(!fs.existsSync(file), args[0])
    }
  })

  test('--watch looks again and again', async (t) => {
    const { store, env, take } = world(t)
    const lease = await take('first')
    const { child, output, ended } = startCommand(['status', '--watch', '100', '--json', '--store', store], { env })
    await until(() => output.stdout.includes('"first"'), 'the first', HANGS_MS)
    await take('second')
    await until(() => output.stdout.includes('"second"'), 'the second', HANGS_MS)
    child.kill('SIGTERM')
    await ended
    await lease.release()
  })
})

describe('the exit code', () => {
  test('of each way it can end', async (t) => {
    const { store, env, take } = world(t)
    await take('deploy')
    const folderOf = folder(t)
    fs.writeFileSync(path.join(folderOf, 'other.db'), 'this is no database, and long enough to be read as one'.repeat(100))
    const foreign = `sqlite:${path.join(folderOf, 'other.db')}`
    const gone = 'redis://127.0.0.1:1'
    const cases = [
      [0, /^$/, 'status', '--store', store],
      [2, /address cannot be used/, 'status', '--store', 'nowhere'],
      [2, /--pid is about processes/, 'status', '--store', store, '--pid', '1'],
      [2, /--sort is about processes/, 'status', '--store', store, '--sort', 'hold'],
      [2, /--namespace must be 1 to 64/, 'status', '--store', store, '--namespace', 'a b'],
      [2, /<key> must be a string of 1 to 512 bytes/, 'status', 'x'.repeat(513), '--store', store],
      [2, /say --force/, 'release', 'deploy', '--store', store],
      [2, /--expect is a whole number/, 'release', 'deploy', '--store', store, '--force', '--expect', 'x'],
      [2, /--pid is about processes/, 'release', 'deploy', '--store', store, '--force', '--pid', '1'],
      [2, /--reason must be a string of 1 to 256/, 'release', 'deploy', '--store', store, '--force', '--expect', '1', '--yes', '--reason', 'x'.repeat(257)],
      [2, /--fix is about this machine/, 'doctor', '--store', store, '--fix'],
      [3, /cannot connect/, 'status', '--store', gone],
      [3, /cannot connect/, 'release', 'deploy', '--store', gone, '--force'],
      [3, /nobody has ever held "other"/, 'status', 'other', '--store', store],
      [3, /nobody holds "other"/, 'release', 'other', '--store', store, '--force'],
      [3, /there is no store at/, 'status', '--store', `sqlite:${path.join(folderOf, 'no.db')}`],
      [4, /not confirmed/, 'release', 'deploy', '--store', store, '--force'],
      [4, /not confirmed/, 'release', 'deploy', '--store', store, '--force', '--yes'],
      [4, /no SQLite database|not a database/, 'status', '--store', foreign],
      [1, /^$/, 'doctor', '--store', gone],
      [1, /^$/, 'doctor', '--store', 'nowhere'],
      [0, /^$/, 'doctor', '--store', store],
    ]
    for (const [code, pattern, ...args] of cases) {
      const found = await command(args, { env })
      assert.equal(found.code, code, `${args.join(' ')}: ${found.stdout}${found.stderr}`)
      assert.match(found.stderr, pattern)
    }
  })

  engineTest('is 5 for wrong credentials', 'redis', async (t) => {
    const redis = await startRedis({ password: 'hunter2' })
    t.after(() => redis.stop())
    const { env } = world(t)
    const wrong = redis.url.replace('hunter2', 'hunter3')
    const { code, stderr } = await command(['status', '--store', wrong], { env })
    assert.equal(code, 5, stderr)
    assert.match(stderr, /check user, password or token[^]*chainlock doctor --store URL/)
  })
})

describe('release', () => {
  test('takes the hold with that token, and says so to everybody', async (t) => {
    const { leases, release, status, take } = world(t)
    const lease = await take('deploy', { ttlMs: STEADY_MS })
    const lost = new Promise((resolve) => lease.signal.addEventListener('abort', () => resolve(lease.signal.reason)))
    const asked = await release('deploy', '--force')
    const typed = asked.stderr.match(/next {2}chainlock release (.*)$/m)[1].split(' --store')[0]
    assert.equal(typed, 'deploy')
    const args = ['deploy', '--force', '--expect', `${lease.token}`, '--yes', '--reason', 'stuck since 14:03']
    const { code, stdout, stderr } = await release(...args)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^✔ released "deploy": it was held by worker test /)
    assert.match(stderr, /held by {2}worker test .*\n.*nobody waits\n {2}breaks/)
    const { cause, by } = await lost
    assert.equal(cause, 'stolen')
    assert.match(by?.workerId ?? 'chainlock release', /chainlock release/)
    const { holders, stolen } = await leases.status('deploy')
    assert.deepEqual([holders, stolen.token, stolen.reason], [[], lease.token, 'stuck since 14:03'])
    assert.match((await status('deploy')).stdout, /taken {5}token 1, by worker chainlock release \(.*\): stuck since 14:03/)
  })

  test('never takes another hold than the one that was meant', async (t) => {
    const { release, take } = world(t)
    const first = await take('deploy')
    await first.release()
    const second = await take('deploy', { workerId: 'the-next' })
    const sure = ['deploy', '--force', '--yes', '--expect']
    const { code, stderr, stdout } = await release(...sure, `${first.token}`)
    assert.deepEqual([code, stdout], [4, ''])
    assert.match(stderr, /token 1 has moved: "deploy" was given on; it is now held by worker the-next \(.*\), token 2/)
    assert.ok(await second.renew(), 'it holds as before')
    await second.release()
    const free = await release(...sure, `${second.token}`)
    assert.equal(free.code, 4)
    assert.match(free.stderr, /token 2 is gone: nobody holds "deploy"/)
  })

  test('of those who share a key only the one that is named', async (t) => {
    const { leases, release, take } = world(t)
    const [one, two] = [await take('r', { shared: true }), await take('r', { shared: true })]
    const which = await release('r', '--force', '--yes')
    assert.equal(which.code, 2)
    assert.match(which.stderr, /has 2 holders; say which\n {2}--expect 1 .*\n {2}--expect 2 /)
    assert.equal((await release('r', '--force', '--yes', '--expect', `${one.token}`)).code, 0)
    const { holders } = await leases.status('r')
    assert.deepEqual(holders.map(({ token }) => token), [two.token])
    const permits = [await take('s', { permits: 3 }), await take('s', { permits: 3 })]
    const refused = await release('s', '--force', '--yes', '--expect', `${permits[0].token}`)
    assert.equal(refused.code, 4)
    assert.equal((await leases.status('s')).holders.length, 2)
  })

  test('as JSON', async (t) => {
    const { release, store, take } = world(t)
    const { token } = await take('deploy')
    const found = json(await release('deploy', '--force', '--yes', '--expect', `${token}`, '--json'))
    const holder = { workerId: 'test', token }
    assert.deepEqual(found, { schema: 1, ok: true, released: true, store, key: 'deploy', holder })
  })

  test('asks at a terminal; what moves while it asks is not taken', { skip: !hasTmux() && 'needs tmux' }, async (t) => {
    const { store, env, take } = world(t)
    const first = await take('deploy', { workerId: 'first' })
    const screen = terminal(t, { env })
    const ask = async () => {
      await screen.run(['release', 'deploy', '--force', '--store', store])
      return screen.shows(/Type the lock's name/)
    }
    await ask()
    screen.type('no')
    screen.key('Enter')
    assert.match(await screen.shows(/code <4>/), /not confirmed; nothing was done/)
    await ask()
    screen.key('C-c')
    await screen.shows(/code <130>/)
    await ask()
    await first.release()
    const second = await take('deploy', { workerId: 'second' })
    screen.type('deploy')
    screen.key('Enter')
    assert.match((await screen.shows(/code <4>/)).replaceAll('\n', ''), /token 1 has moved/)
    assert.ok(await second.renew())
    await ask()
    screen.type('deploy')
    screen.key('Enter')
    assert.match(await screen.shows(/code <0>/), /released "deploy"/)
  })
})

describe('doctor', () => {
  const checks = (found) => Object.fromEntries(json(found).checks.map(({ id, level, sentence }) => [id, { level, sentence }]))
  /** What it measures may be slow when others have the machine; in some moment nothing is. */
  const inAQuietMoment = async (ask, isWell) => {
    for (const end = performance.now() + HANGS_MS; ; ) {
      const found = await ask()
      if (isWell(found) || performance.now() > end) return found
    }
  }

  test('looks whether the store is reached, written, in time, and tells waiters', async (t) => {
    const { leases, doctor, take } = world(t)
    await take('deploy')
    const found = await doctor('--json')
    assert.equal(found.code, 0)
    const { ok } = json(found)
    const by = checks(found)
    assert.deepEqual([ok, Object.keys(by)], [true, ['node', 'native', 'store', 'promises', 'records', 'write', 'clock', 'push']])
    assert.match(by.records.sentence, /1 key is held/)
    const pushed = /ok {3}push {6}a waiter had the key /
    assert.match((await inAQuietMoment(() => doctor(), ({ stdout }) => pushed.test(stdout))).stdout, pushed)
    assert.deepEqual((await leases.status('chainlock-doctor')).holders, [])
  })

  test('a store in the environment is looked at beside the machine', async (t) => {
    const { store, env, take } = world(t)
    await take('deploy')
    const by = checks(await command(['doctor', '--json'], { env: { ...env, CHAINLOCK_STORE: store } }))
    assert.ok('folder' in by && 'push' in by)
  })

  engineTest('of Redis: each check, and what stands in its way', 'redis', async (t) => {
    const redis = await startRedis({ password: 'hunter2' })
    t.after(() => redis.stop())
    const { doctor } = world(t, redis.url)
    const wrong = (found) => Object.values(checks(found)).filter(({ level }) => level !== 'good')
    assert.deepEqual(wrong(await inAQuietMoment(() => doctor('--json'), (found) => wrong(found).length === 0)), [])
    // A user who may read only.
    await redis.command('ACL', 'SETUSER', 'reader', 'on', '>hunter4', '~*', '&*', '+@read', '+@connection', '+eval_ro', '+time', '+info')
    const reader = world(t, redis.url.replace('redis://:hunter2', 'redis://reader:hunter4'))
    const found = await reader.doctor('--json')
    assert.equal(found.code, 1, found.stdout)
    assert.ok(!`${found.stdout}${found.stderr}`.includes('hunter'))
    await redis.kill()
    const dead = await doctor('--json')
    assert.equal(dead.code, 1)
    assert.match(checks(dead).store.sentence, /cannot connect/)
  })
})

describe('what is printed', () => {
  test('has no escape byte, whatever the key, the worker or the metadata is, and however it is started', async (t) => {
    const { steal, status, release, doctor, store, env, take } = world(t)
    const evil = '\u001b]0;pwned\u0007\u001b[2J\u009b31m\u202e'
    const lease = await take(evil, { workerId: evil, nodeId: evil, metadata: { [evil]: evil } })
    await steal(evil, { expectToken: lease.token, workerId: evil, reason: evil })
    const ways = {
      pipe: [[], {}],
      NO_COLOR: [[], { NO_COLOR: '1', FORCE_COLOR: '' }],
      dumb: [[], { TERM: 'dumb' }],
      CI: [[], { CI: 'true', TERM: 'xterm-256color' }],
      never: [['--color', 'never'], { FORCE_COLOR: '1' }],
      json: [['--json'], { FORCE_COLOR: '1' }],
    }
    for (const [way, [options, more]] of Object.entries(ways)) {
      const asked = [['status'], ['status', evil], ['status', '--all'], ['release', evil, '--force'], ['release', evil, '--force', '--expect', '1'], ['doctor']]
      const told = asked.map((args) => command([...args, ...options, '--store', store], { env: { ...env, ...more } }))
      for (const { stdout, stderr } of await Promise.all(told)) {
        assert.doesNotMatch(`${stdout}${stderr}`, /[\u001b\u0007]/, way)
        // The names in JSON are whole.
        if (way !== 'json') assert.doesNotMatch(`${stdout}${stderr}`, /[\u009b\u202e]/, way)
      }
    }
    for (const found of [await status('--ascii'), await release('x', '--force', '--ascii'), await doctor('--ascii')]) {
      assert.doesNotMatch(found.stdout.replaceAll('\ufffd', ''), /[^\n\x20-\x7e]/)
    }
  })

  test('has no secret, whatever is wrong with the address', async (t) => {
    const { env } = world(t)
    const addresses = [
      ...['redis://me:hunter2@127.0.0.1:1', 'redis://me:hunter2@', 'redis://me:hunter2@host/name', 'redis://me:hunter2%zz@host'],
      ...['postgres://me:hunter2@127.0.0.1:1/db', 'etcd://me:hunter2@127.0.0.1:1', 'mysql://me:hunter2@host', 'http://me:hun/hunter2@host'],
    ]
    for (const url of addresses) {
      const asked = [['status', 'deploy'], ['release', 'deploy', '--force'], ['doctor'], ['run', 'deploy', '--', 'true']]
      const misplaced = [
        ...[[url], ['status', url], ['doctor', url], ['why', url], ['help', url], ['status', '--scope', url]],
        ...[['release', url, '--force', '--reason', 'x'], ['release', url, '--force', '--scope', 'cluster']],
      ]
      const all = [...asked.map(([name, ...rest]) => [name, '--store', url, ...rest]), ...(url === addresses[0] ? misplaced : [])]
      const found = all.map(async (args) => ({ args, ...(await command(args, { env: { ...env, CHAINLOCK_STORE: url } })) }))
      for (const { args, code, stdout, stderr } of await Promise.all(found)) {
        assert.notEqual(code, 0, args.join(' '))
        assert.ok(!`${stdout}${stderr}`.includes('hunter2'), `${args.join(' ')}: ${stdout}${stderr}`)
      }
    }
  })
})

/** Holds a key until it is ended. */
async function holding({ data }) {
  const { LeaseManager } = require('chainlock/leases')
  globalThis.kept = await new LeaseManager({ store: data }).acquire('deploy')
  console.log('ready')
  setInterval(() => {}, 1_000)
}
