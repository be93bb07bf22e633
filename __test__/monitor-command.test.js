// `chainlock monitor` over real processes: one frame, lines, the page, the terminal, and what it does with a wrong
// command line. The processes looked at are blocked or stopped, as they are when somebody looks.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { startNode, said } = require('./helpers/processes')
const { until } = require('./helpers/waiting')
const { Terminal, whyNoTerminal } = require('./helpers/terminal')
const { HARMFUL } = require('./helpers/terminal-sequences')

const BIN = path.join(__dirname, '../bin/chainlock.js')
const LIMIT_MS = 60_000

/** A process that holds "report" and the send lock, lets others wait, and then blocks its loop when told to. */
async function patient(t) {
  const started = startNode(async ({ chainlock }) => {
    chainlock.configureSendLock({ layers: 'any' })
    chainlock.tryAcquireSendLock('agent')
    const guard = await chainlock.locks.acquire('report', { label: 'nightly' })
    chainlock.locks.acquire('report', { label: 'late', timeoutMs: Infinity }).then((next) => next.release())
    process.stdin.setEncoding('utf8').on('data', (text) => {
      if (text.includes('release')) guard.release()
      if (text.includes('block')) {
        process.stdout.write('blocked\n')
        for (;;);
      }
    })
    process.stdout.write('ready\n')
  })
  t.after(() => started.child.kill('SIGKILL'))
  await said(started, 'ready')
  return started
}

function monitor(...args) {
  const env = { ...process.env, COLUMNS: '', NO_COLOR: '', FORCE_COLOR: '' }
  return spawnSync(process.execPath, [BIN, 'monitor', ...args], { encoding: 'utf8', timeout: LIMIT_MS, env })
}

/** The monitor as a process that goes on. */
function watching(t, ...args) {
  const child = spawn(process.execPath, [BIN, 'monitor', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { text: '', errors: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => (output.text += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (output.errors += text))
  t.after(() => child.kill('SIGKILL'))
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })))
  return { child, output, ended }
}

