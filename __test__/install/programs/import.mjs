// Loads chainlock by import, by name and whole, and uses it: prints what it saw as JSON.
import whole, * as names from 'chainlock'
import { acquireSendLock, configureSendLock, getLockStatus, sendEvents, sharedLock, version, withSendLock } from 'chainlock'

configureSendLock({ cooldownMs: 0 })
const forced = new Promise((resolve) => sendEvents.once('forced', resolve))
const guard = await acquireSendLock('e2e-executor')
const same = sharedLock.isSendingToClaude && whole.getLockStatus().token === guard.token
whole.forceReleaseLock('because')
// Listening keeps no process alive, so something else must while the event is on its way.
const alive = setInterval(() => undefined, 1_000)
const { reason } = await forced
clearInterval(alive)
const answer = await withSendLock('window-monitor', () => getLockStatus().sendingLayerId)
console.log(JSON.stringify({ node: process.versions.node, version, names: Object.keys(names).sort(), same, reason, lost: !guard.check(), answer }))
