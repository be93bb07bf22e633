// The command line's frame: help that fits a screen, the nearest name, streams, colours, exit codes, closed pipes.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { execFileSync, spawnSync } = require('node:child_process')
const { root } = require('./helpers/package')
const { folder } = require('./helpers/folders')
const { BIN, runCli, startCli, patient } = require('./helpers/cli')
const { NAMES } = require('../lib/cli/commands')
const { MEANING } = require('../lib/cli/exit')

process.env.XDG_RUNTIME_DIR = folder()

const screen = (text) => {
  const lines = text.trimEnd().split('\n')
  assert.ok(lines.length <= 24, `${lines.length} lines:\n${text}`)
  for (const line of lines) assert.ok(line.length <= 80, `${line.length} columns: ${line}`)
}

describe('help', () => {
  test('of every command fits a screen of 80 × 24, by both ways to ask', async () => {
    for (const name of NAMES) {
      const { code, stdout, stderr } = await runCli(['help', name])
      assert.deepEqual([code, stderr], [0, ''])
      screen(stdout)
      assert.ok(stdout.startsWith(`chainlock ${name}: `) && stdout.includes('Exit codes:'))
      assert.equal((await runCli([name, '--help'])).stdout, stdout)
    }
  })

  test('of all commands names each, and fits too', async () => {
    const { stdout } = await runCli(['help'])
    screen(stdout)
    for (const name of NAMES) assert.match(stdout, new RegExp(`^  ${name}  `, 'm'))
    assert.equal((await runCli([])).stdout, stdout)
  })

  test('lists all exit codes', async () => {
    const { stdout } = await runCli(['help', 'exit'])
    screen(stdout)
    for (const code of Object.keys(MEANING)) assert.match(stdout, new RegExp(`^  ${code}  `, 'm'))
  })

  test("the version is the package's", async () => {
    const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
    for (const flag of ['--version', '-V']) assert.equal((await runCli([flag])).stdout, `chainlock ${version}\n`)
  })

  test('every command has a file, and every file is a command', () => {
    const files = fs.readdirSync(path.join(root, 'lib/cli/commands')).map((file) => path.basename(file, '.js'))
    assert.deepEqual([...NAMES].sort(), files.sort())
  })
})

