// A TypeScript program that uses every export as an ES module would, and states by `@ts-expect-error` what
// the typings must refuse. Compiled here against the checkout and, in the install tests, against the
// installed package, where the compiled program also runs: it prints its one line at the end.
import {
  ChainlockError,
  SharedLock,
  acquireSendLock,
  checkAndForceRelease,
  configureSendLock,
  forceReleaseLock,
  getLockStatus,
  getMetrics,
  isSendLocked,
  releaseSendLock,
  resetMetrics,
  sendEvents,
  sharedLock,
  tryAcquireSendLock,
  trySend,
  version,
  withSendLock,
} from 'chainlock'
import type {
  ChainlockErrorCode,
  DefaultLayerId,
  LayerId,
  SendAttempt,
  SendEvent,
  SendGuard,
  SendHistoryEntry,
  SendHolder,
  SendLockSettings,
  SendMetrics,
  SendRefusal,
  SendStatus,
} from 'chainlock'

const layer: DefaultLayerId = 'test-layer'
const settings: SendLockSettings = { cooldownMs: 0, cooldownFrom: 'release', onTimeout: 'report', layers: 'any' }

function expect(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`not so: ${what}`)
}

function whyNot(attempt: SendAttempt): SendRefusal | SendGuard {
  if (attempt.acquired) return attempt.guard
  const holder: SendHolder | null = attempt.holder
  const again: number | null = attempt.retryAfterMs
  expect(holder === null || holder.token > 0, 'a holder has a token')
  expect(again === null || again >= 0, 'a wait is not negative')
  return attempt.reason
}

function settled(): void {
  const inForce: Required<SendLockSettings> = configureSendLock(settings)
  expect(inForce.cooldownMs === 0, 'the cooldown is off')
}

function dropIn(): void {
  const taken: boolean = tryAcquireSendLock(layer, { messageKey: 'task-1' })
  expect(taken && isSendLocked(), 'a free lock is taken')
  const status: SendStatus = getLockStatus()
  const refused = whyNot(trySend('somebody'))
  expect(refused === 'held', 'a held lock is refused')
  expect(releaseSendLock(layer, status.token ?? 0), 'the token releases')
}

async function guarded(): Promise<void> {
  using first = await acquireSendLock(layer, { timeoutMs: 1_000, signal: new AbortController().signal })
  first.assertHeld()
  expect(first.check() && !first.signal.aborted && first.release({ sent: false }), 'a guard releases')
  const length: number = await withSendLock(layer, { nested: 'refuse' }, async (guard) => guard.layerId.length)
  const token: number = await withSendLock(layer, (guard: SendGuard) => guard.token)
  expect(length === layer.length && token > 0, 'withSendLock answers what its function answers')
  await using last = await acquireSendLock('window-monitor')
  expect(!last.joined && !last.released, 'a fresh guard holds')
}

function looked(): void {
  const metrics: SendMetrics = getMetrics()
  const efficiency: string = metrics.lockEfficiency
  const newest: SendHistoryEntry | undefined = metrics.recentActivity.at(-1)
  const blocked: number = metrics.refusedByReason.held
  expect(efficiency.endsWith('%') && newest !== undefined && blocked === 1, 'metrics tell what happened')
  sendEvents.once('forced', (event: SendEvent) => event.layerId)
  sendEvents.removeAllListeners('forced')
  expect(!forceReleaseLock('nobody') && !checkAndForceRelease(), 'nobody holds it')
  resetMetrics()
}

function asAnObject(): void {
  const own = new SharedLock()
  own.COOLDOWN_MS = 5
  own.lastSendTime = 0
  const layers: Set<LayerId> = own.validLayerIds
  expect(layers.has(layer) && own.validateLayerId(layer), 'the test layer may ask')
  expect(own.tryAcquireSendLock(layer) && !sharedLock.isSendingToClaude, 'a lock of its own')
}

function failed(): void {
  try {
    configureSendLock({ cooldownMs: Number.NaN })
  } catch (error) {
    expect(error instanceof ChainlockError, 'errors are ChainlockErrors')
    const code: ChainlockErrorCode = error.code
    expect(code === 'ERR_LOCK_INVALID_ARGUMENT', 'errors have a code')
  }
}

/** Never called: what the typings must refuse. */
export function refused(): void {
  // @ts-expect-error a layer id is text
  tryAcquireSendLock(7)
  // @ts-expect-error a misspelt option
  trySend(layer, { mesage: 'hello' })
  // @ts-expect-error seconds are not an option
  configureSendLock({ cooldown: 2 })
  // @ts-expect-error a refused attempt has no guard
  trySend(layer).guard
  // @ts-expect-error what native state shows is not assigned
  sharedLock.sendingLayerId = layer
  // @ts-expect-error tokens are given out, not set
  getLockStatus().token = 1
  // @ts-expect-error no such event
  sendEvents.on('aquired', () => undefined)
  // @ts-expect-error a wait is awaited
  acquireSendLock(layer).release()
}

settled()
dropIn()
await guarded()
looked()
asAnObject()
failed()
console.log(`usage.mts: chainlock ${version} on Node ${process.versions.node}`)
