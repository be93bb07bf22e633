// What is written about the metrics is what they are: the tables of docs/metrics.md, the dashboard and the alerts.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { FAMILIES } = require('../lib/prometheus/families')
const { EDGES_MS } = require('../lib/prometheus/buckets')
const { MOST_VALUES } = require('../lib/prometheus/labels')
const { textOfSnapshot } = require('../lib/prometheus')
const { promtool, samplesOf } = require('./helpers/prometheus')
const { event, holder, lease, lock, sendLock, snapshotOf, store, times } = require('./helpers/snapshots')

const root = path.dirname(__dirname)
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')
const page = read('docs/metrics.md')

/** The body rows of the table whose header has these titles. */
function rowsOf(...titles) {
  const lines = page.split('\n')
  const head = lines.indexOf(`| ${titles.join(' | ')} |`)
  assert.ok(head >= 0, `a table of ${titles}`)
  const end = lines.findIndex((line, at) => at > head && !line.startsWith('|'))
  return lines.slice(head + 2, end).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))
}

test('the page has every metric with its type, labels, unit and meaning, in order', () => {
  const documented = rowsOf('name', 'type', 'labels', 'unit', 'meaning')
  const quoted = (words) => words.map((word) => `\`${word}\``).join(', ')
  assert.deepEqual(documented, FAMILIES.map(({ name, type, labels, unit, help }) => [`\`${name}\``, type, quoted(labels), unit ?? '', help]))
})

/** Real text with a sample of every metric. */
const text = textOfSnapshot(snapshotOf({
  locks: [
    sendLock({ holders: [holder({ layer: 'agent' })], events: [event('acquired', 1)] }),
    lock({ hold: times({ count: 1, totalMs: 1, buckets: [[1, 1]] }) }),
    lock({ name: 'pool', kind: 'semaphore' }),
    lock({ name: 'deploy', kind: 'host', path: '/run/deploy.lock' }),
  ],
  leases: [lease()],
  stores: [store()],
}))

test('the page has every label, and every value that is a word of our own', () => {
  const documented = new Map(rowsOf('label', 'values').map(([label, values]) => [label.slice(1, -1), values]))
  assert.deepEqual([...documented.keys()].sort(), [...new Set(FAMILIES.flatMap(({ labels }) => labels))].filter((label) => label !== 'version').sort())
  for (const { labels } of samplesOf(text)) {
    for (const label of ['kind', 'scope', 'mode', 'outcome', 'reason', 'cause', 'state']) {
      if (labels[label] !== undefined) assert.ok(documented.get(label).includes(`\`${labels[label]}\``), `${label}=${labels[label]}`)
    }
  }
  assert.ok(page.includes(`The first ${MOST_VALUES} classes`))
  assert.ok(page.includes(`edges from ${EDGES_MS[0]} ms to\n${EDGES_MS.at(-1) / 1_000} s`))
})

const dashboard = JSON.parse(read('examples/grafana/chainlock-dashboard.json'))
const alerts = read('examples/grafana/alerts.yml')

