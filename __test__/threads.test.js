// One lock per process: for the main thread, for workers, vm contexts and module registries, for CommonJS and
// ES modules, for a second copy of the package; and in the order of asking over all of them.
'use strict'

const { test, describe, beforeEach, afterEach } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const vm = require('node:vm')
const { root, freshProcessLock, chainlock, deep } = require('./helpers/package')
const { startWorker, runWorker, message, exited } = require('./helpers/threads')
const { until } = require('./helpers/waiting')

let keepAlive
beforeEach(() => {
  keepAlive = setInterval(() => {}, 1_000)
  freshProcessLock({ cooldownMs: 0 })
})
afterEach(() => {
  clearInterval(keepAlive)
  freshProcessLock()
})

/** Takes the lock by one copy and looks at it by the other. */
function assertOneLock(one, other) {
  const { guard } = one.trySend('e2e-executor')
  assert.equal(other.isSendLocked(), true)
  assert.equal(other.getLockStatus().token, guard.token)
  assert.equal(other.tryAcquireSendLock('window-monitor'), false)
  assert.equal(other.releaseSendLock('e2e-executor', guard.token), true)
  assert.equal(guard.check(), false)
  const back = other.trySend('window-monitor').guard
  assert.ok(back.token > guard.token)
  assert.equal(one.isSendLocked(), true)
  assert.equal(back.release(), true)
}

/** The package loaded again, as a module registry of a test framework does. */
function loadedAgain() {
  const saved = {}
  for (const file of Object.keys(require.cache).filter((name) => name.startsWith(path.join(root, 'lib')) || name === path.join(root, 'index.js'))) {
    saved[file] = require.cache[file]
    delete require.cache[file]
  }
  const again = require(root)
  Object.assign(require.cache, saved)
  return again
}

function copyOfThePackage(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-copy-'))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  for (const name of ['index.js', 'lib', 'package.json']) fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
  return folder
}

describe('one lock for', () => {
  test('a module registry that loads the package again', () => {
    const again = loadedAgain()
    assert.notEqual(again.tryAcquireSendLock, chainlock.tryAcquireSendLock)
    assertOneLock(chainlock, again)
    assert.throws(() => again.trySend(null), chainlock.ChainlockError)
  })

  test('a vm context', () => {
    const context = vm.createContext({ require, root, process })
    const inside = vm.runInContext('const chainlock = require(root); ({ trySend: (...a) => chainlock.trySend(...a), ...chainlock })', context)
    assertOneLock(chainlock, inside)
  })

  test('a vm context that evaluates the modules itself', () => {
    const context = vm.createContext({ process, performance, setTimeout, clearTimeout, AbortController, queueMicrotask })
    const cache = {}
    const load = (file) => {
      if (cache[file]) return cache[file].exports
      const module = (cache[file] = { exports: {} })
      const wrapped = vm.runInContext(`(function (module, exports, require, __dirname, __filename) {${fs.readFileSync(file, 'utf8')}\n})`, context)
      const requireFrom = (name) => name.startsWith('.') && !name.endsWith('.node') && !name.includes('binding')
        ? load(require.resolve(path.resolve(path.dirname(file), name)))
        : name.startsWith('.') ? require(path.resolve(path.dirname(file), name)) : require(name)
      wrapped(module, module.exports, requireFrom, path.dirname(file), file)
      return module.exports
    }
    const inside = load(path.join(root, 'index.js'))
    assertOneLock(chainlock, inside)
    assertOneLock(inside, chainlock)
  })

  test('require and import', async () => {
    const imported = await import('../index.js')
    assertOneLock(chainlock, imported)
    assert.equal(imported.default.sharedLock, imported.sharedLock)
    assert.deepEqual(Object.keys(imported).filter((name) => !['default', 'module.exports'].includes(name)).sort(), Object.keys(chainlock).sort())
  })

  test('a second copy of the package at another path', (t) => {
    const copy = require(copyOfThePackage(t))
    assert.notEqual(copy, chainlock)
    assertOneLock(chainlock, copy)
    assertOneLock(copy, chainlock)
    assert.throws(() => copy.trySend(null), (error) => error instanceof chainlock.ChainlockError)
    assert.deepEqual(copy.configureSendLock({ cooldownMs: 123 }), chainlock.configureSendLock({}))
  })

  test('a worker with a second copy, which waits in the same line', async (t) => {
    const { guard } = chainlock.trySend('e2e-executor')
    const worker = startWorker(async ({ chainlock, port }) => {
      const { holder } = chainlock.trySend('window-monitor')
      port.postMessage(holder.token)
      const guard = await chainlock.acquireSendLock('window-monitor')
      port.postMessage(guard.token)
      guard.release()
    }, null, { packagePath: copyOfThePackage(t) })
    assert.equal(await message(worker), guard.token)
    await until(() => chainlock.getLockStatus().waiters === 1, 'the copy is in line')
    guard.release()
    assert.equal(await message(worker), guard.token + 1)
    await exited(worker)
  })

  test('nested calls through a second copy and through a registry that loaded it again', async (t) => {
    const copies = [require(copyOfThePackage(t)), loadedAgain()]
    await chainlock.withSendLock('chain-loop-monitor', async (outer) => {
      for (const copy of copies) {
        const { guard } = copy.trySend('e2e-executor')
        assert.equal(guard.joined, true)
        assert.equal(guard.token, outer.token)
        assert.equal(chainlock.trySend('window-monitor').acquired, false, 'the copies know of each other’s frames')
        guard.release()
      }
    })
  })

  test('all threads, with settings that are visible at once', async () => {
    const worker = startWorker(({ chainlock, port }) => {
      port.on('message', (settings) => port.postMessage(chainlock.configureSendLock(settings)))
      port.postMessage(chainlock.configureSendLock({}))
    })
    assert.equal((await message(worker)).cooldownMs, 0)
    const changed = { cooldownMs: 5, timeoutMs: 6, forceReleaseMs: 7_000, historyLimit: 8, dedupWindowMs: 9, layers: ['test-layer', 'one'], cooldownFrom: 'release', onTimeout: 'release' }
    chainlock.configureSendLock(changed)
    worker.postMessage({})
    assert.deepEqual(await message(worker), changed)
    worker.postMessage({ layers: 'any' })
    await message(worker)
    assert.equal(chainlock.configureSendLock({}).layers, 'any')
    await worker.terminate()
  })
})

