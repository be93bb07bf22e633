// The monitor on this process's terminal over a scene, for tests of the screen: `node monitor-child.js SCENE WAY FILE`.
// WAY says how the process ends when it gets SIGUSR2; FILE is written when the first frame stands, and holds the pid.
'use strict'

const fs = require('node:fs')
const scenes = require('./monitor-scenes')
const { runScreen } = require('../../lib/monitor/loop')
const { openPage } = require('../../lib/monitor/web/server')
const { colourIf } = require('../../lib/cli/text')

const [scene, way, file] = process.argv.slice(2)

const WAYS = {
  throw: () => {
    throw new Error('thrown on purpose')
  },
  reject: () => void Promise.reject(new Error('rejected on purpose')),
  exit: () => process.exit(3),
}

let taken = 0
const source = {
  take() {
    taken += 1
    if (taken === 2) fs.writeFileSync(file, String(process.pid))
    return scenes[scene](Date.now(), started)
  },
}
const started = Date.now()
process.on('SIGUSR2', () => WAYS[way]())
runScreen(source, {
  intervalMs: 100,
  ascii: false,
  colour: colourIf(true),
  stdin: process.stdin,
  stdout: process.stdout,
  openPage: async (watch) => {
    const page = await openPage()
    page.show(await watch.next())
    return page
  },
})
