// @ts-check
// A process that holds a host lock until it is killed, or that waits for it and says when it had it.
import { createRequire } from 'node:module'

/** @type {typeof import('chainlock')} */
const { hostLock } = createRequire(import.meta.url)('chainlock')

const [path] = process.argv.slice(2)
const guard = await hostLock(path).acquire({ timeoutMs: Infinity })
process.send?.({ token: guard.token })
setInterval(() => {}, 1_000)
