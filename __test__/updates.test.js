// `updateFile`: read, change and write under the host lock beside the file.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { chainlock, deep } = require('./helpers/package')
const { folder, read } = require('./helpers/folders')
const { runNode } = require('./helpers/processes')
const { hostLock } = chainlock

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
  await updateFile(file, () => 'new', { timeoutMs: 60_000 })
  assert.equal(read(file), 'new')
})

test('an async function in the sync form is refused, and its failure ends nothing', async (t) => {
  const { code, stdout, stderr } = await runNode(({ chainlock, data }) => {
    const fail = async () => {
      throw new Error('of the function')
    }
    try {
      chainlock.updateFileSync(data, fail)
    } catch (error) {
      setImmediate(() => console.log(error.code))
    }
  }, path.join(folder(t), 'a'))
  assert.deepEqual([code, stdout], [0, 'ERR_LOCK_INVALID_ARGUMENT\n'], stderr)
})

test("proper-lockfile's lock of the same file, and any other <file>.lock, is left alone", { skip: process.platform !== 'linux' && 'LOUD SKIP: the native keeper is Linux only' }, async (t) => {
  const { lock } = require('chainlock/proper-lockfile')
  const file = path.join(folder(t), 'a')
  await updateFile(file, () => 'x')
  for (let round = 0; round < 2; round++) {
    const release = await lock(file)
    await updateFile(file, (text) => `${text}!`, 'utf8')
    updateFileSync(file, (text) => `${text}?`, 'utf8')
    await release()
  }
  assert.equal(read(file), 'x!?!?')
})

test('a name that is not UTF-8, or as long as can be, has a lock of its own', { skip: process.platform !== 'linux' && 'LOUD SKIP: such names are of Linux' }, async (t) => {
  const dir = folder(t)
  const names = [[0x61, 0xff], [0x61, 0xfe], Buffer.from('n'.repeat(255)), Buffer.from('ü'.repeat(127))]
  for (const name of names) {
    const file = Buffer.concat([Buffer.from(`${dir}/`), Buffer.from(name)])
    await updateFile(file, () => 'precious')
    await updateFile(file, (text) => `${text}!`, 'utf8')
    updateFileSync(file, (text) => `${text}?`, 'utf8')
    updateFileSync(file, () => undefined)
    assert.equal(read(file), 'precious!?')
  }
  const locks = fs.readdirSync(dir).filter((name) => name.endsWith('.chainlock-lock'))
  assert.deepEqual([locks.length, fs.readdirSync(dir).length], [4, 8])
})

test('in a folder whose name is not UTF-8 it is refused, and nothing is done', { skip: process.platform !== 'linux' && 'LOUD SKIP: such names are of Linux' }, async (t) => {
  const dir = Buffer.concat([Buffer.from(`${folder(t)}/`), Buffer.from([0xff])])
  const file = Buffer.concat([dir, Buffer.from('/a')])
  fs.mkdirSync(dir)
  fs.writeFileSync(file, 'old')
  const never = () => assert.fail('the function is not called')
  await assert.rejects(updateFile(file, never), { name: 'TypeError', code: 'ERR_LOCK_INVALID_ARGUMENT', message: /UTF-8/ })
  assert.throws(() => updateFileSync(file, never), { code: 'ERR_LOCK_INVALID_ARGUMENT', message: /UTF-8/ })
  assert.deepEqual([read(file), fs.readdirSync(dir)], ['old', ['a']])
})

test('a relative path is that of the moment of the call', async (t) => {
  const dir = folder(t)
  for (const name of ['one', 'two']) fs.mkdirSync(path.join(dir, name))
  fs.writeFileSync(path.join(dir, 'one', 'f'), 'old')
  const { stdout, stderr } = await runNode(async ({ chainlock, data }) => {
    process.chdir(`${data}/one`)
    const written = chainlock.writeFileAtomic('g', '1')
    const second = chainlock.writeFileAtomic('g', '2')
    const appended = chainlock.appendFileAtomic('h', '3')
    const updated = chainlock.updateFile('f', (text) => `${text}!`, 'utf8')
    process.chdir(`${data}/two`)
    await Promise.all([written, second, appended, updated])
    await chainlock.updateFile('no/f', () => 'x').catch((error) => console.log(error.path))
  }, dir)
  assert.equal(stdout, 'no/f\n', stderr)
  const texts = ['f', 'g', 'h'].map((name) => read(path.join(dir, 'one', name)))
  assert.deepEqual([texts, fs.readdirSync(path.join(dir, 'two'))], [['old!', '2', '3'], []])
})

test('`..` behind a link is where the system has it', async (t) => {
  const dir = folder(t)
  fs.mkdirSync(path.join(dir, 'a', 'b'), { recursive: true })
  fs.symlinkSync(path.join(dir, 'a', 'b'), path.join(dir, 'link'))
  fs.writeFileSync(path.join(dir, 'f'), 'of another')
  fs.writeFileSync(path.join(dir, 'a', 'f'), 'old')
  await updateFile(`${dir}/link/../f`, (text) => `${text}!`, 'utf8')
  updateFileSync(`${dir}/link/../f`, (text) => `${text}?`, 'utf8')
  assert.deepEqual([read(path.join(dir, 'f')), read(path.join(dir, 'a', 'f'))], ['of another', 'old!?'])
})

test('the lock is where the manual says', async (t) => {
  const file = path.join(folder(t), 'a')
  await updateFile(file, () => {
    const status = hostLock(path.join(path.dirname(file), '.a.chainlock-lock')).status()
    assert.equal(status.holders.length, 1)
  })
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
  assert.deepEqual(fs.readdirSync(dir).sort(), ['.count.chainlock-lock', 'count', 'link'])
})

test('a directory, a path with no parent, a missing function', async (t) => {
  const dir = folder(t)
  const orphan = path.join(dir, 'no', 'a')
  await assert.rejects(updateFile(dir, () => 'x'), { code: 'ERR_LOCK_FILE_UNSAFE', path: dir })
  assert.throws(() => updateFileSync(dir, () => 'x'), { code: 'ERR_LOCK_FILE_UNSAFE', path: dir })
  await assert.rejects(updateFile(orphan, () => 'x'), { code: 'ERR_LOCK_FILE_IO', errno: 'ENOENT', path: orphan })
  assert.deepEqual(fs.readdirSync(dir), [], 'not even a lock file is made')
  await assert.rejects(updateFile(path.join(dir, 'a')), { code: 'ERR_LOCK_INVALID_ARGUMENT', message: /fn/ })
  await assert.rejects(updateFile(path.join(dir, 'a'), () => 'x', { mod: 1 }), { code: 'ERR_LOCK_UNKNOWN_OPTION' })
  assert.throws(() => updateFileSync(path.join(dir, 'a'), () => 'x', { signal: AbortSignal.abort() }), { code: 'ERR_LOCK_UNKNOWN_OPTION' })
  assert.deepEqual(fs.readdirSync(dir), [])
})
