// Metrics of locks: as text for Prometheus, as a handler for `node:http`, and into a register of prom-client.
// @ts-check
'use strict'

const { copyOptions } = require('../options')
const { invalidArgument } = require('../errors')
const { snapshot } = require('../snapshot')
const { Collector } = require('./collector')
const { FAMILIES } = require('./families')
const { CONTENT_TYPE, linesOf, textOf } = require('./text')

/** Kept as long as the thread lives, because counters only grow. @type {{ own?: Collector, all?: Collector }} */
const collectors = {}

/**
 * @param {string} call
 * @param {unknown} options
 * @returns {{ all: boolean }}
 */
function metricsOptions(call, options) {
  const { all } = copyOptions(call, options, ['all'])
  if (all !== undefined && typeof all !== 'boolean') throw invalidArgument(`${call}: options.all`, 'a boolean', all)
  return { all: all === true }
}

/** @param {{ all: boolean }} options @returns {import('./collector').Samples} */
function look({ all }) {
  const collector = (collectors[all ? 'all' : 'own'] ??= new Collector())
  return collector.collect(snapshot(all ? { all: true } : { pid: process.pid, all: true }))
}

/** One look by itself, as the command line has it. @param {import('../../index').Snapshot} snapshot */
function textOfSnapshot(snapshot) {
  return textOf(new Collector().collect(snapshot))
}

/** @type {typeof import('../../index').metrics} */
function metrics(options) {
  return textOf(look(metricsOptions('metrics', options)))
}

/** @type {typeof import('../../index').metricsHandler} */
function metricsHandler(options) {
  const checked = metricsOptions('metricsHandler', options)
  return (request, response) => {
    response.setHeader('Cache-Control', 'no-store')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end()
      return
    }
    let body
    try {
      body = textOf(look(checked))
    } catch (error) {
      // Whoever looks must not end the process that is looked at.
      response.writeHead(500, { 'Content-Type': 'text/plain; charset=utf-8' }).end(String(error))
      return
    }
    response.writeHead(200, { 'Content-Type': CONTENT_TYPE, 'Content-Length': Buffer.byteLength(body) })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
}

/** @type {typeof import('../../index').collectInto} */
function collectInto(register, options) {
  for (const method of /** @type {const} */ (['registerMetric', 'removeSingleMetric'])) {
    if (typeof register?.[method] !== 'function') {
      throw invalidArgument('collectInto: register', 'a Registry of prom-client, such as client.register', register)
    }
  }
  const checked = metricsOptions('collectInto', options)
  const lookOnce = oncePerTurn(() => look(checked))
  const added = FAMILIES.map((family) => new CollectedMetric(family, lookOnce))
  for (const [at, metric] of added.entries()) {
    try {
      register.registerMetric(metric)
    } catch (error) {
      // All or none.
      for (const { name } of added.slice(0, at)) register.removeSingleMetric(name)
      throw error
    }
  }
  const names = added.map(({ name }) => name)
  return () => names.forEach((name) => register.removeSingleMetric(name))
}

/** A metric as a register of prom-client asks for it. */
class CollectedMetric {
  /** @type {() => import('./collector').Samples} */
  #look
  #family

  /** @param {import('./families').Family} family @param {() => import('./collector').Samples} lookOnce */
  constructor(family, lookOnce) {
    this.#family = family.name
    this.#look = lookOnce
    this.name = family.name
    this.help = family.help
    this.type = family.type
    this.aggregator = family.together
    this.labelNames = [...family.labels]
  }

  // The register of prom-client takes `_total` off the name for OpenMetrics; so it is read back here.
  async get() {
    const { name, help, type, aggregator } = this
    const values = linesOf(this.#look().get(this.#family) ?? []).map(({ suffix, labels, value }) =>
      suffix === '' ? { labels, value } : { labels, value, metricName: name + suffix },
    )
    return { name, help, type, aggregator, values }
  }

  /** The counts are the locks' own; a register cannot reset them. */
  reset() {}
}

/**
 * A register asks each of its metrics for itself; they all answer from one look.
 * @template T
 * @param {() => T} make
 */
function oncePerTurn(make) {
  /** @type {{ made: T } | null} */
  let kept = null
  return () => {
    if (!kept) {
      kept = { made: make() }
      setImmediate(() => (kept = null))
    }
    return kept.made
  }
}

module.exports = { metrics, metricsHandler, collectInto, look, metricsOptions, textOfSnapshot }
