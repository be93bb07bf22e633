// The demo of leases: five workers in five processes share a queue of tasks; two are killed by SIGKILL and one is
// stopped in the middle of a task and comes back late. Every task is done once all the same. See README.md.
'use strict'

const { fork } = require('node:child_process')
const { randomBytes } = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { LeaseManager } = require('chainlock/leases')
const { sayEnd, sayNews, sayStart, verdict } = require('./report.js')
const { Results } = require('./results.js')

const HELP = `Usage: node examples/lease-queue/main.js [options]

Five workers in five processes share a queue of tasks under leases. Two are killed by SIGKILL, one is stopped
in the middle of a task and continued when somebody else has done it. Exit code 0: every task was done exactly
once, and the late write of the stopped one was refused. 1: otherwise. 2: wrong options.

  --store URL    where the leases are: redis://…, postgres://…, etcd://…, github:owner/repo (with GITHUB_TOKEN),
                 sqlite:FILE (default: a temporary file)
  --tasks N      how many tasks (default: 30, at least 15)
  --help         show this text`

const TTL_MS = 1_000
const LEAST_TASKS = 15
const LIMIT_MS = 60_000
/** GitHub is asked for everything over the internet, and its shortest lease is longer. */
const SLOW_LIMIT_MS = 900_000

/** In which of its tasks something happens to a worker, and whether before it has written the result or after. */
const CREW = [
  { name: 'alpha', trouble: null },
  { name: 'bravo', trouble: { kind: 'kill', task: 2, when: 'before' } },
  { name: 'charlie', trouble: { kind: 'stop', task: 2, when: 'before' } },
  { name: 'delta', trouble: { kind: 'kill', task: 3, when: 'after' } },
  { name: 'echo', trouble: null },
]

class Demo {
  /** @type {Map<string, { name: string, child: import('node:child_process').ChildProcess, fate: string, ready: Promise<unknown>, ended: Promise<unknown> }>} */
  workers = new Map()
  /** What happened to whom: `{ kind, name, task, token, at }`, and what was seen of it later. */
  troubles = []
  problems = []
  startedAt = performance.now()

  constructor({ store, tasks, folder }) {
    this.tasks = Array.from({ length: tasks }, (_, i) => `task-${String(i + 1).padStart(2, '0')}`)
    this.store = store ?? `sqlite:${path.join(folder, 'leases.db')}`
    // Whatever is in a shared store already has nothing to do with this run.
    this.namespace = `demo-${randomBytes(4).toString('hex')}`
    this.token = this.store.startsWith('github:') ? process.env.GITHUB_TOKEN : undefined
    this.results = new Results(this.tasks)
    this.results.onAttempt = (attempt) => this.#watch(attempt)
  }

