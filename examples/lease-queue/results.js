// The guarded resource: a table of tasks and their results behind a small HTTP server. It knows nothing of leases; it
// only refuses whoever comes with a token that is lower than one it has seen for the same task. That is the fence.
'use strict'

const http = require('node:http')

/** Longer than the demo: a connection is not closed under a worker that was stopped for a while. */
const KEEP_ALIVE_MS = 120_000

class Results {
  #rows = new Map()
  #server = http.createServer((request, response) => this.#serve(request, response))
  /** Everything that was asked for, in order: `{ kind, task, worker, token, accepted, fence }`. */
  attempts = []
  /** Called with each of them. */
  onAttempt = () => {}

  /** @param {readonly string[]} tasks */
  constructor(tasks) {
    for (const task of tasks) this.#rows.set(task, { fence: 0, result: null })
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${this.#server.address().port}`
  }

  close() {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  resultOf(task) {
    return this.#rows.get(task).result
  }

  get done() {
    return [...this.#rows.values()].filter(({ result }) => result !== null).length
  }

  /** The tasks that have no result yet. */
  get open() {
    return [...this.#rows].filter(([, { result }]) => result === null).map(([task]) => task)
  }

  /** Raises the fence: from here on nothing older is let in, even if this worker never writes. */
  begin(task, { worker, token }) {
    const row = this.#rows.get(task)
    const accepted = token >= row.fence
    if (accepted) row.fence = token
    this.#note({ kind: 'begin', task, worker, token, accepted, fence: row.fence })
    return { accepted, fence: row.fence, done: row.result !== null }
  }

  write(task, { worker, token, text }) {
    const row = this.#rows.get(task)
    const accepted = token >= row.fence
    if (accepted) Object.assign(row, { fence: token, result: { worker, token, text } })
    this.#note({ kind: 'write', task, worker, token, accepted, fence: row.fence })
    return { accepted, fence: row.fence }
  }

  #note(attempt) {
    this.attempts.push(attempt)
    this.onAttempt(attempt)
  }

  async #serve(request, response) {
    let body = ''
    for await (const part of request) body += part
    const [task, action] = request.url.slice(1).split('/')
    const answer = task === '' ? this.open : action === 'begin' ? this.begin(task, JSON.parse(body)) : this.write(task, JSON.parse(body))
    response.writeHead(answer.accepted === false ? 409 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer))
  }
}

/** The table as a worker sees it. @param {string} url */
function remoteResults(url) {
  const ask = async (path, what) => {
    const how = what && { method: 'POST', body: JSON.stringify(what) }
    return (await fetch(`${url}/${path}`, how)).json()
  }
  return {
    open: () => ask(''),
    begin: (task, who) => ask(`${task}/begin`, who),
    write: (task, result) => ask(`${task}/write`, result),
  }
}

module.exports = { Results, remoteResults }
