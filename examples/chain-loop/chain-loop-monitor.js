// Layer 3, in another worker thread and with a second copy of the package: the chain-loop monitor. It
// notices an answer in the session's transcript, waits in line for the lock, and lets the executor do the
// sending. The executor asks for the lock too, as it always does, and joins the hold of its caller.
'use strict'

const { parentPort, workerData } = require('node:worker_threads')
const { followChain } = require('./chain.js')
const { Executor } = require('./executor.js')
const { connect } = require('./terminal.js')
const { Transcript } = require('./transcript.js')

const LAYER = 'chain-loop-monitor'
const lock = require(workerData.lockModule)
const executor = new Executor(lock, connect(workerData.terminal))
const transcript = new Transcript(workerData.directory)
const tell = (news) => parentPort.postMessage({ layer: LAYER, ...news })

async function sendNext(task) {
  tell({ type: 'attempt' })
  try {
    await lock.withSendLock(LAYER, { messageKey: task.key }, (guard) => sendWithin(guard, task))
  } catch (error) {
    if (error.code !== 'ERR_LOCK_DUPLICATE_MESSAGE') throw error
    tell({ type: 'blocked', id: task.id, reason: 'duplicate_message' })
  }
}

async function sendWithin(guard, task) {
  guard.assertHeld()
  if (!(await executor.send(task))) throw new Error(`${task.id}: the executor was blocked by its own caller`)
  tell({ type: 'joined', layer: 'e2e-executor' })
  tell({ type: 'sent', id: task.id })
}

followChain({ tasks: workerData.tasks, notices: (id) => transcript.hasAnswered(id), sendNext })
