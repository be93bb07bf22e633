// @ts-check
// One of the processes that fight for a lease: takes it again and again and keeps it for a moment. It tells when it
// asked, was granted and began to release, on the clock that all processes of a machine share.
import { setTimeout as pause } from 'node:timers/promises'
import { peerOf, urlFor } from '../chainlock-lease.mjs'

const { engine, peer, url, key, rounds, holdMs } = JSON.parse(process.argv[2])
const chosen = peerOf(engine, peer)
const lock = await chosen.open(urlFor(chosen, url))
// The connection, and whatever else the first request makes, is there before the fight.
await lock.acquire(`${key}:warm:${process.pid}`)
await lock.release()

process.once('message', async () => {
  /** @type {{ granted: number, released: number }[]} */
  const holds = []
  for (let round = 0; round < rounds; round++) {
    await lock.acquire(key)
    const granted = Number(process.hrtime.bigint()) / 1e6
    await pause(holdMs)
    const released = Number(process.hrtime.bigint()) / 1e6
    holds.push({ granted, released })
    await lock.release()
  }
  process.send?.(holds)
  process.once('message', async () => {
    await lock.close()
    process.disconnect()
  })
})
process.send?.('ready')
