// What named locks must do, in plain JavaScript, one thing after the other: who holds, who waits, who is granted
// next. For comparing whole programs of calls.
'use strict'

const UPGRADE = Infinity

class LocksTwin {
  locks = new Map()
  arrivals = 0
  /** What became of requests, in order: `granted 7`, `lost 3`. */
  told = []

  lock(name) {
    if (!this.locks.has(name)) this.locks.set(name, { holds: [], queue: [] })
    return this.locks.get(name)
  }

  /** Whether a request fits beside the holds; an upgrade fits when its own hold is the only one. */
  fits({ holds }, { mode, base }) {
    if (base) return holds.length === 1 && holds[0] === base
    return holds.length === 0 || (mode === 'shared' && holds.every((hold) => hold.mode === 'shared'))
  }

  serve(lock) {
    while (lock.queue.length > 0 && this.fits(lock, lock.queue[0])) {
      const request = lock.queue.shift()
      if (request.base) request.base.mode = 'exclusive'
      else lock.holds.push(request)
      this.told.push(`granted ${request.id}`)
    }
  }

  tryAcquire(name, id, mode) {
    const lock = this.lock(name)
    const request = { id, name, mode, priority: 0 }
    // Those who are less urgent than usual are gone past.
    if (lock.queue.some(({ priority }) => priority >= 0) || !this.fits(lock, request)) return null
    lock.holds.push(request)
    return request
  }

  acquire(name, id, mode, priority) {
    const lock = this.lock(name)
    const request = { id, name, mode, priority, arrival: ++this.arrivals }
    lock.queue.push(request)
    lock.queue.sort((a, b) => (a.priority === b.priority ? a.arrival - b.arrival : b.priority - a.priority))
    this.serve(lock)
    return request
  }

  holding = (request) => this.lock(request.name).holds.includes(request)
  waiting = (request) => this.lock(request.name).queue.includes(request)

  release(request) {
    if (!this.holding(request)) return false
    const lock = this.lock(request.name)
    lock.holds.splice(lock.holds.indexOf(request), 1)
    this.endUpgrades(lock)
    this.serve(lock)
    return true
  }

  /** Those whose hold is gone wait for nothing. */
  endUpgrades(lock) {
    lock.queue = lock.queue.filter((waiter) => {
      if (!waiter.base || lock.holds.includes(waiter.base)) return true
      this.told.push(`failed ${waiter.id}`)
      return false
    })
  }

  abort(request) {
    if (!this.waiting(request)) return false
    const lock = this.lock(request.name)
    lock.queue.splice(lock.queue.indexOf(request), 1)
    this.told.push(`failed ${request.id}`)
    this.serve(lock)
    return true
  }

  /** All holds end; whoever steals goes before everybody. */
  evict(name, thief) {
    const lock = this.lock(name)
    const count = lock.holds.length
    for (const hold of lock.holds) this.told.push(`lost ${hold.id}`)
    lock.holds = thief ? [{ id: thief, name, mode: 'exclusive' }] : []
    this.endUpgrades(lock)
    this.serve(lock)
    return thief ? lock.holds[0] : count
  }

  downgrade(request) {
    if (!this.holding(request) || request.mode === 'shared') return false
    request.mode = 'shared'
    this.serve(this.lock(request.name))
    return true
  }

  tryUpgrade(request) {
    if (!this.holding(request)) return false
    if (request.mode === 'shared' && this.lock(request.name).holds.length > 1) return false
    request.mode = 'exclusive'
    return true
  }

  /** Null when it is done or refused at once. */
  upgrade(request, id) {
    const lock = this.lock(request.name)
    const isRefused = !this.holding(request) || lock.queue.some((waiter) => waiter.base)
    if (isRefused || this.tryUpgrade(request)) {
      this.told.push(`${isRefused ? 'failed' : 'granted'} ${id}`)
      return null
    }
    const waiter = { id, name: request.name, mode: 'exclusive', priority: UPGRADE, arrival: ++this.arrivals, base: request }
    lock.queue.unshift(waiter)
    return waiter
  }

  standing(name) {
    const { holds, queue } = this.lock(name)
    return { holders: holds.map(({ id, mode }) => `${id} ${mode}`).sort(), waiters: queue.map(({ id }) => String(id)) }
  }
}

module.exports = { LocksTwin }
