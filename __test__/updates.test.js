// `updateFile`: read, change and write under the host lock beside the file.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { chainlock, deep } = require('./helpers/package')
const { folder, read } = require('./helpers/folders')
const { runNode } = require('./helpers/processes')

const { updateFile, updateFileSync } = chainlock

test('the function gets what is there, and its answer is written', async (t) => {
  const file = path.join(folder(t), 'state')
  await updateFile(file, (content) => `${content}`)
  assert.equal(read(file), 'null', 'null where there is no file')
  await updateFile(file, async (content) => Buffer.concat([content, Buffer.from('!')]))
  assert.equal(read(file), 'null!')
  await updateFile(file, (text) => text.toUpperCase(), 'utf8')
  updateFileSync(file, (text) => [text, '?'], { encoding: 'utf8', durable: false })
  assert.equal(read(file), 'NULL!?')
  const { ino } = fs.statSync(file)
  await updateFile(file, () => undefined)
  updateFileSync(file, () => undefined)
  assert.equal(fs.statSync(file).ino, ino, 'undefined leaves it alone')
})

test('what the function throws leaves the file alone and frees the lock', async (t) => {
  const file = path.join(folder(t), 'state')
  fs.writeFileSync(file, 'old')
  const error = new Error('of the function')
  const fail = () => {
    throw error
  }
  await assert.rejects(updateFile(file, fail), (thrown) => thrown === error)
  assert.throws(() => updateFileSync(file, fail), (thrown) => thrown === error)
  assert.throws(() => updateFileSync(file, async () => 'x'), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
  assert.equal(read(file), 'old')
  await updateFile(file, () => 'new', { timeoutMs: 1_000 })
  assert.equal(read(file), 'new')
})

test('four processes count: no update is lost, also over a link', async (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'count')
  fs.writeFileSync(file, '0')
  fs.symlinkSync(file, path.join(dir, 'link'))
  const rounds = deep(500, 25)
  const runs = [file, file, path.join(dir, 'link'), path.join(dir, 'link')].map((name) =>
    runNode(({ chainlock, data }) => {
      const add = async () => {
        for (let round = 0; round < data.rounds; round++) {
          if (round % 2) chainlock.updateFileSync(data.name, (text) => String(Number(text) + 1), 'utf8')
          else await chainlock.updateFile(data.name, async (text) => String(Number(text) + 1), 'utf8')
        }
      }
      add()
    }, { name, rounds }),
  )
  for (const { code, stderr } of await Promise.all(runs)) assert.equal(code, 0, stderr)
  assert.equal(read(file), String(4 * rounds))
  assert.deepEqual(fs.readdirSync(dir).sort(), ['count', 'count.lock', 'link'])
})

test('a directory, a path with no parent, a missing function', async (t) => {
  const dir = folder(t)
  const orphan = path.join(dir, 'no', 'a')
  await assert.rejects(updateFile(dir, () => 'x'), { code: 'ERR_LOCK_FILE_UNSAFE', path: dir })
  assert.throws(() => updateFileSync(dir, () => 'x'), { code: 'ERR_LOCK_FILE_UNSAFE', path: dir })
  await assert.rejects(updateFile(orphan, () => 'x'), { code: 'ERR_LOCK_FILE_IO', errno: 'ENOENT', path: orphan })
  assert.equal(fs.existsSync(`${dir}.lock`), false, 'not even a lock file is made')
  await assert.rejects(updateFile(path.join(dir, 'a')), { code: 'ERR_LOCK_INVALID_ARGUMENT', message: /fn/ })
  await assert.rejects(updateFile(path.join(dir, 'a'), () => 'x', { mod: 1 }), { code: 'ERR_LOCK_UNKNOWN_OPTION' })
  assert.throws(() => updateFileSync(path.join(dir, 'a'), () => 'x', { signal: AbortSignal.abort() }), { code: 'ERR_LOCK_UNKNOWN_OPTION' })
  assert.deepEqual(fs.readdirSync(dir), [])
})
