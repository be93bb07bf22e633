// Where a layer runs: in a worker thread of the demo, or in a process of its own. Either way it is given the same
// data and tells the demo the same news.
'use strict'

const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const { connect } = require('./terminal.js')

const data = isMainThread ? JSON.parse(process.argv[2]) : workerData
const lock = require(data.lockModule)
if (data.scope) lock.configureSendLock(data.scope)

const tell = isMainThread ? (news) => process.send(news) : (news) => parentPort.postMessage(news)

/** When the demo wants the next holder to stand still, so that it can be killed: before it sends, or after. */
let wanted = null
let goOn = () => {}

if (isMainThread) {
  process.on('message', (message) => {
    if (!('standStill' in message)) return
    wanted = message.standStill
    if (wanted === null) goOn()
  })
  // The layer's own work keeps its process alive, the demo's channel does not.
  process.channel.unref()
}

/** Inside of a hold: stands still until the demo says to go on, or kills this process, if that is wanted here. */
async function standStill(when, task) {
  if (wanted !== when) return
  const resumed = new Promise((resolve) => (goOn = resolve))
  tell({ type: 'holding', when, id: task.id })
  const keepAlive = setInterval(() => {}, 1_000)
  await resumed
  clearInterval(keepAlive)
}

module.exports = { data, lock, standStill, tell, terminal: connect(data.terminal) }
