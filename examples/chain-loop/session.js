// The session: the program in the pane, in the part of an AI coding session. It receives one instruction
// per line, works on each in turn, and says when it is done. It knows nothing about layers or locks, and
// works on a repeated instruction again, as a real session would.
//
//   node session.js <directory> <pid of the demo>
//
// Everything it does shows in three places, one for each layer to notice it by: its screen, a result file
// per task in <directory>/results, and <directory>/transcript.jsonl.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { READY } = require('./tasks.js')

const [directory, demoPid] = process.argv.slice(2)
const transcript = fs.openSync(path.join(directory, 'transcript.jsonl'), 'a')
const inbox = []
let received = 0
let working = false

function record(entry) {
  fs.writeSync(transcript, JSON.stringify({ ...entry, at: Date.now() }) + '\n')
}

function show(line) {
  process.stdout.write(line + '\r\n')
}

function receive(text) {
  if (text === '') return
  received += 1
  const id = /^\[([^\]]+)\]/.exec(text)?.[1] ?? null
  record({ type: 'received', n: received, id, text })
  show(`> #${received} ${text}`)
  inbox.push({ n: received, id, text })
  if (!working) void workThroughInbox()
}

async function workThroughInbox() {
  working = true
  for (let task = inbox.shift(); task; task = inbox.shift()) {
    const workMs = 40 + Math.min(260, Math.round(task.text.length / 2))
    await pause(workMs)
    answer(task.n, task.id, workMs)
  }
  working = false
}

function answer(n, id, workMs) {
  show(`* ${id} done, waiting for the next instruction`)
  record({ type: 'answered', n, id, workMs })
  if (id) publishResult(id)
}

function publishResult(id) {
  const file = path.join(directory, 'results', path.basename(`${id}.json`))
  fs.writeFileSync(file, JSON.stringify({ id, verdict: 'passed' }) + '\n')
}

function readLines() {
  // Raw, as the input box of a real session is: the line discipline of a terminal would cut a line off
  // after 4,095 bytes.
  if (process.stdin.isTTY) process.stdin.setRawMode(true)
  process.stdin.setEncoding('utf8')
  let line = ''
  process.stdin.on('data', (chunk) => {
    const parts = (line + chunk).split(/[\r\n]/)
    line = parts.pop()
    parts.forEach(receive)
  })
  process.stdin.on('end', () => process.exit(0))
}

function endWithTheDemo() {
  setInterval(() => {
    try {
      process.kill(Number(demoPid), 0)
    } catch {
      process.exit(0)
    }
  }, 1000).unref()
}

readLines()
endWithTheDemo()
answer(0, READY, 0)
