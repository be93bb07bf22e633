// The monitor over moments made by hand: a picture after some seconds, a frame as text.
'use strict'

const { Recorder } = require('../../lib/monitor/recorder')
const { pictureOf } = require('../../lib/monitor/picture')
const { frameOf } = require('../../lib/monitor/view')
const { paint } = require('../../lib/monitor/frame')
const { firstState } = require('../../lib/monitor/keys')
const { colourIf } = require('../../lib/cli/text')
const { AT } = require('./monitor-scenes')

/** What the monitor knows after it has looked at a scene once a second. */
function pictureAfter(scene, seconds = 30) {
  const recorder = new Recorder()
  let snapshot
  for (let second = seconds; second >= 0; second -= 1) {
    snapshot = scene(AT - second * 1_000)
    recorder.take(snapshot)
  }
  return pictureOf(snapshot, recorder)
}

/** The lines of a frame as they are written, without colours. */
function frameText(picture, { columns, rows, ascii = false }, state = {}) {
  const plain = colourIf(false)
  return frameOf(picture, { ...firstState(), ...state }, { columns, rows, ascii }).map((line) => paint(line, plain))
}

module.exports = { pictureAfter, frameText }
