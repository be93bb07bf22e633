// proper-lockfile's functions: as the real package where they are alike, and with it in one fleet.
'use strict'

const { test, describe, after } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const real = require('proper-lockfile')
const ours = require('chainlock/proper-lockfile')
const { folder } = require('./helpers/folders')
const { root } = require('./helpers/package')
const { startNode, runNode, said } = require('./helpers/processes')
const { startWorker, message, exited } = require('./helpers/threads')

const onLinux = process.platform === 'linux' ? {} : { skip: 'LOUD SKIP: the native keeper is Linux only' }
const home = folder()
const children = []
after(() => children.forEach(({ child }) => child.kill('SIGKILL')))

let count = 0
function data() {
  const file = path.join(home, `data-${count++}`)
  fs.writeFileSync(file, '0')
  return file
}

const codeOf = (promise) => Promise.resolve(promise).then(() => 'none', (error) => error.code)
const codeOfSync = (call) => { try { call(); return 'none' } catch (error) { return error.code } }
const pause = () => new Promise((resolve) => setTimeout(resolve, 10))
const lockAge = (file) => Date.now() - fs.statSync(`${file}.lock`).mtimeMs
const makeOld = (file) => fs.utimesSync(`${file}.lock`, 1, 1)

/** A process that takes the lock, says so, and keeps it. */
async function holder(file, options = {}) {
  const program = startNode(async ({ data: { file, options, root } }) => {
    await require(`${root}/lib/proper-lockfile`).lock(file, options)
    console.log('held')
    process.stdin.resume()
  }, { file, options, root })
  children.push(program)
  await said(program, 'held')
  return program
}

describe('as the real one', onLinux, () => {
  test('the same functions, and the lock itself as the export', async () => {
    assert.deepEqual(Object.keys(ours).sort(), Object.keys(real).sort())
    assert.equal(ours, ours.lock)
    const names = Object.keys(await import('chainlock/proper-lockfile'))
    for (const name of Object.keys(real)) assert.ok(names.includes(name), name)
  })

  for (const [name, library] of Object.entries({ real, ours })) {
    test(`${name}: codes of errors, and the directory on disk`, async () => {
      const file = data()
      const release = await library.lock(file)
      assert.ok(fs.statSync(`${file}.lock`).isDirectory())
      assert.deepEqual(fs.readdirSync(`${file}.lock`), [])
      assert.equal(await codeOf(library.lock(file)), 'ELOCKED')
      assert.equal(codeOfSync(() => library.lockSync(file)), 'ELOCKED')
      assert.deepEqual([await library.check(file), library.checkSync(file)], [true, true])
      await release()
      assert.equal(fs.existsSync(`${file}.lock`), false)
      assert.equal(await codeOf(release()), 'ERELEASED')
      assert.equal(await codeOf(library.unlock(file)), 'ENOTACQUIRED')
      assert.equal(codeOfSync(() => library.unlockSync(file)), 'ENOTACQUIRED')
      assert.deepEqual([await library.check(file), library.checkSync(file)], [false, false])
      const releaseSync = library.lockSync(file)
      releaseSync()
      assert.equal(codeOfSync(releaseSync), 'ERELEASED')
      library.lockSync(file)
      library.unlockSync(file)
      await library.lock(file)
      await library.unlock(file)
      assert.equal(codeOfSync(() => library.lockSync(file, { retries: 1 })), 'ESYNC')
      assert.equal(await codeOf(library.lock(path.join(home, 'none'))), 'ENOENT')
      const free = await library.lock(path.join(home, 'none'), { realpath: false })
      await free()
      const elsewhere = await library.lock(file, { lockfilePath: path.join(home, 'elsewhere') })
      assert.ok(fs.existsSync(path.join(home, 'elsewhere')))
      await elsewhere()
    })

    test(`${name}: one lock for a file and a link to it`, async () => {
      const file = data()
      fs.symlinkSync(file, `${file}.link`)
      const release = await library.lock(`${file}.link`)
      assert.ok(fs.existsSync(`${file}.lock`))
      assert.equal(await codeOf(library.lock(file)), 'ELOCKED')
      await release()
    })
  }

  test('retries wait until the lock is free', async () => {
    const file = data()
    const first = await ours.lock(file)
    const second = ours.lock(file, { retries: { retries: 1_000, minTimeout: 1, maxTimeout: 5 } })
    await first()
    await (await second)()
    const third = await ours.lock(file)
    assert.equal(await codeOf(ours.lock(file, { retries: { retries: 3, minTimeout: 1, factor: 1 } })), 'ELOCKED')
    await third()
  })

  test('bad input', async () => {
    const file = data()
    const wrong = { code: 'ERR_LOCK_INVALID_ARGUMENT' }
    for (const each of [undefined, null, 5, '', 'a\0']) await assert.rejects(ours.lock(each), wrong)
    for (const options of [{ stale: 'x' }, { update: -1 }, { realpath: 1 }, { onCompromised: 1 }, { lockfilePath: 5 }, { retries: 'x' }, { retries: { minTimeout: 5, maxTimeout: 1 } }, 5]) {
      await assert.rejects(ours.lock(file, options), wrong, JSON.stringify(options))
    }
    await assert.rejects(ours.lock(file, { fs }), { ...wrong, message: /options\.fs cannot be given.*native thread/ })
    await assert.rejects(ours.lock(file, { stales: 1 }), { code: 'ERR_LOCK_UNKNOWN_OPTION' })
    assert.ok(!fs.existsSync(`${file}.lock`))
  })
})

