// A second copy of the package at a path of its own, as two dependencies of a controller may each bring
// one, and the proof that both copies are one lock: what one of them holds in a worker thread, the other
// one sees and respects.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { isMainThread, parentPort, threadId, Worker, workerData } = require('node:worker_threads')

const LAYER = 'test-layer'

/** Copies what a package needs to run; returns the path to require. */
function makeSecondCopy(firstCopy, directory) {
  const from = path.dirname(firstCopy)
  const to = path.join(directory, 'second-copy')
  for (const part of ['package.json', 'index.js', 'lib']) {
    fs.cpSync(path.join(from, part), path.join(to, part), { recursive: true })
  }
  return path.join(to, path.relative(from, firstCopy))
}

/** Takes the lock through the second copy in a worker thread and looks at it through the first one. */
async function compareCopies(firstCopy, secondCopy) {
  const lock = require(firstCopy)
  const worker = new Worker(__filename, { workerData: { secondCopy } })
  const held = await nextOf(worker, 'message')
  const seen = lock.getLockStatus()
  const attempt = lock.trySend('e2e-executor')
  if (attempt.acquired) attempt.guard.release()
  const addons = loadedAddons()
  worker.postMessage('compared')
  await nextOf(worker, 'exit')
  return {
    addons,
    token: held.token,
    cooldownMs: held.cooldownMs,
    isOneLock:
      held.token !== null &&
      seen.token === held.token &&
      seen.threadId === held.threadId &&
      !attempt.acquired &&
      !lock.isSendLocked(),
  }
}

function nextOf(worker, event) {
  return new Promise((resolve, reject) => worker.once(event, resolve).once('error', reject))
}

/** The chainlock addons that the dynamic linker has loaded into this process, each from its own path. */
function loadedAddons() {
  process.report.excludeNetwork = true
  const { sharedObjects } = process.report.getReport()
  return sharedObjects.filter((file) => /chainlock[^/\\]*\.node$/.test(file))
}

function holdUntilCompared() {
  const lock = require(workerData.secondCopy)
  const attempt = lock.trySend(LAYER)
  const token = attempt.acquired ? attempt.guard.token : null
  parentPort.postMessage({ token, threadId, cooldownMs: lock.configureSendLock({}).cooldownMs })
  parentPort.once('message', () => attempt.acquired && attempt.guard.release())
}

if (!isMainThread && workerData?.secondCopy) holdUntilCompared()

module.exports = { makeSecondCopy, compareCopies }
