// The task list of the controller: read, checked, and turned into the messages that are sent.
'use strict'

const fs = require('node:fs')

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/
const CONTROL = /\p{Cc}/u
const FIELDS = ['id', 'title', 'instruction', 'expected']

/** Every chain starts with the session saying that it is ready, as if it had just done this one. */
const READY = 'READY'

/** Reads the file and returns `[{ id, message }]`; throws an Error that says which task is wrong. */
function readTasks(file) {
  const list = parse(file)
  if (!Array.isArray(list) || list.length === 0) throw new Error(`${file}: expected a list of tasks`)
  const seen = new Set([READY])
  return list.map((task, index) => {
    const problem = problemOf(task, seen)
    if (problem) throw new Error(`${file}: task ${index + 1}: ${problem}`)
    seen.add(task.id)
    return { id: task.id, message: messageOf(task) }
  })
}

function parse(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`${file}: ${error.message}`)
  }
}

function problemOf(task, seen) {
  if (task === null || typeof task !== 'object') return 'is not an object'
  for (const field of FIELDS) {
    if (typeof task[field] !== 'string' || task[field].trim() === '') return `needs a text in "${field}"`
    // A line break would end the message early; an escape would act on the terminal.
    if (CONTROL.test(task[field])) return `"${field}" holds a line break or another control character`
  }
  if (!ID.test(task.id)) return `"id" must match ${ID.source}`
  if (seen.has(task.id)) return `"id" ${task.id} is used twice or reserved`
  return null
}

function messageOf({ id, title, instruction, expected }) {
  return `[${id}] ${title}: ${instruction} Expected: ${expected}`
}

module.exports = { readTasks, READY }
