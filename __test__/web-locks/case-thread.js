// The worker thread in which the cases run a second time: plays the case whose title it is sent, and answers
// with it and null, or what went wrong.
'use strict'

const { parentPort, workerData } = require('node:worker_threads')

const cases = require(workerData.file)

parentPort.on('message', async (title) => {
  let failure = null
  try {
    await cases[title]()
  } catch (error) {
    failure = String(error?.stack ?? error)
  }
  parentPort.postMessage({ title, failure })
})
