// `scope: 'host'`: one send lock for several processes, with the rules of the process's own one.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const { hostWorld, acquire, release, attempt, status, metrics, force, configure } = require('./helpers/host-world')
const { runNode } = require('./helpers/processes')
const { pause } = require('./helpers/waiting')

const A = 'e2e-executor'
const B = 'window-monitor'
const C = 'chain-loop-monitor'

/** Looks until it is so: for what another process brings about. */
async function until(isSo) {
  for (let look = 0; !(await isSo()); look++) {
    if (look > 3_000) throw new Error(`never: ${isSo}`)
    await pause(10)
  }
}

test('two processes, one lock: held here is held there, with the holder’s pid', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([world.start({ cooldownMs: 0 }), world.start({ cooldownMs: 0 })])
  const token = await one.call(acquire, A)
  const refused = await two.call(attempt, B)
  assert.equal(refused.reason, 'held')
  assert.deepEqual([refused.holder.layerId, refused.holder.pid, refused.holder.threadId, refused.holder.token], [A, one.pid, 0, token])
  const seen = await two.call(status)
  assert.deepEqual([seen.scope, seen.sendingLayerId, seen.pid, seen.token], ['host', A, one.pid, token])
  assert.equal(await two.call(({ chainlock }) => chainlock.isSendLocked()), true)
  assert.equal(await two.call(({ chainlock }, layer) => chainlock.releaseSendLock(layer), A), false, 'not theirs to give')
  assert.equal(await one.call(release), true)
  const next = await two.call(attempt, B)
  assert.equal(next.acquired, true)
  assert.ok(next.token > token, 'tokens grow over processes')
})

test('cooldown and dedup hold over processes, and settings are everybody’s', async (t) => {
  const world = hostWorld(t)
  const one = await world.start({ cooldownMs: 60_000, dedupWindowMs: 60_000, layers: [A, B, 'mine'] })
  const two = await world.start({})
  assert.equal((await two.call(configure, {})).cooldownMs, 60_000, 'who names nothing takes what is in force')
  await one.call(attempt, A, { message: 'hello' })
  await one.call(release)
  assert.equal((await two.call(attempt, B, { message: 'other' })).reason, 'cooldown')
  await two.call(configure, { cooldownMs: 0 })
  assert.equal((await two.call(attempt, B, { message: 'hello' })).reason, 'duplicate_message')
  assert.equal((await one.call(attempt, A, { message: 'hello' })).reason, 'duplicate_message', 'and for its own sender')
  assert.equal((await one.call(configure, {})).cooldownMs, 0, 'changed there is changed here')
  assert.deepEqual((await two.call(configure, {})).layers, [A, B, 'mine'])
  assert.equal((await two.call(attempt, C)).reason, 'unknown_layer')
  assert.equal((await two.call(attempt, 'mine')).acquired, true)
})

test('who waits is served in the order of asking, over three processes', async (t) => {
  const world = hostWorld(t)
  const [one, two, three] = await Promise.all([1, 2, 3].map(() => world.start({ cooldownMs: 0 })))
  await one.call(acquire, A)
  const order = []
  const asked = []
  const waits = [two, three, one, three, two]
  for (const [index, process] of waits.entries()) {
    asked.push(process.call(acquire, B).then(() => order.push(index)))
    await until(async () => (await one.call(status)).waiters === index + 1)
  }
  let holding = one
  for (const [index, process] of waits.entries()) {
    await holding.call(release)
    await asked[index]
    assert.deepEqual(order, [...Array(index + 1).keys()])
    holding = process
  }
})

test('a wait ends by its timeout or its signal, and says who holds in which process', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([1, 2].map(() => world.start({ cooldownMs: 0 })))
  await one.call(acquire, A)
  const error = await two.call(acquire, B, { timeoutMs: 20 }).catch((error) => error)
  assert.deepEqual([error.code, error.position, error.holder.pid], ['ERR_LOCK_TIMEOUT', 1, one.pid])
  assert.match(error.message, new RegExp(`on the main thread of process ${one.pid}`))
  const aborted = await two.call(async ({ chainlock }, layer) => {
    const signal = AbortSignal.timeout(20)
    return chainlock.acquireSendLock(layer, { signal }).catch((reason) => reason === signal.reason)
  }, B)
  assert.equal(aborted, true)
  assert.equal((await one.call(status)).waiters, 0)
})

