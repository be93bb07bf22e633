// What the three layers have in common: each walks the chain from answer to answer, noticing every answer
// in its own way. They share no state; each is right by itself and never sends the same task twice.
'use strict'

const { setTimeout: pause } = require('node:timers/promises')
const { READY } = require('./tasks.js')

/** How often a layer looks: ten times as often as a real one, as the demo's cooldown is ten times shorter. */
const LOOK_EVERY_MS = 50

/**
 * For each task in turn: waits until this layer `notices` that the session has answered the one before,
 * then lets it `sendNext`. It begins after the answer to `previous`. Ends when the last answer has been noticed.
 */
async function followChain({ tasks, previous = READY, notices, sendNext, signal }) {
  for (const task of tasks) {
    await untilSeen(() => notices(previous), signal)
    await sendNext(task)
    previous = task.id
  }
  await untilSeen(() => notices(previous), signal)
}

/** Looks again and again until `happened()` is true; rejects when the signal aborts. */
async function untilSeen(happened, signal) {
  while (!(await happened())) await pause(LOOK_EVERY_MS, undefined, { signal })
}

module.exports = { followChain, untilSeen, LOOK_EVERY_MS }
