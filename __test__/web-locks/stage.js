// What the Web Locks cases play on: a lock held until the case lets go, other threads that ask on command, and
// short ways to say what has to be true. Only the standard's methods are used, so the same cases can be run
// against any other implementation.
'use strict'

const assert = require('node:assert/strict')
const { threadId } = require('node:worker_threads')
const { chainlock } = require('../helpers/package')
const { startWorker } = require('../helpers/threads')
const { turn } = require('../helpers/waiting')

const { locks } = chainlock

let names = 0
/** A name that no other case and no other thread uses. */
const freshName = (what = 'name') => `web:${what}:${process.pid}:${threadId}:${++names}`

function deferred() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

/** Asks and waits for the grant. The lock stays held until `release`, which answers when it is free again. */
async function hold(name, options = {}) {
  const { promise, resolve } = deferred()
  let done
  const lock = await new Promise((granted, refused) => {
    done = locks.request(name, options, (given) => {
      granted(given)
      return promise
    })
    done.catch(refused)
  })
  return {
    lock,
    done,
    release(value) {
      resolve(value)
      return done
    },
  }
}

/** The modes of what is held and what waits under the name, in all threads. */
async function standing(name) {
  const { held, pending } = await locks.query()
  const modes = (list) => list.filter((entry) => entry.name === name).map((entry) => entry.mode)
  return { held: modes(held), pending: modes(pending) }
}

/** Looks until so many hold and wait. */
async function untilStanding(name, held, pending, limitMs = 60_000) {
  const started = performance.now()
  for (;;) {
    const now = await standing(name)
    if (now.held.length === held && now.pending.length === pending) return
    const late = performance.now() - started > limitMs
    assert.ok(!late, `wanted ${held} held and ${pending} pending, got ${JSON.stringify(now)}`)
    await turn()
  }
}

const refusedBy = async (promise) => {
  try {
    await promise
  } catch (error) {
    return { error }
  }
  throw new assert.AssertionError({ message: 'was fulfilled, but had to be rejected' })
}

/** That the promise rejects with a TypeError of this very realm. */
async function rejectsWithTypeError(promise) {
  const { error } = await refusedBy(promise)
  assert.equal(error?.constructor, TypeError, String(error?.stack ?? error))
}

/** That it rejects with a DOMException of that name, of this very realm. */
async function rejectsWithDomException(name, promise) {
  const { error } = await refusedBy(promise)
  assert.ok(error instanceof DOMException, String(error?.stack ?? error))
  assert.equal(error.name, name)
}

/** That it rejects with exactly this value. */
async function rejectsWith(value, promise) {
  const { error } = await refusedBy(promise)
  assert.ok(Object.is(error, value), String(error?.stack ?? error))
}

const neverRuns = () => assert.fail('the callback must not run')

/** The program of a {@link Peer}: asks and lets go when told, and tells what became of it. */
function peerProgram({ chainlock: { locks }, port }) {
  const holds = new Map()
  port.on('message', ({ id, op, name, options, blockMs }) => {
    const say = (what, value) => port.postMessage({ id, what, value })
    if (op === 'release') return holds.get(id)()
    if (op === 'block') {
      say('blocking')
      return Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs)
    }
    if (op === 'exit') process.exit()
    if (op === 'throw') throw new Error('of the test')
    locks
      .request(name, options, (lock) => {
        say('granted', lock && { name: lock.name, mode: lock.mode })
        return lock && new Promise((resolve) => holds.set(id, resolve))
      })
      .then(
        () => say('done'),
        (error) => say('failed', { name: error.name, isDomException: error instanceof DOMException }),
      )
    say('asked')
  })
}

/** Another thread. */
class Peer {
  #worker = startWorker(peerProgram)
  #waits = new Map()
  #lastId = 0

  constructor() {
    // How it ends is the case's own doing.
    this.#worker.on('error', () => {})
    this.#worker.on('message', ({ id, what, value }) => this.#wait(id, what).resolve(value))
    this.exited = new Promise((resolve) => this.#worker.once('exit', resolve))
  }

  #wait(id, what) {
    const key = `${id} ${what}`
    if (!this.#waits.has(key)) this.#waits.set(key, deferred())
    return this.#waits.get(key)
  }

  #tell(op, more = {}) {
    const id = more.id ?? ++this.#lastId
    this.#worker.postMessage({ op, ...more, id })
    return id
  }

  /** Answers when the other thread has asked: its `granted`, `done` and `failed` come later. */
  async request(name, options = {}) {
    const id = this.#tell('request', { name, options })
    await this.#wait(id, 'asked').promise
    return {
      granted: this.#wait(id, 'granted').promise,
      failed: this.#wait(id, 'failed').promise,
      done: this.#wait(id, 'done').promise,
      release: () => {
        this.#tell('release', { id })
        return this.#wait(id, 'done').promise
      },
    }
  }

  /** Answers when the other thread has it. */
  async hold(name, options) {
    const request = await this.request(name, options)
    await request.granted
    return request
  }

  /** Answers when the other thread's event loop stands still. */
  block(blockMs) {
    return this.#wait(this.#tell('block', { blockMs }), 'blocking').promise
  }

  exit() {
    this.#tell('exit')
    return this.exited
  }

  throw() {
    this.#tell('throw')
    return this.exited
  }

  terminate() {
    return this.#worker.terminate()
  }
}

/** Runs `play(peers)` with that many other threads, which are gone afterwards. */
async function withPeers(count, play) {
  const peers = Array.from({ length: count }, () => new Peer())
  try {
    await play(...peers)
  } finally {
    await Promise.all(peers.map((peer) => peer.terminate()))
  }
}

module.exports = {
  chainlock,
  locks,
  freshName,
  deferred,
  hold,
  standing,
  untilStanding,
  rejectsWithTypeError,
  rejectsWithDomException,
  rejectsWith,
  neverRuns,
  withPeers,
}
