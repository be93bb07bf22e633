/**
 * chainlock: locks for Node.js that hold across modules, worker threads, processes and machines.
 *
 * This file is the contract. Times are milliseconds. `…Ms` options take finite numbers from 0 to
 * `Number.MAX_SAFE_INTEGER`; what is longer than 584 years is never, and reads as that integer. An unknown option is an error that names it. Errors carry a stable `code`
 * (see {@link ChainlockError}).
 *
 * @packageDocumentation
 */
import type { ChildProcess } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

// ── Words ────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Who calls: the id of a layer of the controller, 1 to 64 bytes of UTF-8. Control, bidirectional and
 * invisible characters are replaced by U+FFFD where the id enters.
 */
export type LayerId = string

/** The layers that may take the lock unless `layers` is configured. */
export type DefaultLayerId =
  | 'e2e-executor'
  | 'window-monitor'
  | 'chain-loop-monitor'
  | 'chain-keyword-monitor'
  | 'test-layer'

/** Why a request was refused. The order is the order of the rules. */
export type SendRefusal = 'unknown_layer' | 'cooldown' | 'held' | 'duplicate_message'

/** Who holds the lock, as far as somebody else may know. */
export interface SendHolder {
  /** The holding layer. */
  readonly layerId: LayerId
  /** `worker_threads.threadId` of the holding thread; 0 is the main thread. */
  readonly threadId: number
  /** The holding process, by its pid in its own pid namespace. */
  readonly pid: number
  /** The fencing token of the hold. */
  readonly token: number
  /** When the hold began, in milliseconds since 1970. */
  readonly acquiredAt: number
}

// ── Guards ───────────────────────────────────────────────────────────────────────────────────────────

/**
 * A hold of the send lock. Give it back with {@link SendGuard.release}, or let `using` do it.
 *
 * @example
 * using guard = await acquireSendLock('window-monitor')
 * await session.send(text, { fence: guard.token })
 */
export interface SendGuard {
  /**
   * The fencing token: a safe integer, larger than that of every hold before. Hand it to whatever does
   * the sending, so that it can refuse a sender whose hold was taken away meanwhile.
   */
  readonly token: number
  /** The layer that asked. */
  readonly layerId: LayerId
  /** When the hold began, in milliseconds since 1970. */
  readonly acquiredAt: number
  /** True when this call joined the hold of the `withSendLock` around it (see {@link withSendLock}). */
  readonly joined: boolean
  /** True once {@link SendGuard.release} was called, or the hold was taken away. */
  readonly released: boolean
  /**
   * Aborts when the hold is taken away: by a force release, or by the timeout with
   * `onTimeout: 'release'`. Its `reason` is a {@link ChainlockError} with code `ERR_LOCK_LOST`. It does
   * not abort on an ordinary release.
   */
  readonly signal: AbortSignal
  /**
   * Whether the hold still stands: one native load, right even in the first instruction after the event
   * loop was blocked. Call it immediately before an effect that must not happen twice.
   */
  check(): boolean
  /** @throws {ChainlockError} `ERR_LOCK_LOST` when {@link SendGuard.check} is false. */
  assertHeld(): void
  /**
   * Gives the lock back. Idempotent; never throws.
   *
   * @param options.sent `false` says that the message given on acquiring was not sent after all, so that
   * it may be tried again within the dedup window. Default `true`.
   * @returns Whether this call released the hold: false the second time, and false when the hold had been
   * taken away (that counts as a late release).
   */
  release(options?: { sent?: boolean }): boolean
  /** Releases; what `using` calls. */
  [Symbol.dispose](): void
  /** Releases; what `await using` calls. */
  [Symbol.asyncDispose](): Promise<void>
}

// ── Asking ───────────────────────────────────────────────────────────────────────────────────────────

/** Options of every call that asks for the lock. */
export interface SendRequestOptions {
  /**
   * The message about to be sent. A message that was sent within `dedupWindowMs` is refused with
   * `duplicate_message`. Only a 128-bit hash is kept. Not together with `messageKey`.
   */
  message?: string
  /** A name of the message instead of its text, e.g. `task-17:attempt-1`. */
  messageKey?: string
  /**
   * What happens inside another layer's {@link withSendLock}: `'join'` (default) joins that hold. With
   * `'refuse'` a call that does not wait is refused as by any other hold, and a call that waits rejects
   * with `ERR_LOCK_SELF_DEADLOCK`: the hold it would wait for may be waiting for it. On `withSendLock` it
   * also decides for the calls inside.
   */
  nested?: 'join' | 'refuse'
}

/** Options of the calls that wait. */
export interface SendWaitOptions extends SendRequestOptions {
  /** How long to wait at the most. Default: as long as it takes. `Infinity` is allowed. */
  timeoutMs?: number
  /** Aborts the wait: the request leaves the line at once and the promise rejects with `signal.reason`. */
  signal?: AbortSignal
}

/** What {@link trySend} answers. */
export type SendAttempt =
  | { readonly acquired: true; readonly guard: SendGuard }
  | {
      readonly acquired: false
      /** Which rule refused. */
      readonly reason: SendRefusal
      /** Who holds the lock now; null when nobody does (a cooldown outlives the hold). */
      readonly holder: SendHolder | null
      /** How long the holder has held it; null without a holder. */
      readonly heldMs: number | null
      /**
       * After how long the clock alone could let the request through: the rest of the cooldown or of the
       * dedup window; for `held`, until the hold would be taken away (it may end much sooner). Null when
       * it never could: for `unknown_layer`, and for `held` under a force-release age of "never".
       */
      readonly retryAfterMs: number | null
    }

/**
 * Takes the send lock if it is free. The drop-in call: it answers, and never throws, whatever it is given.
 *
 * @param layerId The calling layer.
 * @param options {@link SendRequestOptions}.
 * @returns True when the lock was taken: the caller releases it with {@link releaseSendLock}.
 * @example
 * if (!tryAcquireSendLock('e2e-executor')) return
 * try { await send(text) } finally { releaseSendLock('e2e-executor') }
 */
export function tryAcquireSendLock(layerId: LayerId, options?: SendRequestOptions): boolean

/**
 * Gives the lock back. The drop-in call: never throws.
 *
 * @param layerId The layer that took it. Without a token the calling thread must be the one that took it.
 * @param token The token of the hold, if known: then exactly that hold is released, from any thread.
 * @returns False when another layer, another thread or another token holds it, or nobody does.
 */
export function releaseSendLock(layerId: LayerId, token?: number): boolean

/**
 * Asks once, and says why not. Same rules as {@link tryAcquireSendLock}.
 *
 * @throws {TypeError & ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`.
 * @example
 * const attempt = trySend('window-monitor', { message: text })
 * if (!attempt.acquired) return log(`${attempt.reason}, again in ${attempt.retryAfterMs} ms`)
 * using guard = attempt.guard
 */
export function trySend(layerId: LayerId, options?: SendRequestOptions): SendAttempt

/**
 * Waits for the lock: first come, first served, over all threads, through the cooldown. A waiting request
 * keeps its thread's event loop alive. At most 10,000 can wait.
 *
 * @throws {ChainlockError} `ERR_LOCK_TIMEOUT` (with `holder` and `position`), `ERR_LOCK_UNKNOWN_LAYER`,
 * `ERR_LOCK_DUPLICATE_MESSAGE`, `ERR_LOCK_QUEUE_FULL`, `ERR_LOCK_SELF_DEADLOCK` (inside a
 * {@link withSendLock} that the call cannot join: its own layer's, or with `nested: 'refuse'`),
 * `ERR_LOCK_DEADLOCK` (inside a named lock that the send lock's holder waits for), `ERR_LOCK_INVALID_ARGUMENT`,
 * `ERR_LOCK_UNKNOWN_OPTION`; `signal.reason` when aborted. All as rejections.
 */
export function acquireSendLock(layerId: LayerId, options?: SendWaitOptions): Promise<SendGuard>

/**
 * Waits for the lock, runs `fn` and gives the lock back, however `fn` ends. When `fn` fails, its message
 * counts as not sent.
 *
 * Inside `fn`, and in whatever it awaits, an acquiring call of *another* layer joins this hold instead of
 * being blocked by it: no second cooldown, and its release leaves this hold alone. One at a time: a sibling
 * started beside such a call waits for it (or is refused, if it does not wait).
 *
 * @returns What `fn` returns.
 * @example
 * await withSendLock('chain-loop-monitor', async (guard) => {
 *   await executor.run(task)        // takes the lock as 'e2e-executor': joins
 *   guard.assertHeld()
 * })
 */
export function withSendLock<T>(layerId: LayerId, fn: (guard: SendGuard) => T | PromiseLike<T>): Promise<T>
export function withSendLock<T>(
  layerId: LayerId,
  options: SendWaitOptions | undefined,
  fn: (guard: SendGuard) => T | PromiseLike<T>,
): Promise<T>

/** Whether anybody holds the send lock: one native load. */
export function isSendLocked(): boolean

/**
 * Takes the hold away from whoever has it. The holder's guard becomes lost, its token is refused from now on.
 *
 * @param reason Shown in the history as `force_released_<reason>`; cleaned and cut to 64 bytes.
 * Default `'timeout'`.
 * @returns Whether there was a hold.
 */
export function forceReleaseLock(reason?: string): boolean

/** Ends the hold if it is past its force-release age. A native timer does so by itself; this is for code
 * that asks. @returns Whether a hold was ended. */
export function checkAndForceRelease(): boolean

// ── Looking ──────────────────────────────────────────────────────────────────────────────────────────

