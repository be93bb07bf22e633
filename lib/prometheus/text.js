// Samples as Prometheus reads them: the text format, version 0.0.4.
// @ts-check
'use strict'

const { EDGES_MS, SUM } = require('./buckets')
const { FAMILIES } = require('./families')

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
/** The upper edges in seconds, as they are written. */
const EDGES = [...EDGES_MS.map((ms) => String(ms / 1_000)), '+Inf']

/**
 * @param {import('./collector').Samples} samples
 * @returns {string}
 */
function textOf(samples) {
  let text = ''
  for (const { name, type, help } of FAMILIES) {
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
    for (const { suffix, labels, value } of linesOf(samples.get(name) ?? [])) {
      text += `${name}${suffix}${braces(labels)} ${value}\n`
    }
  }
  return text
}

/**
 * One line a number. The buckets of a histogram become cumulative here, with `le`.
 * @param {readonly import('./collector').Sample[]} samples
 * @returns {{ suffix: string, labels: Record<string, string>, value: number }[]}
 */
function linesOf(samples) {
  return samples.flatMap((sample) => {
    if ('value' in sample) return [{ suffix: '', labels: sample.labels, value: sample.value }]
    const { labels, histogram } = sample
    let count = 0
    const buckets = EDGES.map((le, at) => {
      count += histogram[at]
      return { suffix: '_bucket', labels: { ...labels, le }, value: count }
    })
    const sum = { suffix: '_sum', labels, value: histogram[SUM] / 1_000 }
    return [...buckets, sum, { suffix: '_count', labels, value: count }]
  })
}

/** @param {Record<string, string>} labels */
function braces(labels) {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

/** @param {string} value */
function escape(value) {
  return value.replace(/["\\\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`))
}

module.exports = { CONTENT_TYPE, textOf, linesOf }
