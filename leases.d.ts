/**
 * `chainlock/leases`: locks that hold between machines, over SQLite, Redis, PostgreSQL, etcd or GitHub. docs/leases.md
 * says which engine promises what, and why a lease alone is not enough: write with {@link Lease.token}.
 *
 * Times are milliseconds. A refusal or failure rejects with a `ChainlockError` (docs/errors.md); a wrong argument is a
 * `TypeError` with `ERR_LOCK_INVALID_ARGUMENT` or `ERR_LOCK_UNKNOWN_OPTION`.
 *
 * @example
 * import { LeaseManager } from 'chainlock/leases'
 * await using leases = new LeaseManager({ store: 'redis://127.0.0.1:6379', ttlMs: 30_000 })
 * await leases.withLease('task-17', async (lease) => {
 *   await work({ signal: lease.signal })
 *   await db.query('UPDATE tasks SET done = true, fence = $1 WHERE id = 17 AND fence <= $1', [lease.token])
 * })
 */
import { EventEmitter } from 'node:events'
import type { ChainlockError, LayerId, SendLockSettings, SendRefusal } from './index'

/** 1 to 512 bytes of UTF-8 without NUL; a positive whole number, such as that of an issue, is its decimal text. */
export type LeaseKey = string | number

/** JSON of at most 4 KiB. */
export type LeaseMetadata = unknown

/** How a {@link LeaseManager} is opened. */
export interface LeaseManagerOptions {
  /**
   * - nothing: SQLite in the user's state directory, for the processes of one machine
   * - `'sqlite:./locks.db'`, or a directory (`'./dir'`, `'/var/lib/app'`), in which `leases.db` is made
   * - `'redis://user:password@host:6379/0'`, `'rediss://…'` over TLS
   * - `'postgres://user:password@host:5432/database'`
   * - `'etcd://host:2379'`, `'etcds://…'` over TLS
   * - `'github:owner/repo'`, with `token`
   */
  store?: string
  /** How long a lease lasts after its last renewal; it is renewed after a third of that. Default 300,000. */
  ttlMs?: number
  /** Shown to others. Default: host, process id and thread. It proves nothing: what holds is one acquisition. */
  workerId?: string
  /** Shown to others: the machine, container or region. Default: none. */
  nodeId?: string
  /** Keeps programs apart in one store: 1 to 64 of `A–Z a–z 0–9 _ . -`. Default `'chainlock'`. */
  namespace?: string
  /** GitHub: a token with `contents: write`, and `issues: write` to show locks on issues. */
  token?: string
  /** GitHub Enterprise: `'https://host/api/v3'`. */
  apiUrl?: string
  /** GitHub: whether the issue whose number is the key shows who holds it. Default true. */
  showOnIssue?: boolean
  /** A PEM file with the roots to trust for TLS, in place of the built-in ones. */
  caFile?: string
  /**
   * How long one request to the store may take. Default 5,000; GitHub 15,000. What does not wait is given up when the
   * store was silent for a quarter longer.
   */
  requestTimeoutMs?: number
  /**
   * Leases are renewed by a native thread, also while the event loop is blocked. With this they are renewed only while
   * the loop has turned within so many milliseconds, so that a program that hangs loses them. Default: never mind.
   */
  requireLoopAliveMs?: number
  /** No lease is renewed beyond this age. Default: for ever. */
  maxHoldMs?: number
  /** {@link ConflictStrategy.RETRY}: how often to ask again. Default 5. */
  maxRetries?: number
  /** The first pause at most, which doubles up to `maxRetryDelayMs`; each is cut by chance. Default 1,000. */
  retryDelayMs?: number
  /** Default 16,000. */
  maxRetryDelayMs?: number
}