  async run() {
    const url = await this.results.listen()
    const ttlMs = this.#ttlMs()
    sayStart({ tasks: this.tasks.length, workers: CREW.length, store: this.shown, ttlMs })
    const limit = setTimeout(() => this.#giveUp(), this.token ? SLOW_LIMIT_MS : LIMIT_MS)
    try {
      CREW.forEach((member, index) => this.#start(member, index, { ttlMs, url }))
      await Promise.all([...this.workers.values()].map(({ ready }) => ready))
      this.startedAt = performance.now()
      for (const { child } of this.workers.values()) child.send('go')
      await Promise.all([...this.workers.values()].map(({ ended }) => ended))
    } finally {
      clearTimeout(limit)
      this.end()
    }
    this.seconds = (performance.now() - this.startedAt) / 1000
  }

  /** As short as the store allows, but not shorter than the demo wants. */
  #ttlMs() {
    const manager = new LeaseManager({ store: this.store, ...(this.token && { token: this.token }) })
    this.shown = manager.store
    const { minTtlMs } = manager.caps()
    void manager.destroy()
    return Math.max(TTL_MS, minTtlMs)
  }

  #start({ name, trouble }, index, { ttlMs, url }) {
    const { store, namespace, token, tasks } = this
    const first = Math.floor((index * tasks.length) / CREW.length)
    const data = { name, store, ttlMs, namespace, token, url, trouble, first }
    const child = fork(path.join(__dirname, 'worker.js'), [JSON.stringify(data)])
    const worker = { name, child, fate: 'finished', ready: Promise.resolve(), ended: Promise.resolve() }
    worker.ended = new Promise((resolve) => child.once('exit', (code) => resolve(this.#ended(worker, code))))
    const said = new Promise((resolve) => child.once('message', resolve))
    worker.ready = Promise.race([said, worker.ended])
    child.on('message', (news) => this.#hear(worker, trouble, news))
    this.workers.set(name, worker)
  }

  #hear(worker, trouble, news) {
    if (news.type === 'here') this.#strike(worker, trouble, news)
    if (news.type === 'failed') this.problems.push(`${worker.name} failed: ${news.error}`)
    if (news.type === 'awake') Object.assign(this.#troubleOf(worker.name), { awake: news })
    if (news.type === 'refused') Object.assign(this.#troubleOf(worker.name) ?? {}, { refused: news })
    if (news.type === 'finished') worker.counts = news
    this.#say(worker, news)
  }

  #strike(worker, { kind, when }, { task, token }) {
    const happened = { kind, when, name: worker.name, pid: worker.child.pid, task, token, at: performance.now() }
    this.troubles.push(happened)
    worker.child.kill(kind === 'kill' ? 'SIGKILL' : 'SIGSTOP')
    worker.fate = kind === 'kill' ? 'killed' : 'stopped, finished later'
    this.#say(worker, { type: 'struck', ...happened })
  }

  /** Somebody else has got, or done, what a worker in trouble was at. */
  #watch({ kind, task, worker, token, accepted }) {
    const happened = this.troubles.find((one) => one.task === task && one.name !== worker)
    if (!happened || !accepted) return
    if (kind === 'begin' && happened.next === undefined) {
      happened.next = { worker, token, ms: performance.now() - happened.at }
      this.#say({ name: worker }, { type: 'next', of: happened.name, task, token, ms: happened.next.ms })
    }
    if (kind === 'write' && happened.kind === 'stop' && !happened.continued) this.#continue(happened)
  }

  #continue(happened) {
    happened.continued = true
    const worker = this.workers.get(happened.name)
    this.#say(worker, { type: 'continued', task: happened.task })
    worker.child.kill('SIGCONT')
    worker.child.send('go on')
  }

  #troubleOf(name) {
    return this.troubles.find((one) => one.name === name)
  }

  #ended(worker, code) {
    if (worker.fate !== 'killed' && code !== 0) this.problems.push(`${worker.name} ended with ${code}`)
  }

  #say(worker, news) {
    sayNews((performance.now() - this.startedAt) / 1000, worker.name, news)
  }

  #giveUp() {
    this.problems.push('it took too long')
    for (const { child } of this.workers.values()) child.kill('SIGKILL')
  }

  /** Nothing is left behind, also when the demo itself is interrupted. */
  end() {
    for (const { child } of this.workers.values()) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    this.results.close()
  }
}

function readOptions() {
  const { values } = parseArgs({
    options: { store: { type: 'string' }, tasks: { type: 'string', default: '30' }, help: { type: 'boolean' } },
  })
  const tasks = Number(values.tasks)
  if (!Number.isInteger(tasks) || tasks < LEAST_TASKS) throw new Error(`--tasks must be a whole number of at least ${LEAST_TASKS}; got ${values.tasks}`)
  return { ...values, tasks }
}

async function main() {
  let options
  try {
    options = readOptions()
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`)
    process.exitCode = 2
    return
  }
  if (options.help) return console.log(HELP)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lease-queue-'))
  const demo = new Demo({ ...options, folder })
  const cleanUp = () => {
    demo.end()
    fs.rmSync(folder, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => (cleanUp(), process.exit(1)))
  try {
    await demo.run()
  } finally {
    cleanUp()
  }
  const judged = verdict(demo)
  sayEnd(demo, judged)
  process.exitCode = judged.problems.length === 0 ? 0 : 1
}

main().catch((error) => {
  console.error(`FAILED: ${error.code ?? error.name}: ${error.message}`)
  process.exitCode = 1
})
