// One run: a fresh session, three layers that drive the same tasks through it, and what came of it.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { untilSeen } = require('./chain.js')
const { runExecutor } = require('./executor.js')
const { LayerTally, countDeliveries } = require('./tally.js')
const { openSession } = require('./terminal.js')
const { Transcript } = require('./transcript.js')

/** A run that takes longer than this has lost a message, and with it its chain. */
const stallLimitMs = (tasks) => 5_000 + 1_000 * tasks.length
const SETTLE_LIMIT_MS = 5_000

/**
 * Options: `name` of the run, part of every message key, so that two runs may send the same tasks; `tasks`;
 * `directory`; `terminalKind`; `lockModules`, what each layer requires as its lock; `cleanup`, told what to
 * undo if the demo ends early; `drive`, which runs the layers, in threads if left out; `onAnswer`, called with (index, task, tally, transcript) when the session has
 * answered a task for the first time.
 */
async function runChain(options) {
  const { name, terminalKind, lockModules, cleanup, onAnswer } = options
  const tasks = options.tasks.map((task) => ({ ...task, key: `${name}/${task.id}` }))
  const directory = path.join(options.directory, name)
  fs.mkdirSync(directory)
  const startedAt = performance.now()
  const tally = new LayerTally()
  const transcript = new Transcript(directory)
  const session = openSession(terminalKind, directory)
  cleanup.add(() => session.close())

  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), stallLimitMs(tasks))
  const watch = watchAnswers({ tasks, transcript, tally, onAnswer })
  const drive = options.drive ?? driveThreads
  const isStalled = await drive({ tasks, directory, session, lockModules, tally, transcript, signal: limit.signal })
  clearTimeout(timer)
  watch.stop()
  await untilSettled(tally, transcript)
  const deliveries = countDeliveries(tasks, transcript, await session.screen())
  session.close()
  return { name, tally, deliveries, isStalled, seconds: (performance.now() - startedAt) / 1000 }
}

/** Lets the three layers run to the end of the chain, in threads; returns whether they had to be stopped. */
async function driveThreads({ tasks, directory, session, lockModules, tally, signal }) {
  const tell = (news) => tally.note(news)
  const workers = ['window-monitor', 'chain-loop-monitor'].map((layer) => {
    const terminal = session.address()
    const workerData = { tasks, directory, terminal, lockModule: lockModules[layer] }
    const transferList = terminal.port ? [terminal.port] : []
    const worker = new Worker(path.join(__dirname, `${layer}.js`), { workerData, transferList })
    return worker.on('message', tell)
  })
  try {
    const lock = require(lockModules['e2e-executor'])
    const executor = runExecutor({ lock, terminal: session, tasks, directory, signal, tell })
    await Promise.all([executor, ...workers.map((worker) => untilEnded(worker, signal))])
    return false
  } catch (error) {
    if (!signal.aborted) throw error
    return true
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

function untilEnded(worker, signal) {
  return new Promise((resolve, reject) => {
    worker.once('exit', resolve)
    worker.once('error', reject)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Reports each task when the session has answered it for the first time. */
function watchAnswers({ tasks, transcript, tally, onAnswer }) {
  let next = 0
  const look = () => {
    for (; next < tasks.length && transcript.hasAnswered(tasks[next].id); next += 1) {
      onAnswer(next, tasks[next], tally, transcript)
    }
  }
  const interval = setInterval(look, 40)
  return {
    stop() {
      clearInterval(interval)
      look()
    },
  }
}

/** Waits until all that was sent has arrived and been worked on; gives up after a while, for what is lost. */
async function untilSettled(tally, transcript) {
  const isSettled = () => {
    const received = transcript.received().length
    const isIdle = transcript.answered().length === received + 1
    return isIdle && received >= tally.total('sent')
  }
  try {
    await untilSeen(isSettled, AbortSignal.timeout(SETTLE_LIMIT_MS))
  } catch (error) {
    if (error.name !== 'AbortError') throw error
  }
}

module.exports = { runChain }