/** How a lease is asked for. */
export interface LeaseOptions {
  /** Default: the manager's. */
  ttlMs?: number
  /** How long it may take, the store's answer included. Default `Infinity`. To ask once, take `tryAcquire`. */
  timeoutMs?: number
  /** Ends the wait, which rejects with `signal.reason`; not the lease. */
  signal?: AbortSignal
  /** Together with others who ask so, and with nobody who does not. */
  shared?: boolean
  /** One of so many permits, 1 to 256: everybody must say the same number. */
  permits?: number
  /** For others to read in {@link LeaseManager.status}. */
  metadata?: LeaseMetadata
  /**
   * If this lease expires without a release, nobody gets the key for so much longer. Default 0. Not on etcd and GitHub,
   * where leases hang on sessions.
   */
  lockDelayMs?: number
  /** Whether to wait in the order of arrival. Default true where the engine can. */
  fair?: boolean
  /** Default: the manager's. */
  workerId?: string
  /** Default: the manager's. */
  nodeId?: string
}

/** Options of {@link LeaseManager.steal}. */
export interface StealOptions
  extends Pick<LeaseOptions, 'ttlMs' | 'shared' | 'permits' | 'metadata' | 'lockDelayMs' | 'workerId' | 'nodeId' | 'signal'> {
  /** The token of the hold that was looked at. If another is there by now, nothing is taken: `ERR_LOCK_TOKEN_MOVED`. */
  expectToken: number
  /** For the holder, and for people. At most 256 bytes. */
  reason?: string
}

/** Why a lease was lost. */
export type LostCause =
  /** Its time was over before a renewal came through. */
  | 'expired'
  /** Somebody took it: `by` says who. */
  | 'stolen'
  /** The store does not know it any more. */
  | 'gone'
  /** The store ended the session of the process. */
  | 'session'
  | 'maxHold'
  /** `requireLoopAliveMs`: the event loop did not turn. */
  | 'loop'
  /** The manager was destroyed without releasing. */
  | 'closed'

/** Somebody who holds a key. */
export interface LeaseHolder {
  readonly workerId: string
  readonly nodeId: string | null
  readonly host: string
  readonly pid: number
  readonly token: number
  readonly mode: 'exclusive' | 'shared' | 'permit'
  /** Milliseconds since 1970, on the holder's clock: for people. */
  readonly acquiredAt: number
  /** Null where only the store knows (etcd, GitHub). */
  readonly expiresInMs: number | null
  readonly ttlMs: number | null
  /** Its time is over, but nobody has taken the key yet. */
  readonly stale: boolean
  readonly metadata: LeaseMetadata
}

/** What is known of a key. It may be old by the time it is read, and decides nothing. */
export interface LeaseStatus {
  readonly key: string
  /** Whether somebody holds it whose time is not over. */
  readonly held: boolean
  readonly holders: readonly LeaseHolder[]
  /** How many stand in line. */
  readonly waiters: number
  /** The last token that was granted; 0 for none. */
  readonly lastToken: number
  /** The last hold that was taken away by force. */
  readonly stolen: { readonly token: number; readonly by: string; readonly reason: string | null } | null
}

/** What became of a release. */
export interface LeaseRelease {
  /** Whether this call gave the key back. */
  readonly released: boolean
  /** Why not: a {@link LostCause}, `'released'` before, or `'unavailable'`: the lease then ends with its ttl. */
  readonly reason: LostCause | 'released' | 'unavailable' | null
}

/** What the engine promises; docs/leases.md has it in words. */
export interface LeaseCaps {
  readonly engine: 'sqlite' | 'redis' | 'postgres' | 'etcd' | 'github'
  /** Every grant has a token that only grows. True for all. */
  readonly fencing: true
  /** Whose clock says that a lease is over. */
  readonly clock: 'server' | 'boot' | 'session'
  readonly minTtlMs: number
  /** How long after its ttl at most a dead holder's key is free, when somebody waits for it. */
  readonly recoveryMs: number
  /** Whether several keys are granted in one write. Elsewhere: all or none, one after the other. */
  readonly atomicKeys: boolean
  /** Whether waiters are told; elsewhere they ask from time to time. */
  readonly push: boolean
  /** Whether waiters stand in line. */
  readonly fair: boolean
  /** Whether a holder that has died on this machine is seen at once. */
  readonly local: boolean
  /** Whether a failover of the server can lose a grant, so that two believe to hold; the token tells them apart. */
  readonly mayDoubleGrant: boolean
}

