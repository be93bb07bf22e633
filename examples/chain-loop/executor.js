// Layer 1, on the main thread or in a process of its own: the executor. It notices an answer by the task's result file and sends by
// the drop-in calls, as a controller that has just replaced its shared-state.js does.
'use strict'

const { followChain } = require('./chain.js')
const { hasResult } = require('./transcript.js')

const LAYER = 'e2e-executor'

class Executor {
  #lock
  #terminal
  #standStill

  /** `standStill(when, task)` is where the demo kills a layer that holds the lock. */
  constructor(lock, terminal, standStill = async () => {}) {
    this.#lock = lock
    this.#terminal = terminal
    this.#standStill = standStill
  }

  /** Sends the task and says true; or says false, when another layer is sending or has sent it. */
  async send(task) {
    if (!this.#lock.tryAcquireSendLock(LAYER, { messageKey: task.key })) return false
    try {
      await this.#standStill('before', task)
      await this.#terminal.send(task.message)
      await this.#standStill('after', task)
      return true
    } finally {
      this.#lock.releaseSendLock(LAYER)
    }
  }
}

/** The executor as a layer of its own. A refusal is final here: whoever was quicker does the sending. */
function runExecutor({ lock, terminal, tasks, previous, directory, signal, tell, standStill }) {
  const executor = new Executor(lock, terminal, standStill)
  return followChain({
    tasks,
    previous,
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
