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
  return watched(new Worker(source, { eval: true, workerData: { data, packagePath }, ...options }))
}

/** @type {WeakMap<Worker, Promise<number>>} Workers, and when each ended: its exit code. */
const ends = new WeakMap()

function watched(worker) {
  ends.set(worker, new Promise((resolve) => worker.once('exit', resolve)))
  return worker
}

/**
 * The end of a worker that was started here, whenever one asks. Its last message and its end may come in one
 * turn of the event loop, so whoever begins to listen after the message may have missed it.
 */
const exited = (worker) => ends.get(worker)

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
  const failed = new Promise((_, reject) => worker.once('error', reject))
  const code = await Promise.race([exited(worker), failed])
  if (code !== 0) throw new Error(`the worker ended with ${code}`)
  return messages
}

module.exports = { startWorker, runWorker, message, exited }