describe('in one fleet', onLinux, () => {
  test('each sees what the other holds', async () => {
    const file = data()
    for (const [one, other] of [[real, ours], [ours, real]]) {
      const release = await one.lock(file)
      assert.equal(await codeOf(other.lock(file)), 'ELOCKED')
      assert.equal(await other.check(file), true)
      await release()
      assert.equal(await other.check(file), false)
      await (await other.lock(file))()
    }
  })

  test('four processes of each: no update of an unprotected counter is lost', async (t) => {
    const file = data()
    const rounds = 40
    const program = async ({ data: { file, library, rounds } }) => {
      const fs = require('node:fs')
      const { lock } = require(library)
      for (let round = 0; round < rounds; round++) {
        const release = await lock(file, { stale: 60_000, retries: { forever: true, minTimeout: 1, maxTimeout: 10, randomize: true } })
        const seen = Number(fs.readFileSync(file, 'utf8'))
        await new Promise(setImmediate)
        fs.writeFileSync(file, String(seen + 1))
        await release()
      }
    }
    const libraries = [require.resolve('proper-lockfile'), require.resolve('chainlock/proper-lockfile')]
    const runs = Array.from({ length: 8 }, (_, index) => runNode(program, { file, rounds, library: libraries[index % 2] }, { limitMs: 240_000 }))
    for (const { code, stderr } of await Promise.all(runs)) assert.equal(code, 0, stderr)
    assert.equal(fs.readFileSync(file, 'utf8'), String(8 * rounds))
    t.diagnostic(`8 processes, ${8 * rounds} updates, none lost`)
  })

  test('the directory is touched while the loop runs, and the real one believes it', async () => {
    const file = data()
    const release = await ours.lock(file, { stale: 20_000, update: 1_000 })
    const before = fs.statSync(`${file}.lock`).mtimeMs
    while (fs.statSync(`${file}.lock`).mtimeMs === before) await pause()
    assert.equal(await real.check(file, { stale: 20_000 }), true)
    await release()
  })
})

