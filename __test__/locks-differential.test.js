// Named locks against their twin in plain JavaScript: the same random programs of requests, releases, aborts,
// steals, conversions and deaths, the same answers, the same grants in the same order, the same lines.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { locks, freshName } = require('./helpers/locks')
const { deep } = require('./helpers/package')
const { random } = require('./helpers/figures')
const { startWorker, message } = require('./helpers/threads')
const { turn, until } = require('./helpers/waiting')
const { LocksTwin } = require('./helpers/locks-twin')

const PROGRAMS = deep(20_000, 300)
const LENGTH = 150
const NAMES = 3

/** One program: the real locks and the twin side by side; `pairs` are guards and promises with their twins. */
class Both {
  twin = new LocksTwin()
  told = []
  ids = 0
  /** Requests by id: `{ twin, guard, abort }`. */
  requests = new Map()

  constructor(next) {
    this.next = next
    this.names = Array.from({ length: NAMES }, () => freshName('twin'))
  }

  below = (limit) => Math.floor(this.next() * limit)
  pick = (list) => list[this.below(list.length)]
  name = () => this.pick(this.names)
  mode = () => this.pick(['shared', 'exclusive'])
  some = (filter) => this.pick([...this.requests.values()].filter(filter))

  watch(entry) {
    const { signal } = entry.guard
    const tell = () => this.told.push(`lost ${entry.id}`)
    // It may be gone again before the promise of its grant has got here.
    if (signal.aborted) tell()
    else signal.addEventListener('abort', tell)
  }

  CALLS = {
    tryAcquire: () => {
      const [name, mode, id] = [this.name(), this.mode(), ++this.ids]
      const guard = locks.tryAcquire(name, { mode, label: String(id) })
      const twin = this.twin.tryAcquire(name, id, mode)
      if (guard) {
        const entry = { id, guard, twin }
        this.watch(entry)
        this.requests.set(id, entry)
      }
      return [guard !== null, twin !== null]
    },
    acquire: () => {
      const [name, mode, id] = [this.name(), this.mode(), ++this.ids]
      const priority = this.pick([0, 0, 0, 1, -1])
      const controller = new AbortController()
      const entry = { id, guard: null, twin: null, abort: () => controller.abort() }
      this.requests.set(id, entry)
      locks.acquire(name, { mode, priority, label: String(id), signal: controller.signal, timeoutMs: Infinity }).then((guard) => {
        this.told.push(`granted ${id}`)
        entry.guard = guard
        this.watch(entry)
      }, () => this.told.push(`failed ${id}`))
      entry.twin = this.twin.acquire(name, id, mode, priority)
      return [true, true]
    },
    release: () => {
      const entry = this.some(({ guard }) => guard)
      if (!entry) return [0, 0]
      this.requests.delete(entry.id)
      return [entry.guard.release(), this.twin.release(entry.twin)]
    },
    abort: () => {
      const entry = this.some(({ twin, abort }) => abort && this.twin.waiting(twin))
      if (!entry) return [0, 0]
      entry.abort()
      return [true, this.twin.abort(entry.twin)]
    },
    steal: () => {
      const [name, id] = [this.name(), ++this.ids]
      let give
      const held = new Promise((resolve) => (give = resolve))
      const guard = { check: () => true, release: () => give() ?? true }
      const entry = { id, guard: null, twin: this.twin.evict(name, id) }
      locks.request(name, { steal: true, label: String(id) }, () => {
        entry.guard = guard
        return held
      }).catch(() => {
        this.told.push(`lost ${id}`)
        this.requests.delete(id)
      })
      this.requests.set(id, entry)
      return [true, true]
    },
    forceRelease: () => {
      const name = this.name()
      return [locks.forceRelease(name), this.twin.evict(name)]
    },
    downgrade: () => {
      const entry = this.some(({ guard }) => guard?.downgrade)
      return entry ? [entry.guard.downgrade(), this.twin.downgrade(entry.twin)] : [0, 0]
    },
    tryUpgrade: () => {
      const entry = this.some(({ guard }) => guard?.tryUpgrade)
      return entry ? [entry.guard.tryUpgrade(), this.twin.tryUpgrade(entry.twin)] : [0, 0]
    },
    upgrade: () => {
      const entry = this.some(({ guard, upgrading }) => guard?.upgrade && !(upgrading && this.twin.waiting(upgrading)))
      if (!entry) return [0, 0]
      const id = `up${++this.ids}`
      const controller = new AbortController()
      entry.guard.upgrade({ signal: controller.signal, timeoutMs: Infinity }).then(
        () => this.told.push(`granted ${id}`), () => this.told.push(`failed ${id}`))
      entry.upgrading = this.twin.upgrade(entry.twin, id)
      if (entry.upgrading) this.requests.set(id, { id, guard: null, twin: entry.upgrading, abort: () => controller.abort() })
      return [true, true]
    },
  }