/** Count, mean, percentiles (at most 6.25 % too high) and maximum of a set of durations. */
export interface DurationSummary {
  readonly count: number
  readonly avgMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/**
 * The four totals. `totalAcquisitions` = `totalReleases` + `forceReleases` + the present hold, since the start.
 * After a {@link resetMetrics} during a hold, the end of that hold counts and its acquisition does not.
 */
export interface SendTotals {
  readonly totalAcquisitions: number
  readonly totalReleases: number
  /** Refused by `cooldown`, `held` or `duplicate_message`. */
  readonly duplicatesBlocked: number
  /** Holds that did not end by their holder's release. */
  readonly forceReleases: number
}

/** One line of the history. */
export interface SendHistoryEntry {
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly layerId: LayerId
  readonly success: boolean
  /** `acquired`, `released`, `duplicate_blocked` or `force_released_<reason>`. */
  readonly action: string
  /** How long the hold had lasted, in whole milliseconds; null where none ended. */
  readonly duration: number | null
  /** The lock right after. */
  readonly lockState: { readonly isSending: boolean; readonly currentLayer: LayerId | null }
}

/** What {@link getMetrics} answers. */
export interface SendMetrics extends SendTotals {
  /** Whose counts these are: this process's, or those of all processes that share the lock. */
  readonly scope: 'process' | 'host'
  /** Releases ÷ acquisitions, as `'100.00%'`, or `'N/A'` before the first acquisition. */
  readonly lockEfficiency: string
  /** Blocked ÷ (acquisitions + blocked), as `'33.33%'`, or `'N/A'` before the first acquisition. */
  readonly duplicateRate: string
  /** Mean of the holds in the history that lasted at least 1 ms, as `'2500ms'`, or `'N/A'`. */
  readonly averageLockDuration: string
  /** The last 10 entries of the history. */
  readonly recentActivity: readonly SendHistoryEntry[]
  /** `lockEfficiency` as a number, 1 for `'100.00%'`; null for `'N/A'`. */
  readonly lockEfficiencyRatio: number | null
  /** `duplicateRate` as a number from 0 to 1; null for `'N/A'`. */
  readonly duplicateRateRatio: number | null
  /** `averageLockDuration` as a number; null for `'N/A'`. */
  readonly averageLockDurationMs: number | null
  /** Counts per layer; layers after the 63rd are counted together as `(others)`. */
  readonly layers: {
    readonly [layerId: LayerId]: {
      readonly acquisitions: number
      readonly releases: number
      readonly blocked: number
      readonly forced: number
    }
  }
  readonly refusedByReason: { readonly [reason in SendRefusal]: number }
  readonly forcedByReason: {
    readonly manual: number
    readonly timeout: number
    readonly stale_timeout: number
    readonly thread_exit: number
    /** Only with `scope: 'host'`: its process ended. */
    readonly process_exit: number
  }
  /** From request to grant, for the requests that had to wait. */
  readonly waitTimes: DurationSummary
  /** From acquisition to the end of the hold. */
  readonly holdTimes: DurationSummary
  /** Releases of holds that had been taken away before. */
  readonly lateReleases: number
  /** Holds that went past `timeoutMs`. */
  readonly overdue: number
  /** Calls that joined the hold around them. */
  readonly joins: number
  /** Requests that had to wait in line. */
  readonly waits: number
  readonly waitTimeouts: number
  readonly waitAborts: number
  /** Requests refused because 10,000 were waiting. */
  readonly queueFull: number
}

/** What {@link getLockStatus} answers. */
export interface SendStatus {
  readonly isSendingToClaude: boolean
  readonly sendingLayerId: LayerId | null
  /** When the hold began, in milliseconds since 1970; null when free. */
  readonly lockStartTime: number | null
  /** Age of the hold in whole milliseconds; null when free. */
  readonly lockAge: number | null
  readonly metrics: SendTotals
  /** Fencing token of the hold; null when free. */
  readonly token: number | null
  /** `worker_threads.threadId` of the holder; null when free. */
  readonly threadId: number | null
  /** Pid of the holder's process; null when free. */
  readonly pid: number | null
  /** Whether other processes share the lock; see {@link SendLockScope}. */
  readonly scope: 'process' | 'host'
  /** Held longer than `timeoutMs`. */
  readonly overdue: boolean
  /** Rest of the cooldown in whole milliseconds, rounded up; 0 when over. */
  readonly cooldownRemaining: number
  /** Requests in line. */
  readonly waiters: number
  /** The last acquisition, in milliseconds since 1970; 0 for none. */
  readonly lastSendTime: number
}

/** Counts, rates, percentiles and the last 10 events since the start or the last {@link resetMetrics}. */
export function getMetrics(): SendMetrics

/** The lock as it is now. */
export function getLockStatus(): SendStatus

/** Sets all counts to zero and empties the history. The hold, the cooldown and the tokens stay. */
export function resetMetrics(): void

// ── Settings ─────────────────────────────────────────────────────────────────────────────────────────

/** What {@link configureSendLock} takes; what is left out stays as it is. */
export interface SendLockSettings {
  /** Least time between two sends. Default 2,000. */
  cooldownMs?: number
  /** From when the cooldown counts: the last acquisition (default) or the end of the last hold. */
  cooldownFrom?: 'acquire' | 'release'
  /** After how long a hold is overdue. Default 300,000 (5 min). */
  timeoutMs?: number
  /** What happens then: it is reported (default), or the hold is ended. */
  onTimeout?: 'report' | 'release'
  /** After how long a hold is taken away. Default 600,000 (10 min). */
  forceReleaseMs?: number
  /** Who may ask: a list, or everybody. Default: {@link DefaultLayerId}. */
  layers?: 'any' | readonly LayerId[]
  /** How much of the past `lockHistory` keeps, 0 to 1,000. Default 100. */
  historyLimit?: number
  /** For how long the same message is refused; the last 4,096 messages are remembered. Default 0: off. */
  dedupWindowMs?: number
}

/** What {@link configureSendLock} takes besides: whose lock it is. */
export interface SendLockScope {
  /**
   * `'process'` (default): a lock for all threads of this process. `'host'`: one lock for all processes of this
   * user on this machine that give it the same `name`; the settings are then theirs as well: the first process
   * brings its own, a later one takes those in force and changes what it names. Once per process, for all its
   * threads and copies of the package, while nobody in it holds the lock or waits; there is no way back. Linux only.
   */
  scope?: 'process' | 'host'
  /** Which one, with `scope: 'host'`: 1 to 200 bytes, a file name. Default `'default'`. */
  name?: string
}

/**
 * Changes the rules, for all threads at once. Either everything is applied, or an error says what is wrong
 * and nothing is.
 *
 * @returns The settings now in force.
 * @throws {ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`; with `scope`: `ERR_LOCK_SCOPE`,
 * `ERR_LOCK_BUSY`, `ERR_LOCK_FILE_UNSAFE`, `ERR_LOCK_FILE_FOREIGN`, `ERR_LOCK_FILE_IO`, `ERR_LOCK_UNSUPPORTED`.
 */
export function configureSendLock(settings: SendLockSettings & SendLockScope): Readonly<Required<SendLockSettings>>

// ── Events ───────────────────────────────────────────────────────────────────────────────────────────

/** One event of the send lock. */
export interface SendEvent {
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly layerId: LayerId
  /** The hold concerned; for `blocked`, the one in the way; 0 for none. */
  readonly token: number
  /** Where it happened: `worker_threads.threadId`. */
  readonly threadId: number
  /** How long the hold had lasted; null where that says nothing. */
  readonly heldMs: number | null
  /** `blocked`: which rule; `forced` and `recovered`: the reason; else null. */
  readonly reason: string | null
  /** `blocked`: the layer in the way, if any; else null. */
  readonly holder: LayerId | null
}

/** The events: names and arguments. `lagged` says how many were lost because nobody fetched them in time. */
export interface SendEventMap {
  acquired: [event: SendEvent]
  released: [event: SendEvent]
  /** Refused by `cooldown`, `held` or `duplicate_message`. */
  blocked: [event: SendEvent]
  /** Held longer than `timeoutMs`. */
  overdue: [event: SendEvent]
  /** Taken away from a living holder. */
  forced: [event: SendEvent]
  /** Taken back from a thread that ended. */
  recovered: [event: SendEvent]
  lagged: [lost: number]
}

/**
 * What happens to the send lock, in all threads, in order, told from this thread's event loop. Listening
 * does not keep the process alive. The same events are published on the `diagnostics_channel` channels
 * `chainlock:send:acquired`, `…:released`, `…:blocked`, `…:overdue`, `…:forced` and `…:recovered`.
 *
 * @example
 * sendEvents.on('forced', (event) => alert(`${event.layerId} lost the lock: ${event.reason}`))
 */
export const sendEvents: EventEmitter<SendEventMap>

// ── The drop-in object ───────────────────────────────────────────────────────────────────────────────

/**
 * The object that a controller knows from its `shared-state.js`. Properties show native state; the
 * capital ones and `lastSendTime` can be assigned and take effect natively. Assigning one of the others
 * changes nothing and warns once (`CHAINLOCK_READ_ONLY`).
 *
 * `new SharedLock()` is a lock of its own, for tests; {@link sharedLock} is the process's one send lock.
 *
 * @example
 * // shared-state.js, in its entirety
 * export { sharedLock, SharedLock } from 'chainlock'
 */
export class SharedLock {
  constructor()
  /** `cooldownMs`. */
  COOLDOWN_MS: number
  /** `timeoutMs`. */
  TIMEOUT_MS: number
  /** `forceReleaseMs`. */
  FORCE_RELEASE_THRESHOLD: number
  /** The last acquisition, in milliseconds since 1970. Assign 0 to skip the cooldown. */
  lastSendTime: number
  /** Who may ask. `add`, `delete` and `clear` take effect. */
  get validLayerIds(): Set<LayerId>
  get isSendingToClaude(): boolean
  get sendingLayerId(): LayerId | null
  get lockStartTime(): number | null
  get lockHistory(): SendHistoryEntry[]
  get totalAcquisitions(): number
  get totalReleases(): number
  get duplicatesBlocked(): number
  get forceReleases(): number
  /** Whether the layer may ask. Never throws. */
  validateLayerId(id: unknown): boolean
  tryAcquireSendLock(layerId: LayerId, options?: SendRequestOptions): boolean
  releaseSendLock(layerId: LayerId, token?: number): boolean
  trySend(layerId: LayerId, options?: SendRequestOptions): SendAttempt
  acquireSendLock(layerId: LayerId, options?: SendWaitOptions): Promise<SendGuard>
  withSendLock<T>(layerId: LayerId, fn: (guard: SendGuard) => T | PromiseLike<T>): Promise<T>
  withSendLock<T>(
    layerId: LayerId,
    options: SendWaitOptions | undefined,
    fn: (guard: SendGuard) => T | PromiseLike<T>,
  ): Promise<T>
  isSendLocked(): boolean
  forceReleaseLock(reason?: string): boolean
  checkAndForceRelease(): boolean
  getMetrics(): SendMetrics
  getLockStatus(): SendStatus
  resetMetrics(): void
  configure(settings: SendLockSettings): Readonly<Required<SendLockSettings>>
}

/** The process's one send lock; the functions above are its methods. */
export const sharedLock: SharedLock

// ── Named locks: words ───────────────────────────────────────────────────────────────────────────────

/**
 * `'exclusive'`: one holder. `'shared'`: any number of holders, none of them exclusive. Where a mode is an
 * argument of chainlock's own methods, `'write'` and `'read'` are the same two modes.
 */
export type LockMode = 'exclusive' | 'shared'

/** A mode as an argument: `'write'` is `'exclusive'`, `'read'` is `'shared'`. */
export type LockModeName = LockMode | 'write' | 'read'

/** What is held or waited for: a read/write lock, a semaphore, the send lock, or a lock between processes. */
export type LockKind = 'lock' | 'semaphore' | 'send' | 'host'

/** One hold, as it is told in errors, deadlock reports and statuses. */
export interface LockHolder {
  /** Its name; null for a lock without one ({@link Mutex}, {@link Semaphore}, {@link RWLock}). */
  readonly name: string | null
  readonly kind: LockKind
  /** Null for a semaphore. */
  readonly mode: LockMode | null
  /** The permits of a semaphore; 1 for a lock. */
  readonly weight: number
  /** Of locks that are taken together ({@link LockManager.acquireAll}): all their names. */
  readonly names?: readonly (string | null)[]
  /** The label given with the request, or null. */
  readonly label: string | null
  /** `worker_threads.threadId` of the thread that asked; 0 is the main thread. Null for the send lock. */
  readonly threadId: number | null
  /** The fencing token. */
  readonly token: number
  /** How long it has been held. Null for the send lock. */
  readonly heldMs: number | null
  /** Of a host lock: the process. */
  readonly pid?: number
}

/** One waiting request, as it is told in errors, deadlock reports and statuses. */
export interface LockWaiter {
  readonly name: string | null
  readonly kind: LockKind
  readonly mode: LockMode | null
  readonly weight: number
  readonly names?: readonly (string | null)[]
  readonly label: string | null
  /** Null where it is of another process. */
  readonly threadId: number | null
  /** Its place in line, from 1; of several lines, in the first. 0 for the send lock and for another process. */
  readonly position: number
  readonly priority: number
  readonly waitedMs: number
  /** Of a host lock: the process. */
  readonly pid?: number
}

// ── Named locks: guards ──────────────────────────────────────────────────────────────────────────────

/** What every hold of a named lock or semaphore is as an object. Anybody it is handed to may release it. */
export interface HoldGuard {
  /** The name; `''` for a lock without one. Of several names, the first. */
  readonly name: string
  /**
   * The fencing token: a safe integer, larger than that of every hold before, over all names and threads.
   * Hand it to whatever has the effect, so that it can refuse a holder whose hold was taken away meanwhile.
   */
  readonly token: number
  /** The label given with the request, cleaned and cut to 64 bytes of UTF-8; null without one. */
  readonly label: string | null
  /** When the hold began, in milliseconds since 1970. */
  readonly acquiredAt: number
  /** True once it was released or taken away. */
  readonly released: boolean
  /**
   * Aborts when the hold is taken away, by a steal or by {@link LockManager.forceRelease}. Its `reason` is a
   * {@link ChainlockError} with code `ERR_LOCK_LOST`. It does not abort on an ordinary release.
   */
  readonly signal: AbortSignal
  /**
   * Whether the hold still stands: one native load, right even in the first instruction after the event loop
   * was blocked. Call it immediately before an effect that must not happen twice.
   */
  check(): boolean
  /** @throws {ChainlockError} `ERR_LOCK_LOST` when {@link HoldGuard.check} is false. */
  assertHeld(): void
  /**
   * Gives the lock back. Idempotent; never throws.
   * @returns Whether this call released the hold: false the second time, and false when it had been taken away.
   */
  release(): boolean
  /** Releases; what `using` calls. */
  [Symbol.dispose](): void
  /** Releases; what `await using` calls. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A hold of one named lock, or of several taken together ({@link LockManager.acquireAll}). A guard that is
 * garbage-collected while it holds is released and reported as a process warning with the code
 * `CHAINLOCK_GUARD_COLLECTED`, with its name and label.
 *
 * @example
 * using guard = await locks.acquire('skills', { mode: 'read', label: 'planner' })
 */
export interface LockGuard extends HoldGuard {
  /** All names; one, except after {@link LockManager.acquireAll}. */
  readonly names: readonly string[]
  /** The present mode. Of several names: `'exclusive'` if at least one of them is held so. */
  readonly mode: LockMode
  /**
   * Turns an exclusive hold into a shared one, without a moment in between at which nobody holds. Readers
   * that wait at the head of the line come in.
   * @returns False, and nothing is changed, when the hold is not exclusive, not held any more, or of several names.
   */
  downgrade(): boolean
  /**
   * Turns a shared hold into an exclusive one if it is the only one; never waits.
   * @returns False, and the hold stays shared, when others hold as well, when it is not held any more, or when it
   * is of several names. True at once when it is exclusive already.
   */
  tryUpgrade(): boolean
  /**
   * Waits, ahead of everybody in line, until this is the only hold, and makes it exclusive. The hold stays
   * shared meanwhile, and when the wait fails. Two that wait so would wait for each other: the second is refused
   * at once.
   *
   * @throws {ChainlockError} `ERR_LOCK_DEADLOCK`, `ERR_LOCK_TIMEOUT`, `ERR_LOCK_LOST`; `signal.reason` when aborted.
   * All as rejections.
   */
  upgrade(options?: LockUpgradeOptions): Promise<void>
}

/** Options of {@link LockGuard.upgrade}. */
export interface LockUpgradeOptions {
  /** How long to wait at the most. Default: the default of writers, 30,000. */
  timeoutMs?: number
  /** Aborts the wait. */
  signal?: AbortSignal
}

// ── Named locks: options ─────────────────────────────────────────────────────────────────────────────

/** Options of the calls that ask once. */
export interface LockTryOptions {
  /** Default `'exclusive'`. */
  mode?: LockModeName
  /**
   * Who asks, in words for people: shown in errors, reports and `query({ detail: true })`. Cleaned and cut to
   * 64 bytes of UTF-8.
   */
  label?: string
}

/** Options of {@link LockManager.acquireSync}. */
export interface LockSyncOptions extends LockTryOptions {
  /**
   * How long to wait at the most. Default 10,000 for readers and 30,000 for writers
   * ({@link LockManager.configure}). `Infinity`: as long as it takes. 0: not at all.
   */
  timeoutMs?: number
  /** An integer from -1,000 to 1,000; higher is served first, equal ones first come, first served. Default 0. */
  priority?: number
}

/** Options of the calls that wait. */
export interface LockAcquireOptions extends LockSyncOptions {
  /** Aborts the wait: the request leaves the line at once and the promise rejects with `signal.reason`. */
  signal?: AbortSignal
  /** The class for `lockOrder` ({@link LockManager.configure}). Default: the name up to the first `':'`. */
  class?: string
  /** False: this wait does not keep the thread's event loop alive. Default true. */
  ref?: boolean
}

/** Options of the calls that run a function under the lock. */
export interface LockRunOptions extends LockAcquireOptions {
  /**
   * Inside a callback that holds the same lock already, in this mode or exclusively: true grants the inner
   * call at once, as a part of that hold; its end leaves the hold alone. Siblings that are started side by side
   * inside an exclusive hold still go one at a time; deadlock detection does not see a sibling's wait for its turn,
   * its timeout ends it. The hold ends, and its call settles, when its last part has ended; whoever releases the
   * hold's guard by hand ends it at once, and the signals of the parts' guards abort. A part becomes exclusive only
   * while no other part runs beside it: `tryUpgrade` answers false, `upgrade` rejects with `ERR_LOCK_UNAVAILABLE`.
   * Default false: `ERR_LOCK_SELF_DEADLOCK`.
   */
  reentrant?: boolean
}

/** {@link LockRunOptions} where the method's name says the mode. */
export type LockModelessOptions = Omit<LockRunOptions, 'mode'>

/** What {@link LockManager.configure} takes; what is left out stays as it is. */
export interface LocksSettings {
  /**
   * Whether the order in which classes of locks are taken inside each other is watched: `'off'` (default),
   * `'warn'`: the first inversion of two classes is a process warning with the code `ERR_LOCK_ORDER`; `'error'`: the
   * request that would invert rejects with that code. Nothing has to deadlock for it. For development and tests.
   */
  lockOrder?: 'off' | 'warn' | 'error'
  /** How long readers wait unless they say so themselves. Default 10,000. `Infinity` is allowed. */
  readTimeoutMs?: number
  /** The same for writers and for requests to named semaphores. Default 30,000. */
  writeTimeoutMs?: number
  /** From when {@link LockManager.detectDeadlocks} lists a wait as long. Default 300,000. */
  longWaitMs?: number
}

// ── Web Locks ────────────────────────────────────────────────────────────────────────────────────────

/** A granted lock as {@link LockManager.request} hands it to its callback: what the Web Locks standard says. */
export class Lock {
  private constructor()
  get name(): string
  get mode(): LockMode
}

/** Options of {@link LockManager.request}: the standard's, and some more. */
export interface LockOptions {
  /** Default `'exclusive'`. */
  mode?: LockMode
  /** Do not wait: the callback gets null when the lock cannot be had at once. */
  ifAvailable?: boolean
  /**
   * Take the lock from whoever holds it, ahead of everybody in line. Those requests' promises reject with a
   * `DOMException` `AbortError`; their callbacks go on, without the lock.
   */
  steal?: boolean
  /** Aborts the wait: the promise rejects with `signal.reason`. Ignored once granted. */
  signal?: AbortSignal
  /** Beyond the standard. How long to wait at the most; then `ERR_LOCK_TIMEOUT`. Default: as long as it takes. */
  timeoutMs?: number
  /** Beyond the standard. As {@link LockSyncOptions.priority}. */
  priority?: number
  /** Beyond the standard. As {@link LockTryOptions.label}. */
  label?: string
  /**
   * Beyond the standard. What a request that closes a cycle does: `'hang'` (default), as the standard says; one
   * process warning with the code `ERR_LOCK_DEADLOCK` tells of it. `'error'`: reject with {@link DeadlockError}.
   */
  deadlock?: 'hang' | 'error'
  /** Beyond the standard. As {@link LockAcquireOptions.ref}. */
  ref?: boolean
}

/** What runs under a requested lock. */
export type LockGrantedCallback<T> = (lock: Lock | null) => T

/** One lock in a {@link LockManagerSnapshot}. */
export interface LockInfo {
  readonly name: string
  readonly mode: LockMode
  /** The thread: one and the same text for all requests of a thread. */
  readonly clientId: string
}

/** What {@link LockManager.query} answers. */
export interface LockManagerSnapshot {
  readonly held: LockInfo[]
  /** In the order in which the requests of one name are served. */
  readonly pending: LockInfo[]
}

/** A held lock in `query({ detail: true })`. */
export interface HeldLockDetail extends LockInfo {
  readonly threadId: number
  readonly pid: number
  readonly label: string | null
  readonly token: number
  /** Milliseconds since 1970. */
  readonly acquiredAt: number
  readonly heldMs: number
}

/** A waiting request in `query({ detail: true })`. */
export interface PendingLockDetail extends LockInfo {
  readonly threadId: number
  readonly pid: number
  readonly label: string | null
  /** Milliseconds since 1970. */
  readonly requestedAt: number
  readonly waitedMs: number
  /** Its place in line, from 1. */
  readonly position: number
  readonly priority: number
}

/** What `query({ detail: true })` answers. */
export interface LockManagerDetail {
  readonly held: HeldLockDetail[]
  readonly pending: PendingLockDetail[]
}

// ── Named locks ──────────────────────────────────────────────────────────────────────────────────────

/**
 * Named read/write locks and semaphores: one set for the whole process, for the main thread, worker threads and
 * several installed copies of the package.
 *
 * A name is any string, compared by its UTF-16 code units. Names that begin with `'-'` are kept for chainlock. A
 * name that nobody holds, waits for or has a handle of costs nothing.
 *
 * First come, first served, per name: a reader does not overtake a writer that waits, readers that stand next to
 * each other are granted together, a call that does not wait overtakes nobody. `priority` is the only exception.
 * At most 200,000 requests wait for one name.
 *
 * @throws Calls that wait reject with a {@link ChainlockError}: `ERR_LOCK_TIMEOUT` (with `holders`, `position` and
 * `waitedMs`), `ERR_LOCK_DEADLOCK` and `ERR_LOCK_SELF_DEADLOCK` ({@link DeadlockError}), `ERR_LOCK_ORDER`,
 * `ERR_LOCK_QUEUE_FULL`, `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`; with `signal.reason` when aborted.
 */
export class LockManager {
  private constructor()

