// The Web Locks standard, behaviour by behaviour: every case of cases/ on the main thread and again in a worker
// thread, where `locks` has to be the same in every respect.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { runNode } = require('../helpers/processes')

const GROUPS = fs.readdirSync(path.join(__dirname, 'cases')).sort()
const LIMIT = { timeout: 120_000 }

for (const group of GROUPS) {
  const file = path.join(__dirname, 'cases', group)
  const titles = Object.entries(require(file))
  const what = path.basename(group, '.js')

  describe(`${what}, on the main thread`, () => {
    for (const [title, play] of titles) test(title, LIMIT, () => play())
  })

  describe(`${what}, in a worker thread`, () => {
    let worker
    before(async () => {
      worker = new Worker(path.join(__dirname, 'case-thread.js'), { workerData: { file } })
      await once(worker, 'online')
    })
    after(() => worker.terminate())

    for (const [title] of titles) {
      test(title, LIMIT, async () => {
        worker.postMessage(title)
        let answer
        // A case that took too long may answer while the next one runs.
        do [answer] = await once(worker, 'message')
        while (answer.title !== title)
        assert.equal(answer.failure, null)
      })
    }
  })
}

describe('a process in which nobody asked', () => {
  test('has two empty lists as its state', LIMIT, async () => {
    const { stdout, stderr } = await runNode(async ({ chainlock }) => {
      console.log(JSON.stringify(await chainlock.locks.query()))
    })
    assert.deepEqual(JSON.parse(stdout), { held: [], pending: [] }, stderr)
  })
})
