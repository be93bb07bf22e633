// O8, O9: the monitor on a real terminal: what it draws, its keys, another size, and that the terminal is as it was
// after each way in which the process can end.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { Terminal, whyNoTerminal } = require('./helpers/terminal')
const { pause } = require('./helpers/waiting')
const { pictureAfter, frameText } = require('./helpers/monitor')
const scenes = require('./helpers/monitor-scenes')
const { width } = require('../lib/cli/text')

const CHILD = path.join(__dirname, 'helpers', 'monitor-child.js')
const LIMIT_MS = 60_000
/** From its first line to the keys on its last: the terminal may have got half of it. */
const WHOLE = /^chainlock {2}\d+ [^]*q quit\s*$/
const skip = whyNoTerminal()
let folder
let files = 0

/** The monitor in a terminal of its own, once its second frame stands. */
async function started(t, { columns = 100, rows = 30, scene = 'stuck', way = 'none' } = {}) {
  const terminal = new Terminal(columns, rows)
  t.after(() => terminal.close())
  const file = path.join(folder, `pid-${(files += 1)}`)
  terminal.type(`clear; stty -g; echo BEFORE`)
  const text = await terminal.until(/^BEFORE$/m)
  // A narrow terminal breaks the settings over some lines.
  const settings = /([0-9a-f]+(:[0-9a-f\n]+)+)\nBEFORE$/m.exec(text)[1]
  terminal.type(`"${process.execPath}" "${CHILD}" ${scene} ${way} "${file}"`)
  // A file is there before what is written into it.
  await terminal.until(() => fs.existsSync(file) && fs.readFileSync(file, 'utf8') !== '', 'the second frame')
  const pid = Number(fs.readFileSync(file, 'utf8'))
  await terminal.until(WHOLE)
  return { terminal, pid, settings }
}

