// Healthy processes: random work with locks of all kinds, none of which is held or waited for for long.
'use strict'

/**
 * Works until its input ends. `data` is the seed. No request inside of another's hold, so that nothing can deadlock.
 */
async function works({ chainlock, data }) {
  let state = data
  const below = (count) => {
    // xorshift32
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % count
  }
  const { locks } = chainlock
  chainlock.configureSendLock({ layers: 'any', cooldownMs: below(5) })
  const semaphore = locks.semaphore('pool', 1 + below(4))
  const host = chainlock.hostLock(`healthy-${data}`)
  const { LeaseManager } = require(`${process.env.ROOT}/lib/leases`)
  const leases = new LeaseManager({ store: `sqlite:${process.env.XDG_RUNTIME_DIR}/healthy-${data}.db`, ttlMs: 60_000 })
  const turn = () => (below(2) === 0 ? new Promise(setImmediate) : new Promise((resolve) => setTimeout(resolve, below(4))))
  const name = () => `job ${below(6)}`
  const kinds = [
    () => locks.withLock(name(), { label: 'write' }, turn),
    () => locks.withRead(name(), turn),
    () => locks.withAll([name(), name()], turn),
    () => semaphore.run(turn),
    () => host.withLock(turn),
    () => leases.withLease(name(), turn),
    () => chainlock.withSendLock(`layer ${below(3)}`, turn),
  ]
  let goesOn = true
  process.stdin.on('end', () => (goesOn = false)).resume()
  const work = async () => {
    while (goesOn) await kinds[below(kinds.length)]()
  }
  const workers = Array.from({ length: 1 + below(12) }, work)
  console.log('ready')
  await Promise.all(workers)
  await leases.destroy()
}

module.exports = { works }
