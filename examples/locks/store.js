// Five readers and three writers, agents in three worker threads, share a skill library and an episodic memory
// in files: first as they come, then under named read/write locks. Prints what was read torn and what was lost.
//
//   node examples/locks/store.js
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { locks } = require('chainlock')
const { Library, TornRead } = require('./library.js')
const { AREA_IDS } = require('./skills.js')
const { Watch } = require('./watch.js')

const LESSONS = 30
const THREADS = [
  ['reader planner', 'reader reviewer', 'writer consolidation'],
  ['reader tester', 'reader reporter', 'writer curator'],
  ['reader triage', 'writer scribe'],
].map((agents) => agents.map((text) => ({ kind: text.split(' ')[0], label: text.split(' ')[1] })))
const WRITERS = THREADS.flat().filter(({ kind }) => kind === 'writer').length

async function main() {
  const without = await run({ locked: false })
  const held = await run({ locked: true })
  printComparison(without, held)
  printStatistics()
  const kept = held.torn === 0 && held.clashes === 0 && held.lost === 0 && held.sound && held.mostReaders > 1
  const seen = without.torn > 0
  if (!seen) console.log('\nWithout the lock nothing was torn this time, so nothing was shown. Run it again.')
  if (!kept) console.log('\nFAILED: the lock did not keep its promise.')
  if (kept && seen) {
    console.log(`\nOK: with the lock no read of ${held.reads} was torn, and no change of ${held.written} was lost.`)
  }
  process.exitCode = kept && seen ? 0 : 1
}

/** All agents at work on a fresh library, to the end. */
async function run({ locked }) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-store-'))
  try {
    const library = new Library(directory)
    const skills = await library.create()
    const watch = Watch.create(WRITERS)
    const began = performance.now()
    const data = { directory, locked, lessons: LESSONS, watch }
    const threads = THREADS.map((agents) => inWorker({ ...data, agents }))
    const results = (await Promise.all(threads)).flat()
    const seconds = (performance.now() - began) / 1000
    const inFiles = await inspect(library, results)
    return { skills, seconds, ...count(results), ...inFiles, ...new Watch(watch).seen() }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

function inWorker(workerData) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(path.join(__dirname, 'agent.js'), { workerData })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

function count(results) {
  const sum = (kind, field) => results.filter((one) => one.kind === kind).reduce((total, one) => total + one[field], 0)
  return {
    reads: sum('reader', 'done'),
    torn: sum('reader', 'torn'),
    written: sum('writer', 'done'),
    failed: sum('writer', 'torn'),
    example: results.find((one) => one.example)?.example,
  }
}

/** What is in the files when everybody has gone. */
async function inspect(library, results) {
  const writers = results.filter(({ kind }) => kind === 'writer')
  const finished = writers.reduce((sum, { done, torn }) => sum + done - torn, 0)
  const sound = await fitsTogether(AREA_IDS.map((area) => library.survey(area)))
  const kept = await library.recall(1).then((memory) => memory.count, () => 0)
  return { lost: finished - kept, sound }
}

async function fitsTogether(looks) {
  const outcomes = await Promise.allSettled(looks)
  const failures = outcomes.filter(({ status }) => status === 'rejected').map(({ reason }) => reason)
  const other = failures.find((error) => !(error instanceof TornRead))
  if (other) throw other
  return failures.length === 0
}

function printComparison(without, held) {
  const inColumns = (values) => values.map((value) => String(value).padStart(18)).join('')
  const line = (what, ...values) => console.log(`  ${what.padEnd(40)}${inColumns(values)}`)
  const row = (what, of) => line(what, of(without), of(held))
  console.log(`${THREADS.flat().length} agents in ${THREADS.length} worker threads, ${held.skills} skills in files\n`)
  line('', 'without the lock', 'with the lock')
  row('reads', (one) => one.reads)
  row('torn reads', (one) => one.torn)
  row('changes', (one) => one.written)
  row('given up, because of a torn read', (one) => one.failed)
  row('lost, because another overwrote them', (one) => one.lost)
  row('came in beside a writer', (one) => one.clashes)
  row('most readers inside at once', (one) => one.mostReaders)
  row('files fit together at the end', (one) => (one.sound ? 'yes' : 'no'))
  row('duration', (one) => `${one.seconds.toFixed(1)} s`)
  if (without.example) console.log(`\n  a torn read: ${without.example}`)
}

function printStatistics() {
  console.log('\nStatistics of the locks\n')
  const head = ['lock', 'mode', 'acquired', 'had to wait', 'wait p50', 'wait p99', 'held p99']
  const padded = (cell, at) => (at < 2 ? cell.padEnd(14) : cell.padStart(13))
  const line = (cells) => console.log(`  ${cells.map(padded).join('')}`)
  line(head)
  for (const name of ['store:skills', 'store:memory']) {
    for (const mode of /** @type {const} */ (['shared', 'exclusive'])) {
      const { acquisitions, contended, wait, hold } = locks.getStatistics(name).modes[mode]
      const times = [wait.p50Ms, wait.p99Ms, hold.p99Ms].map((ms) => `${ms.toFixed(1)} ms`)
      line([name, mode, String(acquisitions), String(contended), ...times])
    }
  }
}

main()