/**
 * A lease that was granted. It is renewed until it is released, lost, or its manager is destroyed. A held lease does
 * not keep the process alive. One that is garbage-collected while it holds is released, with a process warning
 * (`CHAINLOCK_GUARD_COLLECTED`); one whose `signal` was asked for is kept until it is released or lost.
 */
export interface Lease {
  /** The first key. */
  readonly key: string
  readonly keys: readonly string[]
  /** The fencing token of the first key: larger than every one granted for it before, in all engines. */
  readonly token: number
  /** In the order of `keys`. */
  readonly tokens: readonly number[]
  readonly mode: 'exclusive' | 'shared' | 'permit'
  readonly workerId: string
  readonly ttlMs: number
  /** When the grant arrived, in milliseconds since 1970. */
  readonly acquiredAt: number
  /** How long it took. */
  readonly waitedMs: number
  /** How often it was asked for again. */
  readonly retries: number
  /** Whether it was taken from somebody whose time was over. */
  readonly claimedStale: boolean
  /**
   * Aborts when the lease is lost, at its deadline at the latest; the reason is `ERR_LOCK_LEASE_LOST`, with `cause` (a
   * {@link LostCause}) and `by`. A release does not abort it.
   */
  readonly signal: AbortSignal
  /** Read from native memory: right even in the first instruction after a blocked event loop. */
  readonly lost: boolean
  readonly released: boolean
  /** Until the deadline, which lies before the store's; 0 when lost or released. Native, as `lost`. */
  readonly remainingMs: number
  /** @throws {ChainlockError} `ERR_LOCK_LEASE_LOST` when it is lost or released. */
  assertHeld(): void
  /**
   * Renews now, besides the renewals that happen anyway. Resolves to `remainingMs`.
   * @throws {ChainlockError} `ERR_LOCK_LEASE_LOST`, `ERR_LOCK_STORE_UNAVAILABLE`.
   */
  renew(): Promise<number>
  /** Gives it back. Never rejects; asks nobody when it is known to be lost. The second call answers as the first. */
  release(): Promise<LeaseRelease>
  /** Begins the release and does not wait for it. */
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}

/** What acquireLock does when somebody else holds the lock. */
export const ConflictStrategy: {
  /** Ask again, `maxRetries` times. */
  readonly RETRY: 'retry'
  /** Ask once. */
  readonly FAIL_FAST: 'fail_fast'
  /** Ask once, and count it when the lock was taken from a holder whose time was over. */
  readonly STEAL_STALE: 'steal_stale'
  /** Take it from whoever holds it. The holder is told, and is fenced off by the token until it knows. */
  readonly FORCE_ACQUIRE: 'force_acquire'
}
export type ConflictStrategy = 'retry' | 'fail_fast' | 'steal_stale' | 'force_acquire'

/** Options of {@link LeaseManager.acquireLock}. */
export interface AcquireLockOptions {
  workerId?: string
  nodeId?: string
  /** For others to read, as `metadata.task_info`. JSON of at most 4 KiB. */
  taskInfo?: LeaseMetadata
  /** Default {@link ConflictStrategy.RETRY}. */
  conflictStrategy?: ConflictStrategy
  maxRetries?: number
  ttlMs?: number
  signal?: AbortSignal
  /** Of all retries together. Default `Infinity`. */
  timeoutMs?: number
}

