// `chainlock run`: a command under a host lock; every exit code, signals, and a lock that nobody loses in silence.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { spawnSync } = require('node:child_process')
const { command, startCommand, terminal, hasTmux } = require('./helpers/command')
const { folder } = require('./helpers/folders')
const { until } = require('./helpers/waiting')

const skip = process.platform === 'linux' ? false : 'host locks are Linux only'
const isRoot = process.getuid?.() === 0

/** A private folder of its own, and commands in it. */
function world(t) {
  const home = folder(t)
  const env = { XDG_RUNTIME_DIR: home }
  const started = []
  t.after(() => Promise.all(started.map(({ child, ended }) => (child.kill('SIGKILL'), ended))))
  const start = (args) => {
    const one = startCommand(['run', ...args], { env })
    started.push(one)
    return one
  }
  return {
    home,
    env,
    run: (...args) => command(['run', ...args], { env }),
    start,
    /** Starts one whose command has begun when this resolves; a line on its stdin ends it. */
    async hold(...args) {
      const one = start([...args, '--', process.execPath, '-e', `
        console.log('in')
        process.stdin.once('data', () => process.exit(0))`])
      await until(() => one.output.stdout.includes('in') || one.child.exitCode !== null)
      return { ...one, end: () => (one.child.stdin.write('x\n'), one.ended) }
    },
  }
}

describe('the exit code', { skip }, () => {
  test('is the command\'s, or 128 and its signal', async (t) => {
    const { run } = world(t)
    for (const code of [0, 1, 7, 255]) assert.equal((await run('a', '--', 'sh', '-c', `exit ${code}`)).code, code)
    for (const [signal, code] of [['KILL', 137], ['TERM', 143], ['INT', 130], ['SEGV', 139]]) {
      assert.equal((await run('a', '--', 'sh', '-c', `kill -${signal} $$`)).code, code, signal)
    }
    const line = await run('a', '-c', 'echo one | tr o 0; exit 3')
    assert.deepEqual([line.code, line.stdout], [3, '0ne\n'])
  })

  test('says what else can be', async (t) => {
    const { run, home } = world(t)
    const cases = [
      [2, /<command> is missing/, 'a'],
      [2, /<lock> is missing/],
      [2, /either -c or a command/, 'a', '-c', 'true', '--', 'true'],
      [2, /--wait is a time/, 'a', '--wait', 'soon', '--', 'true'],
      [2, /--scope host/, 'a', '--scope', 'process', '--', 'true'],
      [2, /--ttl is about leases/, 'a', '--ttl', '5s', '--', 'true'],
      [2, /--store is about leases/, 'a', '--scope', 'host', '--store', './x', '--', 'true'],
      [2, /--scope is one of host, process, cluster/, 'a', '--scope', 'machine', '--', 'true'],
      [2, /chainlock: <lock> must be a name of 1 to 255 bytes/, 'x'.repeat(256), '--', 'true'],
      [3, /ENOENT/, path.join(home, 'nowhere', 'x.lock'), '--', 'true'],
      [4, /something else than a lock/, path.join(home, 'other'), '--', 'true'],
      [127, /no command "nosuch"/, 'a', '--', 'nosuch'],
      [126, /cannot be run/, 'a', '--', path.join(home, 'other')],
    ]
    fs.writeFileSync(path.join(home, 'other'), 'this is not a lock')
    for (const [code, pattern, ...args] of cases) {
      const found = await run(...args)
      assert.deepEqual([found.code, found.stdout], [code, ''], args.join(' '))
      assert.match(found.stderr, pattern)
    }
  })

  test('a path needs no ./ in front of it', async (t) => {
    const { run, home } = world(t)
    fs.mkdirSync(path.join(home, 'made'), { recursive: true })
    const script = `cd "${home}" && "${process.execPath}" "${require.resolve('../bin/chainlock.js')}" run made/x.lock -- true`
    const { code, stderr } = await run('outer', '-c', script)
    assert.deepEqual([code, stderr], [0, ''])
    assert.ok(fs.existsSync(path.join(home, 'made', 'x.lock')))
  })

  test('is 5 for what another user may not touch', { skip: !isRoot && 'needs root' }, async (t) => {
    const home = folder(t)
    fs.chmodSync(home, 0o755)
    fs.mkdirSync(path.join(home, 'closed'), { mode: 0o700 })
    const args = ['run', path.join(home, 'closed', 'x.lock'), '--', 'true']
    const { code, stderr } = await command(args, { uid: 65_534, cwd: '/' })
    assert.equal(code, 5, stderr)
  })

  test('is 75 when the wait ends first, with who is in the way', async (t) => {
    const { run, hold, home } = world(t)
    const holder = await hold('a', '--label', 'nightly')
    const near = spawnSync(process.execPath, [require.resolve('../bin/chainlock.js'), 'why', './chainlock/a.lock'], {
      encoding: 'utf8', cwd: home, env: { ...process.env, XDG_RUNTIME_DIR: home },
    })
    assert.match(near.stdout, /"nightly"/, 'a path that begins here')
    for (const wait of ['0', '100ms']) {
      const { code, stderr, stdout } = await run('a', '--wait', wait, '--', 'echo', 'in')
      assert.deepEqual([code, stdout], [75, ''])
      assert.match(stderr, new RegExp(`process ${holder.pid}`))
      assert.match(stderr, /nightly/)
    }
    assert.equal((await run('b', '--wait', '0', '--', 'true')).code, 0, 'another lock is free')
    await holder.end()
    assert.equal((await run('a', '--wait', '0', '--', 'true')).code, 0)
  })
})

