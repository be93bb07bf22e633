// The process registry under many threads: no change is lost, no state is torn, listeners in other threads hear, and
// what a worker leaves has failed.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { registry } = require('chainlock')
const { until } = require('./helpers/waiting')
const { runNode } = require('./helpers/processes')
const { startWorker, message, exited, runWorker } = require('./helpers/threads')

const WORKERS = 8

test('eight workers lose no change, and read whole states', async () => {
  const TURNS = 1_000
  registry.register({ id: 'counter' })
  const work = ({ chainlock: { registry }, data, port, workerThreads }) => {
    const torn = []
    for (let turn = 0; turn < data; turn++) {
      // Each part of a state says the same number.
      const number = workerThreads.threadId * 1e6 + turn + 1
      registry.update('counter', { pid: number, name: `n${number}`, args: [`${number}`], reason: '.'.repeat(number % 60) })
      const { pid, name, args, reason } = registry.get('counter')
      if (name !== `n${pid}` || args[0] !== `${pid}` || (reason ?? '').length !== pid % 60) torn.push([pid, name, args])
    }
    port.postMessage(torn)
  }
  const torn = await Promise.all(Array.from({ length: WORKERS }, () => runWorker(work, TURNS)))
  assert.deepEqual(torn.flat(2), [])
  assert.equal(registry.get('counter').revision, 1 + WORKERS * TURNS)
  registry.remove('counter')
})

test('of eight workers that end a process, one does, and it does not come back', async () => {
  const ids = Array.from({ length: 200 }, (_, index) => `race ${index}`)
  for (const id of ids) registry.register({ id })
  const work = ({ chainlock: { registry }, data, port, workerThreads }) => {
    const won = []
    for (const id of data) {
      try {
        registry.setStatus(id, 'running')
        registry.exit(id, workerThreads.threadId)
        won.push(id)
      } catch (error) {
        if (error.code !== 'ERR_REGISTRY_FINISHED') throw error
      }
    }
    port.postMessage({ won, code: workerThreads.threadId })
  }
  const all = (await Promise.all(Array.from({ length: WORKERS }, () => runWorker(work, ids)))).flat()
  const winners = new Map(all.flatMap(({ won, code }) => won.map((id) => [id, code])))
  assert.equal(all.reduce((sum, { won }) => sum + won.length, 0), ids.length)
  for (const id of ids) {
    const { status, exitCode, endedAt } = registry.get(id)
    assert.deepEqual([status, exitCode], ['failed', winners.get(id)])
    assert.ok(endedAt)
  }
  assert.equal(registry.clearFinished(), ids.length)
})

for (const [how, end] of [
  ['is terminated', (worker) => worker.terminate()],
  ['throws', (worker) => (worker.on('error', () => {}), worker.postMessage('throw'))],
  ['ends by itself', (worker) => worker.postMessage('end')],
]) {
  test(`what a worker has not finished when it ${how} has failed`, async () => {
    registry.register({ id: 'main' })
    const worker = startWorker(({ chainlock: { registry }, port }) => {
      registry.register({ id: 'its' })
      registry.setStatus('its', 'running')
      registry.register({ id: 'its, done' })
      registry.exit('its, done', 0)
      registry.update('main', { name: 'touched by the worker' })
      port.on('message', (word) => {
        port.close()
        if (word === 'throw') throw new Error('on purpose')
      })
      port.postMessage('ready')
    })
    await message(worker)
    assert.equal(registry.get('its').threadId, worker.threadId)
    const heard = []
    const unsubscribe = registry.subscribe(({ entry }) => heard.push(entry))
    end(worker)
    await exited(worker)
    await until(() => heard.length > 0)
    unsubscribe()
    const its = registry.get('its')
    assert.deepEqual([its.status, its.reason, its.exitCode], ['failed', 'thread_exit', null])
    assert.ok(its.endedAt)
    assert.deepEqual(heard, [its])
    assert.deepEqual(['its, done', 'main'].map((id) => registry.status(id)), ['success', 'pending'])
    for (const id of ['its', 'its, done', 'main']) registry.remove(id)
  })
}

test('a listener hears what other threads do', async () => {
  const heard = []
  const unsubscribe = registry.subscribe(({ type, entry }) => heard.push(`${type} ${entry.status} ${entry.threadId > 0}`))
  await runWorker(({ chainlock: { registry } }) => {
    registry.register({ id: 'far' })
    registry.exit('far', 0)
    registry.remove('far')
  })
  await until(() => heard.length >= 3)
  unsubscribe()
  assert.deepEqual(heard, ['registered pending true', 'changed success true', 'removed success true'])
})

test('a listener does not keep the process alive', async () => {
  const { code, hung } = await runNode(({ chainlock }) => {
    chainlock.registry.subscribe(() => {})
    chainlock.registry.register({ id: 'a' })
  })
  assert.deepEqual([code, hung], [0, false])
})

test('a full registry refuses, and forgets the oldest finished ones first', async () => {
  const { stdout, stderr } = await runNode(({ chainlock: { registry } }) => {
    let count = 0
    try {
      for (;;) registry.register({ id: `process ${count++}` })
    } catch (error) {
      console.log(error.code, count - 1)
    }
    registry.exit('process 5', 0)
    registry.exit('process 3', 0)
    registry.register({ id: 'one more' })
    console.log(registry.status('process 5'), registry.status('process 3'), registry.list().length)
  })
  assert.equal(stderr, '')
  assert.equal(stdout, 'ERR_REGISTRY_FULL 16384\nnull null 16383\n')
})