describe('a wrong command line ends with 2, on stderr, and names what was meant', () => {
  const CASES = [
    [['stauts'], /there is no command "stauts"; did you mean chainlock status\?/],
    [['status', '--jsn'], /there is no option --jsn; did you mean --json\?/],
    [['status', '--sort', 'wait_max'], /--sort is one of .*; got "wait_max"; did you mean wait-max\?/],
    [['help', 'docter'], /did you mean doctor\?/],
    [['status', '--pid'], /--pid needs a value: --pid N/],
    [['status', '--pid', '--json'], /--pid needs a value/],
    [['status', '--pid', 'x'], /--pid is a whole number from 1/],
    [['status', '--json=yes'], /--json takes no value/],
    [['status', '--watch', '5'], /--watch is a whole number from 100/],
    [['status', '--color', 'nevr'], /did you mean never\?/],
    [['status', 'send'], /what is "send" for\?/],
    [['doctor', 'redis://me:hunter2@host'], /what is "redis:\/\/…@host" for\?/],
    [['status', '--namespace', 'x'], /--namespace is about leases; it goes with --scope cluster/],
    [['why'], /<lock> is missing/],
    [['completion', 'tcsh'], /<shell> is one of bash, zsh, fish/],
    [['-x'], /there is no option -x/],
    [['status', '--\u001b[2Jx'], /there is no option --\ufffd\[2Jx/],
    [['\u001b[2J'], /there is no command "\ufffd\[2J"/],
  ]
  for (const [args, message] of CASES) {
    test(JSON.stringify(args), async () => {
      const { code, stdout, stderr } = await runCli(args)
      assert.equal(code, 2, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, message)
      assert.match(stderr, /^ {2}next {2}chainlock help/m)
    })
  }
})

/** What a command is asked in the matrix; an answer of any kind will do. */
const ASKED = {
  why: ['send'],
  monitor: ['--once'],
  trace: ['-o', '/dev/null'],
  release: ['nosuch', '--force', '--reason', 'x', '--yes', '--expect', '1'],
  run: ['matrix', '--', process.execPath, '-e', '0'],
  completion: ['bash'],
}

test('no command writes an escape byte to a pipe, however it is started', { timeout: 600_000 }, async () => {
  const ways = {
    pipe: [[], {}],
    NO_COLOR: [[], { NO_COLOR: '1', FORCE_COLOR: '' }],
    dumb: [[], { TERM: 'dumb' }],
    CI: [[], { CI: 'true', TERM: 'xterm-256color', COLORTERM: 'truecolor' }],
    never: [['--color', 'never'], { FORCE_COLOR: '1' }],
    json: [['--json'], { FORCE_COLOR: '1' }],
  }
  for (const name of NAMES) {
    const hasJson = 'json' in require(`../lib/cli/commands/${name}`).options
    for (const [way, [options, env]] of Object.entries(ways)) {
      if (way === 'json' && !hasJson) continue
      const { signal, stdout, stderr } = await runCli([name, ...options, ...(ASKED[name] ?? [])], { env })
      assert.equal(signal, null, `${name} ${way} hangs`)
      assert.ok(!`${stdout}${stderr}`.includes('\u001b'), `${name}, ${way}: ${JSON.stringify(stdout + stderr)}`)
    }
  }
})

test('--ascii leaves no sign of its own beyond ASCII', async (t) => {
  const { pid } = await patient(t, held)
  for (const args of [
    ['status', '--all'],
    ['why', 'index'],
  ]) {
    const { stdout } = await runCli([...args, '--ascii', '--pid', `${pid}`])
    assert.doesNotMatch(stdout, /[^\n\x20-\x7e]/, stdout)
  }
})

test('colours come when they are asked for, and only around whole words', async (t) => {
  const { pid } = await patient(t, held)
  const { stdout } = await runCli(['status', '--pid', `${pid}`, '--color', 'always'])
  assert.ok(stdout.includes('\u001b[32m'))
  const plain = await runCli(['status', '--pid', `${pid}`])
  assert.match(stdout.replaceAll(/\u001b\[[\d;]*m/g, ''), /^✔ OK /)
  assert.match(plain.stdout, /^✔ OK /)
})

/** Holds a lock. */
async function held({ chainlock }) {
  globalThis.kept = await chainlock.locks.acquire('index', { label: 'rebuild' })
  console.log('ready')
  setInterval(() => {}, 1_000)
}

describe('exit codes', () => {
  test('0 healthy, 1 bad, 3 not found', { timeout: 60_000 }, async (t) => {
    const { pid, child } = await patient(t, async ({ chainlock }) => {
      globalThis.kept = await chainlock.locks.acquire('index')
      chainlock.locks.acquire('index', { timeoutMs: Infinity }).catch(() => {})
      console.log('ready')
      setInterval(() => {}, 1_000)
    })
    const codes = async () =>
      Promise.all(
        [['status'], ['why', 'index']].map(async (args) => (await runCli([...args, '--pid', `${pid}`])).code),
      )
    assert.deepEqual(await codes(), [0, 0])
    assert.equal((await runCli(['why', 'indx', '--pid', `${pid}`])).code, 3)
    child.kill('SIGSTOP')
    // Once the signal has arrived.
    while ((await codes()).some((code) => code !== 1));
    assert.equal((await runCli(['status', '--pid', `${process.ppid}`])).code, 3)
  })

  test('5 not permitted', { skip: process.getuid?.() !== 0 && 'only root can look as somebody else' }, async (t) => {
    const { pid } = await patient(t, held)
    const nobody = 65_534
    const { code, stderr } = await runCli(['status', '--pid', `${pid}`], {
      uid: nobody,
      gid: nobody,
      env: { XDG_RUNTIME_DIR: '/nonexistent' },
    })
    assert.equal(code, 5, stderr)
    assert.match(stderr, /another user/)
  })

  test('70 a bug, with its stack on stderr', async () => {
    const look = JSON.stringify(path.join(root, 'lib/cli/look.js'))
    const planted = path.join(process.env.XDG_RUNTIME_DIR, 'planted.js')
    fs.writeFileSync(planted, `require(${look}).look = () => { throw new Error('planted \\u001b[2J') }`)
    const { code, stdout, stderr } = await runCli(['status'], { nodeArgs: ['--require', planted] })
    assert.deepEqual([code, stdout], [70, ''])
    assert.match(stderr, /this is a bug in chainlock[^]*planted \ufffd\[2J[^]*at /)
  })

  test('130 and 143 by signals, as a shell tells them', async (t) => {
    const { pid } = await patient(t, held)
    for (const [signal, code] of [
      ['INT', 130],
      ['TERM', 143],
    ]) {
      const script = `"$0" "$1" status --pid ${pid} --watch 100 > out & look=$!
        until [ -s out ]; do sleep 0.05; done
        kill -${signal} $look; wait $look; echo $?; rm out`
      const shell = spawnSync('bash', ['-mc', script, process.execPath, BIN], {
        cwd: process.env.XDG_RUNTIME_DIR,
        encoding: 'utf8',
        timeout: 60_000,
      })
      assert.equal(shell.stdout.trim(), `${code}`, shell.stderr)
    }
  })
})

test('a reader that has seen enough ends it quietly, with 0', async (t) => {
  const { pid } = await patient(t, held)
  const { child, ended } = startCli(['status', '--watch', '100', '--pid', `${pid}`])
  child.stdout.once('data', () => child.stdout.destroy())
  const { code, stderr } = await ended
  assert.deepEqual([code, stderr], [0, ''])
})

test('a look loads what it needs and not the whole library, writes no journal and makes no socket', async (t) => {
  const { pid } = await patient(t, held)
  const told = path.join(process.env.XDG_RUNTIME_DIR, 'loaded.js')
  const program = `process.on('exit', () => {
    const { CHAINLOCK_CONTROL, CHAINLOCK_JOURNAL } = process.env
    process.stderr.write([CHAINLOCK_CONTROL, CHAINLOCK_JOURNAL, ...Object.keys(require.cache)].join('\\n'))
  })`
  fs.writeFileSync(told, program)
  const journal = path.join(process.env.XDG_RUNTIME_DIR, 'journal.db')
  const { stderr } = await runCli(['status', '--pid', `${pid}`], {
    nodeArgs: ['--require', told],
    env: { CHAINLOCK_JOURNAL: journal },
  })
  const [control, journalOfNative, ...loaded] = stderr.split('\n')
  assert.deepEqual([control, journalOfNative], ['off', ''])
  const files = loaded.filter((file) => file.startsWith(root)).map((file) => path.relative(root, file))
  assert.ok(files.includes(path.join('lib', 'snapshot', 'index.js')))
  const heavy = files.filter((file) =>
    /^index\.js$|locks\/manager|lib\/host\/|lib\/files|lib\/monitor|lib\/cli\/doctor/.test(file),
  )
  assert.deepEqual(heavy, [])
  assert.ok(files.length < 40, `${files.length} files`)
  assert.ok(!fs.existsSync(journal))
})

test('completion of bash is a script that completes', () => {
  const script = execFileSync(process.execPath, [BIN, 'completion', 'bash'], { encoding: 'utf8' })
  const ask =
    'COMP_WORDS=(chainlock status --so); COMP_CWORD=2; _chainlock; echo "${COMPREPLY[@]}"\n' +
    'COMP_WORDS=(chainlock st); COMP_CWORD=1; _chainlock; echo "${COMPREPLY[@]}"'
  assert.equal(execFileSync('bash', ['-c', `${script}\n${ask}`], { encoding: 'utf8' }), '--sort\nstatus\n')
})

describe('docs/monitor.md', () => {
  const page = fs.readFileSync(path.join(root, 'docs/monitor.md'), 'utf8')
  const rows = (heading) => [
    ...page
      .split(`## ${heading}\n`)[1]
      .split('\n## ')[0]
      .matchAll(/^\| `?(\w+)`? \| (.*) \|$/gm),
  ]

  test('has every exit code with its meaning', () => {
    const documented = Object.fromEntries(
      rows('Exit codes')
        .filter(([, code]) => /^\d/.test(code))
        .map(([, code, says]) => [code, says]),
    )
    assert.deepEqual(documented, { ...MEANING })
  })

  test('has every rule, the worst first', () => {
    const { RULES } = require('../lib/snapshot/verdicts')
    const documented = rows('The verdicts')
      .map(([, rule]) => rule)
      .filter((rule) => /^[A-Z]+$/.test(rule))
    assert.deepEqual(documented, [...RULES.map(({ id }) => id), 'OK'])
  })
})