test('a force release from another process aborts the holder’s signal', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([1, 2].map(() => world.start({ cooldownMs: 0 })))
  await one.call(acquire, A)
  const lost = one.call(({ guards }) => new Promise((resolve) => {
    guards[0].signal.addEventListener('abort', () => resolve(guards[0].signal.reason.code))
  }))
  // Its signal is looked at before anybody forces it.
  await one.call(status)
  assert.equal(await two.call(force, 'told to'), true)
  assert.equal(await lost, 'ERR_LOCK_LOST')
  assert.equal(await one.call(release), false)
  const { forcedByReason, lateReleases } = await two.call(metrics)
  assert.deepEqual([forcedByReason.manual, forcedByReason.process_exit], [1, 0])
  assert.equal(lateReleases, 1)
})

test('the hold of a dead process is free at once, and its waiters are gone', async (t) => {
  const world = hostWorld(t)
  const [one, two, three] = await Promise.all([1, 2, 3].map(() => world.start({ cooldownMs: 0 })))
  await one.call(acquire, A)
  await two.call(({ chainlock, heard }) => void chainlock.sendEvents.on('recovered', (event) => heard.push(event)))
  three.call(acquire, C)
  await until(async () => (await two.call(status)).waiters === 1)
  const waiting = two.call(acquire, B)
  await until(async () => (await two.call(status)).waiters === 2)
  await three.kill()
  await one.kill()
  await waiting
  await until(() => two.call(({ heard }) => heard.length > 0))
  const [event] = await two.call(({ heard }) => heard)
  assert.deepEqual([event.layerId, event.reason], [A, 'process_exit'])
  const { forcedByReason, waits } = await two.call(metrics)
  assert.deepEqual([forcedByReason.process_exit, forcedByReason.thread_exit, waits], [1, 0, 2])
  assert.equal((await two.call(status)).waiters, 0)
})

test('a thread that ends in another process gives its hold back, and that process goes on', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([1, 2].map(() => world.start({ cooldownMs: 0 })))
  const before = await one.call(async ({ chainlock, require }, layer) => {
    const { Worker } = require('node:worker_threads')
    const path = Object.keys(require.cache).find((name) => name.endsWith('index.js') && require.cache[name].exports === chainlock)
    const worker = new Worker(`require(${JSON.stringify(path)}).acquireSendLock(${JSON.stringify(layer)}).then(() => require('node:worker_threads').parentPort.postMessage(1)); setInterval(() => {}, 1e6)`, { eval: true })
    await new Promise((resolve) => worker.once('message', resolve))
    const { threadId } = chainlock.getLockStatus()
    setTimeout(() => worker.terminate(), 20)
    return threadId
  }, A).catch((error) => error)
  assert.equal(typeof before, 'number', String(before))
  assert.ok(before > 0, 'a worker of a process that shares the lock shares it as well')
  await two.call(acquire, B)
  assert.equal((await two.call(metrics)).forcedByReason.thread_exit, 1)
})

test('counts, layers, history and events are those of all processes together', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([1, 2].map(() => world.start({ cooldownMs: 0 })))
  await two.call(({ chainlock, heard }) => {
    for (const name of ['acquired', 'released']) chainlock.sendEvents.on(name, ({ layerId }) => heard.push(`${name} ${layerId}`))
  })
  const rounds = ({ chainlock }, layer, count) => {
    for (let n = 0; n < count; n++) if (chainlock.tryAcquireSendLock(layer)) chainlock.releaseSendLock(layer)
  }
  await one.call(rounds, A, 30)
  await two.call(rounds, B, 20)
  const both = await Promise.all([one.call(metrics), two.call(metrics)])
  for (const { scope, totalAcquisitions, totalReleases, layers, recentActivity } of both) {
    assert.deepEqual([scope, totalAcquisitions, totalReleases], ['host', 50, 50])
    assert.deepEqual([layers[A].acquisitions, layers[B].releases], [30, 20])
    assert.equal(recentActivity.at(-1).layerId, B)
  }
  await until(() => two.call(({ heard }) => heard.length === 100))
  const heard = await two.call(({ heard }) => heard)
  assert.deepEqual(heard.slice(58, 62), [`acquired ${A}`, `released ${A}`, `acquired ${B}`, `released ${B}`])
  await one.call(({ chainlock }) => chainlock.resetMetrics())
  assert.equal((await two.call(metrics)).totalAcquisitions, 0)
})

