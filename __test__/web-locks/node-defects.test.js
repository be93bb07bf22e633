// The defects of the Web Locks that Node.js itself has, as of its versions 24 and 26, each by its letter: none of
// them is here. (h) and (i), which are about long lines, are in long-lines.alone.test.js.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { AsyncLocalStorage } = require('node:async_hooks')
const { root, deep } = require('../helpers/package')
const { runNode } = require('../helpers/processes')
const { runWorker } = require('../helpers/threads')
const { turn } = require('../helpers/waiting')
const { locks, freshName, deferred, hold, standing, untilStanding, rejectsWith, neverRuns, withPeers } = require('./stage')

const LIMIT = { timeout: deep(3_000_000, 240_000) }
const shared = { mode: 'shared' }

/** Asks as often as `data.rounds` says, four requests at a time, and counts what it sees in shared memory. */
async function contend({ chainlock: { locks }, data: { name, memory, rounds, sharedEvery } }) {
  const [WRITERS, READERS, OVERLAPS, TOTAL] = [0, 1, 2, 3]
  const cells = new Int32Array(memory)
  const write = () => {
    const alone = Atomics.add(cells, WRITERS, 1) === 0 && Atomics.load(cells, READERS) === 0
    if (!alone) Atomics.add(cells, OVERLAPS, 1)
    // In two steps, so that two at a time lose one.
    const seen = cells[TOTAL]
    for (let spin = 0; spin < 20; spin++) Atomics.load(cells, READERS)
    cells[TOTAL] = seen + 1
    Atomics.sub(cells, WRITERS, 1)
  }
  const read = () => {
    Atomics.add(cells, READERS, 1)
    if (Atomics.load(cells, WRITERS) !== 0) Atomics.add(cells, OVERLAPS, 1)
    Atomics.sub(cells, READERS, 1)
  }
  let round = 0
  const four = Array.from({ length: 4 }, async () => {
    while (round < rounds) {
      const mine = round++
      const reads = sharedEvery > 0 && mine % sharedEvery === 0
      // Every second callback ends at once, the others in a later microtask.
      const body = mine % 2 ? async () => (reads ? read() : write()) : () => void (reads ? read() : write())
      await locks.request(name, { mode: reads ? 'shared' : 'exclusive' }, body)
    }
  })
  await Promise.all(four)
}

describe('(a) between threads', () => {
  for (const { title, threads, sharedEvery } of [
    { title: 'two threads never hold an exclusive lock at once, and no update is lost', threads: 2, sharedEvery: 0 },
    { title: 'nor do four', threads: 4, sharedEvery: 0 },
    { title: 'no reader is inside together with a writer', threads: 3, sharedEvery: 2 },
  ]) {
    test(title, LIMIT, async () => {
      const rounds = deep(1_000_000, 20_000)
      const memory = new SharedArrayBuffer(16)
      const data = { name: freshName('counter'), memory, rounds, sharedEvery }
      await Promise.all(Array.from({ length: threads }, () => runWorker(contend, data)))
      const [, , overlaps, total] = new Int32Array(memory)
      const written = threads * (sharedEvery > 0 ? rounds - Math.ceil(rounds / sharedEvery) : rounds)
      assert.deepEqual({ overlaps, total }, { overlaps: 0, total: written })
    })
  }
})