/** A hold in the shape of the GitHub-issue design. */
export interface LockMetadata {
  readonly lock_id: string
  readonly worker_id: string
  readonly node_id: string | null
  readonly host: string
  readonly pid: number
  readonly token: number
  /** ISO 8601. */
  readonly claimed_at: string
  /** The last renewal, as far as the store says. ISO 8601. */
  readonly heartbeat_last: string
  readonly ttl_ms: number | null
  readonly task_info: LeaseMetadata
}

export type LockResult =
  | { readonly success: true; readonly lockId: string; readonly token: number; readonly metadata: LockMetadata; readonly retries: number; readonly lease: Lease }
  | {
      readonly success: false
      readonly lockId: null
      readonly token: null
      /** Of who holds it, where that is the reason. */
      readonly metadata: LockMetadata | null
      readonly retries: number
      readonly error: ChainlockError
    }

export interface LockStatus {
  readonly key: string
  readonly isLocked: boolean
  /** The worker that holds it, or held it last when `stale`. */
  readonly assignee: string | null
  readonly holder: LeaseHolder | null
  readonly metadata: LockMetadata | null
  readonly token: number | null
  /** Somebody holds it whose time is over. */
  readonly stale: boolean
  readonly expiresInMs: number | null
  /** Of the hold, in milliseconds since 1970; null when there is none. */
  readonly createdAt: number | null
  readonly updatedAt: number | null
}

/** What a manager has done. Times are milliseconds. */
export interface LeaseMetrics {
  readonly totalAcquisitions: number
  readonly totalReleases: number
  /** Requests that found somebody else. */
  readonly totalConflicts: number
  readonly totalRetries: number
  readonly failedAcquisitions: number
  readonly averageAcquisitionTimeMs: number
  readonly staleLocksClaimed: number
  /** Holds that were taken from somebody by `FORCE_ACQUIRE` or `steal`. */
  readonly forced: number
  readonly timeouts: number
  readonly aborted: number
  readonly lost: number
  readonly renewals: number
  readonly failedRenewals: number
  /** Writes whose answer did not come; each was found out by reading, or made harmless. */
  readonly unknownAnswers: number
  /** At this moment. */
  readonly held: number
  readonly waiting: number
  /** From the request to the grant. */
  readonly acquire: LeaseTimes
  /** From a renewal's request to its answer. */
  readonly renew: LeaseTimes
  /** From the grant to the release or loss. */
  readonly hold: LeaseTimes
}

export interface LeaseTimes {
  readonly count: number
  readonly avgMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface LeaseEventMap {
  /** A lease of this manager was lost. */
  lost: [lease: Lease, loss: { readonly cause: LostCause; readonly by: LeaseHolder | null }]
  /** Renewals fail, and so much time is left. Told more than once. */
  risk: [lease: Lease, danger: { readonly msLeft: number }]
}

/**
 * A user of a store. Nothing is connected before the first request; managers of one process with the same store share
 * a connection. All of them are served by one native thread.
 *
 * @throws {ChainlockError} From the constructor: `ERR_LOCK_STORE_ADDRESS` for a store that is no address,
 * `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`. From calls: `ERR_LOCK_STORE_UNAVAILABLE`, `…_DENIED`,
 * `…_FOREIGN`, `…_VERSION`, `…_READ_ONLY`, `…_UNSUPPORTED`, each with engine, key and advice, never with a secret;
 * `ERR_LOCK_LEASE_CLOSED` after `destroy()`.
 */
export class LeaseManager extends EventEmitter<LeaseEventMap> {
  constructor(options?: LeaseManagerOptions)
  /** The store, without secrets. */
  readonly store: string
  readonly workerId: string
  readonly destroyed: boolean

