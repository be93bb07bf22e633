// Worker threads whose program is a function of the test: it reads where it is used.
'use strict'

const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { root } = require('./package')

/**
 * Starts a worker that runs `program({ chainlock, port, data, workerThreads })`. The function's text is sent,
 * so it sees nothing of the test's own variables.
 * @param {Function} program
 * @param {unknown} [data]
 * @param {{ packagePath?: string, resourceLimits?: object, stderr?: boolean }} [options]
 */
function startWorker(program, data, { packagePath = root, ...options } = {}) {
  const source = `
    const workerThreads = require('node:worker_threads')
    const { data, packagePath } = workerThreads.workerData
    const chainlock = require(packagePath)
    ;(${program})({ chainlock, port: workerThreads.parentPort, data, workerThreads, require })`
  return new Worker(source, { eval: true, workerData: { data, packagePath }, ...options })
}

/** The next message of a worker; an error or an early end of it rejects. */
function message(worker) {
  return new Promise((resolve, reject) => {
    const settle = (how) => (value) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      how(value)
    }
    const onMessage = settle(resolve)
    const onError = settle(reject)
    const onExit = settle((code) => reject(new Error(`the worker ended with ${code} and said nothing`)))
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
  })
}

/** Runs a worker to its end; answers its messages. */
async function runWorker(program, data, options) {
  const worker = startWorker(program, data, options)
  const messages = []
  worker.on('message', (value) => messages.push(value))
  const [code] = await once(worker, 'exit')
  if (code !== 0) throw new Error(`the worker ended with ${code}`)
  return messages
}

module.exports = { startWorker, runWorker, message }