/** Waits for the process's end; its exit code, as the shell tells it. */
async function exitCode({ terminal, pid }) {
  await gone(pid)
  terminal.type('echo "ENDED $?"')
  // Behind the prompt, where the shell has shown it only after this was typed.
  const ended = /^(?:[#$] )?ENDED (\d+)$/m
  const [, code] = ended.exec(await terminal.until(ended))
  return Number(code)
}

async function gone(pid) {
  const since = performance.now()
  while (isAlive(pid)) {
    assert.ok(performance.now() - since < LIMIT_MS, 'it still runs')
    await pause(30)
  }
}

/** The terminal is what it was: its settings, its first screen, its cursor, its colours. */
async function assertRestored(terminal, settings) {
  terminal.type('stty -g; echo AFTER')
  const text = await terminal.until(/^AFTER$/m)
  assert.match(text, /BEFORE/, 'the first screen is back')
  assert.equal(text.split(settings).length, 3, `settings differ:\n${text}`)
  assert.equal(terminal.ask('#{cursor_flag} #{alternate_on} #{wrap_flag}'), '1 0 1')
  // An error has colours of its own; what is written from now on has none.
  assert.doesNotMatch(terminal.tmux('capture-pane', '-p', '-e').split('AFTER').at(-1), /\u001b\[[1-9]/)
}

const isAlive = (pid) => {
  try {
    return !/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe('terminal', { skip, concurrency: false }, () => {
  before(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-terminal-'))))
  after(() => fs.rmSync(folder, { recursive: true, force: true }))

  for (const [columns, rows] of [[40, 10], [80, 24], [120, 40], [300, 100]]) {
    test(`${columns}×${rows}, names of every kind: each line where it belongs`, async (t) => {
      const { terminal } = await started(t, { columns, rows, scene: 'odd' })
      const lines = (await terminal.until(WHOLE)).split('\n')
      assert.equal(lines.length, rows)
      assert.match(lines[0], /^chainlock {2}1 proc/)
      assert.match(lines[rows - 1], /q quit$/)
      for (const line of lines) assert.ok(width(line.replace(/[\u2066\u2069]/g, '')) <= columns, line)
      // The terminal counts columns itself: what it shows is the frame, line by line, cut nowhere.
      const frame = frameText(pictureAfter(scenes.odd, 1), { columns, rows })
      const rowOf = (all) => all.findIndex((line) => /^ {2}LOCK/.test(line))
      assert.equal(rowOf(lines), rowOf(frame))
    })
  }

  test('keys: choose, why, filter, sort, health, help, pause, page, quit', async (t) => {
    const monitor = await started(t)
    const { terminal, settings } = monitor
    await terminal.until(/▸ send/)
    terminal.press('Down')
    await terminal.until(/▸ index/)
    terminal.press('Enter')
    await terminal.until(/index {2}host · scope host/)
    terminal.press('Escape')
    await terminal.until(/▸ index/)
    terminal.press('/')
    terminal.press('-l', 'rep')
    await terminal.until(/filter: rep/)
    await terminal.until((text) => /reports/.test(text) && !/▸ index/.test(text))
    terminal.press('Escape')
    await terminal.until(/▸ index/)
    terminal.press('s')
    await terminal.until(/sorted by wait-total/)
    terminal.press('h')
    await terminal.until(/HEALTH {2}\d+/)
    terminal.press('?')
    await terminal.until(/KEYS/)
    terminal.press('t')
    await terminal.until(/TIMELINE .* cooldown/)
    terminal.press('e')
    await terminal.until(/RECENT ACTIVITY/)
    terminal.press('Escape')
    terminal.press('p')
    await terminal.until(/PAUSED/)
    terminal.press('p')
    await terminal.until((text) => !/PAUSED/.test(text))
    terminal.press('w')
    await terminal.until(/http:\/\/127\.0\.0\.1:\d+\/#[\w-]{43}/)
    terminal.press('q')
    assert.equal(await exitCode(monitor), 0)
    await assertRestored(terminal, settings)
  })

  test('another size: the frame fills it, and nothing of the old one stays', async (t) => {
    const { terminal } = await started(t)
    terminal.resize(60, 12)
    await terminal.until((text) => text.split('\n').length === 12 && /q quit\s*$/.test(text))
    terminal.resize(140, 35)
    const text = await terminal.until((all) => all.split('\n').length === 35 && /t timeline .*q quit\s*$/.test(all))
    assert.equal(text.match(/chainlock {2}\d+ process/g).length, 1)
    assert.equal(text.match(/q quit/g).length, 1)
  })

  const ENDINGS = {
    'the key q': { end: ({ terminal }) => terminal.press('q'), code: 0 },
    'the key ctrl-c': { end: ({ terminal }) => terminal.press('C-c'), code: 0 },
    SIGINT: { end: ({ pid }) => process.kill(pid, 'SIGINT'), code: 130 },
    SIGTERM: { end: ({ pid }) => process.kill(pid, 'SIGTERM'), code: 143 },
    SIGHUP: { end: ({ pid }) => process.kill(pid, 'SIGHUP'), code: 129 },
    SIGQUIT: { end: ({ pid }) => process.kill(pid, 'SIGQUIT'), code: 131 },
    'an error that nobody catches': { end: ({ pid }) => process.kill(pid, 'SIGUSR2'), way: 'throw', code: 1, says: /Error: thrown on purpose/ },
    'a rejection that nobody handles': { end: ({ pid }) => process.kill(pid, 'SIGUSR2'), way: 'reject', code: 1, says: /Error: rejected on purpose/ },
    'process.exit': { end: ({ pid }) => process.kill(pid, 'SIGUSR2'), way: 'exit', code: 3 },
  }
  for (const [name, { end, way, code, says }] of Object.entries(ENDINGS)) {
    test(`ended by ${name}: the terminal is as it was`, async (t) => {
      const monitor = await started(t, { way })
      end(monitor)
      assert.equal(await exitCode(monitor), code)
      if (says) assert.match(monitor.terminal.text(), says)
      await assertRestored(monitor.terminal, monitor.settings)
    })
  }

  for (const [name, stop] of [['ctrl-z', ({ terminal }) => terminal.press('C-z')], ['SIGTSTP', ({ pid }) => process.kill(pid, 'SIGTSTP')]]) {
    test(`suspended by ${name}: the terminal is the shell's meanwhile, and the screen comes back`, async (t) => {
      const monitor = await started(t)
      const { terminal, settings } = monitor
      stop(monitor)
      await terminal.until(/Stopped|suspended/i)
      assert.equal(terminal.ask('#{cursor_flag} #{alternate_on}'), '1 0')
      await assertRestored(terminal, settings)
      terminal.type('fg')
      await terminal.until(WHOLE)
      assert.equal(terminal.ask('#{cursor_flag} #{alternate_on}'), '0 1')
      terminal.press('?')
      await terminal.until(/KEYS/)
      terminal.press('q')
      await gone(monitor.pid)
      // What it wrote at last may still be on its way to the terminal.
      await terminal.until(() => terminal.ask('#{cursor_flag} #{alternate_on}') === '1 0', 'the first screen')
    })
  }

  test('stopped from outside and sent on: drawn anew', async (t) => {
    const { terminal, pid } = await started(t)
    process.kill(pid, 'SIGSTOP')
    // Nobody gave the terminal back: the shell writes over the picture, and sees keys as they are.
    // Where the prompt stands on an empty line, the terminal tells nothing of the blank behind it.
    const prompt = /^[#$]( |$)/m
    await terminal.until((text) => prompt.test(text), 'the prompt of the shell')
    terminal.press('-l', 'fg')
    terminal.press('C-j')
    await terminal.until((text) => WHOLE.test(text) && !prompt.test(text), 'the frame, whole')
    terminal.press('q')
    await gone(pid)
  })

  test('the terminal goes away: the monitor ends', async (t) => {
    const { terminal, pid } = await started(t)
    terminal.close()
    await gone(pid)
  })
})