  /** Who holds in which mode and how many wait, in order; upgrades have no label. */
  standing(name) {
    const { holders, waiters } = locks.getLockStatus(name)
    return {
      holders: holders.map(({ label, mode }) => `${label} ${mode}`).sort(),
      waiters: waiters.map(({ label }) => label),
    }
  }

  compare(log) {
    for (const name of this.names) {
      const expected = this.twin.standing(name)
      const seen = this.standing(name)
      assert.deepEqual(seen.holders, expected.holders, log.join(', '))
      assert.equal(seen.waiters.length, expected.waiters.length, log.join(', '))
      seen.waiters.forEach((label, index) => {
        if (!expected.waiters[index].startsWith('up')) assert.equal(label, expected.waiters[index], log.join(', '))
      })
    }
    assert.deepEqual([...this.told].sort(), [...this.twin.told].sort(), log.join(', '))
    // The order of grants is the order of service; when a loss is heard of is not part of it.
    const grants = (told) => told.filter((line) => line.startsWith('granted') && !line.includes('up'))
    assert.deepEqual(grants(this.told), grants(this.twin.told), log.join(', '))
  }
}

const MIX = [
  ...Array(6).fill('acquire'), ...Array(3).fill('tryAcquire'), ...Array(8).fill('release'), 'abort', 'abort', 'steal', 'forceRelease',
  'downgrade', 'tryUpgrade', 'upgrade',
]

test(`${PROGRAMS} programs of ${LENGTH} calls`, async (t) => {
  const counts = {}
  for (let seed = 1; seed <= PROGRAMS; seed++) {
    const both = new Both(random(seed))
    const log = [`seed ${seed}`]
    for (let step = 0; step < LENGTH; step++) {
      const call = both.pick(MIX)
      const [answer, expected] = both.CALLS[call]()
      log.push(`${call} → ${answer}`)
      counts[`${call} ${answer}`] = (counts[`${call} ${answer}`] ?? 0) + 1
      assert.equal(answer, expected, log.slice(-12).join(', '))
      await null
      if (step % 5 === 4) {
        await turn()
        both.compare(log.slice(-12))
      }
    }
    for (const name of both.names) while (locks.forceRelease(name) > 0) await turn()
  }
  t.diagnostic(`differential: ${PROGRAMS * LENGTH} calls, 0 differences`)
  const common = ['tryAcquire true', 'tryAcquire false', 'release true', 'release false', 'downgrade true', 'tryUpgrade true', 'tryUpgrade false']
  for (const each of common) {
    assert.ok(counts[each] > PROGRAMS, `${each}: ${counts[each]}`)
  }
})

test('deaths: what a dying thread held and waited for goes, as if released and aborted', async (t) => {
  const DEATHS = deep(500, 25)
  for (let seed = 1; seed <= DEATHS; seed++) {
    const next = random(1_000 + seed)
    const name = freshName('twin')
    const twin = new LocksTwin()
    const mine = []
    const theirs = []
    const told = []
    const kept = []
    const worker = startWorker(({ chainlock, port, data: name }) => {
      const kept = []
      port.on('message', ({ id, mode }) => {
        // Kept: a guard that nobody can reach is given back.
        chainlock.locks.acquire(name, { mode, label: String(id), timeoutMs: Infinity }).then((guard) => kept.push(guard), () => {})
        port.postMessage('asked')
      })
    }, name)
    for (let id = 1; id <= 12; id++) {
      const mode = next() < 0.5 ? 'shared' : 'exclusive'
      const isMine = next() < 0.5
      if (isMine) {
        locks.acquire(name, { mode, label: String(id), timeoutMs: Infinity }).then((guard) => {
          kept.push(guard)
          told.push(`granted ${id}`)
        })
      } else {
        const asked = message(worker)
        worker.postMessage({ id, mode })
        await asked
      }
      ;(isMine ? mine : theirs).push(twin.acquire(name, id, mode, 0))
    }
    await worker.terminate()
    // Nobody of its own may be served while the others go.
    for (const request of theirs) twin.abort(request)
    for (const request of theirs) twin.release(request)
    await turn()
    const { holders, waiters } = locks.getLockStatus(name)
    const expected = twin.standing(name)
    assert.deepEqual(holders.map(({ label, mode }) => `${label} ${mode}`).sort(), expected.holders, `seed ${seed}`)
    assert.deepEqual(waiters.map(({ label }) => label), expected.waiters, `seed ${seed}`)
    const ids = new Set(mine.map(({ id }) => id))
    const granted = twin.told.filter((line) => line.startsWith('granted') && ids.has(Number(line.split(' ')[1])))
    // The other thread's end wakes this one through its loop.
    await until(() => told.length >= granted.length, 'all have heard of their grants')
    assert.deepEqual(told, granted)
    while (locks.forceRelease(name) > 0) await turn()
  }
  t.diagnostic(`differential: ${DEATHS} deaths, 0 differences`)
})
