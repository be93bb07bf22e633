// @ts-check
// One of the processes that fight for a host lock: takes it again and again, and each time adds one to a counter
// in a file that nothing else protects. It tells how long it waited for each grant, and its token.
import { openSync, readSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'

/** @type {typeof import('chainlock')} */
const { hostLock } = createRequire(import.meta.url)('chainlock')

const [path, counter, grants] = process.argv.slice(2)
const lock = hostLock(path)
const file = openSync(counter, 'r+')
const bytes = Buffer.alloc(4)

/** A short body: two system calls. */
function addOne() {
  readSync(file, bytes, 0, 4, 0)
  bytes.writeInt32LE(bytes.readInt32LE() + 1)
  writeSync(file, bytes, 0, 4, 0)
}

process.on('message', async (/** @type {string} */ message) => {
  if (message !== 'go') return process.disconnect()
  /** @type {number[]} */
  const waits = []
  /** @type {number[]} */
  const tokens = []
  for (let i = 0; i < Number(grants); i++) {
    const asked = process.hrtime.bigint()
    const guard = await lock.acquire()
    waits.push(Number(process.hrtime.bigint() - asked))
    tokens.push(guard.token)
    addOne()
    guard.release()
  }
  process.send?.({ waits, tokens })
})
process.send?.('ready')
