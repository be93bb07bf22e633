// What host locks are given: names, paths, options and planted files that are refused with an error that says why, while
// nothing is created and nothing is lost; guards that nobody can reach; and that nothing is loaded before it is used.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const { join } = require('node:path')
const { folder, chainlock, hostLock, freshName, freshPath } = require('./helpers/host')
const { failure } = require('./helpers/locks')
const { runNode } = require('./helpers/processes')

const { ChainlockError } = chainlock

/** What a call throws. */
function thrown(fn) {
  try {
    fn()
  } catch (error) {
    return error
  }
  throw new Error('it did not throw')
}

/** What lies in a folder and how it looks, to see that nothing has changed. */
const listed = (path = folder) => fs.readdirSync(path, { recursive: true }).sort().map((name) => {
  const { mode, size, nlink } = fs.lstatSync(join(path, name))
  return [name, mode, size, nlink].join(' ')
})

describe('a name', () => {
  const refused = {
    'of nothing': '', 'of one dot': '.', 'of two dots': '..', 'with a slash': 'a/b', 'with NUL': 'a\0b', 'of 256 bytes': 'x'.repeat(256),
    'of 86 letters of 3 bytes': '€'.repeat(86), 'of 5,000 bytes': 'x'.repeat(5_000), 'with half a letter': 'a\ud800', 'that climbs': 'x/../../y',
    'that is a number': 7, 'that is nothing': undefined, 'that is null': null, 'that is an object': {}, 'that is a buffer': Buffer.from('x'),
    'that is a URL': new URL('file:///tmp/x'), 'that is a symbol': Symbol('x'),
  }
  for (const [what, name] of Object.entries(refused)) {
    test(`${what} is refused`, () => {
      const before = listed()
      const error = thrown(() => hostLock(name))
      assert.ok(error instanceof TypeError && error instanceof ChainlockError)
      assert.equal(error.code, 'ERR_LOCK_INVALID_ARGUMENT')
      assert.match(error.message, /^hostLock: nameOrPath must be .*; got /)
      assert.deepEqual(listed(), before)
    })
  }

  test('may be anything else, and each has a lock of its own', () => {
    const names = ['x'.repeat(255), '€'.repeat(85), ' ', '\n', 'a\\b', '-x', '...', '.hidden', 'ä', 'a\u0308', 'A', 'a', 'CON', '%41', '~', 'x\u202e', '😀']
    const guards = names.map((name) => hostLock(name).tryAcquire())
    assert.ok(guards.every((guard) => guard !== null))
    assert.equal(new Set(guards.map(({ path }) => path)).size, names.length)
    for (const guard of guards) guard.release()
  })
})

describe('options', () => {
  test('that are wrong are named, and nothing is held', async () => {
    const lock = hostLock(freshName())
    const wrong = [
      ['mode', 'both'], ['label', 7], ['timeoutMs', -1], ['timeoutMs', NaN], ['timeoutMs', '5'], ['signal', {}], ['timeout', 5], ['reentrant', true],
    ]
    for (const [key, value] of wrong) {
      for (const call of ['acquire', 'withLock', 'acquireSync', 'withLockSync', 'tryAcquire', 'tryAcquireSync']) {
        const error = await failure((async () => lock[call]({ [key]: value }, () => assert.fail('must not run')))())
        assert.ok(error instanceof TypeError && /^ERR_LOCK_(INVALID_ARGUMENT|UNKNOWN_OPTION)$/.test(error.code), `${call} ${key}: ${error}`)
        assert.ok(error.message.startsWith(`${call}: `) && error.message.includes(key), error.message)
      }
    }
    for (const given of [7, 'exclusive', null]) assert.equal((await failure(lock.acquire(given))).code, 'ERR_LOCK_INVALID_ARGUMENT')
    for (const fn of [undefined, 7]) {
      assert.equal((await failure(lock.withLock({}, fn))).code, 'ERR_LOCK_INVALID_ARGUMENT')
      assert.throws(() => lock.withLockSync({}, fn), { code: 'ERR_LOCK_INVALID_ARGUMENT' })
    }
    lock.tryAcquire().release()
  })

  test('of hostLock are looked at before a file is made', () => {
    const path = freshPath()
    for (const [options, code] of [
      [{ allowNetworkFs: 'yes' }, 'ERR_LOCK_INVALID_ARGUMENT'], [{ allowNetworkFS: true }, 'ERR_LOCK_UNKNOWN_OPTION'],
      [7, 'ERR_LOCK_INVALID_ARGUMENT'], [null, 'ERR_LOCK_INVALID_ARGUMENT'],
    ]) {
      assert.throws(() => hostLock(path, options), { name: 'TypeError', code })
    }
    assert.equal(fs.existsSync(path), false)
    hostLock(path, { allowNetworkFs: true }).tryAcquire().release()
  })
})

