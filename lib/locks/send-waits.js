// A wait for the process's send lock inside of holds of named locks takes part in the wait-for graph.
// @ts-check
'use strict'

const { native, face, scratch, takeText } = require('./face')
const { deadlock } = require('./errors')
const { putAncestors } = require('./frames')

/**
 * To be called when the request waits already, so that whoever comes later finds it.
 * @param {string} layerId
 * @returns {{ error: Error | null, over(): void } | null} Null when nothing is held around the call. An error when
 *   it would wait for ever.
 */
function beginSendWait(layerId) {
  const count = putAncestors()
  if (count === 0) return null
  const answer = native.sendWait(face, count, layerId)
  if (answer < 0) return { error: deadlock('the send lock', takeText(scratch[0])), over() {} }
  return { error: null, over: () => native.sendWaitOver(answer) }
}

module.exports = { beginSendWait }
