// Processes that share a send lock, each run by functions of the test.
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { spawn } = require('node:child_process')

/** A private directory for the shared states of one test, removed with all its processes when the test ends. */
function hostWorld(t) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-host-'))
  const processes = []
  t.after(async () => {
    await Promise.all(processes.map((child) => child.kill()))
    fs.rmSync(directory, { recursive: true, force: true })
  })
  return {
    directory,
    file: (name = 'default') => path.join(directory, 'chainlock', `send-${name}.state`),
    /** Starts a process; with `settings` it shares the lock at once. */
    async start(settings, { env = {} } = {}) {
      const child = new HostProcess({ ...env, XDG_RUNTIME_DIR: directory })
      processes.push(child)
      if (settings) await child.call(join, settings)
      return child
    },
  }
}

const join = ({ chainlock }, settings) => chainlock.configureSendLock({ scope: 'host', ...settings })

class HostProcess {
  #child
  #count = 0
  #calls = new Map()

  constructor(env) {
    const { NODE_OPTIONS, NODE_TEST_CONTEXT, CHAINLOCK_LOG, ...rest } = process.env
    this.#child = spawn(process.execPath, [path.join(__dirname, 'host-child.js')], { env: { ...rest, ...env }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.on('error', (error) => this.#end(error))
    this.ended.then(() => this.#end(new Error('the process has ended')))
    this.#child.on('message', ({ id, value, error, number, question }) => {
      if (number) return this.#child.send({ number, answer: this.onAsk(question) }, () => {})
      const call = this.#calls.get(id)
      this.#calls.delete(id)
      if (error) call.reject(Object.assign(new Error(error.message), error))
      else call.resolve(value)
    })
  }

  /** Answers what it asks; for a test to replace. @type {(question: any) => any} */
  onAsk = () => null

  get pid() {
    return this.#child.pid
  }

  #end(error) {
    for (const call of this.#calls.values()) call.reject(error)
    this.#calls.clear()
  }

  /** Runs `fn(world, ...args)` there; it sees nothing of the test's own variables. */
  call(fn, ...args) {
    const id = ++this.#count
    const answer = new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }))
    // Whoever is killed answers nobody; who waits for it is told all the same.
    answer.catch(() => {})
    this.#child.send({ id, source: String(fn), args }, (error) => error && this.#calls.get(id)?.reject(error))
    return answer
  }

  signal(name) {
    this.#child.kill(name)
  }

  async kill() {
    this.#child.kill('SIGKILL')
    await this.ended
  }
}

// What tests ask of such a process again and again.

/** Acquires, keeps the guard, answers its token. */
const acquire = async ({ chainlock, guards }, layer, options) => {
  const guard = await chainlock.acquireSendLock(layer, options)
  guards.push(guard)
  return guard.token
}
/** Gives the oldest guard back. */
const release = ({ guards }, options) => guards.shift()?.release(options)
const attempt = ({ chainlock, guards }, layer, options) => {
  const { guard, ...rest } = chainlock.trySend(layer, options)
  if (guard) guards.push(guard)
  return { ...rest, token: guard?.token ?? null }
}
const status = ({ chainlock }) => chainlock.getLockStatus()
const metrics = ({ chainlock }) => chainlock.getMetrics()
const force = ({ chainlock }, reason) => chainlock.forceReleaseLock(reason)
const configure = ({ chainlock }, settings) => chainlock.configureSendLock(settings)

module.exports = { hostWorld, acquire, release, attempt, status, metrics, force, configure }
