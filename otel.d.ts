/**
 * `chainlock/otel`: the metrics of all locks as instruments of OpenTelemetry. Needs `@opentelemetry/api`, which
 * chainlock does not install. docs/metrics.md lists the instruments.
 *
 * @example
 * import { observeLocks } from 'chainlock/otel'
 * const stop = observeLocks()
 */
import type { Meter } from '@opentelemetry/api'
import type { MetricsOptions } from './index'

/** Options of {@link observeLocks}. */
export interface ObserveLocksOptions extends MetricsOptions {
  /** Default: the meter `chainlock` of the global meter provider. */
  meter?: Meter
}

/**
 * Makes four instruments that are read whenever a reader of the meter's provider collects. Call it after the provider
 * is set. Returns a function that ends the reading.
 *
 * @throws {ChainlockError} `ERR_LOCK_INVALID_ARGUMENT` (also when `@opentelemetry/api` is not installed and no meter is
 *   given), `ERR_LOCK_UNKNOWN_OPTION`.
 */
export function observeLocks(options?: ObserveLocksOptions): () => void
