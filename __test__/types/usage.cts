// The same package from a TypeScript program that is CommonJS: by `import … = require` and by `import`.
import chainlock = require('chainlock')
import lockfile = require('chainlock/proper-lockfile')
import leases = require('chainlock/leases')
import { sharedLock, type SendStatus } from 'chainlock'

const layer: chainlock.LayerId = 'test-layer'

chainlock.configureSendLock({ cooldownMs: 0 })
if (!chainlock.tryAcquireSendLock(layer)) throw new Error('a free lock is taken')
const status: SendStatus = sharedLock.getLockStatus()
if (status.sendingLayerId !== layer) throw new Error('one lock, however it is loaded')
if (!sharedLock.releaseSendLock(layer)) throw new Error('its layer releases it')

const check: (file: string) => Promise<boolean> = lockfile.check
if (typeof check !== 'function' || lockfile.lock !== lockfile) throw new Error('the lock itself is the export')

if (leases.LockManager !== leases.LeaseManager) throw new Error('one class under two names')

console.log(`usage.cts: chainlock ${chainlock.version} on Node ${process.versions.node}`)