/** Every label that stands in a selector, a `by`, or a legend of an expression. */
function checkExpression(expression) {
  const there = new Set(samplesOf(text).map(({ name }) => name))
  const families = new Map(FAMILIES.map((family) => [family.name, family]))
  const used = [...expression.matchAll(/chainlock_[a-z_]+/g)].map(([name]) => name)
  assert.ok(used.length > 0, expression)
  // A scraper adds these.
  const known = new Set(['job', 'instance', 'le'])
  for (const name of used) {
    assert.ok(there.has(name), `${name} in ${expression}`)
    const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''))
    for (const label of family.labels) known.add(label)
  }
  for (const [, names] of expression.matchAll(/\bby \(([^)]*)\)/g)) {
    for (const name of names.split(',')) assert.ok(known.has(name.trim()), `${name} in ${expression}`)
  }
  for (const [, name] of expression.matchAll(/[{,]\s*([a-z_]+)(?:=~|!=|=|!~)"/g)) assert.ok(known.has(name), `${name} in ${expression}`)
}

test('the dashboard asks for metrics and labels that there are', () => {
  assert.ok(dashboard.panels.length >= 12)
  for (const { id, title, targets, gridPos } of dashboard.panels) {
    for (const { expr, legendFormat } of targets) {
      checkExpression(expr)
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) assert.match(expr, new RegExp(`by \\([^)]*\\b${label}\\b`), title)
    }
    assert.ok(gridPos.x + gridPos.w <= 24, `panel ${id}`)
  }
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  for (const { query, type } of dashboard.templating.list) {
    if (type === 'query') assert.ok(text.includes(/label_values\((\w+),/.exec(query.query)[1]))
  }
  assert.doesNotMatch(JSON.stringify(dashboard), /https?:/)
})

test('the alerts ask for metrics and labels that there are, and each has a command to type', () => {
  const rules = alerts.split(/^ +- alert: /m).slice(1)
  assert.equal(rules.length, 5)
  for (const rule of rules) {
    checkExpression(/expr: ([^]*?)\n +(?:for|labels):/.exec(rule)[1])
    assert.match(rule, /Type there: chainlock \w+/)
  }
})

test('promtool takes the alerts, and they fire when they should', (t) => {
  const file = path.join(root, 'examples/grafana/alerts.yml')
  const said = promtool(['check', 'rules', '--lint=all', '--lint-fatal', file])
  if (said === null) return t.skip('NOT TESTED: there is no promtool here (Debian: prometheus)')
  assert.equal(said.status, 0, said.output)
  assert.match(said.output, /SUCCESS: 5 rules found/)
  const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'chainlock-alerts-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const tests = path.join(folder, 'tests.yml')
  fs.writeFileSync(tests, alertTests(file))
  const tried = promtool(['test', 'rules', tests])
  assert.equal(tried.status, 0, tried.output)
})

/** Series over an hour, and which alerts they make. JSON is YAML. */
function alertTests(file) {
  const quiet = [
    { series: 'chainlock_verdicts{rule="OK",instance="a"}', values: '1x60' },
    { series: 'chainlock_verdicts{rule="HOT",instance="a"}', values: '1x60' },
    { series: 'chainlock_forced_releases_total{lock="send",reason="timeout",instance="a"}', values: '5x60' },
    { series: 'chainlock_lock_wait_seconds_bucket{lock="send",le="30",instance="a"}', values: '0+100x60' },
    { series: 'chainlock_lock_wait_seconds_bucket{lock="send",le="+Inf",instance="a"}', values: '0+100x60' },
    { series: 'chainlock_journal_dropped_events_total{instance="a"}', values: '7x60' },
    { series: 'chainlock_table_slots{state="unshown",instance="a"}', values: '0x60' },
    { series: 'chainlock_lease_lost_total{store="redis",reason="closed",instance="a"}', values: '0+1x60' },
  ]
  const loud = {
    ChainlockStuck: { series: 'chainlock_verdicts{rule="STUCK",instance="b"}', values: '1x60' },
    ChainlockForcedRelease: { series: 'chainlock_forced_releases_total{lock="send",reason="manual",instance="b"}', values: '0+1x60' },
    ChainlockSlow: { series: 'chainlock_lock_wait_seconds_bucket{lock="send",le="60",instance="b"}', values: '0+100x60' },
    ChainlockLeaseLost: { series: 'chainlock_lease_lost_total{store="redis",reason="expired",instance="b"}', values: '0+1x60' },
    ChainlockBlind: { series: 'chainlock_journal_dropped_events_total{instance="b"}', values: '0+1x60' },
  }
  const both = { series: 'chainlock_lock_wait_seconds_bucket{lock="send",le="+Inf",instance="b"}', values: '0+100x60' }
  const labels = {
    ChainlockStuck: { rule: 'STUCK', severity: 'critical' },
    ChainlockForcedRelease: { lock: 'send', reason: 'manual', severity: 'warning' },
    ChainlockSlow: { lock: 'send', severity: 'warning' },
    ChainlockLeaseLost: { store: 'redis', reason: 'expired', severity: 'warning' },
    ChainlockBlind: { severity: 'warning' },
  }
  const annotations = Object.fromEntries(Object.keys(loud).map((name) => [name, annotationsOf(name)]))
  const cases = [
    { series: quiet, fires: [] },
    ...Object.entries(loud).map(([name, one]) => ({ series: [...quiet, one, ...(name === 'ChainlockSlow' ? [both] : [])], fires: [name] })),
  ]
  return JSON.stringify({
    rule_files: [file],
    evaluation_interval: '1m',
    tests: cases.map(({ series, fires }) => ({
      interval: '1m',
      input_series: series,
      alert_rule_test: Object.keys(loud).map((alertname) => ({
        eval_time: '50m',
        alertname,
        exp_alerts: fires.includes(alertname)
          ? [{ exp_labels: { ...labels[alertname], instance: 'b' }, exp_annotations: annotations[alertname] }]
          : [],
      })),
    })),
  })
}

/** What the alert says of the loud series. */
function annotationsOf(name) {
  const rule = alerts.split(/^ +- alert: /m).find((one) => one.startsWith(name))
  const filled = (text) => text.replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, label) =>
    ({ rule: 'STUCK', instance: 'b', lock: 'send', store: 'redis', reason: name === 'ChainlockLeaseLost' ? 'expired' : 'manual' })[label]).replace(/\{\{ \$value[^}]*\}\}/, '59.4s')
  return Object.fromEntries(['summary', 'description'].map((key) => [key, filled(new RegExp(`${key}: '(.*)'`).exec(rule)[1])]))
}
