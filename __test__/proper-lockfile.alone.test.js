// A holder whose event loop is blocked for three times the age at which a lock is stale keeps the lock.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const real = require('proper-lockfile')
const ours = require('chainlock/proper-lockfile')
const { folder } = require('./helpers/folders')
const { root } = require('./helpers/package')
const { startNode, said } = require('./helpers/processes')

const onLinux = process.platform === 'linux' ? {} : { skip: 'LOUD SKIP: the native keeper is Linux only' }
const codeOf = (promise) => promise.then(() => 'none', (error) => error.code)

test('a blocked event loop keeps the lock for three times stale, against both', onLinux, async (t) => {
  const file = path.join(folder(), 'data')
  fs.writeFileSync(file, '')
  const program = startNode(async ({ data: { file, root } }) => {
    const { lock } = require(`${root}/lib/proper-lockfile`)
    // Touched so often that it does not look old when the machine stands still for three seconds.
    const release = await lock(file, { stale: 5_000, update: 1_000 })
    console.log('held')
    const end = Date.now() + 15_000
    while (Date.now() < end);
    await release()
    console.log('released')
  }, { file, root })
  t.after(() => program.child.kill('SIGKILL'))
  await said(program, 'held')
  let asked = 0
  while (!program.output.stdout.includes('released') && fs.existsSync(`${file}.lock`)) {
    for (const library of [real, ours]) {
      const code = await codeOf(library.lock(file, { stale: 5_000 }).then((release) => release()))
      assert.ok(code === 'ELOCKED' || !fs.existsSync(`${file}.lock`), `it was taken: ${code}`)
      asked++
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const { stdout, stderr } = await program.ended
  assert.ok(stdout.includes('released'), stderr)
  assert.ok(asked > 10)
})