test('nested calls join inside of a process, and withSendLock works as ever', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([1, 2].map(() => world.start({ cooldownMs: 0 })))
  const holding = one.call(async ({ chainlock }, a, b) => chainlock.withSendLock(a, async () => {
    const inner = chainlock.trySend(b)
    await new Promise((resolve) => setTimeout(resolve, 50))
    return [inner.acquired, inner.guard.joined]
  }), A, B)
  await until(async () => (await two.call(status)).sendingLayerId === A)
  assert.equal((await two.call(attempt, B)).reason, 'held')
  assert.deepEqual(await holding, [true, true])
  assert.equal((await two.call(attempt, B)).acquired, true)
})

test('a layer that this process knew by a number before it joined is the same layer after', async (t) => {
  const world = hostWorld(t)
  await world.start({ cooldownMs: 0, layers: ['x', 'y', 'p', 'q'] })
  const one = await world.start()
  const [before, after, joined] = await one.call(({ chainlock }, a, b) => {
    const pair = (layer) => [chainlock.tryAcquireSendLock(layer), chainlock.getLockStatus().sendingLayerId, chainlock.releaseSendLock(layer)]
    chainlock.configureSendLock({ cooldownMs: 0, layers: [a, b] })
    const before = [pair(a), pair(b), pair(a)]
    chainlock.configureSendLock({ scope: 'host' })
    return [before, [pair(a), pair(b), pair(a)], Object.keys(chainlock.getMetrics().layers)]
  }, 'p', 'q')
  assert.deepEqual(before, [[true, 'p', true], [true, 'q', true], [true, 'p', true]])
  assert.deepEqual(after, before)
  assert.deepEqual(joined.slice(-4), ['x', 'y', 'p', 'q'])
})

/** Stops a process outside of its operations: one that is stopped in the middle is in everybody's way, and told so. */
async function stopped(process, ask) {
  for (;;) {
    process.signal('SIGSTOP')
    try {
      return await ask()
    } catch (error) {
      if (error.code !== 'ERR_LOCK_BUSY') throw error
    }
    process.signal('SIGCONT')
  }
}

test('a timeout takes the lock from a process that is stopped', async (t) => {
  const world = hostWorld(t)
  const settings = { cooldownMs: 0, timeoutMs: 100, onTimeout: 'release' }
  const [one, two] = await Promise.all([1, 2].map(() => world.start(settings)))
  await one.call(acquire, A)
  await stopped(one, () => two.call(acquire, B))
  assert.equal((await two.call(metrics)).forcedByReason.timeout, 1)
  await two.call(release)
  one.signal('SIGCONT')
  assert.equal(await one.call(release), false, 'it knows when it goes on')
})

test('a timeout is seen though nobody asks and its process is stopped', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all([1, 2].map(() => world.start({ cooldownMs: 0, timeoutMs: 50, onTimeout: 'release' })))
  await two.call(({ chainlock, heard }) => void chainlock.sendEvents.on('forced', ({ reason }) => heard.push(reason)))
  await one.call(acquire, A)
  await stopped(one, () => two.call(({ chainlock }) => chainlock.getLockStatus().pid))
  await until(() => two.call(({ heard }) => heard.length === 1))
  one.signal('SIGCONT')
})

test('names keep locks apart', async (t) => {
  const world = hostWorld(t)
  const [one, two] = await Promise.all(['left', 'right'].map((name) => world.start({ name, cooldownMs: 0 })))
  await one.call(acquire, A)
  assert.equal((await two.call(attempt, B)).acquired, true)
  assert.equal(fs.statSync(world.file('left')).mode & 0o777, 0o600)
})

const codeOf = ({ chainlock }, settings) => {
  try {
    chainlock.configureSendLock(settings)
    return null
  } catch (error) {
    return [error.code, error.message]
  }
}

test('wrong options are refused, and nothing is changed', async (t) => {
  const world = hostWorld(t)
  const one = await world.start()
  for (const settings of [
    { scope: 'machine' }, { scope: 'host', name: '' }, { scope: 'host', name: 'a/b' }, { scope: 'host', name: '..' },
    { scope: 'host', name: 'a\0b' }, { scope: 'host', name: 7 }, { scope: 'host', name: 'x'.repeat(201) },
    { name: 'alone' }, { scope: 'process', name: 'alone' }, { scope: 'host', cooldownMs: -1 },
  ]) {
    const [code, message] = await one.call(codeOf, settings)
    assert.equal(code, 'ERR_LOCK_INVALID_ARGUMENT', JSON.stringify(settings))
    assert.match(message, /^configureSendLock: (scope|name|cooldownMs) /)
  }
  assert.equal((await one.call(codeOf, { scope: 'host', nmae: 'x' }))[0], 'ERR_LOCK_UNKNOWN_OPTION')
  assert.equal((await one.call(status)).scope, 'process')
  assert.equal(fs.existsSync(world.file()), false)
  assert.equal(await one.call(codeOf, { scope: 'process' }), null, 'it is that already')
})