  /**
   * Waits in line. Several keys are granted all or none.
   * @throws {ChainlockError} `ERR_LOCK_TIMEOUT`, whose message says whether a holder was waited for or the store;
   * `signal.reason`.
   */
  acquire(keys: LeaseKey | readonly LeaseKey[], options?: LeaseOptions): Promise<Lease>
  /** Asks once: null when somebody else has it. */
  tryAcquire(keys: LeaseKey | readonly LeaseKey[], options?: Omit<LeaseOptions, 'timeoutMs' | 'fair'>): Promise<Lease | null>
  /** Acquires, runs `fn`, and releases however it ends. The result is that of `fn`. */
  withLease<T>(keys: LeaseKey | readonly LeaseKey[], fn: (lease: Lease) => T | Promise<T>): Promise<T>
  withLease<T>(keys: LeaseKey | readonly LeaseKey[], options: LeaseOptions, fn: (lease: Lease) => T | Promise<T>): Promise<T>
  /**
   * Takes a key from the hold with that token. Others that hold beside it go on if the mode fits theirs (`shared`, or
   * `permits` with their number); without a mode the key is taken from all.
   * @throws {ChainlockError} `ERR_LOCK_TOKEN_MOVED` when that hold is not there any more, or its time is over: then
   *   `acquire` takes it.
   */
  steal(key: LeaseKey, options: StealOptions): Promise<Lease>
  status(key: LeaseKey): Promise<LeaseStatus>
  /** Keys that were ever granted, in the order of their names; at most `limit` (default 1,000). */
  list(options?: { prefix?: string; limit?: number }): Promise<LeaseStatus[]>
  caps(): LeaseCaps

  /**
   * The send lock of that name for all who use this store and namespace: docs/send-lock.md#one-lock-for-several-machines.
   * The settings count when the lock has none yet.
   * @throws {ChainlockError} `ERR_LOCK_STORE_UNSUPPORTED` over etcd, which has no clock to tell a cooldown by.
   */
  sendLock(name: string, settings?: ClusterSendLockSettings): ClusterSendLock

