// Layer 2, in a worker thread or a process: the window monitor. It notices an answer on the screen of the pane and asks
// by trySend, which says why it refuses and when to come back.
'use strict'

const { setTimeout: pause } = require('node:timers/promises')
const { followChain, LOOK_EVERY_MS } = require('./chain.js')
const { data, lock, standStill, tell: tellDemo, terminal } = require('./seat.js')

const LAYER = 'window-monitor'
const tell = (news) => tellDemo({ layer: LAYER, ...news })

async function screenShows(isSought) {
  const screen = await terminal.screen()
  return screen.split('\n').some(isSought)
}

const isAnswerTo = (id) => (line) => line.startsWith(`* ${id} done`)
const isInstruction = (id) => (line) => line.startsWith('> #') && line.includes(` [${id}] `)

async function sendNext(task) {
  for (;;) {
    tell({ type: 'attempt' })
    const attempt = lock.trySend(LAYER, { messageKey: task.key })
    if (attempt.acquired) return sendWithin(attempt.guard, task)

    tell({ type: 'blocked', id: task.id, reason: attempt.reason })
    if (attempt.reason === 'duplicate_message') return
    await pause(attempt.reason === 'cooldown' ? attempt.retryAfterMs : LOOK_EVERY_MS)
    // A monitor looks before it asks again. Correctness does not hang on this look, which may come too
    // early to see a send under way; the lock refuses the message then.
    if (await screenShows(isInstruction(task.id))) return
  }
}

async function sendWithin(guard, task) {
  let sent = false
  try {
    guard.assertHeld()
    await standStill('before', task)
    await terminal.send(task.message)
    await standStill('after', task)
    sent = true
    tell({ type: 'sent', id: task.id })
  } finally {
    guard.release({ sent })
  }
}

const { tasks, previous } = data
followChain({ tasks, previous, notices: (id) => screenShows(isAnswerTo(id)), sendNext })