describe('monitor', () => {
  test('one frame, of a process whose loop is blocked: who holds, who waits, no escape bytes', async (t) => {
    const started = await patient(t)
    started.child.stdin.write('block\n')
    await said(started, 'blocked')
    const { status, stdout, stderr } = monitor('--once', '--pid', String(started.child.pid))
    assert.equal(stderr, '')
    assert.equal(status, 0)
    assert.match(stdout, /^chainlock {2}1 process · 2 locks/)
    // As wide as the pids leave room: with or without the scope.
    assert.match(stdout, /report +(process +)?held +nightly/)
    assert.match(stdout, /send +(process +)?held +agent/)
    assert.match(stdout, /└─ .* 1st /)
    for (const line of stdout.split('\n')) assert.ok(!HARMFUL.test(line), JSON.stringify(line))
    assert.match(monitor('--once', '--ascii', '--pid', String(started.child.pid)).stdout, /^[\x20-\x7e\n]*$/)
  })

  test('with a journal: what happened before anybody looked', async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-monitor-'))
    t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
    const file = path.join(folder, 'journal.db')
    const started = startNode(async ({ chainlock, data }) => {
      const journal = chainlock.openJournal({ path: data })
      await chainlock.locks.withLock('bygone', { label: 'sweeper' }, () => new Promise((resolve) => setTimeout(resolve, 20)))
      await journal.close()
      setInterval(() => {}, 1_000)
      console.log('ready')
    }, file)
    t.after(() => started.child.kill('SIGKILL'))
    await said(started, 'ready')
    // Of this process alone: all that the others of this machine do would not leave it a line.
    const pid = String(started.child.pid)
    assert.doesNotMatch(monitor('--once', '--pid', pid).stdout, /bygone/)
    assert.match(monitor('--once', '--journal', file, '--pid', pid).stdout, /released +bygone/)
  })

  test('one frame as JSON is the snapshot', async (t) => {
    const { child } = await patient(t)
    const { status, stdout } = monitor('--once', '--json', '--pid', String(child.pid))
    assert.equal(status, 0)
    const snapshot = JSON.parse(stdout)
    assert.equal(snapshot.schema, 1)
    assert.ok(snapshot.locks.some(({ name }) => name === 'report'))
  })

  test('without a terminal: a line for each change, and silence between', async (t) => {
    const { child } = await patient(t)
    const { output, child: looker, ended } = watching(t, '--interval', '100', '--pid', String(child.pid))
    await until(() => /report held by nightly/.test(output.text), 'the first lines', LIMIT_MS)
    const before = output.text.split('\n').filter((line) => / report /.test(line)).length
    child.stdin.write('release\n')
    await until(() => output.text.split('\n').filter((line) => / report /.test(line)).length > before, 'the release', LIMIT_MS)
    for (const line of output.text.split('\n').slice(0, -1)) assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z [^\u001b]+$/)
    looker.kill('SIGTERM')
    assert.deepEqual(await ended, { code: null, signal: 'SIGTERM' })
  })

  test('as JSON, an object a line', async (t) => {
    const { child } = await patient(t)
    const { output } = watching(t, '--json', '--interval', '100', '--pid', String(child.pid))
    await until(() => output.text.includes('report'), 'the first lines', LIMIT_MS)
    const changes = output.text.split('\n').slice(0, -1).map((line) => JSON.parse(line))
    assert.ok(changes.some(({ change, lock }) => change === 'lock' && lock === 'report'))
  })

  test('nobody reads any more: it ends quietly', async (t) => {
    const { child } = await patient(t)
    const { child: looker, output, ended } = watching(t, '--interval', '100', '--pid', String(child.pid))
    await until(() => output.text !== '', 'the first line', LIMIT_MS)
    looker.stdout.destroy()
    child.stdin.write('release\n')
    assert.deepEqual(await ended, { code: 0, signal: null })
    assert.equal(output.errors, '')
  })

  test('as a page: the address on stdout, the rest on stderr, the verdict to who has the token', async (t) => {
    const { child } = await patient(t)
    const { output, child: server, ended } = watching(t, '--web', '--interval', '100', '--pid', String(child.pid))
    await until(() => output.text.includes('\n'), 'the address', LIMIT_MS)
    const url = new URL(output.text.trim())
    const answer = await fetch(new URL('/stream', url), { headers: { authorization: `Bearer ${url.hash.slice(1)}` } })
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('\n\n')) text += (await reader.read()).value
    const message = JSON.parse(text.split('\n\n')[0].replace('data: ', ''))
    assert.ok(message.locks.some(({ name, holder }) => name === 'report' && /nightly/.test(holder)))
    await reader.cancel()
    assert.equal((await fetch(new URL('/stream', url))).status, 401)
    const second = spawnSync(process.execPath, [BIN, 'monitor', '--web', url.port], { encoding: 'utf8', timeout: LIMIT_MS })
    assert.equal(second.status, 2)
    assert.match(second.stderr, /port \d+ is taken/)
    server.kill('SIGINT')
    assert.deepEqual(await ended, { code: null, signal: 'SIGINT' })
  })

  test('on a terminal, of a process that is stopped: the verdict says so', { skip: whyNoTerminal() }, async (t) => {
    const { child } = await patient(t)
    process.kill(child.pid, 'SIGSTOP')
    const terminal = new Terminal(110, 30)
    t.after(() => terminal.close())
    terminal.type(`"${process.execPath}" "${BIN}" monitor --interval 100 --pid ${child.pid}`)
    await terminal.until(/STOPPED[^]*report +(process +)?held +nightly/)
    process.kill(child.pid, 'SIGCONT')
    await terminal.until((text) => /^chainlock/.test(text) && !/STOPPED/.test(text))
    terminal.press('q')
    await terminal.until((text) => !/^chainlock {2}/.test(text))
  })

  const WRONG = {
    'a port without --web': [['8080'], 2, /a port is for --web/],
    'a port out of range': [['--web', '70000'], 2, /the port is a whole number from 1 to 65535/],
    'too short an interval': [['--interval', '50'], 2, /--interval is a whole number from 100 to/],
    '--web with --once': [['--web', '--once'], 2, /--web goes with neither/],
    'a process that is not there': [['--once', '--pid', '2147483647'], 3, /process 2147483647/],
    'a misspelt option': [['--onse'], 2, /--once/],
    'a journal that is not there': [['--once', '--journal', '/nowhere/journal.db'], 3, /./],
  }
  for (const [name, [args, code, says]] of Object.entries(WRONG)) {
    test(`${name}: exit code ${code}, and a sentence`, () => {
      const { status, stderr, stdout } = monitor(...args)
      assert.equal(status, code, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, says)
    })
  }
})