  /** A refusal is a result, not a rejection; wrong arguments throw. The lease is renewed until `releaseLock`. */
  acquireLock(key: LeaseKey, options?: AcquireLockOptions): Promise<LockResult>
  /** Of a lock of this manager's `acquireLock`; with `workerId` only when that worker has it. */
  releaseLock(key: LeaseKey, workerId?: string): Promise<{ readonly success: boolean; readonly error?: ChainlockError }>
  getLockStatus(key: LeaseKey): Promise<LockStatus>
  /** Those that somebody holds, whoever it is. */
  listLocks(): Promise<LockStatus[]>
  getMetrics(): LeaseMetrics
  /** Releases everything, stops renewing and waiting, and lets go of the store. */
  destroy(options?: { release?: boolean }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** The same class, under the name of the GitHub-issue design. Not the Web Locks `LockManager` of the main entry. */
export { LeaseManager as LockManager }

// ── The send lock between machines ───────────────────────────────────────────────────────────────────

export interface ClusterSendLockSettings extends SendLockSettings {
  /** A dead holder is found out after this. Default 10,000, or the manager's `ttlMs` if that is shorter. */
  ttlMs?: number
}

/** The settings that all users of the lock have in common. Layers: at most 100; `historyLimit`: at most 100, default 20. */
export type ClusterSendSettingsInForce = Readonly<Required<SendLockSettings>>

export interface ClusterSendHolder {
  readonly layerId: LayerId
  readonly workerId: string
  readonly nodeId: string | null
  readonly host: string
  readonly pid: number
  readonly token: number
  /** On the holder's wall clock, in milliseconds since 1970. */
  readonly acquiredAt: number
}

/** A hold of a send lock: a lease, renewed until it is released, lost or taken away. */
export interface ClusterSendGuard {
  readonly layerId: LayerId
  /** Larger than that of every hold before, on whichever machine. For the sink, which refuses smaller ones. */
  readonly token: number
  readonly acquiredAt: number
  /** Released, or lost. */
  readonly released: boolean
  /** Aborts when the hold is lost, with `ERR_LOCK_LEASE_LOST`. One that was taken away is noticed at the next renewal. */
  readonly signal: AbortSignal
  readonly remainingMs: number
  /** Whether the hold stands, as far as this process knows: one native load. */
  check(): boolean
  /** @throws {ChainlockError} `ERR_LOCK_LEASE_LOST` when {@link ClusterSendGuard.check} is false. */
  assertHeld(): void
  /** Asks the store whether the hold stands, by renewing it. Resolves to `remainingMs`. */
  renew(): Promise<number>
  /**
   * Gives the lock back; never rejects. `sent: false` says that the message was not sent after all.
   * @returns Whether this call released the hold.
   */
  release(options?: { sent?: boolean }): Promise<boolean>
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}

export type ClusterSendAttempt =
  | { readonly acquired: true; readonly guard: ClusterSendGuard }
  | {
      readonly acquired: false
      readonly reason: SendRefusal
      /** Null when nobody holds it: a cooldown outlives the hold, and those in line go first. */
      readonly holder: ClusterSendHolder | null
      readonly heldMs: number | null
      /** After how long the clock alone could let the request through; null when it never could. */
      readonly retryAfterMs: number | null
    }

export interface ClusterSendRequest {
  /** The text about to be sent; only a hash of it leaves the process. Not together with `messageKey`. */
  message?: string
  /** A name of the message instead. */
  messageKey?: string
}

export interface ClusterSendWait extends ClusterSendRequest {
  /** Default `Infinity`. */
  timeoutMs?: number
  /** Ends the wait, which rejects with `signal.reason`. */
  signal?: AbortSignal
}

export interface ClusterSendStatus {
  readonly name: string
  readonly scope: 'cluster'
  readonly isSendingToClaude: boolean
  readonly sendingLayerId: LayerId | null
  readonly lockStartTime: number | null
  readonly lockAge: number | null
  readonly token: number | null
  readonly workerId: string | null
  readonly nodeId: string | null
  readonly host: string | null
  readonly pid: number | null
  readonly overdue: boolean
  readonly cooldownRemaining: number
  readonly waiters: number
  readonly lastToken: number
  readonly lastSendTime: number
  readonly settings: ClusterSendSettingsInForce
}

export interface ClusterSendMetrics {
  readonly scope: 'cluster'
  /** Of all processes, since the lock was made; as are the next three. */
  readonly totalAcquisitions: number
  readonly totalReleases: number
  readonly forceReleases: number
  readonly forcedByReason: {
    readonly manual: number
    readonly timeout: number
    readonly stale_timeout: number
    /** Its process ended, or did not renew it in time. */
    readonly process_exit: number
    /** Its own process noticed that it was lost, and took it out. */
    readonly lost: number
  }
  /** Of this object, as are the counts by reason. */
  readonly duplicatesBlocked: number
  readonly refusedByReason: { readonly [reason in SendRefusal]: number }
}

export interface ClusterSendHistoryEntry {
  readonly timestamp: number
  readonly layerId: LayerId
  readonly token: number
  /** `acquired`, `released` or `force_released_<reason>`. */
  readonly action: string
  readonly duration: number | null
}

/**
 * The send lock for processes on several machines: the rules of the main entry's, answered by promises. Calls reject
 * with `ERR_LOCK_STORE_…` when the store cannot be reached; the two drop-in calls answer false.
 */
export interface ClusterSendLock {
  readonly name: string
  /** Asks once, and says why not. */
  trySend(layerId: LayerId, options?: ClusterSendRequest): Promise<ClusterSendAttempt>
  /**
   * Waits in line, for the holder and for the cooldown.
   * @throws {ChainlockError} `ERR_LOCK_UNKNOWN_LAYER`, `ERR_LOCK_DUPLICATE_MESSAGE`, `ERR_LOCK_TIMEOUT`.
   */
  acquireSendLock(layerId: LayerId, options?: ClusterSendWait): Promise<ClusterSendGuard>
  /** Acquires, runs `fn`, and releases. When `fn` fails, its message counts as not sent. */
  withSendLock<T>(layerId: LayerId, fn: (guard: ClusterSendGuard) => T | PromiseLike<T>): Promise<T>
  withSendLock<T>(layerId: LayerId, options: ClusterSendWait, fn: (guard: ClusterSendGuard) => T | PromiseLike<T>): Promise<T>
  /** The drop-in call: true when it is held now, false for whatever else. */
  tryAcquireSendLock(layerId: LayerId, options?: ClusterSendRequest): Promise<boolean>
  /** Of what `tryAcquireSendLock` of this object has taken; with a token exactly that hold. */
  releaseSendLock(layerId: LayerId, token?: number): Promise<boolean>
  isSendLocked(): Promise<boolean>
  /** Takes the hold from whoever has it. False when nobody has. */
  forceReleaseLock(reason?: string): Promise<boolean>
  getLockStatus(): Promise<ClusterSendStatus>
  getMetrics(): Promise<ClusterSendMetrics>
  /** The newest last. */
  lockHistory(): Promise<ClusterSendHistoryEntry[]>
  /** Changes what is named, for everybody. Resolves to all settings in force. */
  configure(settings: SendLockSettings): Promise<ClusterSendSettingsInForce>
}

// ── Fences ───────────────────────────────────────────────────────────────────────────────────────────

/** A statement for PostgreSQL or SQLite that writes only if no newer token has written. */
export interface SqlFence {
  /** Adds the column of tokens; once, in a migration. */
  readonly migration: string
  /** The `UPDATE`, with `$1` and so on. It changes no row when a newer token was there: then stop. */
  readonly text: string
  /** Its values, in their order. */
  values(row: Record<string, unknown>, token: number): unknown[]
}

/** A Redis script that sets a key only if no newer token has set it. */
export interface RedisFence {
  readonly text: string
  /** Of `text`, for `EVALSHA`. */
  readonly sha1: string
  /** The key, and where its token lies: in the same slot of a cluster. */
  keys(key: string): [string, string]
  /** The script answers 1 when it wrote, 0 when a newer token was there. */
  args(token: number, value: string | Uint8Array): [string, string | Uint8Array]
}

/** What lies under an address with conditional writes, such as S3. */
export interface FencedObject<T> {
  readonly value: T
  /** The token with which it was written. */
  readonly token: number
  /** Names this very state: an `ETag`. */
  readonly version: string
}

export interface ConditionalWrite<T> {
  /** Of the lease. */
  token: number
  /** Null when there is nothing yet. */
  get(): Promise<FencedObject<T> | null>
  /**
   * Writes value and token together (`If-Match: version`; `If-None-Match: *` when `version` is null); false when the
   * store refuses because it has another version (status 412 or 409).
   */
  put(value: T, token: number, version: string | null): Promise<boolean>
  /** From what is there to what shall be. */
  update(value: T | null): T | Promise<T>
  /** How often to try again when somebody else wrote in between. Default 10. */
  maxRetries?: number
}

/** The other half of a lease: the guarded resource refuses whoever was overtaken. docs/leases.md#the-fence */
export const fence: {
  /**
   * @param of `set` are the columns that are written, `where` those that name the row; `column` keeps the tokens
   *   (default `'fence_token'`).
   */
  sql(of: { table: string; set: readonly string[]; where: readonly string[]; column?: string }): SqlFence
  readonly redis: RedisFence
  /**
   * Reads, updates and writes until it was written, or a newer token is there: `{ written: false }`, with that token.
   * @throws {ChainlockError} `ERR_LOCK_TIMEOUT` when others wrote in between each time.
   */
  conditionalWrite<T>(of: ConditionalWrite<T>): Promise<{ readonly written: boolean; readonly token: number; readonly retries: number }>
}
