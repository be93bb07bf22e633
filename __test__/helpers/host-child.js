// A process that shares the send lock: runs the functions that the test sends it, one world for all of them.
'use strict'

const chainlock = require('./package').chainlock

/** What the functions of one test leave for each other. */
const world = { chainlock, require, ask, guards: [], heard: [] }

const asked = new Map()

/** Asks the test something; what it answers. */
function ask(question) {
  const number = asked.size + 1
  process.send({ number, question })
  return new Promise((resolve) => asked.set(number, resolve))
}

/** An error as far as it can be sent. */
function shown(error) {
  const { name, message, code, holder, position, path, errno } = error
  return { name, message, code, holder, position, path, errno }
}

process.on('message', async ({ id, source, args, number, answer }) => {
  if (number) return asked.get(number)(answer)
  try {
    process.send({ id, value: await (0, eval)(`(${source})`)(world, ...args) })
  } catch (error) {
    process.send({ id, error: shown(error) })
  }
})
process.on('disconnect', () => process.exit())
