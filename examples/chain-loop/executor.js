// Layer 1, on the main thread: the executor. It notices an answer by the task's result file and sends by
// the drop-in calls, as a controller that has just replaced its shared-state.js does.
'use strict'

const { followChain } = require('./chain.js')
const { hasResult } = require('./transcript.js')

const LAYER = 'e2e-executor'

class Executor {
  #lock
  #terminal

  constructor(lock, terminal) {
    this.#lock = lock
    this.#terminal = terminal
  }

  /** Sends the task and says true; or says false, when another layer is sending or has sent it. */
  async send(task) {
    if (!this.#lock.tryAcquireSendLock(LAYER, { messageKey: task.key })) return false
    try {
      await this.#terminal.send(task.message)
      return true
    } finally {
      this.#lock.releaseSendLock(LAYER)
    }
  }
}

/** The executor as a layer of its own. A refusal is final here: whoever was quicker does the sending. */
function runExecutor({ lock, terminal, tasks, directory, signal, tell }) {
  const executor = new Executor(lock, terminal)
  return followChain({
    tasks,
    signal,
    notices: (id) => hasResult(directory, id),
    async sendNext(task) {
      tell({ type: 'attempt', layer: LAYER })
      const sent = await executor.send(task)
      // The drop-in call does not say why it refused: the report takes the reason from the lock's events.
      tell({ type: sent ? 'sent' : 'blocked', layer: LAYER, id: task.id, reason: null })
    },
  })
}

module.exports = { Executor, runExecutor }