/** Has a lock stolen between this thread and another, again and again; prints how the losers were told. */
async function stealing({ chainlock: { locks }, data: { root, thief, rounds } }) {
  const { Worker } = require('node:worker_threads')
  const describeLoss = (error) => [error instanceof DOMException, error instanceof Error, error.name, error.code]
  const program = `
    const { parentPort, workerData: { name } } = require('node:worker_threads')
    const { locks } = require(${JSON.stringify(root)})
    const describeLoss = ${describeLoss}
    const hold = () => (parentPort.postMessage('has it'), new Promise(() => {}))
    parentPort.on('message', (steal) => {
      locks.request(name, { steal }, hold).catch((error) => parentPort.postMessage(describeLoss(error)))
    })`
  const losses = []
  for (let round = 0; round < rounds; round++) {
    const name = `loot ${round}`
    const worker = new Worker(program, { eval: true, workerData: { name } })
    const heard = () => new Promise((resolve) => worker.once('message', resolve))
    if (thief === 'worker') {
      let lost
      await new Promise((granted) => {
        lost = locks.request(name, () => (granted(), new Promise(() => {}))).catch(describeLoss)
      })
      worker.postMessage(true)
      await heard()
      losses.push(await lost)
    } else {
      const has = heard()
      worker.postMessage(false)
      await has
      const loss = heard()
      await locks.request(name, { steal: true }, () => {})
      losses.push(await loss)
    }
    await worker.terminate()
  }
  console.log(JSON.stringify(losses))
}

describe('(b) a steal across threads', () => {
  for (const [title, thief] of [
    ['by a worker: the main thread gets an AbortError of its own, and the process lives', 'worker'],
    ['by the main thread: the worker gets an AbortError of its own, and the process lives', 'main'],
  ]) {
    test(title, LIMIT, async () => {
      const rounds = deep(200, 10)
      const { stdout, stderr, code, signal } = await runNode(stealing, { root, thief, rounds })
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr)
      assert.deepEqual(JSON.parse(stdout), Array(rounds).fill([true, true, 'AbortError', DOMException.ABORT_ERR]))
    })
  }
})

describe('(c) a pending request keeps its event loop alive', () => {
  /** A worker that holds the lock for a while, and does not keep the process alive itself. */
  const program = async ({ chainlock: { locks }, data: { root } }) => {
    const { Worker } = require('node:worker_threads')
    const source = `
      const { parentPort } = require('node:worker_threads')
      require(${JSON.stringify(root)}).locks.request('busy', () => {
        parentPort.postMessage('has it')
        return new Promise((resolve) => setTimeout(resolve, 50))
      })`
    const worker = new Worker(source, { eval: true })
    await new Promise((resolve) => worker.once('message', resolve))
    worker.unref()
    await locks.request('busy', () => console.log('granted'))
    console.log('and over')
  }

  test('of the main thread', LIMIT, async () => {
    const { stdout, stderr, code } = await runNode(program, { root })
    assert.deepEqual({ stdout, code }, { stdout: 'granted\nand over\n', code: 0 }, stderr)
  })

  test('of a worker thread', LIMIT, async () => {
    const name = freshName()
    const held = await hold(name)
    const waits = async ({ chainlock: { locks }, port, data: { name } }) => {
      await locks.request(name, () => port.postMessage('granted'))
      port.postMessage('and over')
    }
    const worker = runWorker(waits, { name })
    await untilStanding(name, 1, 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await held.release()
    assert.deepEqual(await worker, ['granted', 'and over'])
  })

  test('but a lock that is only held does not', LIMIT, async () => {
    const { stdout, code, hung } = await runNode(({ chainlock: { locks } }) => {
      locks.request('held for ever', () => (console.log('granted'), new Promise(() => {})))
    })
    assert.deepEqual({ stdout, code, hung }, { stdout: 'granted\n', code: 0, hung: false })
  })
})

describe('(d) a callback that throws', () => {
  test('gives the lock back, when it throws at once and when it throws later', LIMIT, async () => {
    const name = freshName()
    const thrown = new Error('of the test')
    for (const options of [{}, shared, { steal: true }, { ifAvailable: true }]) {
      for (const callback of [() => { throw thrown }, async () => { throw thrown }]) {
        await rejectsWith(thrown, locks.request(name, options, callback))
        assert.deepEqual(await standing(name), { held: [], pending: [] })
      }
    }
    const held = await hold(name)
    const failing = locks.request(name, () => { throw thrown })
    const behind = locks.request(name, () => 'behind')
    held.release()
    await rejectsWith(thrown, failing)
    assert.equal(await behind, 'behind')
  })
})

describe('(e) the end of the thread that holds', () => {
  for (const how of ['terminate', 'exit', 'throw']) {
    test(`by ${how}: those who wait in other threads go on, and nobody has to ask for it`, LIMIT, () =>
      withPeers(2, async (holder, other) => {
        const name = freshName()
        await holder.hold(name)
        await holder.request(name)
        const theirs = await other.request(name, shared)
        const mine = locks.request(name, shared, () => 'mine')
        assert.deepEqual((await standing(name)).pending, ['exclusive', 'shared', 'shared'])
        await holder[how]()
        await theirs.granted
        assert.equal(await mine, 'mine')
        await theirs.release()
        assert.deepEqual(await standing(name), { held: [], pending: [] })
      }))
  }

  test('after the grant and before its callback could run: the next one is granted', LIMIT, () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const held = await hold(name)
      await peer.request(name)
      await peer.block(200_000)
      const behind = locks.request(name, () => 'behind')
      await held.release()
      await peer.terminate()
      assert.equal(await behind, 'behind')
    }))
})