describe('between threads', () => {
  test('a release needs the thread that took the lock, or its token', async () => {
    const worker = startWorker(({ chainlock, port, workerThreads }) => {
      const { guard } = chainlock.trySend('window-monitor')
      port.postMessage({ token: guard.token, threadId: workerThreads.threadId })
      port.once('message', () => port.postMessage([guard.check(), guard.release(), chainlock.getMetrics().lateReleases]))
    })
    const { token, threadId } = await message(worker)
    assert.equal(chainlock.trySend('e2e-executor').holder.threadId, threadId)
    assert.equal(chainlock.getLockStatus().threadId, threadId)
    assert.equal(chainlock.releaseSendLock('window-monitor'), false, 'the same layer, but another thread')
    assert.equal(chainlock.releaseSendLock('window-monitor', token + 1), false)
    assert.equal(chainlock.releaseSendLock('e2e-executor', token), false)
    assert.equal(chainlock.isSendLocked(), true)
    assert.equal(chainlock.releaseSendLock('window-monitor', token), true)
    worker.postMessage('look')
    assert.deepEqual(await message(worker), [false, false, 0])
    await exited(worker)
  })

  test('a force release aborts the signal of a holder in another thread', async () => {
    const worker = startWorker(({ chainlock, port }) => {
      const { guard } = chainlock.trySend('window-monitor')
      const keepAlive = setInterval(() => {}, 1_000)
      guard.signal.addEventListener('abort', () => {
        port.postMessage([guard.signal.reason.code, guard.check(), guard.release(), chainlock.getMetrics().lateReleases])
        clearInterval(keepAlive)
      })
      port.postMessage('held')
    })
    await message(worker)
    const told = message(worker)
    assert.equal(chainlock.forceReleaseLock('main'), true)
    assert.deepEqual(await told, ['ERR_LOCK_LOST', false, false, 1])
    await exited(worker)
  })

  test('the line is one: first come, first served over four threads', async () => {
    const order = new Int32Array(new SharedArrayBuffer(4 * 401))
    const first = await chainlock.acquireSendLock('e2e-executor')
    const workers = Array.from({ length: 4 }, (_, number) => startWorker(({ chainlock, port, data: { order, number } }) => {
      port.on('message', (message) => {
        if (message === 'ask') {
          chainlock.withSendLock('window-monitor', () => {
            const place = Atomics.add(order, 0, 1)
            order[1 + place] = number
          }).then(() => port.postMessage('served'))
          port.postMessage('asked')
        } else port.close()
      })
      port.postMessage('ready')
    }, { order, number }))
    await Promise.all(workers.map(message))
    let served = 0
    for (const worker of workers) worker.on('message', (what) => (served += Number(what === 'served')))
    const asked = []
    for (let turn = 0; turn < 200; turn++) {
      // No pattern that a queue per thread would keep, too.
      const number = (turn * 7 + Math.floor(turn / 3)) % 4
      asked.push(number)
      workers[number].postMessage('ask')
      await until(() => chainlock.getLockStatus().waiters === turn + 1, 'it is in line')
    }
    first.release()
    await until(() => served === 200, 'all are served')
    assert.deepEqual([...order.subarray(1, 201)], asked)
    for (const worker of workers) worker.postMessage('end')
    await Promise.all(workers.map(exited))
  })

  test('exclusion: an unprotected counter, through the fast path', async (t) => {
    const [WORKERS, ROUNDS] = [2, deep(5_000_000, 500_000)]
    const cells = new Int32Array(new SharedArrayBuffer(8))
    const started = performance.now()
    await Promise.all(Array.from({ length: WORKERS }, () => runWorker(({ chainlock, data: { cells, rounds } }) => {
      const { tryAcquireSendLock, releaseSendLock } = chainlock
      for (let round = 0; round < rounds; ) {
        if (!tryAcquireSendLock('window-monitor')) continue
        // Long enough inside that a second one would be caught there.
        const read = cells[0]
        for (let spin = 0; spin < 200; spin++) cells[1] = spin
        cells[0] = read + 1
        round++
        releaseSendLock('window-monitor')
      }
    }, { cells, rounds: ROUNDS })))
    t.diagnostic(`exclusion: ${WORKERS * ROUNDS} turns of ${WORKERS} threads in ${((performance.now() - started) / 1_000).toFixed(1)} s, exact`)
    assert.equal(cells[0], WORKERS * ROUNDS)
    assert.equal(chainlock.getMetrics().totalAcquisitions, WORKERS * ROUNDS)
  })

  test('exclusion: an unprotected counter, through withSendLock', async (t) => {
    const [WORKERS, ROUNDS] = [2, deep(500_000, 25_000)]
    const cells = new Int32Array(new SharedArrayBuffer(8))
    const started = performance.now()
    await Promise.all(Array.from({ length: WORKERS }, () => runWorker(async ({ chainlock, data: { cells, rounds } }) => {
      for (let round = 0; round < rounds; round++) {
        await chainlock.withSendLock('window-monitor', async () => {
          const read = cells[0]
          await undefined
          cells[0] = read + 1
        })
      }
    }, { cells, rounds: ROUNDS })))
    const seconds = (performance.now() - started) / 1_000
    t.diagnostic(`exclusion: ${WORKERS * ROUNDS} grants of withSendLock in ${seconds.toFixed(1)} s, exact`)
    assert.equal(cells[0], WORKERS * ROUNDS)
  })

  test('at cooldown 0 nobody is ever refused for the cooldown', async (t) => {
    const ROUNDS = deep(4_000_000, 400_000)
    const LAYERS = ['e2e-executor', 'window-monitor']
    const refused = await Promise.all(LAYERS.map((layer) => runWorker(({ chainlock, port, data: { layer, rounds } }) => {
      let cooldowns = 0
      for (let round = 0; round < rounds; round++) {
        const attempt = chainlock.trySend(layer)
        if (attempt.acquired) attempt.guard.release()
        else if (attempt.reason === 'cooldown') cooldowns++
      }
      port.postMessage(cooldowns)
    }, { layer, rounds: ROUNDS })))
    const { held, cooldown } = chainlock.getMetrics().refusedByReason
    t.diagnostic(`cooldown 0: ${2 * ROUNDS} attempts of 2 threads, ${held} refused as held, ${cooldown} for the cooldown`)
    assert.deepEqual(refused.flat(), [0, 0])
    assert.equal(cooldown, 0)
  })
})
