// Reading what the session did: its transcript as it grows, and its result files.
'use strict'

const fs = require('node:fs')
const path = require('node:path')

/** The session's transcript: `read()` returns all its entries so far, each call reading only what is new. */
class Transcript {
  #file
  #offset = 0
  #entries = []

  constructor(directory) {
    this.#file = path.join(directory, 'transcript.jsonl')
  }

  read() {
    for (const line of this.#newLines()) this.#entries.push(JSON.parse(line))
    return this.#entries
  }

  received() {
    return this.read().filter((entry) => entry.type === 'received')
  }

  answered() {
    return this.read().filter((entry) => entry.type === 'answered')
  }

  hasAnswered(id) {
    return this.answered().some((entry) => entry.id === id)
  }

  #newLines() {
    if (!fs.existsSync(this.#file)) return []
    const bytes = fs.readFileSync(this.#file).subarray(this.#offset)
    // Up to the last line end only: a letter of several bytes may be half written.
    const whole = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1)
    this.#offset += whole.length
    return whole.toString('utf8').split('\n').filter(Boolean)
  }
}

function hasResult(directory, id) {
  return fs.existsSync(path.join(directory, 'results', `${id}.json`))
}

module.exports = { Transcript, hasResult }
