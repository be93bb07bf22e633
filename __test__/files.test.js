// Crash-safe files, as a user writes them: what may be written, what the file is like afterwards, in which order.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { once } = require('node:events')
const { Readable } = require('node:stream')
const { pathToFileURL } = require('node:url')
const { describe, test } = require('node:test')
const { chainlock } = require('./helpers/package')
const { folder, read, permissions } = require('./helpers/folders')
const { startNode, runNode, said } = require('./helpers/processes')
const { startWorker, message, exited } = require('./helpers/threads')
const { until } = require('./helpers/waiting')

const { writeFileAtomic, writeFileAtomicSync, appendFileAtomic, appendFileAtomicSync } = chainlock

/** The four calls; each test that takes one holds for all of them. */
const CALLS = {
  writeFileAtomic,
  writeFileAtomicSync: async (...given) => writeFileAtomicSync(...given),
  appendFileAtomic,
  appendFileAtomicSync: async (...given) => appendFileAtomicSync(...given),
}
const isAppend = (name) => name.startsWith('append')
const BIG = Buffer.alloc(3_000_000, 'ab')

async function* later(...pieces) {
  for (const piece of pieces) {
    await null
    yield piece
  }
}

for (const [name, call] of Object.entries(CALLS)) {
  describe(name, () => {
    test('takes strings, buffers, views and iterables of them', async (t) => {
      const file = path.join(folder(t), 'a')
      const kinds = {
        'a text, ä': 'a text, ä',
        'a buffer': Buffer.from('a buffer'),
        'bytes': new Uint8Array(Buffer.from('bytes')),
        'words': new Uint16Array(new Uint8Array(Buffer.from('words!').subarray(0, 6)).slice().buffer),
        'a view': new DataView(new Uint8Array(Buffer.from('a view')).slice().buffer),
        'pieces of all': ['pieces', Buffer.from(' of'), new Uint8Array(Buffer.from(' all'))],
        'given': (function* () { yield 'giv'; yield ''; yield 'en' })(),
      }
      for (const [content, data] of Object.entries(kinds)) {
        fs.rmSync(file, { force: true })
        await call(file, data)
        assert.equal(read(file), content === 'words' ? 'words!' : content)
      }
      await call(file, [])
      if (!isAppend(name)) assert.equal(read(file), '')
      fs.rmSync(file)
      await call(file, [BIG, BIG, 'end'])
      assert.ok(fs.readFileSync(file).equals(Buffer.concat([BIG, BIG, Buffer.from('end')])))
      assert.deepEqual(fs.readdirSync(path.dirname(file)), ['a'])
    })

    test('takes paths as node:fs does, and encodings', async (t) => {
      const file = path.join(folder(t), 'ein Pfad, ü')
      for (const given of [file, Buffer.from(file), pathToFileURL(file), path.relative(process.cwd(), file)]) {
        fs.rmSync(file, { force: true })
        await call(given, '6869', 'hex')
        assert.equal(read(file), 'hi')
      }
      const bytes = Buffer.concat([Buffer.from(`${path.dirname(file)}/`), Buffer.from([0xff, 0xfe])])
      await call(bytes, 'no UTF-8', { encoding: 'latin1' })
      assert.equal(fs.readFileSync(bytes, 'utf8'), 'no UTF-8')
      const longest = path.join(path.dirname(file), 'n'.repeat(255))
      await call(longest, 'x')
      await call(longest, 'x')
      assert.equal(fs.readdirSync(path.dirname(file)).length, 3)
    })

    test('the umask counts for a new file; a mode is exact', async (t) => {
      const dir = folder(t)
      await call(path.join(dir, 'usual'), 'x')
      assert.equal(permissions(path.join(dir, 'usual')), 0o666 & ~process.umask())
      await call(path.join(dir, 'exact'), 'x', { mode: 0o757 })
      assert.equal(permissions(path.join(dir, 'exact')), 0o757)
    })

    test('follows links by default, also relative ones and several', async (t) => {
      const dir = folder(t)
      fs.mkdirSync(path.join(dir, 'real'))
      fs.writeFileSync(path.join(dir, 'real', 'target'), '')
      fs.symlinkSync('real/target', path.join(dir, 'link'))
      fs.symlinkSync(path.join(dir, 'link'), path.join(dir, 'link2'))
      await call(path.join(dir, 'link2'), 'through')
      assert.equal(read(path.join(dir, 'real', 'target')), 'through')
      assert.ok(fs.lstatSync(path.join(dir, 'link')).isSymbolicLink())
      await assert.rejects(call(path.join(dir, 'link'), 'x', { symlink: 'refuse' }), { code: 'ERR_LOCK_FILE_UNSAFE' })
      assert.equal(read(path.join(dir, 'link')), 'through')
    })

    test('what is not durable is written as well', async (t) => {
      const file = path.join(folder(t), 'a')
      await call(file, 'x', { durable: false })
      assert.equal(read(file), 'x')
    })
  })
}

