// Layer 3, in another worker thread with a second copy of the package, or in a process: the chain-loop monitor. It
// notices an answer in the session's transcript, waits in line for the lock, and lets the executor do the
// sending. The executor asks for the lock too, as it always does, and joins the hold of its caller.
'use strict'

const { followChain } = require('./chain.js')
const { Executor } = require('./executor.js')
const { data, lock, standStill, tell: tellDemo, terminal } = require('./seat.js')
const { Transcript } = require('./transcript.js')

const LAYER = 'chain-loop-monitor'
const executor = new Executor(lock, terminal)
const transcript = new Transcript(data.directory)
const tell = (news) => tellDemo({ layer: LAYER, ...news })

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
  await standStill('before', task)
  if (!(await executor.send(task))) throw new Error(`${task.id}: the executor was blocked by its own caller`)
  tell({ type: 'joined', layer: 'e2e-executor' })
  await standStill('after', task)
  tell({ type: 'sent', id: task.id })
}

const { tasks, previous } = data
followChain({ tasks, previous, notices: (id) => transcript.hasAnswered(id), sendNext })
