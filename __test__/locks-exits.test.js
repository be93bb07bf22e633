// What named locks mean for the life of a process or a worker: a request in line keeps it alive, a hold does not,
// and every way to end works with both under way.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { runNode, startNode, said } = require('./helpers/processes')

const AT_ONCE = 3
/** Who has not ended by then never will, however busy the machine is. */
const HANGS_MS = 120_000

describe('a request in line', { concurrency: AT_ONCE }, () => {
  test('keeps the process alive until it is granted, timed out or aborted', async () => {
    const { code, stdout, stderr } = await runNode(({ chainlock: { locks } }) => {
      const guard = locks.tryAcquire('a')
      setTimeout(() => guard.release(), 100).unref()
      locks.acquire('a', { timeoutMs: 20_000 }).then((mine) => {
        console.log('granted')
        locks.acquire('a', { timeoutMs: 30 }).catch((error) => {
          console.log(error.code)
          const controller = new AbortController()
          locks.acquire('a', { signal: controller.signal }).catch(({ name }) => console.log(name, mine.check()))
          setTimeout(() => controller.abort(), 30).unref()
        })
      })
    })
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'granted\nERR_LOCK_TIMEOUT\nAbortError true\n', stderr: '' })
  })

  test('of each face keeps it alive', async () => {
    for (const ask of [
      (locks) => locks.withLock('a', () => console.log('ran')),
      (locks) => locks.withRead('a', () => console.log('ran')),
      (locks) => locks.request('a', () => console.log('ran')),
      (locks) => locks.lock('a').run(() => console.log('ran')),
      (locks) => locks.acquireAll(['b', 'a']).then(() => console.log('ran')),
      (locks) => locks.semaphore('s', 1).run(() => console.log('ran')),
    ]) {
      const { code, stdout } = await runNode(({ chainlock: { locks }, data }) => {
        const guards = [locks.tryAcquire('a'), locks.semaphore('s', 1).tryAcquire()]
        new Function('locks', `(${data})(locks)`)(locks)
        setTimeout(() => guards.forEach((guard) => guard.release()), 50).unref()
      }, String(ask))
      assert.deepEqual({ code, stdout }, { code: 0, stdout: 'ran\n' }, String(ask))
    }
  })

  test('with ref: false does not, unless another does', async () => {
    const { code, stdout, hung } = await runNode(({ chainlock: { locks } }) => {
      globalThis.kept = locks.tryAcquire('a')
      locks.acquire('a', { timeoutMs: Infinity, ref: false }).then(() => console.log('not this'))
      locks.request('a', { ref: false }, () => console.log('nor this'))
      locks.acquire('a', { timeoutMs: 30 }).catch((error) => console.log(error.code))
    }, null, { limitMs: HANGS_MS })
    assert.deepEqual({ code, stdout, hung }, { code: 0, stdout: 'ERR_LOCK_TIMEOUT\n', hung: false })
  })

  test('with ref: false is granted like any other while something else keeps the loop', async () => {
    const { stdout } = await runNode(({ chainlock: { locks } }) => {
      const guard = locks.tryAcquire('a')
      // Kept until the grant, not for a time: on a busy machine that may be over when the grant is heard of.
      const loop = setTimeout(() => {}, 30_000)
      locks.acquire('a', { ref: false }).then(() => {
        console.log('granted')
        clearTimeout(loop)
      })
      setTimeout(() => guard.release(), 20)
    })
    assert.equal(stdout, 'granted\n')
  })

  test('with top-level await ends as a program that waits: not with code 13', async () => {
    const { code, stdout } = await runNode(({ chainlock: { locks } }) => {
      const { Worker } = require('node:worker_threads')
      const packagePath = Object.keys(require.cache).find((name) => name.endsWith('index.js'))
      const source = `
        import { createRequire } from 'node:module'
        const { locks } = createRequire(${JSON.stringify(packagePath)})(${JSON.stringify(packagePath)})
        console.log('asks')
        await locks.request('a', () => console.log('granted'))`
      const guard = locks.tryAcquire('a')
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`))
      worker.on('exit', (exit) => console.log('worker', exit))
      const look = setInterval(() => {
        if (locks.getLockStatus('a').waiters.length === 0) return
        clearInterval(look)
        setTimeout(() => guard.release(), 50)
      }, 5)
    })
    // What a worker prints comes through the main thread, which may hear of its end before.
    assert.deepEqual({ code, lines: stdout.trim().split('\n').sort() }, { code: 0, lines: ['asks', 'granted', 'worker 0'] })
  })
})

describe('a hold', { concurrency: AT_ONCE }, () => {
  for (const [what, take] of Object.entries({
    'of a guard': (locks) => locks.tryAcquire('a'),
    'whose signal is watched': (locks) => locks.tryAcquire('a').signal.addEventListener('abort', () => {}),
    'of a callback that never ends': (locks) => locks.withLock('a', () => new Promise(() => {})),
    'of a request that never ends': (locks) => locks.request('a', () => new Promise(() => {})),
    'of permits': (locks) => locks.semaphore('s', 2).tryAcquire(),
    'that was waited for': (locks) => {
      const guard = locks.tryAcquire('a')
      locks.acquire('a')
      guard.release()
    },
    'behind a lock, a handle and a mutex': (locks, { Mutex }) => {
      locks.lock('a').tryAcquire()
      new Mutex().acquire()
    },
  })) {
    test(`${what} does not keep the process alive`, async () => {
      const { code, hung, stderr } = await runNode(({ chainlock, data }) => {
        new Function('locks', 'chainlock', `(${data})(locks, chainlock)`)(chainlock.locks, chainlock)
      }, String(take), { limitMs: HANGS_MS })
      assert.deepEqual({ code, hung, stderr }, { code: 0, hung: false, stderr: '' })
    })
  }
})

/** What the process has under way when it ends. */
const STATES = {
  held: (locks) => locks.tryAcquire('a'),
  waiting: (locks) => {
    locks.tryAcquire('a')
    locks.acquire('a', { timeoutMs: Infinity })
    locks.withRead('a', { timeoutMs: 50_000 }, () => {})
  },
  'in callbacks': (locks) => {
    locks.withLock('a', () => locks.withAll(['b', 'c'], () => new Promise(() => {})))
    locks.request('d', () => new Promise(() => {}))
  },
}
const WAYS = {
  'process.exit': { run: () => process.exit(7), code: 7 },
  throw: { run: () => { throw new Error('of the user') }, code: 1, stderr: /of the user/ },
  rejection: { run: () => { Promise.reject(new Error('of the user')) }, code: 1, stderr: /of the user/ },
  SIGTERM: { signal: 'SIGTERM' },
  SIGKILL: { signal: 'SIGKILL' },
}

describe('F10: process exits', { concurrency: AT_ONCE }, () => {
  for (const [wayName, way] of Object.entries(WAYS)) {
    for (const [stateName, state] of Object.entries(STATES)) {
      test(`${wayName}, ${stateName}`, async () => {
        const started = startNode(({ chainlock: { locks }, data: { state, run } }) => {
          new Function('locks', `(${state})(locks)`)(locks)
          setImmediate(() => {
            if (run) new Function(`(${run})()`)()
            setInterval(() => {}, 1_000)
            console.log('ready')
          })
        }, { state: String(state), run: way.run && String(way.run) })
        const timer = setTimeout(() => started.child.kill('SIGKILL'), HANGS_MS)
        if (way.signal) {
          await said(started, 'ready')
          started.child.kill(way.signal)
        }
        const { code, signal, stderr } = await started.ended
        clearTimeout(timer)
        assert.equal(signal, way.signal ?? null, stderr)
        if (way.code) assert.equal(code, way.code, stderr)
        assert.match(stderr, way.stderr ?? /^$/)
        assert.doesNotMatch(stderr, /chainlock|panicked|napi/i)
      })
    }
  }

  test('a process that ends while its workers hold, wait and stand still ends at once', async () => {
    for (const way of ['process.exit(5)', 'throw new Error("of the user")']) {
      const { hung, code } = await runNode(({ data }) => {
        const { Worker } = require('node:worker_threads')
        const packagePath = Object.keys(require.cache).find((name) => name.endsWith('index.js'))
        const source = `
          const { workerData, parentPort, threadId } = require('node:worker_threads')
          const { locks } = require(workerData)
          if (threadId % 2) for (;;) locks.acquireSync('a', { timeoutMs: Infinity }).release()
          ;(async () => { for (;;) await locks.withLock('a', { timeoutMs: Infinity }, async () => {}) })()`
        let online = 0
        for (let count = 0; count < 4; count++) {
          new Worker(source, { eval: true, workerData: packagePath }).on('online', () => {
            if (++online === 4) setTimeout(() => new Function(data)(), 50)
          })
        }
      }, way, { limitMs: HANGS_MS })
      assert.equal(hung, false)
      assert.equal(code, way.includes('exit') ? 5 : 1)
    }
  })
})