describe('a path', () => {
  const place = join(folder, 'planted')
  fs.mkdirSync(place)
  const victim = join(place, 'victim')
  fs.writeFileSync(victim, 'precious', { mode: 0o600 })
  fs.writeFileSync(join(place, 'linked'), '', { mode: 0o600 })
  fs.linkSync(join(place, 'linked'), join(place, 'hard link'))
  fs.symlinkSync(victim, join(place, 'link'))
  fs.symlinkSync(join(place, 'nowhere'), join(place, 'dangling'))
  fs.symlinkSync('loop', join(place, 'loop'))
  fs.writeFileSync(join(place, 'open'), '')
  fs.chmodSync(join(place, 'open'), 0o666)
  fs.mkdirSync(join(place, 'folder'))
  execFileSync('mkfifo', [join(place, 'fifo')])

  for (const [what, path, code, errno] of [
    ['of a symbolic link', join(place, 'link'), 'ERR_LOCK_FILE_UNSAFE'],
    ['of a dangling link', join(place, 'dangling'), 'ERR_LOCK_FILE_UNSAFE'],
    ['of a link to itself', join(place, 'loop'), 'ERR_LOCK_FILE_UNSAFE'],
    ['of a hard link', join(place, 'hard link'), 'ERR_LOCK_FILE_UNSAFE'],
    ['of a file that everybody may write', join(place, 'open'), 'ERR_LOCK_FILE_UNSAFE'],
    ['of a folder', join(place, 'folder'), 'ERR_LOCK_FILE_UNSAFE'],
    ['that ends with a slash', `${place}/new/`, 'ERR_LOCK_FILE_UNSAFE'],
    ['of the root', '/', 'ERR_LOCK_FILE_UNSAFE'],
    ['of a FIFO', join(place, 'fifo'), 'ERR_LOCK_FILE_UNSAFE'],
    ['of a device', '/dev/null', 'ERR_LOCK_FILE_UNSAFE'],
    ['of other data', victim, 'ERR_LOCK_FILE_FOREIGN'],
    ['without its folder', join(place, 'missing', 'lock'), 'ERR_LOCK_FILE_IO', 'ENOENT'],
    ['below a file', join(victim, 'lock'), 'ERR_LOCK_FILE_IO', 'ENOTDIR'],
    ['whose last part is too long', join(place, 'x'.repeat(300)), 'ERR_LOCK_FILE_IO', 'ENAMETOOLONG'],
    ['of 4,096 bytes', `/${'x/'.repeat(2_047)}x`, 'ERR_LOCK_FILE_IO'],
    ['of 100,000 bytes', `/${'x'.repeat(99_999)}`, 'ERR_LOCK_FILE_IO', 'ENAMETOOLONG'],
  ]) {
    test(`${what} is refused, says why, and leaves everything as it is`, () => {
      const before = listed(place)
      const error = thrown(() => hostLock(path))
      assert.ok(error instanceof ChainlockError)
      assert.equal(error.code, code, error.message)
      if (errno) assert.equal(error.errno, errno)
      assert.equal(typeof error.path, 'string')
      assert.ok(error.message.length > 20, error.message)
      assert.deepEqual(listed(place), before)
      assert.equal(fs.readFileSync(victim, 'utf8'), 'precious')
    })
  }

  test('relative to the working directory is the same file', async () => {
    const { stdout } = await runNode(({ chainlock, data }) => {
      process.chdir(data)
      const lock = chainlock.hostLock('./relative.lock')
      process.chdir('/')
      lock.close()
      const guard = lock.tryAcquire()
      console.log(JSON.stringify([lock.name, lock.path, guard.path]))
    }, folder)
    assert.deepEqual(JSON.parse(stdout), ['./relative.lock', join(folder, 'relative.lock'), join(folder, 'relative.lock')])
  })
})