test('the scope is set once, while nobody holds or waits, and not for an independent lock', async (t) => {
  const world = hostWorld(t)
  const one = await world.start()
  await one.call(configure, { cooldownMs: 0 })
  await one.call(acquire, A)
  assert.equal((await one.call(codeOf, { scope: 'host' }))[0], 'ERR_LOCK_SCOPE')
  await one.call(release)
  assert.equal(await one.call(codeOf, { scope: 'host' }), null)
  assert.equal(await one.call(codeOf, { scope: 'host' }), null, 'again is no change')
  for (const settings of [{ scope: 'process' }, { scope: 'host', name: 'another' }]) {
    assert.equal((await one.call(codeOf, settings))[0], 'ERR_LOCK_SCOPE')
  }
  const independent = ({ chainlock }) => {
    try {
      new chainlock.SharedLock().configure({ scope: 'host' })
    } catch (error) {
      return error.code
    }
  }
  assert.equal(await one.call(independent), 'ERR_LOCK_SCOPE')
})

test('a directory that others could write, or a file that is none of ours, is refused with its path', async (t) => {
  const world = hostWorld(t)
  const one = await world.start()
  const directory = `${world.directory}/chainlock`
  fs.mkdirSync(directory, { mode: 0o700 })
  fs.chmodSync(directory, 0o777)
  const error = await one.call(configure, { scope: 'host' }).catch((error) => error)
  assert.deepEqual([error.code, error.path], ['ERR_LOCK_FILE_UNSAFE', world.file()])
  fs.chmodSync(directory, 0o700)
  fs.writeFileSync(world.file(), 'x'.repeat(1_000), { mode: 0o600 })
  assert.equal((await one.call(codeOf, { scope: 'host' }))[0], 'ERR_LOCK_FILE_FOREIGN')
  assert.equal(fs.readFileSync(world.file(), 'utf8'), 'x'.repeat(1_000))
  fs.rmSync(world.file())
  assert.equal(await one.call(codeOf, { scope: 'host' }), null)
})

test('a state that was deleted or overwritten under its processes is an error with advice, and no crash', async (t) => {
  const world = hostWorld(t)
  const one = await world.start({ cooldownMs: 0 })
  fs.writeFileSync(world.file(), Buffer.from('garbage'), { flag: 'r+' })
  fs.rmSync(world.file())
  const error = await one.call(attempt, A).catch((error) => error)
  assert.deepEqual([error.code, error.path], ['ERR_LOCK_FILE_IO', world.file()])
  assert.match(error.message, /deleted .*start them again/)
  assert.equal(await one.call(({ chainlock }, layer) => chainlock.tryAcquireSendLock(layer), A), false, 'the drop-in call never throws')
  assert.equal((await one.call(acquire, A).catch((error) => error)).code, 'ERR_LOCK_FILE_IO')
  assert.equal((await one.call(force).catch((error) => error)).code, 'ERR_LOCK_FILE_IO')
})

test('a state that was cut short under its processes ends none of them', async (t) => {
  const world = hostWorld(t)
  const one = await world.start({ cooldownMs: 0 })
  for (const size of [4_096, 0]) {
    fs.truncateSync(world.file(), size)
    // Without an operation: the page is read as it is mapped.
    assert.equal(await one.call(({ chainlock }) => chainlock.isSendLocked()), false)
    const error = await one.call(attempt, A).catch((error) => error)
    assert.match(String(error.code), /^ERR_LOCK_FILE_/, 'and says what is wrong')
  }
})

test('a process that shares the lock ends when it has nothing to do', async (t) => {
  const world = hostWorld(t)
  const { code, hung } = await runNode(({ chainlock }) => {
    chainlock.configureSendLock({ scope: 'host', cooldownMs: 0 })
    chainlock.tryAcquireSendLock('e2e-executor')
  }, null, { env: { XDG_RUNTIME_DIR: world.directory }, limitMs: 60_000 })
  assert.deepEqual({ code, hung }, { code: 0, hung: false })
  const next = await world.start({})
  assert.equal((await next.call(attempt, B)).acquired, true, 'and what it held is free')
})
