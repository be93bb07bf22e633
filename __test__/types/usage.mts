// A TypeScript program that uses every export as an ES module would, and states by `@ts-expect-error` what
// the typings must refuse. Compiled here against the checkout and, in the install tests, against the
// installed package, where the compiled program also runs: it prints its one line at the end.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ChainlockError,
  DeadlockError,
  E_ALREADY_LOCKED,
  E_CANCELED,
  E_TIMEOUT,
  Lock,
  LockManager,
  Mutex,
  RWLock,
  Semaphore,
  SharedLock,
  acquireSendLock,
  checkAndForceRelease,
  configureSendLock,
  forceReleaseLock,
  getLockStatus,
  getMetrics,
  isSendLocked,
  locks,
  hostLock,
  hostLocked,
  readLock,
  releaseSendLock,
  resetMetrics,
  sendEvents,
  sharedLock,
  tryAcquire,
  tryAcquireSendLock,
  trySend,
  version,
  withSendLock,
  withTimeout,
  withLocks,
  writeLock,
  clearStaleLockSync,
  detectStaleLock,
  retry,
  type StaleLockReport,
} from 'chainlock'
import lockfile, { lock as lockFile } from 'chainlock/proper-lockfile'
import {
  ConflictStrategy,
  LeaseManager,
  LockManager as IssueLockManager,
  fence,
  type Lease,
  type LeaseStatus,
  type LockResult,
} from 'chainlock/leases'
import type {
  ChainlockErrorCode,
  DeadlockReport,
  DefaultLayerId,
  HostGuard,
  HostLockStatus,
  LayerId,
  LockGuard,
  LockHandle,
  LockHolder,
  LockManagerSnapshot,
  LockStatistics,
  LockStatus,
  LocksSettings,
  MutexInterface,
  NamedSemaphore,
  PreviousHolder,
  Releaser,
  SemaphoreGuard,
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

async function asOnTheWeb(): Promise<void> {
  const mode: string | undefined = await locks.request('web', { mode: 'shared' }, (lock: Lock | null) => lock?.mode)
  const nothing: number = await locks.request('web', async () => {
    const missing: null | Lock = await locks.request('web', { ifAvailable: true, ref: false }, (lock) => lock)
    const snapshot: LockManagerSnapshot = await locks.query()
    const { held } = await locks.query({ detail: true })
    expect(missing === null && snapshot.held.length === 1 && held[0]?.threadId === 0, 'a lock shows in query()')
    return 7
  })
  expect(mode === 'shared' && nothing === 7 && locks instanceof LockManager, 'request answers as its callback')
}

async function named(): Promise<void> {
  using guard: LockGuard = await locks.acquire('named', { mode: 'read', timeoutMs: 5_000, priority: 1, label: 'usage' })
  const other: LockGuard | null = locks.tryAcquire('named', { mode: 'write' })
  expect(other === null && guard.mode === 'shared' && guard.names.length === 1, 'a reader keeps writers out')
  expect(guard.tryUpgrade() && guard.downgrade() && guard.token > 0, 'the only reader becomes a writer')
  await using both = await locks.acquireAll(['one', { name: 'two', mode: 'read' }])
  expect(both.names.join() === 'one,two' && both.check(), 'all names are held')
  const length: number = await locks.withWrite('inner', { reentrant: true }, async (inner) => inner.name.length)
  const sum: number = await locks.withAll(['x', 'y'], { label: 'usage' }, () => length + 1)
  const flowing: string = await locks.flow('usage', async () => (await locks.withRead('z', () => 'z')) + sum)
  const apart: Promise<number> = locks.detached(() => locks.withRead('z', () => 1))
  expect(flowing === 'z6' && (await apart) === 1, 'what runs under a lock answers')
  const handle: LockHandle = locks.lock('handle', { mode: 'write' })
  expect((await handle.run('read', (inner) => inner.mode)) === 'shared' && !handle.isLocked, 'a handle takes its lock')
}

async function counted(): Promise<void> {
  const semaphore: NamedSemaphore = locks.semaphore('permits', 3)
  using permits: SemaphoreGuard = await semaphore.acquire({ weight: 2 })
  semaphore.resize(4)
  expect(permits.weight === 2 && semaphore.available === 2 && semaphore.permits === 4, 'permits are counted')
  const statistics: LockStatistics | null = locks.getStatistics('named')
  const all: LockStatistics[] = locks.getStatistics()
  const status: LockStatus = locks.getLockStatus('named')
  const holder: LockHolder | undefined = status.holders[0]
  expect(statistics !== null && all.length > 0 && holder === undefined, 'what happened is counted')
  // One by asking, one by the change back from writer to reader.
  expect(statistics.modes.shared.acquisitions === 2 && statistics.operations.length > 1, 'each mode of its own')
  const settings: Required<LocksSettings> = locks.configure({ lockOrder: 'off' })
  const cycles: readonly DeadlockReport[] = locks.detectDeadlocks({ olderThanMs: settings.longWaitMs }).cycles
  expect(cycles.length === 0 && locks.forceRelease('named') === 0, 'nobody hangs')
}

class Decorated {
  readonly prefix = 'decorated'

  @readLock('decorated')
  async read(): Promise<number> {
    return 1
  }

  @writeLock(function (this: Decorated, id: string) {
    return `${this.prefix}:${id}`
  })
  async write(id: string, times: number): Promise<string> {
    return id.repeat(times)
  }
}

async function unnamed(): Promise<void> {
  const mutex = new Mutex()
  const release: Releaser = await mutex.acquire({ timeoutMs: 100 })
  const impatient: MutexInterface = tryAcquire(mutex)
  const refusal: unknown = await impatient.acquire().catch((error: unknown) => error)
  const late: unknown = await withTimeout(mutex, 1).acquire().catch((error: unknown) => error)
  expect(refusal === E_ALREADY_LOCKED && late === E_TIMEOUT && E_CANCELED !== late, 'as async-mutex')
  release()
  const [value, giveBack] = await new Semaphore(2).acquire(2)
  giveBack()
  const length: number = await new RWLock().withRead({ label: 'usage' }, (guard) => guard.mode.length)
  expect(value === 2 && length === 6 && !mutex.isLocked(), 'locks without a name')
  const wrapped: (text: string) => Promise<number> = readLock('wrapped')((text: string) => text.length)
  const decorated = new Decorated()
  expect((await decorated.read()) + (await wrapped('ab')) === 3, 'a method and a function under a lock')
  expect((await decorated.write('ab', 2)) === 'abab', 'a lock named by an argument')
}

async function onTheHost(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-usage-'))
  process.env.XDG_RUNTIME_DIR = folder
  const lock = hostLock('usage', { allowNetworkFs: false })
  const guard: HostGuard | null = lock.tryAcquireSync({ mode: 'shared', label: 'usage' })
  const died: PreviousHolder | null | undefined = guard?.previousHolderDied
  guard?.release()
  const { holders, waiters, mode }: HostLockStatus = lock.status()
  const length: number = died === null ? holders.length + waiters : (mode ?? '').length
  const sum: number = await lock.withLock({ timeoutMs: 1_000 }, async ({ token }) => token + length)
  const same: string = lock.withLockSync(({ path }) => path)
  const paths: string[] = await withLocks([lock, 'usage', { lock: locks.lock('also') }], ([host, named, handle]) => {
    const both: LockGuard[] = [named, handle]
    return [host.path, ...both.map(({ name }) => name)]
  })
  const wrapped: (text: string) => Promise<number> = hostLocked((text: string) => text)((text: string) => text.length + sum)
  await wrapped(`usage-${paths.length + same.length}`)
  lock.close()
  rmSync(folder, { recursive: true })
  // @ts-expect-error a wait is awaited
  void (() => lock.acquire().release())
  // @ts-expect-error a host lock cannot become shared
  void (() => guard?.downgrade())
  // @ts-expect-error who stands still cannot be aborted
  void (() => lock.acquireSync({ signal: new AbortController().signal }))
}

async function refusedForEver(): Promise<void> {
  try {
    await locks.withLock('self', () => locks.withLock('self', () => undefined))
  } catch (error) {
    expect(error instanceof DeadlockError && error instanceof ChainlockError, 'a deadlock is an error')
    const code: 'ERR_LOCK_DEADLOCK' | 'ERR_LOCK_SELF_DEADLOCK' = error.code
    expect(code === 'ERR_LOCK_SELF_DEADLOCK' && error.cycle[0]?.heldBy?.name === 'self', 'it says who holds')
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
  // @ts-expect-error there is one LockManager
  new LockManager()
  // @ts-expect-error milliseconds have it in their name
  locks.acquire('named', { timeout: 5 })
  // @ts-expect-error the method's name says the mode
  locks.withRead('named', { mode: 'read' }, () => undefined)
  // @ts-expect-error a wait is awaited
  locks.acquire('named').release()
  // @ts-expect-error a semaphore has no modes
  locks.semaphore('permits').acquire({ mode: 'read' })
  // @ts-expect-error the name is made of other arguments
  readLock((id: string) => id)((id: number) => id)
}

async function again() {
  const answer: number = await retry(({ attempt, signal }) => (signal?.aborted ? 0 : attempt), { retries: 2, jitter: 'equal' })
  // @ts-expect-error milliseconds have it in their name
  const wrong = () => retry(() => 1, { base: 5 })
  return [answer, wrong]
}

async function othersLocks() {
  const report: StaleLockReport = await detectStaleLock('none.lock', { maxAgeMs: 5, format: 'git' })
  const cleared: boolean = clearStaleLockSync('none.lock').cleared
  // @ts-expect-error a report is not changed
  const wrong = () => (report.verdict = 'live')
  const held = async (options: lockfile.LockOptions) => {
    const release: () => Promise<void> = await lockFile('data.json', { ...options, retries: { retries: 2, factor: 3 } })
    await release()
    await lockfile('data.json')
    // @ts-expect-error the real file system it is
    await lockfile.unlock('data.json', { fs: {} })
  }
  return [cleared, wrong, held]
}

async function betweenMachines() {
  const folder = mkdtempSync(join(tmpdir(), 'chainlock-usage-'))
  try {
    await using leases = new LeaseManager({ store: `sqlite:${folder}/leases.db`, ttlMs: 30_000, workerId: 'w', nodeId: 'n' })
    leases.on('lost', (lease: Lease, { cause, by }) => console.log(lease.key, cause, by?.workerId))
    leases.on('risk', (lease, { msLeft }) => console.log(lease.token, msLeft.toFixed()))
    const answer: string = await leases.withLease(['a', 'b'], { timeoutMs: 1_000, metadata: { x: 1 } }, async (lease) => {
      const signal: AbortSignal = lease.signal
      lease.assertHeld()
      return `${signal.aborted} ${lease.tokens.length} ${lease.remainingMs > 0}`
    })
    if (answer !== 'false 2 true') throw new Error(answer)
    const lease: Lease | null = await leases.tryAcquire(17, { permits: 2 })
    await lease?.release()
    const status: LeaseStatus = await leases.status('17')
    const result: LockResult = await leases.acquireLock(18, { conflictStrategy: ConflictStrategy.FAIL_FAST, taskInfo: {} })
    if (result.success) await leases.releaseLock(18, result.metadata.worker_id)
    else console.log(result.error.code, result.error.heldBy?.workerId)
    const same: typeof LeaseManager = IssueLockManager
    const { text, values } = fence.sql({ table: 't', set: ['a'], where: ['b'] })
    const written: { written: boolean } = await fence.conditionalWrite<number>({
      token: 1,
      get: async () => null,
      put: async (value, token, version) => value > token && version === null,
      update: (value) => (value ?? 1) + 1,
    })
    const wrong = async () => {
      // @ts-expect-error a steal names what it takes
      await leases.steal('a', {})
      // @ts-expect-error that is no strategy
      await leases.acquireLock('a', { conflictStrategy: 'RETRY' })
      // @ts-expect-error who does not wait has no timeout
      await leases.tryAcquire('a', { timeoutMs: 5 })
      // @ts-expect-error a token is not written
      if (lease) lease.token = 7
      // @ts-expect-error there is no such event
      leases.on('gone', () => {})
    }
    return [status.held, same, text, values({ a: 1, b: 2 }, 3), written, wrong, leases.caps().engine]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

settled()
dropIn()
await guarded()
looked()
asAnObject()
failed()
await asOnTheWeb()
await named()
await counted()
await unnamed()
await onTheHost()
await refusedForEver()
await again()
await othersLocks()
await betweenMachines()
console.log(`usage.mts: chainlock ${version} on Node ${process.versions.node}`)
