// Two deadlocks that do not hang: each time two worker threads hold what the other one wants. One request is
// refused with a DeadlockError, which says who waits for whom; the other one then gets what it wants.
//
//   node examples/locks/deadlock.js
'use strict'

const { once } = require('node:events')
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads')
const { DeadlockError, configureSendLock, locks, withSendLock } = require('chainlock')

/** How each of the two takes its first lock and, inside, its second. */
const PLANS = {
  'two named locks': [
    { label: 'consolidation', first: 'memory', second: 'skills' },
    { label: 'curator', first: 'skills', second: 'memory' },
  ],
  'the send lock and a named lock': [
    { label: 'e2e-executor', first: 'the send lock', second: 'session:1' },
    { label: 'window-monitor', first: 'session:1', second: 'the send lock' },
  ],
}

async function main() {
  configureSendLock({ cooldownMs: 0 })
  for (const [title, plans] of Object.entries(PLANS)) {
    console.log(`── ${title}\n`)
    const outcomes = await meet(plans)
    for (const { label, second, refused } of outcomes) {
      console.log(refused ? `${label} is refused ${second}:\n\n${indented(refused)}\n` : `${label} gets ${second}\n`)
    }
    if (outcomes.filter(({ refused }) => refused).length !== 1) {
      console.log('FAILED: exactly one of the two should have been refused.')
      process.exitCode = 1
    }
  }
  if (process.exitCode === undefined) console.log('OK: nobody hangs.')
}

/** Starts two threads, and lets them go on when each has its first lock. */
async function meet(plans) {
  const workers = plans.map((plan) => new Worker(__filename, { workerData: plan }))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  for (const worker of workers) worker.postMessage('both hold')
  const outcomes = await Promise.all(workers.map((worker) => once(worker, 'message')))
  return outcomes.flat()
}

const indented = (text) => text.replace(/^(?=.)/gm, '  ')

// ── In a worker thread ───────────────────────────────────────────────────────────────────────────────

async function insist({ label, first, second }) {
  const take = (name, work) =>
    name === 'the send lock' ? withSendLock(label, work) : locks.withLock(name, { label }, work)
  try {
    await take(first, async () => {
      parentPort.postMessage('holds')
      await once(parentPort, 'message')
      await take(second, () => undefined)
    })
    parentPort.postMessage({ label, second })
  } catch (error) {
    if (!(error instanceof DeadlockError)) throw error
    parentPort.postMessage({ label, second, refused: error.report })
  }
}

if (isMainThread) main()
else insist(workerData)
