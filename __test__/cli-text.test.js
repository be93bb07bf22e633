// Texts of the command line: cleaned as the native code cleans, as wide as terminals show them, times and near names.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { native } = require('../lib/native')
const { clean, width, pad, cut, duration, colourIf, wantsColour } = require('../lib/cli/text')
const { nearest } = require('../lib/cli/nearest')
const { parse, span, splitCommand, wholeNumber } = require('../lib/cli/args')

test('every character is cleaned as the native code cleans it', () => {
  for (let code = 0; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue
    const text = String.fromCodePoint(code)
    assert.equal(clean(text), native.layerId(text), `U+${code.toString(16)}`)
  }
  assert.equal(clean('a\ud800b'), 'a\ufffdb')
})

test('widths: letters, marks, East Asian, emoji', () => {
  const widths = {
    abc: 3,
    é: 1,
    'e\u0301': 1,
    漢字: 4,
    ｆｕｌｌ: 8,
    // Two columns where it joins, and this where it does not.
    '👩‍👩‍👧': 8,
    '❤️': 2,
    한글: 4,
    שלום: 4,
    '…': 1,
    '': 0,
  }
  for (const [text, columns] of Object.entries(widths)) assert.equal(width(text), columns, text)
})

test('pad and cut never go over the columns', () => {
  for (const text of ['plain', '漢字漢字漢字', '👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧', 'mixed 漢 text']) {
    for (let columns = 0; columns < 14; columns++) {
      assert.ok(width(cut(text, columns)) <= columns, `${text} in ${columns}`)
      if (width(text) <= columns) assert.equal(width(pad(text, columns)), columns)
    }
  }
})

test('durations in two units at most', () => {
  const said = [
    [0, '0ms'],
    [0.42, '0.4ms'],
    [12.4, '12ms'],
    [999.4, '999ms'],
    [999.6, '1s'],
    [4_100, '4.1s'],
    [59_400, '59s'],
    [312_000, '5m12s'],
    [300_000, '5m'],
    [3_600_000, '1h'],
    [11_220_000, '3h7m'],
    [187_200_000, '2d4h'],
    [-1_500, '-1.5s'],
    [null, '–'],
    [NaN, '–'],
  ]
  for (const [ms, text] of said) assert.equal(duration(ms), text)
})

test('the nearest name: letters swapped, missing, too many; none for what is far off', () => {
  const names = ['status', 'why', 'monitor', 'history', 'doctor', 'completion']
  const near = {
    stauts: 'status',
    satus: 'status',
    statuss: 'status',
    mon: 'monitor',
    docter: 'doctor',
    WHY: 'why',
    wyh: 'why',
    xyzzy: null,
    '': null,
    q: null,
  }
  for (const [wrong, right] of Object.entries(near)) assert.equal(nearest(wrong, names), right, wrong)
  nearest('x'.repeat(1e6), ['y'.repeat(1e6)])
})

test('numbers and spans say what they want', () => {
  assert.equal(span('--since', '1h30m'), 5_400_000)
  assert.equal(span('--since', '250ms'), 250)
  assert.equal(span('--wait', '1.5'), 1_500)
  assert.equal(span('--wait', '20', 'ms'), 20)
  for (const wrong of ['', 'x', '1y', '-5s', '5 s', '1e3', '9'.repeat(400) + 'd']) {
    assert.throws(() => span('--since', wrong), { exit: 2, message: /--since is a time such as/ }, wrong)
  }
  for (const wrong of ['', 'x', '-1', '1.5', '0x10', '70000']) {
    assert.throws(
      () => wholeNumber('--port', wrong, { max: 65_535 }),
      { exit: 2, message: /--port is a whole number/ },
      wrong,
    )
  }
})

test('options before and after the command, and a value that may be left out', () => {
  const OPTIONS = { watch: { type: 'string', fallback: '1000', help: '' }, json: { type: 'boolean', help: '' } }
  assert.deepEqual(splitCommand(['--color', 'never', 'status', '--json']), {
    name: 'status',
    rest: ['--color', 'never', '--json'],
    wantsVersion: false,
  })
  assert.deepEqual(splitCommand(['--', 'status']).name, null)
  assert.equal(parse(['--watch'], OPTIONS).values.watch, '1000')
  assert.equal(parse(['--watch', '250'], OPTIONS).values.watch, '250')
  assert.equal(parse(['--watch', '--json'], OPTIONS).values.watch, '1000')
  assert.equal(parse(['--watch=9'], OPTIONS).values.watch, '9')
  assert.deepEqual(parse(['a', '--', '--watch', '-x'], OPTIONS).args, ['a', '--watch', '-x'])
})

test('who gets colours: --color, then FORCE_COLOR, then NO_COLOR and the terminal', () => {
  const tty = { isTTY: true }
  const cases = [
    [tty, {}, {}, true],
    [{}, {}, {}, false],
    [tty, {}, { NO_COLOR: '1' }, false],
    [tty, {}, { NO_COLOR: '' }, true],
    [tty, {}, { TERM: 'dumb' }, false],
    [{}, { color: 'always' }, { NO_COLOR: '1' }, true],
    [tty, { color: 'never' }, { FORCE_COLOR: '1' }, false],
    [{}, {}, { FORCE_COLOR: '1' }, true],
    [tty, {}, { FORCE_COLOR: '0' }, false],
    [tty, { json: true }, {}, false],
    [tty, { color: 'auto' }, {}, true],
  ]
  for (const [stream, values, env, wanted] of cases)
    assert.equal(wantsColour(stream, values, env), wanted, JSON.stringify([stream, values, env]))
  assert.equal(colourIf(false).bad('x'), 'x')
})

test('the command that shows a lock works when it is typed, also for odd names', () => {
  const make = require('./helpers/snapshots')
  const { whyCommand } = require('../lib/snapshot/words')
  const { parse } = require('../lib/cli/args')
  const { options } = require('../lib/cli/commands/why')
  const { execFileSync } = require('node:child_process')
  for (const name of ['-x', '--', '--pid', '', ' ', "it's", 'a b', '锁']) {
    const line = whyCommand(make.lock({ name, pid: 7 })).replace('chainlock why', "printf '%s\\0'")
    const words = execFileSync('sh', ['-c', line], { encoding: 'utf8' }).split('\0').slice(0, -1)
    const { args, values } = parse(words, options)
    assert.deepEqual([args, values.pid], [[name], '7'], line)
  }
  assert.equal(whyCommand(make.lock({ name: 'a\nb', pid: 7 })), 'chainlock status --pid 7')
})
