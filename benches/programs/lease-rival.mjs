// @ts-check
// Takes one lease again and again until its parent goes, as somebody who is in the way.
import { chainlockPeer } from '../chainlock-lease.mjs'

const { url, key } = JSON.parse(process.argv[2])
const lock = await chainlockPeer('sqlite').open(url)
let goesOn = true
process.once('disconnect', () => (goesOn = false))
process.send?.('ready')
while (goesOn) {
  await lock.acquire(key)
  await lock.release()
}
await lock.close()