describe('a holder that is gone', onLinux, () => {
  test('ours, killed: the next of ours has it at once; the real one when it is stale', async () => {
    const file = data()
    const program = await holder(file)
    program.child.kill('SIGKILL')
    await program.ended
    assert.equal(await real.check(file, { stale: 60_000 }), true, 'it goes by age')
    assert.equal(await ours.check(file), false)
    const release = await ours.lock(file)
    assert.ok(lockAge(file) < 9_000, 'long before it was stale')
    await release()
  })

  test('ours, stopped: it keeps the lock against ours, however old', async () => {
    const file = data()
    const program = await holder(file)
    program.child.kill('SIGSTOP')
    makeOld(file)
    assert.equal(await ours.check(file), true)
    assert.equal(await codeOf(ours.lock(file)), 'ELOCKED')
    program.child.kill('SIGKILL')
    await program.ended
  })

  test('of the real one, by age: of eight processes one takes it over', async () => {
    for (let round = 0; round < 5; round++) {
      const file = data()
      fs.mkdirSync(`${file}.lock`)
      makeOld(file)
      const program = async ({ data: { file, root } }) => {
        const { lock } = require(`${root}/lib/proper-lockfile`)
        console.log('ready')
        process.stdin.once('data', async () => {
          const code = await lock(file, { stale: 60_000 }).then(() => 'won', (error) => error.code)
          console.log(code)
        })
      }
      const fleet = Array.from({ length: 8 }, () => startNode(program, { file, root }))
      children.push(...fleet)
      await Promise.all(fleet.map((each) => said(each, 'ready')))
      for (const { child } of fleet) child.stdin.write('go\n')
      await Promise.all(fleet.map((each) => said(each, '\n').then(async () => { while (!/won|E[A-Z]+/.test(each.output.stdout)) await pause() })))
      const answers = fleet.map(({ output }) => /won|E[A-Z]+/.exec(output.stdout)[0]).sort()
      assert.deepEqual(answers, [...Array(7).fill('ELOCKED'), 'won'])
      for (const { child } of fleet) child.kill('SIGKILL')
    }
  })

  test('on a file system that cannot change two names in one step, as with the real one', async () => {
    const file = data()
    fs.mkdirSync(`${file}.lock`)
    makeOld(file)
    const { stdout, stderr } = await runNode(async ({ data: { file, root } }) => {
      require(`${root}/lib/native`).native.exchangeEntries = () => 22
      const release = await require(`${root}/lib/proper-lockfile`).lock(file)
      console.log('won')
      await release()
    }, { file, root })
    assert.equal(stdout.trim(), 'won', stderr)
    assert.deepEqual(fs.readdirSync(home).filter((name) => name.startsWith('.chainlock-')), [])
  })

  test('ours, alive, but without its keeper: it goes by age', async () => {
    const file = data()
    const program = startNode(async ({ data: { file, root } }) => {
      await require(`${root}/lib/proper-lockfile`).lock(file)
      // As a bug, or a directory that was copied with its attributes, would leave it.
      require(`${root}/lib/native`).native.keeperStop(1)
      console.log('held')
      process.stdin.resume()
    }, { file, root })
    children.push(program)
    await said(program, 'held')
    assert.equal(await codeOf(ours.lock(file, { stale: 60_000 })), 'ELOCKED', 'while it is fresh')
    makeOld(file)
    assert.equal(await ours.check(file), false)
    const release = await ours.lock(file)
    await release()
    program.child.kill('SIGKILL')
    await program.ended
  })

  test('a worker that ends in the midst of giving back leaves nothing', async () => {
    for (let round = 0; round < 2; round++) {
      const file = data()
      const worker = startWorker(async ({ data, require: load }) => {
        const release = await load(`${data.root}/lib/proper-lockfile`).lock(data.file)
        // What goes by the thread pool comes too late.
        for (let job = 0; job < 16; job++) load('node:crypto').pbkdf2('x', 'y', 100_000, 64, 'sha512', () => {})
        void release()
        process.exit()
      }, { file, root })
      await exited(worker)
      assert.equal(fs.existsSync(`${file}.lock`), false)
    }
  })

  test('what cannot be removed is told, and goes by age', async () => {
    const place = path.join(home, 'closed')
    const file = path.join(place, 'a')
    fs.mkdirSync(place)
    fs.chmodSync(place, 0o777)
    fs.writeFileSync(file, '')
    const program = startNode(async ({ data: { file, root } }) => {
      const { lock, check } = require(`${root}/lib/proper-lockfile`)
      await check(file)
      if (process.getuid() === 0) process.setuid(65_534)
      const release = await lock(file)
      console.log('held')
      process.stdin.once('data', () => release().catch((error) => console.log(error.code, error.errno)))
    }, { file, root })
    children.push(program)
    fs.chmodSync(home, 0o755)
    await said(program, 'held')
    fs.chmodSync(place, 0o555)
    program.child.stdin.write('go\n')
    await said(program, 'ERR_LOCK_FILE_IO EACCES')
    fs.chmodSync(place, 0o777)
    makeOld(file)
    await (await ours.lock(file))()
    program.child.kill('SIGKILL')
    await program.ended
  })

  test('an orderly exit and the end of a worker give it back', async () => {
    for (const how of ['process.exit()', 'throw new Error("x")']) {
      const file = data()
      await runNode(`({ data }) => { require(data.root + "/lib/proper-lockfile").lockSync(data.file); ${how} }`, { file, root })
      assert.equal(fs.existsSync(`${file}.lock`), false, how)
    }
    for (const end of ['terminate', 'exit']) {
      const file = data()
      const worker = startWorker(({ port, data, require: load }) => {
        load(`${data.root}/lib/proper-lockfile`).lockSync(data.file)
        port.postMessage('held')
        port.once('message', () => process.exit())
      }, { file, root })
      await message(worker)
      assert.ok(fs.existsSync(`${file}.lock`))
      if (end === 'exit') worker.postMessage('end')
      else void worker.terminate()
      await exited(worker)
      assert.equal(fs.existsSync(`${file}.lock`), false, end)
    }
  })
})

