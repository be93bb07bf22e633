/**
 * `chainlock/proper-lockfile`: the functions of proper-lockfile 4, over the same directory on disk, so that a fleet
 * in which some processes use the one and some the other excludes each other. docs/stale-locks.md says what is
 * different. Linux only.
 *
 * @example
 * import { lock } from 'chainlock/proper-lockfile'
 * const release = await lock('data.json', { retries: 5 })
 * try { await work() } finally { await release() }
 */
declare namespace lock {
  /** How to ask again while another holds the lock: exponential pauses, in milliseconds. */
  interface RetryOptions {
    /** Default 10. */
    retries?: number
    /** Default 2. */
    factor?: number
    /** The first pause. Default 1,000. */
    minTimeout?: number
    /** The longest pause. Default `Infinity`. */
    maxTimeout?: number
    /** Whether each pause is up to twice as long, by chance. Default false. */
    randomize?: boolean
    /** Whether to go on for ever. Default false. */
    forever?: boolean
    /** Whether the pauses let the process end. Default false. */
    unref?: boolean
    /** After so long, no pause is begun. Default `Infinity`. */
    maxRetryTime?: number
  }

  interface CheckOptions {
    /**
     * From which age on, in milliseconds, a lock is stale that carries no mark of chainlock. At least 2,000.
     * Default 10,000. Give all processes the same.
     */
    stale?: number
    /** Whether to resolve links in the name of the file, which must then exist. Default true. */
    realpath?: boolean
    /** Where the lock directory is. Default: the name of the file, and `.lock`. */
    lockfilePath?: string
    /** Refused: the directory is kept on the real file system. */
    fs?: never
  }

  interface LockOptions extends CheckOptions {
    /** How often the directory is touched, in milliseconds: 1,000 to half of `stale`. Default half of `stale`. */
    update?: number | null
    /** How often to ask again, with pauses of 1, 2, 4 … s; or {@link RetryOptions}. Default 0. */
    retries?: number | RetryOptions
    /**
     * Called when the lock was lost: its directory is gone, is another, or could not be touched for longer than
     * `stale`. Default: a process warning with code `ECOMPROMISED`, and `release()` fails with the same error.
     */
    onCompromised?: (error: Error) => unknown
  }

  /**
   * Takes the lock of a file.
   * @returns Gives it back; rejects with `ERELEASED` the second time.
   * @throws An `Error` with code `ELOCKED` while somebody holds it, after all retries.
   */
  function lock(file: string, options?: LockOptions): Promise<() => Promise<void>>
  /** As {@link lock}, without retries (`ESYNC`). */
  function lockSync(file: string, options?: LockOptions): () => void
  /** Gives back what this thread holds; rejects with `ENOTACQUIRED` when it does not. */
  function unlock(file: string, options?: CheckOptions): Promise<void>
  function unlockSync(file: string, options?: CheckOptions): void
  /** Whether somebody holds the lock. */
  function check(file: string, options?: CheckOptions): Promise<boolean>
  function checkSync(file: string, options?: CheckOptions): boolean
}

declare function lock(file: string, options?: lock.LockOptions): Promise<() => Promise<void>>

export = lock
