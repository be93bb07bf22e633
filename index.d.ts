/**
 * chainlock: locks for Node.js that hold across modules, worker threads, processes and machines.
 *
 * This file is the contract. Times are milliseconds. `…Ms` options take finite numbers from 0 to
 * `Number.MAX_SAFE_INTEGER`; what is longer than 584 years is never, and reads as that integer. An unknown option is an error that names it. Errors carry a stable `code`
 * (see {@link ChainlockError}).
 *
 * @packageDocumentation
 */
import type { EventEmitter } from 'node:events'

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
 * {@link withSendLock} that the call cannot join: its own layer's, or with `nested: 'refuse'`), `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`;
 * `signal.reason` when aborted. All as rejections.
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

/**
 * Changes the rules, for all threads at once. Either everything is applied, or an error says what is wrong
 * and nothing is.
 *
 * @returns The settings now in force.
 * @throws {ChainlockError} `ERR_LOCK_INVALID_ARGUMENT`, `ERR_LOCK_UNKNOWN_OPTION`.
 */
export function configureSendLock(settings: SendLockSettings): Readonly<Required<SendLockSettings>>

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
  | 'ERR_LOCK_LOST'
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
  /** Who held the lock, where that is the cause. */
  readonly holder?: SendHolder | null
  /** `ERR_LOCK_TIMEOUT`: place in line when time ran out, from 1. */
  readonly position?: number
  /** `ERR_LOCK_TIMEOUT`: how long the request had waited. */
  readonly waitedMs?: number
  /** `ERR_LOCK_LOST`: the token that is no longer valid. */
  readonly token?: number
  /** `ERR_LOCK_DUPLICATE_MESSAGE`: when the dedup window ends. */
  readonly retryAfterMs?: number
}

/** The version of this package. */
export const version: string
