// Loads chainlock by require and uses it: prints what it saw as JSON.
const { Worker } = require('node:worker_threads')
const chainlock = require('chainlock')

chainlock.configureSendLock({ cooldownMs: 0 })
const taken = chainlock.tryAcquireSendLock('e2e-executor')
const source = `
  const { trySend } = require(${JSON.stringify(require.resolve('chainlock'))})
  const { acquired, reason, holder } = trySend('window-monitor')
  require('node:worker_threads').parentPort.postMessage({ acquired, reason, layerId: holder?.layerId })
`
const worker = new Worker(source, { eval: true })
worker.on('message', (fromWorker) => {
  const released = chainlock.releaseSendLock('e2e-executor')
  console.log(JSON.stringify({ node: process.versions.node, version: chainlock.version, taken, fromWorker, released }))
})
