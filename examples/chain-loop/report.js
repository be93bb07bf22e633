// What the demo prints: progress while it runs, a table per run, and both runs side by side.
'use strict'

const { LAYERS, REASONS } = require('./tally.js')

const out = process.stdout

function say(line = '') {
  out.write(line + '\n')
}

/** One line per instruction; on a terminal it is one line that is updated. */
function progressLine(tasks) {
  const width = String(tasks.length).length
  return (index, task, tally, transcript) => {
    const senders = tally.sendersOf(task.id).map((layer) => layer.replace(/^e2e-|-monitor$/g, ''))
    const place = `${String(index + 1).padStart(width)}/${tasks.length}`
    const count = arrivedFor(tasks.slice(0, index + 1), transcript)
    const arrived = `messages arrived up to here: ${count}`
    const line = `  ${place}  ${task.id}  ${arrived}   this one sent by ${senders.join(' + ')}`
    if (!out.isTTY) return say(line)
    const end = index + 1 === tasks.length ? '\n' : ''
    out.write(`\r\x1b[K${line.slice(0, out.columns - 1)}${end}`)
  }
}

function arrivedFor(tasks, transcript) {
  const ids = new Set(tasks.map((task) => task.id))
  return transcript.received().filter((entry) => ids.has(entry.id)).length
}

/** Rows of cells as aligned lines: the first column to the left, the others to the right. */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join('   '),
  )
}

function sayTable(rows) {
  for (const line of table(rows)) say('  ' + line)
}

/** Per layer: attempts, sent, blocked and why. `events` is null for the run without the lock. */
function sayLayers(tally, events) {
  const rows = LAYERS.map((layer) => {
    const { attempts, sent, blocked, joined } = tally.of(layer)
    const reasons = REASONS.map((reason) => (events ? events.of(layer, reason) : 0))
    return [layer, attempts, sent, blocked, ...reasons, events ? joined : 0]
  })
  const sums = ['together', ...rows[0].slice(1).map((_, i) => rows.reduce((sum, row) => sum + row[i + 1], 0))]
  say()
  sayTable([['layer', 'attempts', 'sent', 'blocked:', ...REASONS, 'joined'], ...rows, sums])
}

function sayBooks(metrics, problems) {
  const { totalAcquisitions, totalReleases, duplicatesBlocked, joins, waits, waitTimes } = metrics
  const holds = `${totalAcquisitions} acquired, ${totalReleases} released`
  say(`  the lock's own books: ${holds}, ${duplicatesBlocked} blocked, ${joins} joined`)
  const granted = waitTimes.count
  say(`  waited in line: ${waits} (${granted} until granted, ${waits - granted} until another layer had sent it)`)
  for (const problem of problems) say(`  THE BOOKS DISAGREE: ${problem}`)
}

const COMPARED = [
  ['instructions in the task list', ({ deliveries }) => deliveries.instructions],
  ['sent by the three layers', ({ tally }) => tally.total('sent')],
  ['received by the session', ({ deliveries }) => deliveries.received],
  ['delivered exactly once', ({ deliveries }) => deliveries.once],
  ['duplicated', ({ deliveries }) => deliveries.duplicated],
  ['lost', ({ deliveries }) => deliveries.lost],
  ['arrived mixed up or cut off', ({ deliveries }) => deliveries.garbled],
  ['work the session did for nothing', ({ deliveries }) => `${(deliveries.needlessWorkMs / 1000).toFixed(1)} s`],
  ['screen and transcript agree', ({ deliveries }) => (deliveries.screenAgrees ? 'yes' : 'NO')],
  ['duration', ({ seconds }) => `${seconds.toFixed(1)} s`],
]

function sayComparison(without, withLock) {
  say('What the session really received')
  sayTable([
    ['', 'without the lock', 'with the lock'],
    ...COMPARED.map(([title, value]) => [title, value(without), value(withLock)]),
  ])
}

module.exports = { say, progressLine, sayLayers, sayBooks, sayComparison }