describe('a private folder', () => {
  for (const [what, make] of [
    ['that others may look into', (path) => { fs.mkdirSync(path); fs.chmodSync(path, 0o755) }],
    ['that is a symbolic link', (path) => fs.symlinkSync(folder, path)],
    ['that is a file', (path) => fs.writeFileSync(path, '')],
  ]) {
    test(`${what} is refused`, async () => {
      const home = fs.mkdtempSync(join(folder, 'home-'))
      make(join(home, 'chainlock'))
      const before = listed(home)
      const { stdout } = await runNode(({ chainlock }) => {
        try {
          chainlock.hostLock('x')
        } catch ({ code, path, message }) {
          console.log(JSON.stringify({ code, path, message }))
        }
      }, null, { env: { XDG_RUNTIME_DIR: home } })
      const { code, path, message } = JSON.parse(stdout)
      assert.match(code, /^ERR_LOCK_FILE_(UNSAFE|IO)$/)
      assert.equal(path, join(home, 'chainlock'))
      assert.ok(message.includes(path))
      assert.deepEqual(listed(home), before)
    })
  }
})

describe('a guard that is collected while it holds', () => {
  test('is released and reported with its label', async () => {
    const { stdout, code } = await runNode(async ({ chainlock }) => {
      const warnings = []
      process.on('warning', ({ code, message }) => warnings.push({ code, message }))
      const lock = chainlock.hostLock('lost')
      await (async () => {
        await lock.acquire({ label: 'the forgetful' })
      })()
      const held = lock.tryAcquire() === null
      for (let times = 0; times < 500 && warnings.length === 0; times++) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      console.log(JSON.stringify({ held, warnings, next: lock.tryAcquire()?.previousHolderDied, path: lock.path }))
    }, null, { nodeArgs: ['--expose-gc', '--no-warnings', '--no-concurrent-sweeping'] })
    assert.equal(code, 0)
    const { held, warnings, next, path } = JSON.parse(stdout)
    assert.deepEqual([held, warnings.length, warnings[0].code, next], [true, 1, 'CHAINLOCK_GUARD_COLLECTED', null])
    assert.ok(warnings[0].message.includes(path) && warnings[0].message.includes('the forgetful'), warnings[0].message)
  })
})

test('a lock that nobody can reach is closed, and not before its last guard', { skip: !fs.existsSync('/proc/self/fd') && 'there is no /proc' }, async () => {
  const { stdout, code } = await runNode(async ({ chainlock }) => {
    const fs = require('node:fs')
    const path = chainlock.hostLock('unreachable').path
    const isOpen = () => fs.readdirSync('/proc/self/fd').some((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`) === path
      } catch {
        return false
      }
    })
    const collect = async (condition) => {
      for (let times = 0; times < 500 && !condition(); times++) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    let guard = await (async () => chainlock.hostLock('unreachable').acquire())()
    let left = 10
    await collect(() => left-- === 0)
    const held = [guard.check(), isOpen(), guard.release()]
    guard = undefined
    await collect(() => !isOpen())
    console.log(JSON.stringify([...held, isOpen()]))
  }, null, { nodeArgs: ['--expose-gc'] })
  assert.deepEqual([code, JSON.parse(stdout)], [0, [true, true, true, false]])
})

test('a host lock is not to be taken away in front of the kernel', () => {
  const guard = hostLock(freshName()).tryAcquire()
  assert.equal(chainlock.locks.forceRelease(`-host:${guard.path}`), 0)
  assert.equal(guard.check(), true)
  guard.release()
})

test('nothing of the host locks is loaded before it is used', async () => {
  const { stdout } = await runNode(({ chainlock }) => {
    const loaded = () => Object.keys(require.cache).filter((path) => /lib.host/.test(path)).length
    const before = loaded()
    void chainlock.hostLock
    console.log(JSON.stringify([before, loaded() > 0]))
  })
  assert.deepEqual(JSON.parse(stdout), [0, true])
})
