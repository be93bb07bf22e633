// Words that verdicts are made of: what is to be typed comes to a shell as it is meant.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { lock } = require('./helpers/snapshots')

test('a command to type survives a shell, whatever the name', () => {
  const { typed } = require('../lib/snapshot/words')
  const { execFileSync } = require('node:child_process')
  for (const name of ['a b', "it's", '$(rm x)', '`x`', 'a;b', 'ü', '*', '"', '\\', '~', '#x', 'a\u0020-b']) {
    assert.equal(execFileSync('sh', ['-c', `printf %s ${typed(name)}`], { encoding: 'utf8' }), name)
  }
  assert.equal(typed(''), "''")
  assert.equal(typed('a\u001b[31m'), null)
})

test('the command that shows a lock works when it is typed, also for odd names', () => {
  const { whyCommand } = require('../lib/snapshot/words')
  const { parse } = require('../lib/cli/args')
  const { options } = require('../lib/cli/commands/why')
  const { execFileSync } = require('node:child_process')
  for (const name of ['-x', '--', '--pid', '', ' ', "it's", 'a b', '锁']) {
    const line = whyCommand(lock({ name, pid: 7 })).replace('chainlock why', "printf '%s\\0'")
    const words = execFileSync('sh', ['-c', line], { encoding: 'utf8' }).split('\0').slice(0, -1)
    const { args, values } = parse(words, options)
    assert.deepEqual([args, values.pid], [[name], '7'], line)
  }
  assert.equal(whyCommand(lock({ name: 'a\nb', pid: 7 })), 'chainlock status --pid 7')
})