describe('a lock that is lost', onLinux, () => {
  test('is told once, and what took its place stays', async () => {
    for (const meddle of [(lock) => fs.rmdirSync(lock), (lock) => { fs.rmdirSync(lock); fs.mkdirSync(lock) }]) {
      const file = data()
      const told = new Promise((resolve) => {
        void ours.lock(file, { stale: 20_000, update: 1_000, onCompromised: resolve }).then((release) => {
          meddle(`${file}.lock`)
          Object.assign(resolve, { release })
        })
      })
      const keepAlive = setInterval(() => {}, 1_000)
      const error = await told
      clearInterval(keepAlive)
      const stands = fs.existsSync(`${file}.lock`)
      assert.equal(error.code, 'ECOMPROMISED')
      assert.equal(error.file, file)
      assert.equal(await codeOf(ours.unlock(file)), 'ENOTACQUIRED')
      assert.equal(fs.existsSync(`${file}.lock`), stands)
      fs.rmSync(`${file}.lock`, { recursive: true, force: true })
    }
  })

  test('without onCompromised it is a warning, and release() fails; the process goes on', async () => {
    const { code, stdout, stderr } = await runNode(async ({ data: { file, root } }) => {
      const release = await require(`${root}/lib/proper-lockfile`).lock(file, { stale: 20_000, update: 1_000 })
      require('node:fs').rmdirSync(`${file}.lock`)
      const alive = setInterval(() => {}, 1_000)
      process.on('warning', async (warning) => {
        clearInterval(alive)
        console.log(warning.code, await release().catch((error) => error.code))
      })
    }, { file: data(), root })
    assert.equal(stdout.trim(), 'ECOMPROMISED ECOMPROMISED')
    assert.equal(code, 0)
    assert.match(stderr, /the lock directory is gone/)
  })

  test('a release that comes before anybody looked removes nothing of others', async () => {
    const file = data()
    const release = await ours.lock(file)
    fs.renameSync(`${file}.lock`, `${file}.old`)
    fs.mkdirSync(`${file}.lock`)
    assert.equal(await codeOf(release()), 'ECOMPROMISED')
    assert.ok(fs.existsSync(`${file}.lock`))
  })
})
