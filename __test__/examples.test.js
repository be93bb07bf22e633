// The examples of named locks keep the promises that they make to whoever runs them.
'use strict'

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { join } = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')
const { root } = require('./helpers/package')

/** Runs an example to its end; one that fails or hangs fails the test. */
async function outputOf(name) {
  const { NODE_OPTIONS, NODE_TEST_CONTEXT, CHAINLOCK_LOG, ...env } = process.env
  const file = join(root, 'examples', 'locks', name)
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { cwd: root, env, timeout: 300_000 })
  assert.equal(stderr, '')
  return stdout
}

/** The two figures in a row of a table: without the lock, and with it. */
function figuresIn(output, row) {
  const found = new RegExp(`^ +${row} +(\\S+) +(\\S+)$`, 'm').exec(output)
  assert.ok(found, `a row '${row}' in:\n${output}`)
  return { without: Number(found[1]), held: Number(found[2]) }
}

/** The store's output: one run for all that is looked at in it. */
let storeRun
const storeOutput = () => (storeRun ??= outputOf('store.js'))

test('a store with five readers and three writers: torn without the lock, whole with it', async (t) => {
  const output = await storeOutput()
  t.diagnostic(output.match(/^ +(?:reads|torn reads|changes|lost).*$/gm).join(' · ').replace(/ +/g, ' '))
  assert.match(output, /^8 agents in 3 worker threads, 52 skills in files$/m)
  const torn = figuresIn(output, 'torn reads')
  assert.ok(torn.without > 0, 'without the lock there is something to see')
  assert.equal(torn.held, 0)
  assert.equal(figuresIn(output, 'lost, because another overwrote them').held, 0)
  assert.equal(figuresIn(output, 'came in beside a writer').held, 0)
  assert.ok(figuresIn(output, 'most readers inside at once').held > 1, 'readers go together')
  assert.ok(figuresIn(output, 'reads').held > 0)
  assert.equal(figuresIn(output, 'changes').held, 90)
})

test('the statistics of the store are those of what was done', async () => {
  const output = await storeOutput()
  const acquired = (name, mode) => Number(new RegExp(`^ +${name} +${mode} +(\\d+) `, 'm').exec(output)?.[1])
  const { held: reads } = figuresIn(output, 'reads')
  // Each change takes both locks; each reader takes the skills, the memory, and both, in turn.
  assert.equal(acquired('store:skills', 'exclusive'), 90)
  assert.equal(acquired('store:memory', 'exclusive'), 90)
  const shared = acquired('store:skills', 'shared') + acquired('store:memory', 'shared')
  assert.ok(shared > reads && shared < reads * 2, `${shared} shared holds for ${reads} reads`)
})

test('decorators exclude what they should, whichever kind the compiler makes', async () => {
  const output = await outputOf('compile-and-run.js')
  const [, standard, experimental] = output.split(/^(?:standard decorators|experimentalDecorators):\n/m)
  assert.ok(standard.split('\n').length > 5)
  assert.equal(standard, experimental)
  assert.match(standard, /^two readers of the notes: side by side$/m)
  assert.match(standard, /^replacing one note twice: one after the other$/m)
})

test('a deadlock over two threads is refused, and the report names both sides', async () => {
  const output = await outputOf('deadlock.js')
  const [, named, withSendLock] = output.split(/^── .*\n/m)
  for (const word of ['consolidation', 'curator', 'memory', 'skills']) assert.ok(reportIn(named).includes(word), word)
  for (const word of ['e2e-executor', 'window-monitor', 'send lock', 'session:1']) {
    assert.ok(reportIn(withSendLock).includes(word), word)
  }
  assert.match(output, /^OK: nobody hangs\.$/m)
})

/** The report of the request that was refused; the other one got its lock. */
function reportIn(section) {
  assert.equal(section.match(/ is refused /g)?.length, 1)
  assert.equal(section.match(/ gets /g)?.length, 1)
  return section.match(/^ {2}.*$/gm).join('\n')
}
