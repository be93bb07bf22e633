// `chainlock/otel`: the locks' metrics as instruments of OpenTelemetry, read when its reader collects.
// @ts-check
'use strict'

const { copyOptions } = require('../options')
const { invalidArgument } = require('../errors')
const { native } = require('../native')
const { SUM } = require('../prometheus/buckets')
const { look, metricsOptions } = require('../prometheus')

/** How the instruments are called and what they show; the names follow `db.client.connection.*`. */
const INSTRUMENTS = /** @type {const} */ ([
  {
    name: 'chainlock.lock.count',
    create: 'createObservableUpDownCounter',
    from: 'chainlock_lock_held',
    about: { unit: '{hold}', description: 'Holds at this moment.' },
  },
  {
    name: 'chainlock.lock.pending_requests',
    create: 'createObservableUpDownCounter',
    from: 'chainlock_lock_waiters',
    about: { unit: '{request}', description: 'Requests that wait at this moment.' },
  },
  {
    name: 'chainlock.lock.wait_time',
    create: 'createObservableCounter',
    from: 'chainlock_lock_wait_seconds',
    about: { unit: 's', description: 'How long granted requests had waited, in all.' },
  },
  {
    name: 'chainlock.lock.use_time',
    create: 'createObservableCounter',
    from: 'chainlock_lock_hold_seconds',
    about: { unit: 's', description: 'How long locks were held, in all.' },
  },
])

/** @type {typeof import('../../otel').observeLocks} */
function observeLocks(options) {
  const { meter: given, ...rest } = copyOptions('observeLocks', options, ['meter', 'all'])
  const checked = metricsOptions('observeLocks', rest)
  if (given !== undefined && typeof (/** @type {any} */ (given)?.addBatchObservableCallback) !== 'function') {
    throw invalidArgument('observeLocks: options.meter', 'a Meter of @opentelemetry/api', given)
  }
  const meter = /** @type {import('@opentelemetry/api').Meter} */ (given ?? globalMeter())
  const instruments = INSTRUMENTS.map(({ name, create, about }) => meter[create](name, about))
  /** @type {import('@opentelemetry/api').BatchObservableCallback} */
  const observe = (result) => {
    const samples = look(checked)
    for (const [at, { from }] of INSTRUMENTS.entries()) {
      for (const sample of samples.get(from) ?? []) {
        const value = 'value' in sample ? sample.value : sample.histogram[SUM] / 1_000
        result.observe(instruments[at], value, attributesOf(sample.labels))
      }
    }
  }
  meter.addBatchObservableCallback(observe, instruments)
  return () => meter.removeBatchObservableCallback(observe, instruments)
}

/** @param {Record<string, string>} labels */
function attributesOf({ lock, kind, scope, mode }) {
  const attributes = { 'chainlock.lock.name': lock, 'chainlock.lock.kind': kind, 'chainlock.lock.scope': scope }
  return mode === undefined ? attributes : { ...attributes, 'chainlock.lock.mode': mode }
}

function globalMeter() {
  let api
  try {
    api = require('@opentelemetry/api')
  } catch {
    throw invalidArgument('observeLocks: options.meter', 'given where @opentelemetry/api is not installed', undefined)
  }
  return api.metrics.getMeter('chainlock', native.version())
}

module.exports = { observeLocks }
