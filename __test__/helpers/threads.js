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

/**
 * Workers: what each said that nobody has taken yet, who waits for its next word, and its end.
 * @type {WeakMap<Worker, { said: unknown[], takers: Set<Taker>, hasEnded: boolean, end: Promise<number> }>}
 * @typedef {{ resolve(value: unknown): void, reject(error: Error): void }} Taker
 */
const watches = new WeakMap()

function watched(worker) {
  const said = []
  const takers = new Set()
  const watch = { said, takers, hasEnded: false, end: new Promise((resolve) => worker.once('exit', resolve)) }
  worker.on('message', (value) => {
    const [taker] = takers
    if (taker) taker.resolve(value)
    else said.push(value)
  })
  worker.once('exit', (code) => {
    watch.hasEnded = true
    for (const taker of takers) taker.reject(silent(code))
  })
  watches.set(worker, watch)
  return worker
}

const silent = (code) => new Error(`the worker has ended${code === undefined ? '' : ` with ${code}`} and said nothing`)

/**
 * The end of a worker that was started here, whenever one asks. Its last message and its end may come in one
 * turn of the event loop, so whoever begins to listen after the message may have missed it.
 */
const exited = (worker) => watches.get(worker).end

/**
 * The next message of a worker that nobody has taken yet: a worker that ends delivers all it has left to say in
 * one turn, so the second of two messages may be there before whoever awaited the first goes on. An error or an
 * early end of the worker rejects.
 */
function message(worker) {
  const { said, takers, hasEnded } = watches.get(worker) ?? watches.get(watched(worker))
  if (said.length > 0) return Promise.resolve(said.shift())
  if (hasEnded) return Promise.reject(silent())
  return new Promise((resolve, reject) => {
    const settle = (how) => (value) => {
      takers.delete(taker)
      worker.off('error', taker.reject)
      how(value)
    }
    const taker = { resolve: settle(resolve), reject: settle(reject) }
    takers.add(taker)
    worker.on('error', taker.reject)
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
