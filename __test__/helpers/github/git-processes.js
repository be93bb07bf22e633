// Two programs of git that stay: one that reads objects and one that moves refs.
'use strict'

const FOUND = /^([0-9a-f]{40}) (\w+) (\d+)$/

/** One `git cat-file --batch`, asked and answered in order. */
class ObjectReader {
  #start
  #child
  #asked = []
  #buffer = Buffer.alloc(0)

  constructor(start) {
    this.#start = start
  }

  read(name) {
    this.#child ??= this.#started()
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject })
      this.#child.stdin.write(`${name}\n`)
    })
  }

  #started() {
    const child = this.#start()
    child.stdout.on('data', (chunk) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk])
      while (this.#asked.length > 0 && this.#answerNext());
    })
    child.stdin.on('error', () => {})
    child.on('close', () => {
      for (const { reject } of this.#asked.splice(0)) reject(new Error('git cat-file has ended'))
    })
    return child
  }

  #answerNext() {
    const lineEnd = this.#buffer.indexOf('\n')
    if (lineEnd < 0) return false
    const [found, oid, type, size] = FOUND.exec(this.#buffer.toString('utf8', 0, lineEnd)) ?? []
    const bodyEnd = lineEnd + 1 + Number(size ?? 0)
    const end = bodyEnd + (found ? 1 : 0)
    if (this.#buffer.length < end) return false
    const body = this.#buffer.subarray(lineEnd + 1, bodyEnd)
    this.#buffer = this.#buffer.subarray(end)
    this.#asked.shift().resolve(found ? { oid, type, body } : null)
    return true
  }

  stop() {
    this.#child?.kill()
  }
}

/** One `git update-ref --stdin`, one transaction at a time; it ends with one that fails, and the next starts another. */
class RefWriter {
  #start
  #child

  constructor(start) {
    this.#start = start
  }

  /** Does what the lines say, all or nothing. Not to be called before the last one is done. @param {string} lines */
  write(lines) {
    this.#child ??= this.#started()
    const { child, output } = this.#child
    Object.assign(output, { stdout: '', stderr: '' })
    return new Promise((resolve, reject) => {
      output.look = () => output.stdout.includes('commit: ok\n') && resolve()
      output.ended = () => reject(new Error(output.stderr.trim()))
      child.stdin.write(`start\n${lines}prepare\ncommit\n`)
    })
  }

  #started() {
    const child = this.#start()
    const output = { stdout: '', stderr: '', look: () => {}, ended: () => {} }
    for (const stream of /** @type {const} */ (['stdout', 'stderr'])) {
      child[stream].setEncoding('utf8').on('data', (text) => {
        output[stream] += text
        output.look()
      })
    }
    child.stdin.on('error', () => {})
    child.on('close', () => {
      this.#child = undefined
      output.ended()
    })
    return { child, output }
  }

  stop() {
    this.#child?.child.kill()
  }
}

module.exports = { ObjectReader, RefWriter }
