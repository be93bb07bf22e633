// A worker thread with some agents: readers that look things up until all writers are done, and writers that
// learn. With `locked` they take the named locks that all threads share; without, they just go ahead.
'use strict'

const { parentPort, workerData } = require('node:worker_threads')
const { locks } = require('chainlock')
const { AREA_IDS } = require('./skills.js')
const { Library, TornRead } = require('./library.js')
const { Watch } = require('./watch.js')

const SKILLS = 'store:skills'
const MEMORY = 'store:memory'

const { directory, locked, agents, lessons } = workerData
const library = new Library(directory)
const watch = new Watch(workerData.watch)

/** Waits its turn under the lock, or does not. */
const under = {
  read: (name, label, work) => (locked ? locks.withRead(name, { label }, work) : work()),
  readBoth: (label, work) => (locked ? locks.withAll([SKILLS, MEMORY], { mode: 'read', label }, work) : work()),
  writeBoth: (label, work) => (locked ? locks.withAll([SKILLS, MEMORY], { mode: 'write', label }, work) : work()),
}

/** One piece of work, which counts as torn when what it read did not fit together. */
async function attempt(counts, work) {
  counts.done += 1
  try {
    await work()
    return true
  } catch (error) {
    if (!(error instanceof TornRead)) throw error
    counts.torn += 1
    counts.example ??= error.message
    return false
  }
}

async function reader(label) {
  const counts = { done: 0, torn: 0 }
  for (let turn = 0; watch.writersLeft() > 0; turn++) {
    const area = AREA_IDS[turn % AREA_IDS.length]
    const looks = [
      () => under.read(SKILLS, label, () => watch.reading(() => library.find(area))),
      () => under.read(MEMORY, label, () => library.recall(5)),
      () => under.readBoth(label, () => watch.reading(() => library.survey(area))),
    ]
    await attempt(counts, looks[turn % looks.length])
  }
  return { kind: 'reader', label, ...counts }
}

async function writer(label, first) {
  const counts = { done: 0, torn: 0 }
  for (let number = 0; number < lessons; number++) {
    const area = AREA_IDS[(first + number) % AREA_IDS.length]
    const learn = () => watch.writing(() => library.learn(area, `${label} found a way, for the ${number + 1}. time`))
    await attempt(counts, () => under.writeBoth(label, learn))
  }
  watch.writerDone()
  return { kind: 'writer', label, ...counts }
}

const running = agents.map(({ kind, label }, at) => (kind === 'reader' ? reader(label) : writer(label, at)))
Promise.all(running).then((results) => parentPort.postMessage(results))