describe('writing', () => {
  test('keeps the permissions that are there, and the inode of nobody', async (t) => {
    const file = path.join(folder(t), 'a')
    fs.writeFileSync(file, 'old')
    fs.chmodSync(file, 0o604)
    const other = `${file}2`
    fs.linkSync(file, other)
    await writeFileAtomic(file, 'new')
    assert.equal(permissions(file), 0o604)
    assert.equal(read(other), 'old', 'the other name keeps the old content')
    await writeFileAtomic(file, 'new', { mode: 0o600 })
    assert.equal(permissions(file), 0o600)
  })

  test('replaces a link where that is asked for', async (t) => {
    const dir = folder(t)
    const [target, link] = ['target', 'link'].map((name) => path.join(dir, name))
    fs.writeFileSync(target, 'target')
    fs.symlinkSync(target, link)
    await writeFileAtomic(link, 'own', { symlink: 'replace' })
    assert.equal(read(link), 'own')
    assert.equal(read(target), 'target')
    assert.ok(fs.lstatSync(link).isFile())
  })

  const isRoot = process.getuid?.() === 0
  test('keeps owner and group', { skip: !isRoot && 'needs root, to have files of others' }, async (t) => {
    const file = path.join(folder(t), 'a')
    fs.writeFileSync(file, 'old')
    fs.chownSync(file, 65_534, 12_345)
    fs.chmodSync(file, 0o2640)
    for (const owner of [undefined, 'try', 'require']) {
      await writeFileAtomic(file, 'new', { owner })
      const { uid, gid } = fs.statSync(file)
      assert.deepEqual([uid, gid, permissions(file)], [65_534, 12_345, 0o2640])
    }
    await writeFileAtomic(file, 'mine', { owner: 'ignore' })
    const { uid, gid } = fs.statSync(file)
    assert.deepEqual([uid, gid], [process.getuid(), process.getgid()])
    assert.equal(permissions(file), 0o600, 'what was for the old group is not for the new one')
  })

  const dropsRoot = { skip: process.platform !== 'linux' && 'LOUD SKIP: files are cleared by locks of Linux' }
  test('what a killed writer of a read-only file left is cleared by one who is not root', dropsRoot, async (t) => {
    const dir = folder(t)
    fs.chmodSync(dir, 0o777)
    for (const mode of [0o444, 0o200, 0o000]) {
      const writer = startNode(async ({ chainlock, data: { dir, mode } }) => {
        chainlock.writeFileAtomicSync(`${dir}/load`, '')
        if (process.getuid() === 0) process.setuid(65_534)
        chainlock.writeFileAtomicSync(`${dir}/a`, 'old', { mode })
        const pieces = async function* () {
          yield Buffer.alloc(2_000_000)
          console.log('in the midst')
          await new Promise((resolve) => setTimeout(resolve, 100_000))
        }
        await chainlock.writeFileAtomic(`${dir}/a`, pieces())
      }, { dir, mode })
      await said(writer, 'in the midst')
      writer.child.kill('SIGKILL')
      await writer.ended
      const left = fs.readdirSync(dir).filter((name) => name.endsWith('.chainlock-tmp'))
      assert.equal(left.length, 1)
      // As one that was killed between the last two steps.
      if (mode === 0o444) fs.chmodSync(path.join(dir, left[0]), mode)
      const { code, stderr } = await runNode(({ chainlock, data }) => {
        chainlock.writeFileAtomicSync(`${data}/load`, '')
        if (process.getuid() === 0) process.setuid(65_534)
        chainlock.writeFileAtomicSync(`${data}/a`, 'new')
      }, dir)
      assert.equal(code, 0, stderr)
      assert.deepEqual(fs.readdirSync(dir).sort(), ['a', 'load'])
      assert.equal(permissions(path.join(dir, 'a')), mode)
      fs.rmSync(path.join(dir, 'a'))
      fs.rmSync(path.join(dir, 'load'))
    }
  })

  test('a stream and an async iterable', async (t) => {
    const file = path.join(folder(t), 'a')
    await writeFileAtomic(file, Readable.from(['a ', 'stream']))
    assert.equal(read(file), 'a stream')
    await writeFileAtomic(file, later('step', Buffer.from(' by '), 'step'))
    assert.equal(read(file), 'step by step')
    await appendFileAtomic(file, later('!', '!'))
    assert.equal(read(file), 'step by step!!')
    await writeFileAtomic(file, fs.createReadStream(process.execPath))
    assert.equal(fs.statSync(file).size, fs.statSync(process.execPath).size)
    assert.throws(() => writeFileAtomicSync(file, later('x')), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
  })

  test('a source that fails, or gives what cannot be written, leaves nothing', async (t) => {
    const dir = folder(t)
    const file = path.join(dir, 'a')
    fs.writeFileSync(file, 'old')
    const error = new Error('of the source')
    async function* failing() {
      yield BIG
      throw error
    }
    let ended = false
    async function* wrong() {
      try {
        yield BIG
        yield 5
      } finally {
        ended = true
      }
    }
    await assert.rejects(writeFileAtomic(file, failing()), (thrown) => thrown === error)
    await assert.rejects(writeFileAtomic(file, wrong()), { code: 'ERR_LOCK_INVALID_ARGUMENT', message: /each piece of data.*the number 5/ })
    assert.equal(ended, true)
    assert.throws(() => writeFileAtomicSync(file, [BIG, null]), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
    assert.equal(read(file), 'old')
    assert.deepEqual(fs.readdirSync(dir), ['a'])
  })

  test('an abort ends it with the reason, and nothing is left', async (t) => {
    const dir = folder(t)
    const file = path.join(dir, 'a')
    const reason = new Error('enough')
    for (const signal of [AbortSignal.abort(reason), undefined]) {
      const controller = new AbortController()
      const source = new Readable({ read() {} })
      source.push(BIG)
      const writing = writeFileAtomic(file, source, { signal: signal ?? controller.signal })
      if (!signal) {
        while (!fs.readdirSync(dir).some((name) => name.includes('chainlock-tmp'))) await new Promise(setImmediate)
        controller.abort(reason)
      }
      await assert.rejects(writing, (thrown) => thrown === reason)
      assert.deepEqual(fs.readdirSync(dir), [])
      source.destroy()
    }
    await assert.rejects(appendFileAtomic(file, 'x', { signal: AbortSignal.abort(reason) }), (thrown) => thrown === reason)
    assert.deepEqual(fs.readdirSync(dir), [])
  })

  test('calls for one path take effect in their order, a slow stream when it ends', async (t) => {
    const file = path.join(folder(t), 'a')
    const source = new Readable({ read() {} })
    const slow = writeFileAtomic(file, source)
    await Promise.all(Array.from({ length: 50 }, (_, turn) => writeFileAtomic(file, `${turn}`, { durable: false })))
    assert.equal(read(file), '49')
    source.push('slow')
    source.push(null)
    await slow
    assert.equal(read(file), 'slow')
    fs.writeFileSync(file, '')
    await Promise.all(Array.from({ length: 50 }, (_, turn) => appendFileAtomic(file, `${turn},`, { durable: false })))
    assert.equal(read(file), Array.from({ length: 50 }, (_, turn) => `${turn},`).join(''))
  })

  test('what a worker that is terminated has begun is gone', async (t) => {
    const dir = folder(t)
    const worker = startWorker(async ({ chainlock, data, port, require }) => {
      const { Readable } = require('node:stream')
      // A source that nobody reaches any more, and the write of it, would be gone by themselves.
      const source = (globalThis.kept = new Readable({ read() {} }))
      source.push(Buffer.alloc(2_000_000))
      chainlock.writeFileAtomic(data, source).catch(() => {})
      const { readdirSync } = require('node:fs')
      const looking = setInterval(() => {
        if (!readdirSync(require('node:path').dirname(data)).some((name) => name.includes('chainlock-tmp'))) return
        clearInterval(looking)
        port.postMessage('begun')
      })
    }, path.join(dir, 'a'))
    await message(worker)
    await worker.terminate()
    await exited(worker)
    await writeFileAtomic(path.join(dir, 'a'), 'next')
    assert.deepEqual(fs.readdirSync(dir), ['a'])
  })

  test('what a killed process has begun, also twenty times at once, the next write removes', async (t) => {
    const dir = folder(t)
    const node = startNode(({ chainlock, data }) => {
      const { Readable } = require('node:stream')
      globalThis.kept = []
      const begin = () => {
        const source = new Readable({ read() {} })
        globalThis.kept.push(source)
        source.push(Buffer.alloc(1_100_000))
        chainlock.writeFileAtomic(data, source)
      }
      for (let turn = 0; turn < 20; turn++) begin()
      setInterval(() => {})
    }, path.join(dir, 'a'))
    t.after(() => node.child.kill('SIGKILL'))
    const begun = () => fs.readdirSync(dir).filter((name) => /^\.a\.\d+\.chainlock-tmp$/.test(name)).length
    await until(() => begun() === 20, 'all have begun')
    await writeFileAtomic(path.join(dir, 'a'), 'of a living one')
    assert.equal(begun(), 20, 'nobody removes what a living process writes')
    node.child.kill('SIGKILL')
    await node.ended
    await writeFileAtomic(path.join(dir, 'a'), 'next')
    assert.deepEqual(fs.readdirSync(dir), ['a'])
  })

  test('many writers of one file at a time, in several threads: always one of their contents', async (t) => {
    const dir = folder(t)
    const file = path.join(dir, 'a')
    const contents = Array.from({ length: 4 }, (_, turn) => String(turn).repeat(50_000))
    fs.writeFileSync(file, contents[0])
    const workers = contents.map((content) => startWorker(({ chainlock, data, port }) => {
      for (let round = 0; round < 60; round++) chainlock.writeFileAtomicSync(data.file, data.content, { durable: false })
      port.postMessage('done')
    }, { file, content }))
    let running = workers.length
    for (const worker of workers) once(worker, 'message').then(() => (running -= 1))
    let looks = 0
    while (running > 0) {
      const seen = read(file)
      assert.ok(contents.includes(seen), `${seen.length} characters`)
      looks += 1
      await new Promise(setImmediate)
    }
    await Promise.all(workers.map(exited))
    assert.deepEqual(fs.readdirSync(dir), ['a'])
    t.diagnostic(`${looks} looks`)
  })
})