describe('(f) an aborted request', () => {
  test('is out of the line, and what waited behind it goes on', LIMIT, async () => {
    const name = freshName()
    const reader = await hold(name, shared)
    const controller = new AbortController()
    const writer = rejectsWith('of the test', locks.request(name, { signal: controller.signal }, neverRuns))
    const behind = ['one', 'two'].map((who) => locks.request(name, shared, () => who))
    controller.abort('of the test')
    assert.deepEqual((await standing(name)).pending, [])
    assert.deepEqual(await Promise.all(behind), ['one', 'two'])
    await writer
    await reader.release()
  })

  test('leaves no trace, wherever in the line it stood', LIMIT, async () => {
    const name = freshName()
    const held = await hold(name)
    const controllers = Array.from({ length: 100 }, () => new AbortController())
    const log = []
    const ask = (signal, index) => locks.request(name, { signal }, () => log.push(index)).catch(() => {})
    const asked = controllers.map(({ signal }, index) => ask(signal, index))
    for (let index = 99; index >= 0; index--) if (index % 3) controllers[index].abort()
    assert.equal((await standing(name)).pending.length, 34)
    await held.release()
    await Promise.all(asked)
    assert.deepEqual(log, Array.from({ length: 34 }, (_, index) => index * 3))
    assert.deepEqual(await standing(name), { held: [], pending: [] })
  })
})

describe('(g) query', () => {
  test('shows what every thread holds and waits for', LIMIT, () =>
    withPeers(2, async (one, other) => {
      const name = freshName()
      await one.hold(name, shared)
      await other.hold(name, shared)
      await other.request(name)
      const mine = locks.request(name, shared, () => {})
      const { held, pending } = await locks.query()
      const of = (list) => list.filter((entry) => entry.name === name)
      assert.deepEqual(of(held).map((entry) => entry.mode), ['shared', 'shared'])
      assert.deepEqual(of(pending).map((entry) => entry.mode), ['exclusive', 'shared'])
      assert.equal(new Set([...of(held), ...of(pending)].map((entry) => entry.clientId)).size, 3)
      assert.equal(of(pending)[0].clientId, of(held)[1].clientId)
      await Promise.all([one.terminate(), other.terminate()])
      await mine
    }))
})