describe('the lock', { skip }, () => {
  test('keeps others out, flock(1) as well; readers are together', async (t) => {
    const { run, hold, home } = world(t)
    const file = path.join(home, 'x.lock')
    const reader = await hold(file, '--shared')
    const flock = (...args) => spawnSync('flock', [...args, file, 'true']).status
    assert.equal((await run(file, '--shared', '--wait', '0', '--', 'true')).code, 0)
    assert.equal((await run(file, '--wait', '0', '--', 'true')).code, 75)
    assert.deepEqual([flock('-n', '-s'), flock('-n')], [0, 1])
    const writer = hold(file)
    assert.equal((await reader.end()).code, 0)
    const { end } = await writer
    assert.deepEqual([flock('-n', '-s'), (await run(file, '--shared', '--wait', '0', '--', 'true')).code], [1, 75])
    await end()
  })

  test('ends with the command, not with what it leaves behind, and with a kill', async (t) => {
    const { run, hold } = world(t)
    const { stdout } = await run('a', '-c', 'sleep 1000 >/dev/null 2>&1 & echo $!')
    try {
      assert.equal((await run('a', '--wait', '0', '--', 'true')).code, 0)
    } finally {
      process.kill(Number(stdout), 'SIGKILL')
    }
    const holder = await hold('a')
    holder.child.kill('SIGKILL')
    // Its command ends with its stdin.
    holder.child.stdin.end()
    const next = await run('a', '--wait', '60s', '--', 'echo', 'in')
    assert.deepEqual([next.code, next.stdout], [0, 'in\n'])
    assert.match(next.stderr, new RegExp(`process ${holder.pid} died with "a"`))
  })

  test('is not lost in silence', async (t) => {
    const { hold, home } = world(t)
    const file = path.join(home, 'x.lock')
    const holder = await hold(file)
    fs.rmSync(file)
    await until(() => holder.output.stderr.includes('is lost'), 'while the command still runs')
    const { code, stderr } = await holder.end()
    assert.equal(code, 1)
    assert.equal(stderr.match(/is lost/g).length, 1)
  })
})

describe('signals', { skip }, () => {
  test('are passed on to the command, whose end counts', async (t) => {
    const { start, run } = world(t)
    for (const [index, signal] of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'].entries()) {
      const one = start(['a', '--', process.execPath, '-e', `
        process.on('${signal}', () => { console.log('heard'); process.exit(${40 + index}) })
        setInterval(() => {}, 1_000)
        console.log('in')`])
      await until(() => one.output.stdout.includes('in'))
      one.child.kill(signal)
      const { code, stdout } = await one.ended
      assert.deepEqual([code, stdout], [40 + index, 'in\nheard\n'], signal)
    }
    assert.equal((await run('a', '--wait', '0', '--', 'true')).code, 0)
  })

  test('end who still waits, and the command never runs', async (t) => {
    const { hold, start } = world(t)
    const holder = await hold('a')
    const waiting = start(['a', '--', 'echo', 'in'])
    await until(() => waitsIn(waiting.pid))
    waiting.child.kill('SIGTERM')
    const { signal, stdout } = await waiting.ended
    assert.deepEqual([signal, stdout], ['SIGTERM', ''])
    await holder.end()
  })

  /** Whether a thread of it sleeps in the kernel's lock. */
  const waitsIn = (pid) => fs.readdirSync(`/proc/${pid}/task`).some((task) => {
    try {
      return fs.readFileSync(`/proc/${pid}/task/${task}/syscall`, 'utf8').startsWith(`${{ x64: 73, arm64: 32 }[process.arch]} `)
    } catch {
      // It has ended since.
      return false
    }
  })
})

test('at a terminal it says after a second for whom it waits, and elsewhere nothing', { skip: skip || (!hasTmux() && 'needs tmux') }, async (t) => {
  const { home, hold, start, env } = world(t)
  const holder = await hold('a', '--label', 'nightly')
  const piped = start(['a', '--', 'echo', 'in'])
  const screen = terminal(t, { env })
  await screen.run(['run', 'a', '--', 'echo', 'it is mine'])
  await screen.shows(new RegExp(`waiting for "a"[^]*held by process ${holder.pid} \\(nightly`))
  assert.equal(piped.output.stderr, '')
  await holder.end()
  await screen.shows(/it is mine[^]*code <0>/)
  assert.deepEqual(await piped.ended, { code: 0, signal: null, stdout: 'in\n', stderr: '' })

  // Ctrl-C goes to the command by the terminal, and only once.
  const hears = path.join(home, 'hears.js')
  fs.writeFileSync(hears, `
    let heard = 0
    process.on('SIGINT', () => { heard += 1; setTimeout(() => { console.log('heard', heard); process.exit(9) }, 500) })
    setInterval(() => {}, 1_000)
    console.log('in')`)
  await screen.run(['run', 'a', '--', process.execPath, hears])
  await screen.shows(/^in$/m)
  screen.key('C-c')
  // The shell may well end its own line for the signal: what counts is what the command says.
  assert.match(await screen.shows(/heard \d/), /heard 1$/m)
})