  /**
   * The Web Locks standard's `request`: asks for the lock, calls `callback` with it, and gives it back when what
   * the callback returns has settled. The callback never runs before `request` has returned, runs in the
   * `AsyncLocalStorage` context of the call, and may return any thenable.
   *
   * All errors come as rejections, wrong arguments as the standard's `TypeError` and `DOMException`s.
   * As the standard says, a deadlock hangs, unless `deadlock: 'error'` is given.
   *
   * @returns What the callback returns.
   * @example
   * await locks.request('skills', { mode: 'shared' }, async (lock) => read())
   */
  request<T>(name: string, callback: LockGrantedCallback<T>): Promise<Awaited<T>>
  request<T>(
    name: string,
    options: LockOptions | null | undefined,
    callback: LockGrantedCallback<T>,
  ): Promise<Awaited<T>>

  /**
   * What is held and what waits, in all threads: the standard's `query`, of all named locks however they were asked
   * for. With `detail: true` it also says who, where, since when and at which place. Semaphores, and locks without a
   * name, are not in it ({@link LockManager.getLockStatus}).
   */
  query(options?: { detail?: false }): Promise<LockManagerSnapshot>
  query(options: { detail: true }): Promise<LockManagerDetail>
  query(options: { detail?: boolean }): Promise<LockManagerSnapshot | LockManagerDetail>

  /**
   * Waits for the lock and answers with its guard, which the caller releases.
   *
   * @example
   * using guard = await locks.acquire('memory:42', { mode: 'write', timeoutMs: 5_000, label: 'consolidation' })
   */
  acquire(name: string, options?: LockAcquireOptions): Promise<LockGuard>

  /**
   * Takes the lock if it can be had at once.
   * @returns Its guard, or null.
   * @throws {TypeError & ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`.
   */
  tryAcquire(name: string, options?: LockTryOptions): LockGuard | null

  /**
   * Waits for the lock while the thread stands still. In worker threads only.
   * @throws {ChainlockError} `ERR_LOCK_MAIN_THREAD` on the main thread; the errors of the calls that wait.
   */
  acquireSync(name: string, options?: LockSyncOptions): LockGuard

  /**
   * Waits until all the locks can be had, and takes them in one step: all of them or none, so that the order of the
   * names does not matter. A name without a mode is taken in `options.mode` (default `'exclusive'`); a name given
   * twice counts once, in the stronger mode. While it waits it stands in the line of every name.
   *
   * @param names At least one, at most 1,000.
   * @param options The default of `timeoutMs` is that of writers, unless all modes are shared.
   */
  acquireAll(names: readonly LockRequestName[], options?: LockAcquireOptions): Promise<LockGuard>