describe('(j) a thenable that is no native promise', () => {
  test('is waited for: the lock is held until it settles', LIMIT, async () => {
    const name = freshName()
    const settle = {}
    const thenable = { then: (resolve, reject) => Object.assign(settle, { resolve, reject }) }
    for (const way of ['resolve', 'reject']) {
      const asked = locks.request(name, () => thenable)
      const behind = locks.request(name, () => 'behind')
      await turn()
      assert.deepEqual(await standing(name), { held: ['exclusive'], pending: ['exclusive'] })
      settle[way]('settled')
      if (way === 'resolve') assert.equal(await asked, 'settled')
      else await rejectsWith('settled', asked)
      assert.equal(await behind, 'behind')
    }
  })

  test('may be a function, may lead to another one, may throw, may settle twice', LIMIT, async () => {
    const name = freshName()
    const end = deferred()
    const callable = Object.assign(() => {}, { then: (resolve) => resolve({ then: (inner) => end.promise.then(inner) }) })
    const asked = locks.request(name, () => callable)
    await turn()
    assert.deepEqual((await standing(name)).held, ['exclusive'])
    end.resolve('in the end')
    assert.equal(await asked, 'in the end')
    const thrown = new Error('of then')
    await rejectsWith(thrown, locks.request(name, () => ({ then() { throw thrown } })))
    await rejectsWith(thrown, locks.request(name, () => ({ get then() { throw thrown } })))
    const twice = { then: (resolve, reject) => (resolve(1), reject(2), resolve(3)) }
    assert.equal(await locks.request(name, () => twice), 1)
    assert.equal(await locks.request(name, { ifAvailable: true }, (lock) => lock?.mode), 'exclusive')
  })
})

describe('(k) the AsyncLocalStorage context of the request', () => {
  const storage = new AsyncLocalStorage()
  /** What a callback that asks in the context `who` sees, and what the code after it sees. */
  const seenBy = (name, who, options = {}) =>
    storage.run(who, async () => {
      const inside = await locks.request(name, options, async () => {
        const first = storage.getStore()
        await turn()
        return [first, storage.getStore()]
      })
      return [...inside, storage.getStore()]
    })
  const all = (who) => [who, who, who]

  test('is that of its callback, without a wait and after one', LIMIT, async () => {
    const name = freshName()
    const asked = ['a', 'b', 'c', 'd'].map((who, index) => seenBy(name, who, index % 2 ? shared : {}))
    assert.deepEqual(await Promise.all(asked), ['a', 'b', 'c', 'd'].map(all))
    const victim = seenBy(name, 'victim').catch((error) => error.name)
    const thief = seenBy(name, 'thief', { steal: true })
    assert.deepEqual(await Promise.all([victim, thief]), ['AbortError', all('thief')])
  })

  test('also when another thread lets go, and when a signal lets the line move', LIMIT, () =>
    withPeers(1, async (peer) => {
      const name = freshName()
      const theirs = await peer.hold(name)
      const asked = ['a', 'b'].map((who) => seenBy(name, who))
      await storage.run('who releases', () => theirs.release())
      assert.deepEqual(await Promise.all(asked), ['a', 'b'].map(all))
      const reader = await hold(name, shared)
      const controller = new AbortController()
      const writer = rejectsWith('of the test', locks.request(name, { signal: controller.signal }, neverRuns))
      const behind = seenBy(name, 'behind', shared)
      storage.run('who aborts', () => controller.abort('of the test'))
      await writer
      assert.deepEqual(await behind, all('behind'))
      await reader.release()
    }))
})

describe('(l) the callback', () => {
  test('never runs before request has returned', LIMIT, async () => {
    const name = freshName()
    let within = true
    const asked = []
    const ask = (options) => asked.push(locks.request(name, options, () => assert.equal(within, false)))
    for (const options of [{}, shared, { ifAvailable: true }, { signal: new AbortController().signal }]) ask(options)
    within = false
    await Promise.all(asked)
    within = true
    const stolen = locks.request(name, { steal: true }, () => assert.equal(within, false))
    within = false
    await stolen
  })

  test('nor inside of the call that lets the line move', LIMIT, async () => {
    const name = freshName()
    const reader = await hold(name, shared)
    const controller = new AbortController()
    const writer = rejectsWith('of the test', locks.request(name, { signal: controller.signal }, neverRuns))
    let within = true
    const behind = locks.request(name, shared, () => assert.equal(within, false))
    controller.abort('of the test')
    within = false
    await behind
    await writer
    await reader.release()
  })
})
