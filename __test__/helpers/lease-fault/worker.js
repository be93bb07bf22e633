// A worker of the fault test, in a process of its own: takes leases on keys of its choice, writes to the register while
// it believes to hold, once more without looking when it has stopped, and tells the register what it believed and when.
//
// Hears `{ block: ms }`, `{ linger: true }` (what is held is kept until it is lost) and `{ stop: true }` from the test; says `{ held, token, from }`, `{ left, token }`, `{ blocked }` and, at
// its end, `{ end }`.
'use strict'

const { LeaseManager } = require('chainlock/leases')
const { connect, nowMs } = require('../register')
const { random } = require('../figures')
const { pause } = require('../waiting')

/** How often a holder looks at its deadline, to have it when nobody can tell any more. */
const LOOK_MS = 10
/** Who has not been served by its event loop for so long cannot be told in time. */
const AWAKE_MS = 30
const MOST_STALLS = 100
/** What an engine that is being killed and cut off may say. */
const EXPECTED = ['ERR_LOCK_STORE_UNAVAILABLE', 'ERR_LOCK_TIMEOUT']

const data = JSON.parse(process.argv[2])
const { worker, keys, ttlMs } = data
const chance = random(data.seed)
const between = (least, most) => least + (most - least) * chance()
const ending = new AbortController()

/** @type {Set<Hold>} */
const holds = new Set()
/** What the register has not confirmed yet. @type {Set<Promise<unknown>>} */
const tales = new Set()
const counts = { granted: 0, released: 0, lost: 0 }
/** Failures that nobody has expected. @type {string[]} */
const surprises = []
let writes = 0
let lookedAt = nowMs()
/** When the event loop did not turn. @type {[number, number][]} */
const stalls = []

function keep(tale) {
  tales.add(tale)
  tale.catch(() => {}).finally(() => tales.delete(tale))
}

/** What this process believes of one lease. */
class Hold {
  done = 0
  toldAt
  awake = true

  constructor(register, key, lease, askedAt) {
    this.register = register
    this.key = key
    this.lease = lease
    this.from = nowMs()
    this.deadline = this.from
    this.look()
    // Of a lease that was over before anybody could look its deadline is not known, and so not when its request left.
    const asked = this.deadline > this.from ? Math.max(askedAt, this.deadline - ttlMs) : askedAt
    keep(register.tell('grant', { ...this.name, asked, deadline: this.deadline }))
    this.ended = new Promise((resolve) => {
      lease.signal.addEventListener('abort', () => resolve(this.told()))
      // Its end may lie before the first look.
      if (lease.signal.aborted) resolve(this.told())
    })
    holds.add(this)
    process.send({ held: key, token: lease.token, from: this.from })
  }

  get name() {
    return { key: this.key, token: this.lease.token, worker, from: this.from }
  }

  look() {
    const now = nowMs()
    const left = this.lease.remainingMs
    if (left > 0) this.deadline = Math.max(this.deadline, now + left)
  }

  told() {
    if (this.toldAt !== undefined) return
    this.toldAt = nowMs()
    noteStall(this.toldAt)
    this.awake = stalls.every(([from, until]) => until < this.deadline || from > this.toldAt)
  }

  /** Writes as who looks whether it holds. */
  async write() {
    const { key, token } = { key: this.key, token: this.lease.token }
    await this.register.write({ key, token, worker, n: (writes += 1), deadline: this.deadline })
  }

  async end() {
    holds.delete(this)
    const isLost = this.lease.lost
    const until = nowMs()
    const release = this.lease.release()
    const belief = { ...this.name, deadline: this.deadline }
    if (isLost) {
      this.told()
      keep(this.register.tell('belief', { ...belief, until: this.toldAt, reason: 'signal', toldAt: this.toldAt, awake: this.awake, cause: this.lease.signal.reason?.cause }))
    } else {
      keep(this.register.tell('belief', { ...belief, until, reason: 'release' }))
    }
    const { released } = await release
    counts[released ? 'released' : 'lost'] += 1
    process.send({ left: this.key, token: this.lease.token })
  }
}

function noteStall(now) {
  if (now - lookedAt > AWAKE_MS) stalls.push([lookedAt, now])
  if (stalls.length > MOST_STALLS) stalls.shift()
}

/** Whatever delays this process, its holders know afterwards until when they were entitled to believe. */
function look() {
  const now = nowMs()
  noteStall(now)
  lookedAt = now
  for (const hold of holds) hold.look()
}

/** Mostly short; sometimes longer than a lease lasts without a renewal. */
const spanOfWork = () => (chance() < data.longShare ? between(1.2, 2.2) * data.longMs : between(5, 150))

async function work(register, leases) {
  const key = keys[Math.floor(chance() * keys.length)]
  const askedAt = nowMs()
  const lease = await leases.acquire(key, { timeoutMs: Math.round(between(2, 4) * ttlMs), signal: ending.signal })
  counts.granted += 1
  const hold = new Hold(register, key, lease, askedAt)
  hold.done = hold.from + spanOfWork()
  while (!lease.signal.aborted && nowMs() < hold.done && !ending.signal.aborted) {
    await hold.write()
    await Promise.race([pause(between(2, 60)), hold.ended])
  }
  await hold.end()
  // As who was stopped between its look and its write; the register has to know better.
  if (chance() < 0.5) await pause(between(0, 300))
  await hold.write()
}

async function task(register, leases) {
  while (!ending.signal.aborted) {
    try {
      await work(register, leases)
    } catch (error) {
      if (ending.signal.aborted) return
      if (!EXPECTED.includes(error.code)) surprises.push(`${error.code ?? ''} ${error.message ?? error}`)
      await pause(between(10, 100))
    }
    await pause(between(0, 10))
  }
}

/** A loop that turns no more; the leases of this process are to be as safe as ever. */
function block(ms) {
  const from = nowMs()
  const before = [...holds].filter((hold) => !hold.lease.lost)
  while (nowMs() - from < ms) for (const hold of before) hold.look()
  const lost = before.filter((hold) => hold.lease.lost)
  // In the first instruction after it: who is not said to have lost has time left, by its own last look. The word is
  // asked last: the time may run out between two of these looks.
  const wrong = before.filter((hold) => nowMs() > hold.deadline + 1 && hold.lease.remainingMs === 0 && !hold.lease.lost)
  process.send({ blocked: { from, until: nowMs(), held: before.length, lost: lost.map(({ key }) => key), wrong: wrong.length } })
}

async function main() {
  const register = await connect(data.register)
  const leases = new LeaseManager({ ...data.options, workerId: worker, ttlMs })
  const looking = setInterval(look, LOOK_MS)
  process.on('message', ({ block: ms, linger, stop }) => {
    if (ms) block(ms)
    if (linger) for (const hold of holds) hold.done = Infinity
    if (stop) ending.abort()
  })
  // Without its test there is nobody to work for.
  process.on('disconnect', () => process.exit(1))
  await Promise.all(Array.from({ length: data.tasks }, () => task(register, leases)))
  clearInterval(looking)
  // What was aborted at the very end may still be granted and given back.
  await leases.destroy()
  const metrics = leases.getMetrics()
  await Promise.allSettled([...tales])
  await new Promise((resolve) => process.send({ end: { counts, metrics, surprises } }, resolve))
  process.exit(0)
}

main()