  /**
   * Waits for the lock, runs `fn` and gives the lock back, however `fn` ends. Inside `fn`, and in whatever it
   * awaits, requests are known to come from inside this hold: that is what deadlock detection and `reentrant` go by.
   *
   * @returns What `fn` returns.
   * @example
   * const skill = await locks.withLock('skills', { mode: 'read' }, () => load('sort-numbers'))
   */
  withLock<T>(name: string, fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  withLock<T>(name: string, options: LockRunOptions | undefined, fn: (guard: LockGuard) => T): Promise<Awaited<T>>

  /** {@link LockManager.withLock} in mode `'shared'`. */
  withRead<T>(name: string, fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  withRead<T>(name: string, options: LockModelessOptions | undefined, fn: (guard: LockGuard) => T): Promise<Awaited<T>>

  /** {@link LockManager.withLock} in mode `'exclusive'`. */
  withWrite<T>(name: string, fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  withWrite<T>(name: string, options: LockModelessOptions | undefined, fn: (guard: LockGuard) => T): Promise<Awaited<T>>

  /** {@link LockManager.acquireAll}, `fn`, release. */
  withAll<T>(names: readonly LockRequestName[], fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  withAll<T>(
    names: readonly LockRequestName[],
    options: LockAcquireOptions | undefined,
    fn: (guard: LockGuard) => T,
  ): Promise<Awaited<T>>

  /**
   * A handle of the lock of that name, for hot paths: the name is looked up once. It takes nothing.
   * @param options.mode What the handle's calls ask for unless they say so. Default `'exclusive'`.
   * @param options.label Of all its requests unless they say so.
   */
  lock(name: string, options?: LockTryOptions): LockHandle

  /**
   * The semaphore of that name. Semaphores have names of their own: `semaphore('x')` and `lock('x')` have nothing to
   * do with each other.
   *
   * @param permits How many units there are: an integer from 1 to 4,294,967,294. Left out: as many as it has, or 1 when
   * there is none of that name yet.
   * @throws {TypeError & ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, also when it has other permits already.
   */
  semaphore(name: string, permits?: number): NamedSemaphore

  /**
   * Runs `fn` as a flow of its own: what is called inside, one after the other, counts as one asker, and the
   * guards that are acquired in it (`acquire`, `tryAcquire`, `acquireAll`) count as held by it until they are
   * released. Outside of a flow a guard belongs to nobody, because it can be handed around: deadlock detection
   * does not see what its holder waits for. Do not acquire side by side (`Promise.all`) directly in one flow.
   *
   * @param label Shown in reports for requests without a label of their own.
   * @returns What `fn` returns.
   */
  flow<T>(fn: () => T): Promise<Awaited<T>>
  flow<T>(label: string | undefined, fn: () => T): Promise<Awaited<T>>

  /**
   * Calls `fn` outside of all holds and flows around the caller: what is asked for inside counts as awaited by
   * nobody. For work that a callback starts and does not wait for (a queue, a timer, a connection): otherwise it
   * counts as a part of what the hold waits for, and may be refused. Whoever does await it inside of the hold
   * hides a deadlock.
   *
   * @returns What `fn` returns.
   * @example
   * await locks.withLock('skills', async () => { locks.detached(() => void refreshLater()) })
   */
  detached<T>(fn: () => T): T

  /**
   * Changes the settings of named locks, for the whole process. Either everything is applied, or an error says what is
   * wrong and nothing is.
   * @returns The settings now in force.
   */
  configure(settings: LocksSettings): Readonly<Required<LocksSettings>>

  /**
   * The cycles of requests that wait for each other at this moment, and the waits that are older than a threshold.
   * Cycles are refused when they come about; what is left for this call are those of {@link LockManager.request},
   * and those of guards outside of flows, which show as long waits.
   * @param options.olderThanMs Default: `longWaitMs`, 300,000.
   */
  detectDeadlocks(options?: { olderThanMs?: number }): LockDeadlocks

  /** What was counted of the read/write lock of that name; null when nothing is known of it (any more). */
  getStatistics(name: string): LockStatistics | null
  /** What was counted of all named locks and semaphores: those in use, and the busiest 1,000 others. */
  getStatistics(): LockStatistics[]

  /** Who holds the read/write lock of that name now and who waits for it. */
  getLockStatus(name: string): LockStatus
  /** The same of all named locks and semaphores that are held or waited for. */
  getLockStatus(): LockStatus[]

  /** Sets what was counted of that name, or of all, to zero. Holds, waits and tokens stay. */
  resetStatistics(name?: string): void

  /**
   * Takes the lock of that name away from whoever holds it: their guards are lost, their signals abort, the
   * promises of their `request`s reject with an `AbortError`. The next in line are granted.
   *
   * @param reason In words for people; part of the message of `ERR_LOCK_LOST`. Cleaned and cut to 64 bytes.
   * @returns How many holds were ended.
   */
  forceRelease(name: string, reason?: string): number
}

/** A name, or a name with the mode in which it is wanted. */
export type LockRequestName = string | { readonly name: string; readonly mode?: LockModeName }

/** The process's named locks. */
export const locks: LockManager

/**
 * A name that was looked up once. While the handle is reachable, the name's statistics are kept.
 *
 * @example
 * const index = locks.lock('index')
 * const guard = index.tryAcquire()
 * if (guard) try { rebuild() } finally { guard.release() }
 */
export interface LockHandle {
  readonly name: string
  /** What its calls ask for unless they say so. */
  readonly mode: LockMode
  /** Whether anybody holds it, in whatever mode. */
  readonly isLocked: boolean
  /** Takes the lock if it can be had at once. @returns Its guard, or null. */
  tryAcquire(mode?: LockModeName): LockGuard | null
  /** As {@link LockManager.acquire}. */
  acquire(options?: LockModeName | LockAcquireOptions): Promise<LockGuard>
  /** As {@link LockManager.withLock}. */
  run<T>(fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  run<T>(options: LockModeName | LockRunOptions | undefined, fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  /** What was counted so far. */
  getStatistics(): LockStatistics
}

// ── Named semaphores ─────────────────────────────────────────────────────────────────────────────────

/** Options of {@link NamedSemaphore.tryAcquire}. */
export interface SemaphoreTryOptions {
  /** How many permits to take: an integer from 1 on. Default 1. */
  weight?: number
  /** As {@link LockTryOptions.label}. */
  label?: string
}

/** Options of the calls of a {@link NamedSemaphore} that wait. */
export interface SemaphoreAcquireOptions extends SemaphoreTryOptions {
  /** How long to wait at the most. Default: the default of writers, 30,000. */
  timeoutMs?: number
  /** As {@link LockSyncOptions.priority}. */
  priority?: number
  /** Aborts the wait. */
  signal?: AbortSignal
  /** As {@link LockAcquireOptions.class}. */
  class?: string
  /** As {@link LockAcquireOptions.ref}. */
  ref?: boolean
}

/** Some permits of a semaphore, held. */
export interface SemaphoreGuard extends HoldGuard {
  /** How many. */
  readonly weight: number
}

/**
 * A semaphore with a name, one for the process. First come, first served: a small request does not overtake a
 * large one that waits.
 *
 * @example
 * const models = locks.semaphore('model-calls', 4)
 * const answer = await models.run({ weight: 2, timeoutMs: 60_000 }, () => ask(prompt))
 */
export interface NamedSemaphore {
  readonly name: string
  /** How many permits there are. */
  readonly permits: number
  /** How many of them are free; 0 while more are held than there are, after a {@link NamedSemaphore.resize}. */
  readonly available: number
  /** How many requests wait. */
  readonly waiting: number
  /** Waits for permits. More than there are is no error: they may become more. */
  acquire(options?: SemaphoreAcquireOptions): Promise<SemaphoreGuard>
  /** Takes permits if they can be had at once. @returns The guard, or null. */
  tryAcquire(options?: SemaphoreTryOptions): SemaphoreGuard | null
  /** Waits for permits, runs `fn` and gives them back, however `fn` ends. @returns What `fn` returns. */
  run<T>(fn: (guard: SemaphoreGuard) => T): Promise<Awaited<T>>
  run<T>(options: SemaphoreAcquireOptions | undefined, fn: (guard: SemaphoreGuard) => T): Promise<Awaited<T>>
  /** Changes how many permits there are, from 0 on, for everybody. Takes nothing from those who hold. */
  resize(permits: number): void
  /** What was counted so far. Semaphores count as `shared`. */
  getStatistics(): LockStatistics
}

// ── Named locks: looking ─────────────────────────────────────────────────────────────────────────────

/** Least, mean, greatest and percentiles (at most 6.25 % too high) of a set of durations; 0 for none. */
export interface LockDurations {
  readonly minMs: number
  readonly avgMs: number
  readonly maxMs: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** What was counted of one mode. */
export interface LockModeStatistics {
  readonly acquisitions: number
  readonly releases: number
  readonly timeouts: number
  /** Holds whose callback threw or rejected. They count as released, too. */
  readonly errors: number
  /** Waits that ended by their signal, or by `cancel()`. */
  readonly aborts: number
  /** Holds that were stolen or force-released. */
  readonly steals: number
  /** Holds and waits that ended with their thread. */
  readonly deaths: number
  /** Requests that were refused because they would have waited for each other. */
  readonly deadlocks: number
  /** Requests that had to wait. */
  readonly contended: number
  /** From request to grant. */
  readonly wait: LockDurations
  /** From grant to the end of the hold. */
  readonly hold: LockDurations
}

/** What can happen to a request or a hold. `failed`: released after its callback threw or rejected. */
export type LockOperation =
  | 'acquired'
  | 'released'
  | 'failed'
  | 'timed_out'
  | 'aborted'
  | 'stolen'
  | 'forced'
  | 'died'
  | 'deadlocked'
  | 'downgraded'
  | 'upgraded'

/** One line of a lock's past. */
export interface LockOperationEntry {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly operation: LockOperation
  readonly mode: LockMode
  readonly threadId: number
  /** The fencing token; null where there was no hold. */
  readonly token: number | null
  /** How long it had waited, or for the end of a hold, how long it had been held. */
  readonly ms: number
}

/** What {@link LockManager.getStatistics} answers of one name. Plain data, as JSON has it. */
export interface LockStatistics {
  readonly name: string | null
  readonly kind: 'lock' | 'semaphore'
  readonly modes: { readonly shared: LockModeStatistics; readonly exclusive: LockModeStatistics }
  /** How many hold it now. */
  readonly holders: number
  /** How many wait now. */
  readonly waiters: number
  /** The last 100, oldest first. */
  readonly operations: readonly LockOperationEntry[]
}

/** What {@link LockManager.getLockStatus} answers of one name. Plain data, as JSON has it. */
export interface LockStatus {
  readonly name: string | null
  readonly kind: 'lock' | 'semaphore'
  /** In which mode it is held; null when nobody holds it, and of a semaphore. */
  readonly mode: LockMode | null
  /** Of a semaphore: how many permits there are, and how many of them are free. */
  readonly permits?: number
  readonly available?: number
  readonly holders: readonly LockHolder[]
  /** In the order in which they are served. */
  readonly waiters: readonly LockWaiter[]
}

/** One step of a deadlock: a request, and what it waits for. */
export interface DeadlockEdge {
  readonly request: LockWaiter
  /** The hold that it waits for. Null when a request for several locks stands before it in line. */
  readonly heldBy: LockHolder | null
  /** That request. */
  readonly behind?: LockWaiter
}

/**
 * Requests that wait for each other. Each waits for the hold of its own edge, and inside that hold the request
 * of the next edge was made; after the last comes the first.
 */
export interface DeadlockReport {
  readonly cycle: readonly DeadlockEdge[]
  /** The same in words, several lines. */
  readonly report: string
}

/** A request that has been waiting for long, and who holds what it waits for. */
export interface LongWait extends LockWaiter {
  /** At most 8 of them. */
  readonly holders: readonly LockHolder[]
  readonly holderCount: number
}

/** What {@link LockManager.detectDeadlocks} answers. */
export interface LockDeadlocks {
  readonly cycles: readonly DeadlockReport[]
  readonly longWaits: readonly LongWait[]
}

/** In which order two classes of locks were taken, once. */
export interface LockOrderSide {
  /** The class that was held. */
  readonly held: string
  /** The class that was asked for inside. */
  readonly then: string
  /** The names that were held, outermost first, and the one asked for. */
  readonly chain: readonly string[]
  readonly threadId: number
  readonly label: string | null
  /** Where in the program: a stack. */
  readonly site: string | null
}

// ── Locks without a name ─────────────────────────────────────────────────────────────────────────────

/** How the locks without a name wait. In place of an options object a number is the priority. */
export interface SyncWaitOptions {
  /** How long to wait at the most; then `ERR_LOCK_TIMEOUT`. Default: as long as it takes. */
  timeoutMs?: number
  /** Aborts the wait: the promise rejects with `signal.reason`. */
  signal?: AbortSignal
  /** An integer from -1,000 to 1,000; higher is served first. Default 0. */
  priority?: number
  /** As {@link LockTryOptions.label}. */
  label?: string
}

/** Releases what was acquired. The second call does nothing. */
export interface Releaser {
  (): void
  [Symbol.dispose](): void
}

/** What {@link withTimeout} and {@link tryAcquire} make of a {@link Mutex}, and what it is itself. */
export interface MutexInterface {
  acquire(priority?: number | SyncWaitOptions): Promise<Releaser>
  runExclusive<T>(fn: MutexInterface.Worker<T>, priority?: number | SyncWaitOptions): Promise<T>
  waitForUnlock(priority?: number | SyncWaitOptions): Promise<void>
  isLocked(): boolean
  release(): void
  cancel(): void
}
export declare namespace MutexInterface {
  type Releaser = import('./index').Releaser
  type Worker<T> = () => T | PromiseLike<T>
}

/** What {@link withTimeout} and {@link tryAcquire} make of a {@link Semaphore}, and what it is itself. */
export interface SemaphoreInterface {
  acquire(weight?: number, priority?: number | SyncWaitOptions): Promise<[number, Releaser]>
  runExclusive<T>(fn: SemaphoreInterface.Worker<T>, weight?: number, priority?: number | SyncWaitOptions): Promise<T>
  waitForUnlock(weight?: number, priority?: number | SyncWaitOptions): Promise<void>
  isLocked(): boolean
  getValue(): number
  setValue(value: number): void
  release(weight?: number): void
  cancel(): void
}
export declare namespace SemaphoreInterface {
  type Releaser = import('./index').Releaser
  type Worker<T> = (value: number) => T | PromiseLike<T>
}

/**
 * A lock without a name, for one object; with the methods of async-mutex. It belongs to the thread that made it.
 *
 * As in async-mutex anybody may release it, so no wait for it is known to be for ever: deadlock detection does not
 * look at it. A deadlock through it lasts until a timeout, a signal or `cancel()` ends it. {@link RWLock} and
 * {@link LockManager.withLock} are looked at.
 *
 * @example
 * const mutex = new Mutex()
 * await mutex.runExclusive(async () => save(await load()))
 */
export class Mutex implements MutexInterface {
  /** @param cancelError What the waits that {@link Mutex.cancel} ends reject with. Default {@link E_CANCELED}. */
  constructor(cancelError?: Error)
  /** Waits for the lock. @returns What releases it. */
  acquire(priority?: number | SyncWaitOptions): Promise<Releaser>
  /** Takes the lock if it is free. @returns What releases it, or null. */
  tryAcquire(): Releaser | null
  /** Waits for the lock, runs `fn`, releases. */
  runExclusive<T>(fn: MutexInterface.Worker<T>, priority?: number | SyncWaitOptions): Promise<T>
  /** Waits until the lock could be had, and takes nothing. */
  waitForUnlock(priority?: number | SyncWaitOptions): Promise<void>
  isLocked(): boolean
  /** Releases the present hold, whoever has it; nothing when there is none. */
  release(): void
  /** Ends all waits: they reject. The hold stays. */
  cancel(): void
}

/**
 * A semaphore without a name, with the methods of async-mutex. It belongs to the thread that made it. Deadlock
 * detection does not look at it, as with {@link Mutex}; it does at {@link LockManager.semaphore}.
 */
export class Semaphore implements SemaphoreInterface {
  /**
   * @param value How many units there are at first.
   * @param cancelError What the waits that {@link Semaphore.cancel} ends reject with. Default {@link E_CANCELED}.
   */
  constructor(value: number, cancelError?: Error)
  /** Waits for `weight` units (default 1). @returns The value before they were taken, and what gives them back. */
  acquire(weight?: number, priority?: number | SyncWaitOptions): Promise<[number, Releaser]>
  /** Takes `weight` units (default 1) if they can be had at once. */
  tryAcquire(weight?: number): [number, Releaser] | null
  /** Waits for units, runs `fn` with the value before they were taken, gives them back. */
  runExclusive<T>(fn: SemaphoreInterface.Worker<T>, weight?: number, priority?: number | SyncWaitOptions): Promise<T>
  /** Waits until `weight` units could be had, and takes nothing. */
  waitForUnlock(weight?: number, priority?: number | SyncWaitOptions): Promise<void>
  /** Whether no unit is free. */
  isLocked(): boolean
  /** The free units. */
  getValue(): number
  /** Sets the free units. */
  setValue(value: number): void
  /** Gives back `weight` units (default 1). */
  release(weight?: number): void
  /** Ends all waits: they reject. What is held stays. */
  cancel(): void
}

/**
 * A read/write lock without a name. It belongs to the thread that made it. Waits take as long as they take, unless
 * `timeoutMs` is given. Deadlocks are found, as inside {@link LockManager.withLock}.
 */
export class RWLock {
  /** @param cancelError What the waits that {@link RWLock.cancel} ends reject with. Default {@link E_CANCELED}. */
  constructor(cancelError?: Error)
  acquireRead(options?: number | SyncWaitOptions): Promise<LockGuard>
  acquireWrite(options?: number | SyncWaitOptions): Promise<LockGuard>
  tryAcquireRead(): LockGuard | null
  tryAcquireWrite(): LockGuard | null
  /** Waits for the lock, runs `fn`, releases. */
  withRead<T>(fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  withRead<T>(options: SyncWaitOptions | undefined, fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  withWrite<T>(fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  withWrite<T>(options: SyncWaitOptions | undefined, fn: (guard: LockGuard) => T): Promise<Awaited<T>>
  /** Whether anybody holds it. */
  isLocked(): boolean
  /** Whether a writer holds it. */
  isWriteLocked(): boolean
  /** How many readers hold it. */
  readonly readers: number
  /** Waits until a writer could have it, and takes nothing. */
  waitForUnlock(priority?: number | SyncWaitOptions): Promise<void>
  /** Ends all waits: they reject. What is held stays. */
  cancel(): void
}

/**
 * The same lock, whose waits end after `timeoutMs`: they reject with `error` (default {@link E_TIMEOUT}) and
 * leave the line at once.
 */
export function withTimeout(sync: MutexInterface, timeoutMs: number, error?: Error): MutexInterface
export function withTimeout(sync: SemaphoreInterface, timeoutMs: number, error?: Error): SemaphoreInterface

/**
 * The same lock, which does not wait: what cannot be had at once rejects with `error` (default
 * {@link E_ALREADY_LOCKED}).
 */
export function tryAcquire(sync: MutexInterface, error?: Error): MutexInterface
export function tryAcquire(sync: SemaphoreInterface, error?: Error): SemaphoreInterface

/** What waits that ran out of time reject with under {@link withTimeout}. Its `code` is `ERR_LOCK_TIMEOUT`. */
export const E_TIMEOUT: ChainlockError
/** What {@link tryAcquire} rejects with. Its `code` is `ERR_LOCK_UNAVAILABLE`. */
export const E_ALREADY_LOCKED: ChainlockError
/** What waits that were cancelled reject with. Its `code` is `ERR_LOCK_CANCELED`. */
export const E_CANCELED: ChainlockError

// ── Host locks ───────────────────────────────────────────────────────────────────────────────────────

/** Options of {@link hostLock}. */
export interface HostLockOptions {
  /**
   * Allow a path on a network file system or FUSE, where a lock may hold on one machine only, or not at all. Default
   * false: `ERR_LOCK_NETWORK_FS`.
   */
  allowNetworkFs?: boolean
}

/** Options of {@link HostLock.tryAcquire}. */
export interface HostTryOptions {
  /** Default `'exclusive'`. */
  mode?: LockModeName
  /** Who asks, in words for people; every process that may open the lock file can read it. Cut to 64 bytes of UTF-8. */
  label?: string
}

/** Options of the host lock calls that stand still. */
export interface HostSyncOptions extends HostTryOptions {
  /** How long to wait at the most. Default 60,000. `Infinity`: as long as it takes. 0: not at all. */
  timeoutMs?: number
}

/** Options of the host lock calls that wait. */
export interface HostAcquireOptions extends HostSyncOptions {
  /** Aborts the wait: the request leaves the line at once and the promise rejects with `signal.reason`. */
  signal?: AbortSignal
}

/** Who holds a host lock. As far as it tells itself; for people, not to decide by. */
export interface HostLockHolder extends LockHolder {
  readonly kind: 'host'
  readonly pid: number
  /** What its process was started as. */
  readonly command: string
  /** Whether it is this process. */
  readonly isOwn: boolean
  /** Whether its process lives; null where that cannot be told. */
  readonly isAlive: boolean | null
  /** When the hold began, in milliseconds since 1970. */
  readonly acquiredAt: number
  /** The path of the host lock that it waits for meanwhile, or null. */
  readonly waitsFor: string | null
}

/** Who held a host lock and died, or whose thread ended, without giving it back. */
export interface PreviousHolder {
  readonly pid: number
  readonly threadId: number
  readonly label: string | null
  /** From the grant until now. */
  readonly heldMs: number
  readonly command: string
}

/** What {@link HostLock.status} answers. Plain data, as JSON has it. */
export interface HostLockStatus {
  readonly name: string
  readonly path: string
  /** In which mode it is held, as far as the holders tell; null when nobody says so. */
  readonly mode: LockMode | null
  /** The fencing token of the last grant; 0 before the first. */
  readonly token: number
  /** How many processes wait. */
  readonly waiters: number
  /** Those who hold it, each process once; at most 16 that share it. Who uses another program, as flock(1), is not here. */
  readonly holders: readonly HostLockHolder[]
}

/**
 * A hold of a host lock. A guard that is garbage-collected while it holds is released and reported as a process warning
 * with the code `CHAINLOCK_GUARD_COLLECTED`. When the process dies, however it does, the kernel gives the lock back.
 */
export interface HostGuard extends HoldGuard {
  /** What was given to {@link hostLock}. */
  readonly name: string
  /** Of the lock file: absolute, without symbolic links. */
  readonly path: string
  /** The fencing token: a safe integer, larger than that of every hold of this lock before, in all processes. */
  readonly token: number
  readonly mode: LockMode
  /**
   * Whoever held the lock exclusively before and died with it, or whose thread ended; null when it was given back as it
   * should. What the lock guards may be half-written then.
   */
  readonly previousHolderDied: PreviousHolder | null
  /** Aborts, with `ERR_LOCK_LOST`, when a call of this guard finds that the hold is gone. Nobody can take it away. */
  readonly signal: AbortSignal
}

/**
 * A lock between processes, for all threads of each. See {@link hostLock}.
 *
 * First come, first served among the threads and requests of one process; between processes the kernel decides, and
 * who has just given the lock back lets those go first who wait in others. The requests of a process take part in its
 * deadlock detection, inside of the same `with…` calls and flows as named locks; circles over several processes are
 * found within a second when their holds are of `withLock`, {@link withLocks} or flows, or when their threads stand still.
 * In the statuses and reports of `locks` its line is a lock called `-host:` and the path.
 *
 * @throws All that acquire: {@link ChainlockError} `ERR_LOCK_TIMEOUT` (with `path`, `waitedMs`, `position` in the line of
 * this process, and `holders`, as {@link HostLockHolder}), `ERR_LOCK_DEADLOCK`, `ERR_LOCK_SELF_DEADLOCK`
 * ({@link DeadlockError}), the errors of {@link hostLock}, because the file is looked at again, and
 * `ERR_LOCK_QUEUE_FULL`.
 */
export interface HostLock {
  readonly name: string
  /** Of the lock file: absolute, without symbolic links. The file is never removed; nobody may, while it is used. */
  readonly path: string

  /**
   * Waits for the lock. A free lock costs no thread hop.
   * @example
   * using guard = await hostLock('deploy').acquire({ label: 'release script' })
   */
  acquire(options?: HostAcquireOptions): Promise<HostGuard>
  /** Takes the lock if it can be had at once; never waits. @returns Its guard, or null. */
  tryAcquire(options?: HostTryOptions): HostGuard | null
  /** {@link HostLock.tryAcquire} by its other name. */
  tryAcquireSync(options?: HostTryOptions): HostGuard | null
  /**
   * Stands still until it has the lock, on the main thread too: for scripts. Timers and I/O of the thread wait as well. A
   * lock that this very thread holds, or is first in line for, could never be released meanwhile:
   * {@link DeadlockError} at once.
   */
  acquireSync(options?: HostSyncOptions): HostGuard
  /** Waits for the lock, runs `fn` and gives the lock back, however `fn` ends. @returns What `fn` returns. */
  withLock<T>(fn: (guard: HostGuard) => T): Promise<Awaited<T>>
  withLock<T>(options: HostAcquireOptions | undefined, fn: (guard: HostGuard) => T): Promise<Awaited<T>>
  /**
   * {@link HostLock.acquireSync}, `fn`, release.
   * @throws {TypeError & ChainlockError} `ERR_LOCK_INVALID_ARGUMENT` when `fn` returns a promise: it would go on without
   * the lock.
   */
  withLockSync<T>(fn: (guard: HostGuard) => T): T
  withLockSync<T>(options: HostSyncOptions | undefined, fn: (guard: HostGuard) => T): T
  /** Who holds it, in whichever process, as far as they tell. */
  status(): HostLockStatus
  /**
   * Closes the lock file, once no hold and no wait needs it; the next call opens it again. A HostLock that nobody can
   * reach is closed by itself, but later: for programs that use thousands of them.
   */
  close(): void
  /** Closes; what `using` calls. */
  [Symbol.dispose](): void
}

/**
 * A lock between processes of this machine, also with shell scripts (`flock FILE command`). The kernel decides
 * who holds it: it is free the moment its process is gone, SIGKILL included, and a stopped or busy process keeps
 * it. Child processes do not inherit it.
 *
 * @param nameOrPath A name of 1 to 255 bytes without `/`: its file lies in a folder that only this user may look into
 * (`$XDG_RUNTIME_DIR/chainlock`, else `<tmpdir>/chainlock-<uid>`). Or a path, which begins with `/`, `./` or `../`: the lock
 * file itself, of its own for the lock (`data.json.lock`, not `data.json`); it is made if it is not there, its
 * folder is not.
 * @throws {ChainlockError} With `path`, and `errno` where the system refused: `ERR_LOCK_FILE_UNSAFE`,
 * `ERR_LOCK_FILE_FOREIGN`, `ERR_LOCK_FILE_IO`, `ERR_LOCK_NETWORK_FS`, `ERR_LOCK_UNSUPPORTED`.
 * @throws {TypeError & ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`.
 *
 * @example
 * const deploy = hostLock('deploy')
 * await deploy.withLock({ timeoutMs: 5_000, label: 'release script' }, async (guard) => {
 *   if (guard.previousHolderDied) await cleanUp()
 *   await release()
 * })
 */
export function hostLock(nameOrPath: string, options?: HostLockOptions): HostLock

/** What {@link withLocks} takes: a name of a named lock, a named lock's handle, a host lock; or one of them with a mode. */
export type LocksEntry =
  | string
  | LockHandle
  | HostLock
  | { readonly name: string; readonly mode?: LockModeName }
  | { readonly lock: LockHandle | HostLock; readonly mode?: LockModeName }

/** The guards of {@link withLocks}, one for each lock of the list. */
export type LocksGuards<L extends readonly LocksEntry[]> = {
  -readonly [I in keyof L]: L[I] extends HostLock | { readonly lock: HostLock } ? HostGuard : LockGuard
}

/** Options of {@link withLocks}. `mode` is that of the locks that do not say it; `timeoutMs` is for all together. */
export type WithLocksOptions = HostAcquireOptions

/**
 * Takes named locks and host locks, all or none, runs `fn` and gives them back in reverse order. Whatever their order in
 * the list, they are taken in one: named locks first, by their names, then host locks, by their paths (both by
 * UTF-16 code units). So two programs that list them differently cannot deadlock. What is listed twice is taken
 * once, in the stronger mode.
 *
 * @param list 1 to 64 locks. A string is the name of a named lock, of this process alone.
 * @param options Default `timeoutMs`: 60,000, for all together.
 * @returns What `fn` returns. It is given the guards in the order of the list.
 * @example
 * await withLocks(['index', hostLock('./repo.lock')], async ([index, repo]) => commit(repo.token))
 */
export function withLocks<const L extends readonly LocksEntry[], T>(
  list: L,
  fn: (guards: LocksGuards<L>) => T,
): Promise<Awaited<T>>
export function withLocks<const L extends readonly LocksEntry[], T>(
  list: L,
  options: WithLocksOptions | undefined,
  fn: (guards: LocksGuards<L>) => T,
): Promise<Awaited<T>>

/** Options of {@link hostLocked}. */
export interface HostLockedOptions extends HostLockOptions, HostAcquireOptions {}

// ── Decorators ───────────────────────────────────────────────────────────────────────────────────────

/** The name of the lock, or a function of the method's arguments, called with the method's `this`, that gives it. */
export type LockName<This = any, Args extends unknown[] = any[]> = string | ((this: This, ...args: Args) => string)

/**
 * What {@link readLock} and {@link writeLock} give: a decorator of methods, both of the TC39 standard and of
 * TypeScript's `experimentalDecorators`, and a wrapper of functions. What comes out waits for the lock, so it is
 * asynchronous.
 */
export interface LockDecorator<This, Args extends unknown[]> {
  /** A decorator as in the TC39 standard. */
  <T extends This, A extends [...Args, ...any[]], R>(
    method: (this: T, ...args: A) => Promise<R>,
    context: ClassMethodDecoratorContext<T, (this: T, ...args: A) => Promise<R>>,
  ): (this: T, ...args: A) => Promise<R>
  /** A decorator as with TypeScript's `experimentalDecorators`. */
  <A extends [...Args, ...any[]], R>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<(...args: A) => Promise<R>>,
  ): void
  /** A wrapper. */
  <T extends This, A extends [...Args, ...any[]], R>(
    fn: (this: T, ...args: A) => R,
  ): (this: T, ...args: A) => Promise<Awaited<R>>
}

/**
 * Runs a method or function under the lock, in mode `'shared'`.
 *
 * @example
 * class Skills {
 *   \@readLock('skills')
 *   async find(id) { … }
 *   \@writeLock((id) => `skill:${id}`, { timeoutMs: 5_000 })
 *   async replace(id, skill) { … }
 * }
 * const find = readLock('skills')(async (id) => { … })
 */
export function readLock<This = unknown, Args extends unknown[] = []>(
  name: LockName<This, Args>,
  options?: LockModelessOptions,
): LockDecorator<This, Args>

/** Runs a method or function under the lock, in mode `'exclusive'`. See {@link readLock}. */
export function writeLock<This = unknown, Args extends unknown[] = []>(
  name: LockName<This, Args>,
  options?: LockModelessOptions,
): LockDecorator<This, Args>

/**
 * Runs a method or function under a {@link hostLock}. See {@link readLock}.
 *
 * @example
 * class Deployment {
 *   \@hostLocked('deploy', { timeoutMs: 5_000 })
 *   async release() { … }
 *   \@hostLocked((file) => `${file}.lock`)
 *   async rewrite(file) { … }
 * }
 */
export function hostLocked<This = unknown, Args extends unknown[] = []>(
  nameOrPath: LockName<This, Args>,
  options?: HostLockedOptions,
): LockDecorator<This, Args>

// ── Crash-safe files ─────────────────────────────────────────────────────────────────────────────────

/** The path of a file, as `node:fs` takes it. */
export type FilePath = string | Buffer | URL

/** A piece of content. It is not copied: leave it as it is until the call is done. */
export type FilePiece = string | NodeJS.ArrayBufferView

/** What a call that writes at once takes. */
export type FileDataSync = FilePiece | Iterable<FilePiece>

/** What a call that writes later takes; a `Readable` is an async iterable. */
export type FileData = FileDataSync | AsyncIterable<FilePiece>

/** Options of {@link writeFileAtomicSync}. */
export interface WriteFileSyncOptions {
  /** Of strings. Default `'utf8'`. */
  readonly encoding?: BufferEncoding
  /** Exactly these permissions, 0 to 0o7777. Default: those of the file that is there, else `0o666 & ~umask`. */
  readonly mode?: number
  /**
   * Whether success means that a loss of power cannot undo it: file and directory are synced. `false`: whole at
   * every end of the process, but not of the system. Default `true`.
   */
  readonly durable?: boolean
  /**
   * A path that is a symbolic link: `'follow'` writes the file that it leads to, in that file's own directory;
   * `'refuse'` fails; `'replace'` puts the file in the link's place. Default `'follow'`, as `node:fs` does.
   */
  readonly symlink?: 'follow' | 'refuse' | 'replace'
  /**
   * When the file that is there is somebody else's: `'try'` keeps owner and group where the system allows it,
   * and takes away what the permissions would then give to others; `'require'` fails; `'ignore'` makes it the
   * writer's. Default `'try'`.
   */
  readonly owner?: 'try' | 'require' | 'ignore'
}

/** Options of {@link writeFileAtomic}. */
export interface WriteFileOptions extends WriteFileSyncOptions {
  /** Ends a write that waits for its data. When the last piece is on its way, the write goes to its end. */
  readonly signal?: AbortSignal
}

/** Options of {@link appendFileAtomicSync}. */
export interface AppendFileSyncOptions {
  /** Of strings. Default `'utf8'`. */
  readonly encoding?: BufferEncoding
  /** Exactly these permissions, if the file is made. Default `0o666 & ~umask`. */
  readonly mode?: number
  /** See {@link WriteFileSyncOptions.durable}. Default `true`. */
  readonly durable?: boolean
  /** See {@link WriteFileSyncOptions.symlink}. Default `'follow'`. */
  readonly symlink?: 'follow' | 'refuse'
  /** How long to wait while somebody else holds the file by `flock`. Default 60,000; `Infinity` is allowed. */
  readonly timeoutMs?: number
}

/** Options of {@link appendFileAtomic}. */
export interface AppendFileOptions extends AppendFileSyncOptions {
  /** Ends the wait for the data, or for the file. */
  readonly signal?: AbortSignal
}

/** Options of {@link updateFileSync}. */
export interface UpdateFileSyncOptions extends WriteFileSyncOptions {
  /** How long to wait for the lock. Default 60,000; `Infinity` is allowed. */
  readonly timeoutMs?: number
  /** What others see of who holds the lock. */
  readonly label?: string
}

/** Options of {@link updateFile}. */
export interface UpdateFileOptions extends UpdateFileSyncOptions {
  readonly signal?: AbortSignal
}

/**
 * Replaces the content of a file, or makes it. At any crash the file has the old content or the new, whole; after
 * success a loss of power cannot undo it. What a crash leaves beside it, the next write removes. Calls of one
 * thread for one path take effect in the order in which they were made, or in which their streams ended.
 *
 * @throws {ChainlockError} `ERR_LOCK_FILE_IO` when the system refuses, `ERR_LOCK_FILE_UNSAFE` when the target is no
 * ordinary file. The old content is whole, unless `error.replaced` says that the new one is in place.
 * @example
 * await writeFileAtomic('tasks.json', JSON.stringify(tasks))
 */
export function writeFileAtomic(path: FilePath, data: FileData, options?: WriteFileOptions | BufferEncoding): Promise<void>

/** {@link writeFileAtomic} at once: the event loop stands still until it is done. */
export function writeFileAtomicSync(
  path: FilePath,
  data: FileDataSync,
  options?: WriteFileSyncOptions | BufferEncoding,
): void

/**
 * Adds to a file, or makes it. Pieces of several processes never mix; after a crash a piece is there as a whole,
 * or the next call of anybody cuts off what there is of it. All data is gathered first.
 *
 * @throws {ChainlockError} As {@link writeFileAtomic}; `ERR_LOCK_TIMEOUT` when others held the file for too long,
 * `ERR_LOCK_UNSUPPORTED` where files cannot be locked.
 * @example
 * await appendFileAtomic('journal.ndjson', `${JSON.stringify(entry)}\n`)
 */
export function appendFileAtomic(path: FilePath, data: FileData, options?: AppendFileOptions | BufferEncoding): Promise<void>

/** {@link appendFileAtomic} at once. */
export function appendFileAtomicSync(
  path: FilePath,
  data: FileDataSync,
  options?: AppendFileSyncOptions | BufferEncoding,
): void

/**
 * Reads a file, has `fn` make the new content of it, and writes that, all under the host lock `.<name>.chainlock-lock`
 * beside the file, which every process respects that updates the file in this way. `fn` gets null when there is no
 * file; when it answers undefined, the file stays as it is. The folder has to be named in UTF-8.
 *
 * @throws {ChainlockError} As {@link writeFileAtomic} and as a host lock; what `fn` throws leaves the file alone.
 * @example
 * await updateFile('state.json', (text) => JSON.stringify({ ...JSON.parse(text ?? '{}'), seen: Date.now() }), 'utf8')
 */
export function updateFile(
  path: FilePath,
  fn: (content: string | null) => FileData | undefined | Promise<FileData | undefined>,
  options: BufferEncoding | (UpdateFileOptions & { readonly encoding: BufferEncoding }),
): Promise<void>
export function updateFile(
  path: FilePath,
  fn: (content: Buffer | null) => FileData | undefined | Promise<FileData | undefined>,
  options?: UpdateFileOptions,
): Promise<void>

/** {@link updateFile} at once. */
export function updateFileSync(
  path: FilePath,
  fn: (content: string | null) => FileDataSync | undefined,
  options: BufferEncoding | (UpdateFileSyncOptions & { readonly encoding: BufferEncoding }),
): void
export function updateFileSync(
  path: FilePath,
  fn: (content: Buffer | null) => FileDataSync | undefined,
  options?: UpdateFileSyncOptions,
): void

// ── Trying again ─────────────────────────────────────────────────────────────────────────────────────

/** Options of {@link retry}. */
export interface RetryOptions {
  /** How often to try again after the first attempt. A whole number, or `Infinity`. Default 5. */
  retries?: number
  /** The first pause; each further one is twice as long. Default 100: 0.1, 0.2, 0.4, 0.8, 1.6 s. */
  baseMs?: number
  /** No pause is longer. Default 30,000. */
  capMs?: number
  /**
   * How much of a pause is left to chance, so that those who failed together do not come back together:
   * `'full'` (default) all of it, `'equal'` the second half, `'none'` nothing.
   */
  jitter?: 'full' | 'equal' | 'none'
  /** Ends a pause at once; `retry` rejects with `signal.reason`. It is handed to `fn`, too. */
  signal?: AbortSignal
  /** A pause that would end later than this after the call is not begun. It does not end an attempt. Default: none. */
  deadlineMs?: number
  /**
   * Whether to try again after this error; may answer with a promise. Not asked after the last attempt.
   * `pauseMs` is the pause that would be made. Default: always.
   */
  shouldRetry?: (error: unknown, about: { readonly attempt: number; readonly pauseMs: number }) => unknown
}

/**
 * Runs `fn` until it does not fail: at most `retries` times more, with exponential pauses.
 *
 * Rejects with the last error itself, which then has `attempts`, a number that is not enumerable. An error that
 * says that chainlock was called wrongly (`ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`) is not tried again.
 *
 * @param fn Called with the number of the attempt, from 1, and the signal of the options.
 * @returns What `fn` answers.
 *
 * @example
 * const answer = await retry(({ signal }) => fetch(url, { signal }), { retries: 3, signal: AbortSignal.timeout(60_000) })
 */
export function retry<T>(
  fn: (context: { readonly attempt: number; readonly signal: AbortSignal | undefined }) => T | PromiseLike<T>,
  options?: RetryOptions,
): Promise<T>

// ── Other people's locks ─────────────────────────────────────────────────────────────────────────────

/**
 * What is said of somebody else's lock: `'live'`, a process that holds it was found; `'stale'`, its holder is
 * gone; `'unknown'`, neither is certain; `'absent'`, nothing is there.
 */
export type StaleVerdict = 'live' | 'stale' | 'unknown' | 'absent'

/** How a lock is read; see {@link StaleLockOptions.format}. */
export type StaleLockFormat = 'pid-file' | 'git' | 'symlink' | 'directory' | 'plain'

export interface StaleLockOptions {
  /**
   * From which age on a lock counts as stale that names no holder (Git's, an empty file or directory). It never
   * makes a lock stale whose holder is known, or that a process has open. Without it, age decides nothing.
   */
  maxAgeMs?: number
  /** How to read it. Default: what it looks like. */
  format?: StaleLockFormat
  /**
   * Vouches that whoever makes this lock lives in the pid namespace (the container) of this process. Without it, a
   * pid that is not found inside a container is `'unknown'`: it may be one of another container. Default false.
   */
  samePidNamespace?: boolean
}

/** A process that was found. `pid` is -1 for a kernel lock that belongs to no one process. */
export interface FoundProcess {
  readonly pid: number
  /** Its command line, cut and cleaned; null where it cannot be read. */
  readonly command: string | null
}

/** What a verdict rests on. Empty where nothing is there. */
export interface LockEvidence {
  /** As what it was read. */
  readonly format: StaleLockFormat
  /** How long ago it was touched. Negative when the time of its file lies in the future. */
  readonly ageMs: number
  /** When it was touched, in milliseconds since 1970. */
  readonly modifiedAt: number
  /** The user whose file it is. */
  readonly uid: number
  /** The holder that the lock names. */
  readonly pid: number | null
  readonly host: string | null
  /** When the process started that has this pid now, in milliseconds since 1970; null without one. */
  readonly startTime: number | null
  /** The command line of that process. */
  readonly command: string | null
  /** Who has the file open for writing. */
  readonly openedBy: readonly FoundProcess[]
  /** Who holds a kernel lock on the file (flock or fcntl). */
  readonly lockedBy: readonly FoundProcess[]
  /** Git's locks: Git commands that run in the work tree. */
  readonly gitCommands: readonly FoundProcess[]
  /** This boot of this machine, 32 hexadecimal digits, and the pid namespace of this process: where the pid was looked for. */
  readonly bootId: string | null
  readonly pidNamespace: number | null
}

/** What {@link detectStaleLock} answers. */
export interface StaleLockReport {
  readonly verdict: StaleVerdict
  /** Absolute. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'device' | null
  readonly evidence: LockEvidence
  /** Why, for people; the last one decided. */
  readonly reasons: readonly string[]
}

/** What {@link clearStaleLock} answers. */
export interface ClearedLockReport extends StaleLockReport {
  /** Whether this very call removed the lock. Of all who try at once, one gets true. */
  readonly cleared: boolean
}

/**
 * Says whether somebody else's lock is still held: `.git/index.lock`, a pid file, a lock directory, a symbolic link
 * such as Emacs makes. Changes nothing, follows no link. docs/stale-locks.md says how it judges. Lock files of
 * chainlock itself are refused: they are never stale.
 *
 * @throws {ChainlockError} `ERR_LOCK_FILE_IO` when the system lets nobody look.
 * @example
 * const { verdict, reasons } = await detectStaleLock('.git/index.lock', { maxAgeMs: 600_000 })
 */
export function detectStaleLock(path: string, options?: StaleLockOptions): Promise<StaleLockReport>
/** As {@link detectStaleLock}; meanwhile the event loop stands still. */
export function detectStaleLockSync(path: string, options?: StaleLockOptions): StaleLockReport

/**
 * Removes somebody else's lock if it is stale. Of many who try at once one wins, and a lock that appeared meanwhile
 * stays. Removes a file, a symbolic link, an empty directory or one with nothing but a pid file; nothing else.
 * Linux only.
 *
 * @throws {ChainlockError} `ERR_LOCK_FILE_IO` when the system refuses, `ERR_LOCK_UNSUPPORTED` where a lock cannot be
 * cleared safely. The lock is then as it was.
 * @example
 * const { cleared } = await clearStaleLock('.git/index.lock', { maxAgeMs: 600_000 })
 */
export function clearStaleLock(path: string, options?: StaleLockOptions): Promise<ClearedLockReport>
/** As {@link clearStaleLock}; meanwhile the event loop stands still. */
export function clearStaleLockSync(path: string, options?: StaleLockOptions): ClearedLockReport

// ── Processes ────────────────────────────────────────────────────────────────────────────────────────

/**
 * What a registered process is. It begins as `pending`; `running` and `stopped` may follow each other; `failed` and
 * `success` are final.
 */
export type RegistryStatus = 'pending' | 'running' | 'stopped' | 'failed' | 'success'

/**
 * What is known of a process before it runs. Control, bidirectional and invisible characters of every text are
 * replaced by U+FFFD. A longer id, name or kind is an error; a longer command, directory or list of arguments is cut,
 * and ends in `…`. All of it can be seen by every process of the user: keep secrets out of it.
 */
export interface RegistryDescription {
  /** What to call it: 1 to 64 bytes, unlike that of any other registered process. */
  id: string
  /** What to show of it, 1 to 64 bytes. Default: the id. */
  name?: string
  /** The program, at most 512 bytes. */
  command?: string
  /** Its arguments, together at most 1,024 bytes, each counted with one more. */
  args?: readonly string[]
  /** Where it runs, at most 512 bytes. */
  dir?: string
  /** What it is, for {@link ProcessRegistry.list}: 1 to 32 bytes, such as `'build'`. */
  kind?: string
  /** Its pid, where it is known. */
  pid?: number
}

/** What {@link ProcessRegistry.update} changes; what is missing stays. */
export interface RegistryPatch extends Partial<Omit<RegistryDescription, 'id'>> {
  /** Why it is as it is, in words: at most 128 bytes; more is cut. */
  reason?: string
}

/**
 * One state of a process, whole and frozen: all of it is of one moment. Times are milliseconds since 1970; what is not
 * known, or has not happened, is null.
 */
export interface RegistryEntry {
  readonly id: string
  readonly name: string
  readonly command: string | null
  readonly args: readonly string[]
  readonly dir: string | null
  readonly kind: string | null
  readonly pid: number | null
  readonly status: RegistryStatus
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  /** Why it failed, where somebody has said. `thread_exit`: the thread that had registered it ended before. */
  readonly reason: string | null
  readonly registeredAt: number
  /** When it first was `running`. */
  readonly startedAt: number | null
  /** When it became `failed` or `success`. */
  readonly endedAt: number | null
  readonly updatedAt: number
  /** The thread that registered it; 0 is the main thread. */
  readonly threadId: number
  /** How many states it has had, from 1. */
  readonly revision: number
}

/** What happened to a process, as {@link ProcessRegistry.subscribe} tells it. */
export interface RegistryChange {
  readonly type: 'registered' | 'changed' | 'removed'
  /** Its state after the change; its last one when it was removed. */
  readonly entry: RegistryEntry
  /** How many changes before this one were not told, because this thread had 10,000 to hear already. Nearly always 0. */
  readonly missed: number
}

/**
 * The processes of a program: who was started, and what became of it. One registry for all threads, 16,384 processes
 * at most, which other processes of the user can see (`registry` of `snapshot()`).
 *
 * A state is never changed but replaced: readers see one or the other, and wait for nobody. Of changes that meet, none
 * is lost. When a thread ends, what it has registered and not finished becomes `failed`, with the reason
 * `thread_exit`.
 */
export interface ProcessRegistry {
  /**
   * Registers a process as `pending`. When every place is taken, the oldest finished ones are forgotten.
   *
   * @throws {ChainlockError} `ERR_REGISTRY_DUPLICATE_ID`; `ERR_REGISTRY_FULL` when no process is finished.
   *
   * @example
   * registry.register({ id: 'build', command: 'make', args: ['-j', '2'], dir: process.cwd(), kind: 'job' })
   * registry.setStatus('build', 'running')
   * registry.exit('build', 0)
   */
  register(process: RegistryDescription): RegistryEntry
  /**
   * Changes what is known of a process; answers its state after that.
   *
   * @throws {ChainlockError} `ERR_REGISTRY_UNKNOWN_ID`, `ERR_REGISTRY_FINISHED`.
   */
  update(id: string, patch: RegistryPatch): RegistryEntry
  /**
   * Says what a process is now. Saying what it is already is a change as well.
   *
   * @throws {ChainlockError} `ERR_REGISTRY_UNKNOWN_ID`, `ERR_REGISTRY_FINISHED`; `ERR_REGISTRY_STATUS` for becoming
   * `pending` again.
   */
  setStatus(id: string, status: RegistryStatus, options?: { reason?: string }): RegistryEntry
  /**
   * A process has ended: `success` with code 0, `failed` with any other and with a signal. The code is null when only
   * a signal ended it.
   *
   * @throws {ChainlockError} `ERR_REGISTRY_UNKNOWN_ID`, `ERR_REGISTRY_FINISHED`.
   */
  exit(id: string, code: number | null, options?: { signal?: NodeJS.Signals; reason?: string }): RegistryEntry
  /** Its state, or null for an unknown id. */
  get(id: string): RegistryEntry | null
  /** Its status, or null for an unknown id: about as fast as a native call can be. */
  status(id: string): RegistryStatus | null
  /** Every process that has all of these, in the order of registration. */
  list(filter?: { status?: RegistryStatus; kind?: string; name?: string }): RegistryEntry[]
  /** Forgets a process, finished or not; whether there was one. */
  remove(id: string): boolean
  /** Forgets every finished process; how many there were. */
  clearFinished(): number
  /**
   * Tells every change that any thread makes, in the order in which they happened, from the event loop of the thread
   * that subscribed, which it does not keep alive. Answers the function that ends it.
   */
  subscribe(listener: (change: RegistryChange) => void): () => void
  /**
   * Registers a child process and follows it: `running` with its pid, then as {@link ProcessRegistry.exit} says; a
   * child that could not be started becomes `failed`, with the reason. It handles no error for you. Answers the id:
   * the given one, or one made of the program's name and the pid.
   *
   * @throws {ChainlockError} as {@link ProcessRegistry.register}.
   *
   * @example
   * const id = registry.track(spawn('make', ['-j', '2']), { kind: 'job' })
   */
  track(child: ChildProcess, options?: { id?: string; name?: string; kind?: string; dir?: string }): string
}

/** The process registry. */
export const registry: ProcessRegistry
// ── Looking from outside: the snapshot ───────────────────────────────────────────────────────────────

/** Options of {@link snapshot}. */
export interface SnapshotOptions {
  /** Only this process; `process.pid` is your own. Default: every process of this user. */
  pid?: number
  /**
   * Also free locks that have statistics, and the buckets of all times. Default false: of free locks only those that a
   * verdict is about.
   */
  all?: boolean
  /** Also the lock files of host locks, and who holds them without chainlock. Default true. */
  hosts?: boolean
}

/** Everything that can be known of the locks of this user's processes, at one moment, as plain data. */
export interface Snapshot {
  readonly schema: 1
  /** ISO 8601. */
  readonly takenAt: string
  /** Milliseconds since 1970. */
  readonly takenAtMs: number
  readonly tookMs: number
  /** No verdict is `'bad'`. */
  readonly ok: boolean
  /** What is wrong, the worst first; a single `OK` when nothing is. */
  readonly verdict: readonly Verdict[]
  readonly processes: readonly SnapshotProcess[]
  readonly locks: readonly SnapshotLock[]
  /** Leases that these processes hold, wait for, or have lost and not let go of. */
  readonly leases: readonly SnapshotLease[]
  /** The stores of leases that these processes use. */
  readonly stores: readonly SnapshotStore[]
  /** Processes that could not be looked at. */
  readonly unseen: readonly SnapshotUnseen[]
}

/** What a verdict is about. */
export type VerdictRule =
  | 'DEADLOCK'
  | 'LOST'
  | 'STORE-DOWN'
  | 'RENEW-FAILING'
  | 'STUCK'
  | 'STALE'
  | 'STOPPED'
  | 'SILENT'
  | 'ORDER'
  | 'STARVING'
  | 'HOT'
  | 'FULL'
  | 'SKEW'
  | 'UNSEEN'
  | 'OK'

/** One finding. docs/monitor.md says when each rule speaks. */
export interface Verdict {
  readonly rule: VerdictRule
  readonly level: 'bad' | 'warn' | 'good'
  /** The lock's name; null when it has none, or when no lock is meant. */
  readonly lock: string | null
  /** {@link SnapshotLock.id} or {@link SnapshotLease.id} */
  readonly lockId: string | null
  /** The process that it is about, mostly the holder's. */
  readonly pid: number | null
  /** One line. */
  readonly sentence: string
  /** More lines: what the sentence rests on. */
  readonly evidence: readonly string[]
  /** A command that can be typed. */
  readonly next: string | null
  /** ISO 8601. */
  readonly since: string | null
}

/** A process with chainlock in it. */
export interface SnapshotProcess {
  readonly pid: number
  /** Milliseconds since 1970; with the pid it tells a process from a later one of that number. */
  readonly startTimeMs: number | null
  /** Short: the script's file name, or what the system calls the process. */
  readonly command: string | null
  readonly commandLine: readonly string[] | null
  readonly cwd: string | null
  readonly state: 'running' | 'sleeping' | 'stopped' | 'zombie' | 'unknown'
  readonly isOwn: boolean
  /** Of chainlock there. */
  readonly version: string | null
  readonly layoutVersion: number
  /** When chainlock was loaded there, ISO 8601. */
  readonly chainlockSince: string | null
  readonly threads: readonly SnapshotThread[]
  /** How full its lock table is. What is not shown works all the same. */
  readonly table: SnapshotTable
  /** Requests for named locks that were refused because they would have waited for each other, so far. */
  readonly deadlocks: number
  /** Pairs of named locks that were taken in both orders, so far. */
  readonly orderInversions: number
  readonly journal: SnapshotJournal | null
  /** Its process registry; empty without `all`. */
  readonly registry: readonly RegistryEntry[]
}

/** A thread that uses chainlock. */
export interface SnapshotThread {
  readonly threadId: number
  /** `'main'`, or `'w3'` for the worker with that `threadId`. */
  readonly name: string
  readonly since: string | null
  /** Its event loop has not turned for so long; null when it is idle, or when nobody knows. */
  readonly silentMs: number | null
}

/** How full a lock table is: locks, claims (requests and holds), rows (threads). */
export interface SnapshotTable {
  readonly slots: number
  readonly used: number
  readonly unshown: number
  readonly claims: number
  readonly claimsUsed: number
  readonly claimsUnshown: number
  readonly rows: number
  readonly rowsUsed: number
}

/** The journal that a process writes. */
export interface SnapshotJournal {
  readonly path: string
  readonly pending: number
  readonly written: number
  readonly dropped: number
  readonly lagMs: number
}

/** One lock. */
export interface SnapshotLock {
  /** The same in every snapshot: `'4242:lock:index'` for a lock of one process, `'host:/path'` for one of the machine. */
  readonly id: string
  /** In full; clean it before a terminal or a page shows it. */
  readonly name: string | null
  /** The name was longer than a lock table keeps. */
  readonly nameCut: boolean
  readonly kind: 'send' | 'lock' | 'semaphore' | 'host'
  readonly scope: 'process' | 'host' | 'cluster'
  /** Of a lock of one process. */
  readonly pid: number | null
  /** The lock file of a host lock. */
  readonly path: string | null
  /** `waiting`: nobody holds it, but somebody waits. `stale`: its holder is dead. `forced`: the hold was taken away. */
  readonly state: 'free' | 'held' | 'cooldown' | 'waiting' | 'stale' | 'lost' | 'forced'
  readonly mode: LockMode | null
  /** Of a semaphore. */
  readonly permits: number | null
  /** Permits in use; of a lock the holds. */
  readonly used: number
  readonly holders: readonly SnapshotHolder[]
  /** May be more than `holders` lists. */
  readonly holderCount: number
  /** In the order in which they are served. */
  readonly waiters: readonly SnapshotWaiter[]
  readonly waiterCount: number
  readonly lastToken: number
  readonly acquisitions: number
  /** Requests that had to wait, or were refused because it was held. */
  readonly contended: number
  readonly timeouts: number
  readonly aborts: number
  readonly forced: number
  readonly recoveries: number
  readonly deadlocks: number
  /** From request to grant. */
  readonly wait: SnapshotTimes
  /** From grant to the end of the hold. */
  readonly hold: SnapshotTimes
  /** The newest ten at most, the newest last. */
  readonly events: readonly SnapshotEvent[]
  /** The name with digits, hexadecimal numbers and UUIDs as `*`: few names for many locks. */
  readonly class: string
  /** Only of a send lock. */
  readonly send: SnapshotSend | null
}

/**
 * A lease of one process: held, lost while its code still runs, or a request that waits. A lease of several keys is
 * listed once for each.
 */
export interface SnapshotLease {
  /** `'4242:lease:17:deploy'`; of a request that waits, `'4242:request:3:deploy'`. */
  readonly id: string
  /** Clean it before a terminal or a page shows it. */
  readonly key: string
  /** The key was longer than is kept here. */
  readonly keyCut: boolean
  /** As of a lock's name. */
  readonly class: string
  /** The store's address, without secrets. */
  readonly store: string
  /** `'sqlite'`, `'redis'`, `'postgres'`, `'etcd'`, `'github'`. */
  readonly engine: string
  readonly pid: number
  readonly command: string | null
  readonly state: 'held' | 'waiting' | 'lost'
  /** Why it is lost. */
  readonly cause: import('./leases').LostCause | null
  /** Its deadline has passed, and its process, which stands still, does not know it yet. */
  readonly untold: boolean
  readonly mode: 'exclusive' | 'shared' | 'permits'
  /** How many there are. */
  readonly permits: number | null
  readonly worker: string | null
  /** Who has it now: of a lost one, and of one that is waited for. */
  readonly other: string | null
  /** Of a request: of the hold that is in its way. */
  readonly token: number | null
  readonly ttlMs: number
  /** Of the grant, or of the request. */
  readonly since: string | null
  readonly heldMs: number | null
  readonly waitedMs: number | null
  /** Until its deadline, or until the request gives up; null when it is lost, and when there is no limit. */
  readonly leftMs: number | null
  /** When the last write left that renewed it. */
  readonly renewed: string | null
  readonly renewedMsAgo: number | null
  /** Renewals in a row that failed. */
  readonly failures: number
  /** Who stood in line at the last renewal, in every process. */
  readonly waiterCount: number
  readonly lostSince: string | null
  readonly lostMsAgo: number | null
}

/** A store as one process knows it. */
export interface SnapshotStore {
  readonly id: string
  readonly pid: number
  readonly engine: string
  /** The address, without secrets. */
  readonly store: string
  /** Some manager uses it; others are listed with `all`. */
  readonly open: boolean
  /** Whether the last request was answered. */
  readonly state: 'unused' | 'up' | 'down'
  readonly since: string | null
  readonly answeredAt: string | null
  /** Requests in a row without an answer. */
  readonly failures: number
  /** Why the last request failed that did. */
  readonly error: string | null
  /** The store's clock less this machine's; null where the store has no clock, or none was seen. */
  readonly skewMs: number | null
  /** How wrong that may be. */
  readonly skewErrorMs: number | null
  readonly skewSeen: string | null
  /** Grants; how many leases ended says `releases` and `lost`. */
  readonly acquisitions: number
  readonly releases: number
  readonly timeouts: number
  readonly aborts: number
  /** Requests that found it held and did not wait. */
  readonly refused: number
  /** Requests that ended for another reason. */
  readonly failed: number
  /** Requests that were not granted at once. */
  readonly conflicts: number
  readonly renewals: number
  readonly failedRenewals: number
  readonly lost: Readonly<Record<import('./leases').LostCause, number>>
  /** From a renewal's request to its answer. */
  readonly renew: SnapshotTimes
}

/** A hold. */
export interface SnapshotHolder {
  readonly pid: number | null
  readonly threadId: number | null
  /** {@link SnapshotThread.name} */
  readonly thread: string | null
  readonly layer: string | null
  readonly label: string | null
  readonly token: number | null
  readonly mode: LockMode
  readonly weight: number
  readonly since: string | null
  readonly heldMs: number | null
  readonly command: string | null
  /** Whether its process lives; null when nobody knows. */
  readonly alive: boolean | null
  /** A process without chainlock, seen in the kernel's list of locks. */
  readonly foreign: boolean
  /** The id of the lock that it waits for meanwhile. */
  readonly waitsFor: string | null
}

/** A request that waits. */
export interface SnapshotWaiter {
  /** 1 is served next. */
  readonly position: number
  readonly pid: number | null
  readonly threadId: number | null
  readonly thread: string | null
  readonly layer: string | null
  readonly label: string | null
  readonly mode: LockMode
  readonly weight: number
  readonly since: string | null
  readonly waitedMs: number | null
  /** What is left until it gives up. */
  readonly deadlineMs: number | null
  readonly priority: number
  readonly foreign: boolean
  /** The tokens of the holds, of the same process, inside of which it was asked for. */
  readonly insideOf: readonly number[]
}

/** The same words as in a journal. */
export type SnapshotEventKind = JournalEventKind

/** Something that happened to a lock. */
export interface SnapshotEvent {
  readonly at: string
  readonly atMs: number
  readonly kind: SnapshotEventKind
  readonly layer: string | null
  readonly label: string | null
  readonly threadId: number | null
  readonly token: number | null
  /** How long it was held, or waited for. */
  readonly spanMs: number | null
  /** Who was in the way, or why; of `'order'` the lock that was held. */
  readonly other: string | null
}

/** Durations. Percentiles are at most 6.25 % too high. */
export interface SnapshotTimes {
  readonly count: number
  readonly totalMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** With `{ all: true }`: upper edge in ms, and how many durations are at most that long. */
  readonly buckets?: readonly (readonly [number, number])[]
}

/** What only a send lock has. */
export interface SnapshotSend {
  readonly cooldownMs: number
  readonly cooldownLeftMs: number
  readonly timeoutMs: number
  readonly forceAfterMs: number
  /** Until the hold is overdue, negative when it is; null when it is free. */
  readonly dueTimeoutMs: number | null
  /** Until the hold is taken away; null when it is free. */
  readonly dueForceMs: number | null
  readonly duplicatesSuppressed: number
  readonly blockedHeld: number
  readonly blockedCooldown: number
  readonly refusedUnknownLayer: number
  /** Requests refused because 10,000 were waiting. */
  readonly queueFull: number
  /** Holds that did not end by a release: taken away, or taken back from a thread or process that ended. */
  readonly forcedByReason: {
    readonly manual: number
    readonly timeout: number
    readonly stale_timeout: number
    readonly thread_exit: number
    readonly process_exit: number
  }
  readonly layers: readonly SnapshotLayer[]
  readonly overdue: number
  readonly lateReleases: number
}

/** One layer's counts at a send lock. */
export interface SnapshotLayer {
  readonly layer: string
  readonly acquisitions: number
  readonly releases: number
  readonly blocked: number
  readonly forced: number
}

/** A process that could not be looked at. */
export interface SnapshotUnseen {
  readonly pid: number
  readonly command: string | null
  /** `permission`, `other_pid_namespace`, `version`, `no_table`, `gone` or `torn`. */
  readonly reason: string
  /** What helps. */
  readonly advice: string
}

/**
 * Looks at the locks of every process of this user, or of one: the data behind `chainlock status` and every other
 * view. Other processes are read in their own memory and do not notice; they may be blocked or stopped. Nothing is
 * changed and nothing waits; a hundred processes take some ten milliseconds. The JSON schema is
 * docs/formats/snapshot.schema.json.
 *
 * @throws {ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`.
 *
 * @example
 * const { ok, verdict, locks } = snapshot({ pid: process.pid })
 * if (!ok) console.error(verdict[0].sentence)
 * for (const { name, holders, waiterCount } of locks) console.log(name, holders[0]?.layer, waiterCount)
 */
export function snapshot(options?: SnapshotOptions): Snapshot

// ── Metrics ──────────────────────────────────────────────────────────────────────────────────────────

/** Options of {@link metrics}, {@link metricsHandler} and {@link collectInto}. */
export interface MetricsOptions {
  /** Every process of this user, together, instead of this process alone. Default false. */
  all?: boolean
}

/**
 * The metrics of all locks of this process as text for Prometheus (format 0.0.4). docs/metrics.md lists them. Names
 * of locks appear as classes (`'user-17'` as `user-*`), at most 100 of them; process ids, tokens and labels of holds
 * never appear. Counters are kept by each thread from its first call on; a thread that is asked for the first time
 * tells what the locks have counted until then.
 *
 * @throws {ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`.
 *
 * @example
 * // Beside prom-client, without touching its register:
 * response.end((await register.metrics()) + metrics())
 */
export function metrics(options?: MetricsOptions): string

/**
 * A handler for `node:http`, and for what takes such handlers (Express, Connect), that answers GET and HEAD with
 * {@link metrics} and anything else with status 405. Whoever may ask is your server's business.
 *
 * @throws {ChainlockError} As {@link metrics}, when it is made.
 *
 * @example
 * http.createServer(metricsHandler()).listen(9464, '127.0.0.1')
 */
export function metricsHandler(options?: MetricsOptions): (request: IncomingMessage, response: ServerResponse) => void

/** What {@link collectInto} uses of a prom-client `Registry`. */
export interface MetricsRegister {
  registerMetric(metric: any): void
  removeSingleMetric(name: string): void
}

/**
 * Puts the metrics into a register of prom-client, which then tells them with its own. They are read when the
 * register is read. Returns a function that takes them out again.
 *
 * @throws {ChainlockError} As {@link metrics}; and what the register throws when a name is taken already. Then nothing
 *   was added.
 *
 * @example
 * import { register } from 'prom-client'
 * collectInto(register)
 */
export function collectInto(register: MetricsRegister, options?: MetricsOptions): () => void

// ── The journal ──────────────────────────────────────────────────────────────────────────────────────

/**
 * What can happen to a lock; docs/journal.md says what each means. `status` is of an entry of the process registry,
 * `dropped` of events that a journal had no room for.
 */
export type JournalEventKind =
  | 'acquired'
  | 'released'
  | 'blocked'
  | 'waiting'
  | 'timed_out'
  | 'aborted'
  | 'overdue'
  | 'forced'
  | 'recovered'
  | 'stolen'
  | 'deadlock'
  | 'order'
  | 'downgraded'
  | 'upgraded'
  | 'refused'
  | 'failed'
  | 'lost'
  | 'status'
  | 'dropped'

/** One event of one lock. Texts are clean: nothing in them drives a terminal. */
export interface JournalEvent {
  /** Its number in the file: larger than that of every event written before, by whichever process. */
  readonly id: number
  /** When it happened, as an ISO date. */
  readonly at: string
  /** The same in milliseconds since 1970, with fractions. */
  readonly atMs: number
  /** The process, by its pid in its own pid namespace. */
  readonly pid: number
  /** `worker_threads.threadId`; 0 is the main thread. Null where no thread is concerned. */
  readonly threadId: number | null
  /** The lock's name; `'send'` for the process's send lock, the path for a host lock. Null for a lock without one. */
  readonly lock: string | null
  readonly lockKind: 'send' | 'lock' | 'semaphore' | 'host' | 'registry' | 'journal' | 'lease'
  readonly kind: JournalEventKind
  /** The send lock: who asked, or held. */
  readonly layer: string | null
  readonly label: string | null
  readonly mode: 'exclusive' | 'shared' | null
  /** The fencing token concerned. */
  readonly token: number | null
  /** `acquired`: how long it had waited; the end of a hold: how long it was held. */
  readonly spanMs: number | null
  /** Who was in the way, or why it happened. */
  readonly other: string | null
}

/** Which events to read. An instant is a `Date`, an ISO date, or milliseconds since 1970. */
export interface JournalQuery {
  /** The first instant that belongs to the range. */
  since?: Date | string | number
  /** The first instant that does not. */
  until?: Date | string | number
  /** The lock's name. */
  lock?: string
  layer?: string
  kind?: JournalEventKind
  /**
   * Only events with a larger `id`, the first of them first: for reading in pages, from `after: 0` on. Without it,
   * the newest events of the range are answered.
   */
  after?: number
  /** At most so many. Default 1,000; at most 100,000. */
  limit?: number
}

/** How a process writes its journal. */
export interface JournalOptions {
  /** The file; it is made if it is not there. Beside it lie `<path>-wal` and `<path>-shm`. */
  path: string
  /** Only read, also what other processes write: nothing is changed, and the other options must not be given. */
  readOnly?: boolean
  /** The oldest events go when there are more. Looked at about once a second. Default 1,000,000. */
  maxRows?: number
  /** Older events go. Default 7 days. */
  maxAgeMs?: number
  /** How long events are gathered before they are written together: what a crash can lose. Default 50, at most 100. */
  flushMs?: number
  /** Only these kinds of events. Default all. */
  events?: readonly JournalEventKind[]
}

/** How far a journal is. */
export interface JournalStats {
  /** Events that this process has written since it opened the journal. */
  readonly written: number
  /** Events that came faster than they could be written. The file tells of them, too, as `dropped`. */
  readonly dropped: number
  /** Events that are not in the file yet. */
  readonly pending: number
  /** How old the oldest of these is. */
  readonly lagMs: number
  /** Why nothing can be written at the moment, in words; it is tried again and again. */
  readonly trouble: string | null
}

/** A journal that is open. */
export interface Journal {
  /** The file, as an absolute path. */
  readonly path: string
  readonly readOnly: boolean
  readonly closed: boolean
  /**
   * Events from the file, oldest first. What happened a moment ago may not be there yet: {@link Journal.flush}.
   * @throws {ChainlockError} `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_IO`, `ERR_JOURNAL_CLOSED`.
   */
  query(options?: JournalQuery): Promise<JournalEvent[]>
  /**
   * Events as they are written, by whichever process, at most 250 ms later; from now on, or from `since` on. Ends when
   * the loop is left, with `signal.reason` when that aborts, with `ERR_JOURNAL_CLOSED` when the journal is closed.
   */
  follow(options?: Pick<JournalQuery, 'since' | 'lock' | 'layer' | 'kind'> & { signal?: AbortSignal }): AsyncGenerator<
    JournalEvent,
    void,
    undefined
  >
  /** Until everything that happened before this call is in the file. */
  flush(): Promise<void>
  /** Null for who only reads. */
  stats(): JournalStats | null
  /** SQLite's own look at the whole file: what it finds wrong, in words; nothing for a sound one. Takes seconds. */
  check(): Promise<string[]>
  /** Writes what is left, and closes. Each thread that has it open closes it for itself. */
  close(): Promise<void>
  /** As {@link Journal.close}; meanwhile the event loop stands still. */
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Writes every event of every lock of this process into an SQLite file, from a native thread: no lock waits for it.
 * Several processes may write one file. A process writes one journal; opening the same path again, also in another
 * thread, is the same one. `CHAINLOCK_JOURNAL=path` opens it when the package is loaded. docs/journal.md
 *
 * @throws {ChainlockError} `ERR_JOURNAL_OPEN` when this process writes another one; `ERR_JOURNAL_FOREIGN`,
 * `ERR_JOURNAL_VERSION`, `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_IO` when the file cannot be used; it is then as it was.
 * @example
 * await using journal = openJournal({ path: 'locks.journal' })
 * await locks.withLock('deploy', deploy)
 * await journal.flush()
 * const events = await journal.query({ lock: 'deploy', since: Date.now() - 60_000 })
 */
export function openJournal(options: JournalOptions): Journal

// ── Errors ───────────────────────────────────────────────────────────────────────────────────────────

/** The stable codes. */
export type ChainlockErrorCode =
  | 'ERR_LOCK_INVALID_ARGUMENT'
  | 'ERR_LOCK_UNKNOWN_OPTION'
  | 'ERR_LOCK_UNKNOWN_LAYER'
  | 'ERR_LOCK_DUPLICATE_MESSAGE'
  | 'ERR_LOCK_TIMEOUT'
  | 'ERR_LOCK_QUEUE_FULL'
  | 'ERR_LOCK_SELF_DEADLOCK'
  | 'ERR_LOCK_DEADLOCK'
  | 'ERR_LOCK_ORDER'
  | 'ERR_LOCK_LOST'
  | 'ERR_LOCK_CANCELED'
  | 'ERR_LOCK_UNAVAILABLE'
  | 'ERR_LOCK_MAIN_THREAD'
  | 'ERR_LOCK_SCOPE'
  | 'ERR_LOCK_BUSY'
  | 'ERR_LOCK_FILE_UNSAFE'
  | 'ERR_LOCK_FILE_FOREIGN'
  | 'ERR_LOCK_FILE_IO'
  | 'ERR_LOCK_NETWORK_FS'
  | 'ERR_LOCK_UNSUPPORTED'
  | 'ERR_LOCK_LEASE_HELD'
  | 'ERR_LOCK_LEASE_LOST'
  | 'ERR_LOCK_LEASE_CLOSED'
  | 'ERR_LOCK_TOKEN_MOVED'
  | 'ERR_LOCK_STORE_ADDRESS'
  | 'ERR_LOCK_STORE_UNAVAILABLE'
  | 'ERR_LOCK_STORE_DENIED'
  | 'ERR_LOCK_STORE_FOREIGN'
  | 'ERR_LOCK_STORE_VERSION'
  | 'ERR_LOCK_STORE_READ_ONLY'
  | 'ERR_LOCK_STORE_UNSUPPORTED'
  | 'ERR_REGISTRY_FULL'
  | 'ERR_REGISTRY_UNKNOWN_ID'
  | 'ERR_REGISTRY_DUPLICATE_ID'
  | 'ERR_REGISTRY_FINISHED'
  | 'ERR_REGISTRY_STATUS'
  | 'ERR_JOURNAL_OPEN'
  | 'ERR_JOURNAL_CLOSED'
  | 'ERR_JOURNAL_FOREIGN'
  | 'ERR_JOURNAL_VERSION'
  | 'ERR_JOURNAL_DAMAGED'
  | 'ERR_JOURNAL_IO'
  | 'ERR_LOCK_NATIVE_MISSING'
  | 'ERR_LOCK_VERSION_MISMATCH'
  | 'ERR_LOCK_INTERNAL'

/**
 * Every error of chainlock. `instanceof` holds across copies of the package. Wrong arguments
 * (`ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`) are `TypeError`s with the same `code`.
 * `ERR_LOCK_INTERNAL` is a bug of chainlock: please report it.
 */
export class ChainlockError extends Error {
  readonly code: ChainlockErrorCode
  /** The send lock: who held it, where that is the cause. */
  readonly holder?: SendHolder | null
  /** `ERR_LOCK_TIMEOUT` of a named lock or a host lock: who held it when time ran out, at most 8 of them. */
  readonly holders?: readonly LockHolder[]
  /** `ERR_LOCK_TIMEOUT` of a named lock: how many held it. */
  readonly holderCount?: number
  /** `ERR_LOCK_TIMEOUT`: place in line when time ran out, from 1. */
  readonly position?: number
  /** `ERR_LOCK_TIMEOUT`: how long the request had waited. */
  readonly waitedMs?: number
  /** `ERR_LOCK_LOST`, `ERR_LOCK_LEASE_LOST`: the token that is no longer valid. */
  readonly token?: number
  /** `ERR_LOCK_DUPLICATE_MESSAGE`: when the dedup window ends. Errors of stores: when the server wants to be asked again. */
  readonly retryAfterMs?: number
  /** `ERR_LOCK_ORDER`: the two orders; `first` was seen before, `now` is this request's. */
  readonly first?: LockOrderSide
  readonly now?: LockOrderSide
  /** Errors of files, and `ERR_LOCK_BUSY`: the path. */
  readonly path?: string
  /** Errors of files: what the system said, by name, such as `'ENOSPC'`. */
  readonly errno?: string
  /** Errors of the registry: which process. */
  readonly id?: string
  /** `ERR_REGISTRY_FINISHED`, `ERR_REGISTRY_STATUS`: what the process is. */
  readonly status?: RegistryStatus
  /** Errors of leases: the key. */
  readonly key?: string
  /** `ERR_LOCK_LEASE_HELD`, `ERR_LOCK_TIMEOUT` and `ERR_LOCK_TOKEN_MOVED` of a lease: who holds it. */
  readonly heldBy?: import('./leases').LeaseHolder
  /** Errors of a lease that was asked for again and again: how often. */
  readonly retries?: number
  /** `ERR_LOCK_LEASE_LOST`: who took it, where that is known; `cause` is a `LostCause`. */
  readonly by?: import('./leases').LeaseHolder | null
  /** `ERR_LOCK_FILE_IO`: the system call that failed. */
  readonly syscall?: string
  /** `ERR_LOCK_FILE_IO`: whether the new content is in place all the same, though a loss of power may undo it. */
  readonly replaced?: boolean
}

/**
 * A request that was refused because it would wait for ever: its cycle, as data and in words.
 * `ERR_LOCK_SELF_DEADLOCK` when the request was made inside the very hold that it would wait for,
 * `ERR_LOCK_DEADLOCK` otherwise.
 *
 * @example
 * try { await locks.withLock('a', () => locks.withLock('b', work)) }
 * catch (error) { if (error instanceof DeadlockError) console.error(error.report); else throw error }
 */
export class DeadlockError extends ChainlockError {
  readonly code: 'ERR_LOCK_DEADLOCK' | 'ERR_LOCK_SELF_DEADLOCK'
  readonly cycle: readonly DeadlockEdge[]
  /** The cycle in words, several lines. */
  readonly report: string
}

/** The version of this package. */
export const version: string
