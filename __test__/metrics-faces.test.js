// Metrics of real locks, as each face tells them: text, HTTP, a register of prom-client, instruments of OpenTelemetry,
// the command line. And what all of them promise of their input.
'use strict'

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const http = require('node:http')
const path = require('node:path')
const { test } = require('node:test')
const promClient = require('prom-client')
const { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics')
const chainlock = require('chainlock')
const { observeLocks } = require('chainlock/otel')
const { samplesOf, familiesOf, promtool, valueOf } = require('./helpers/prometheus')
const { said, startNode } = require('./helpers/processes')

const { locks, metrics, metricsHandler, collectInto } = chainlock
const CLI = path.join(__dirname, '../bin/chainlock.js')

test('what locks do is counted, in this process and in no other', async () => {
  const of = { lock: 'counted-*', kind: 'lock', scope: 'process' }
  const guard = locks.tryAcquire('counted-1')
  const waiting = locks.acquire('counted-1', { timeoutMs: 60_000 })
  const held = metrics()
  assert.equal(valueOf(held, 'chainlock_lock_held', { ...of, mode: 'exclusive' }), 1)
  assert.equal(valueOf(held, 'chainlock_lock_waiters', { ...of, mode: 'exclusive' }), 1)
  guard.release()
  ;(await waiting).release()
  locks.tryAcquire('counted-2').release()
  const after = metrics()
  assert.equal(valueOf(after, 'chainlock_lock_acquisitions_total', { ...of, outcome: 'granted' }), 3)
  assert.equal(valueOf(after, 'chainlock_lock_hold_seconds_count', of), 3)
  assert.ok(valueOf(after, 'chainlock_lock_hold_seconds_sum', of) > 0)
  assert.equal(valueOf(after, 'chainlock_lock_held', { ...of, mode: 'exclusive' }), 0)
  assert.equal(valueOf(after, 'chainlock_build_info'), 1)
  assert.ok(valueOf(after, 'chainlock_table_slots', { state: 'used' }) >= 2)
})

test('the send lock is counted by layer and outcome', () => {
  const { trySend, configureSendLock, forceReleaseLock } = chainlock
  configureSendLock({ cooldownMs: 0, layers: 'any' })
  const of = { lock: 'send', kind: 'send' }
  const count = (labels) => samplesOf(metrics())
    .filter(({ name, labels: has }) => name === 'chainlock_lock_acquisitions_total' && Object.entries({ ...of, ...labels }).every(([key, value]) => has[key] === value))
    .reduce((sum, { value }) => sum + value, 0)
  const before = count({ outcome: 'refused' })
  assert.ok(trySend('agent').acquired)
  assert.ok(!trySend('fallback').acquired)
  assert.equal(count({ outcome: 'granted', layer: 'agent' }), 1)
  assert.equal(count({ outcome: 'refused' }), before + 1)
  forceReleaseLock('operator')
  assert.equal(valueOf(metrics(), 'chainlock_forced_releases_total', { ...of, reason: 'manual' }), 1)
})

test('promtool has nothing to say about real metrics', (t) => {
  const said = promtool(['check', 'metrics'], metrics())
  if (said === null) return t.skip('NOT TESTED: there is no promtool here (Debian: prometheus)')
  assert.deepEqual(said, { status: 0, output: '' })
})

test('over HTTP: GET and HEAD, and nothing else', async () => {
  const server = http.createServer(metricsHandler())
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const url = `http://127.0.0.1:${server.address().port}/metrics`
    const got = await fetch(url)
    assert.equal(got.status, 200)
    assert.equal(got.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
    assert.equal(got.headers.get('x-content-type-options'), 'nosniff')
    assert.equal(got.headers.get('cache-control'), 'no-store')
    const body = await got.text()
    assert.equal(Number(got.headers.get('content-length')), Buffer.byteLength(body))
    assert.deepEqual(familiesOf(body), familiesOf(metrics()))
    const head = await fetch(url, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const refused = await fetch(url, { method })
      assert.deepEqual([refused.status, refused.headers.get('allow'), await refused.text()], [405, 'GET, HEAD', ''], method)
    }
  } finally {
    server.close()
  }
})

test('a register of prom-client tells the same, once per look, also as OpenMetrics, and lets go of it', async () => {
  const register = new promClient.Registry()
  const own = new promClient.Counter({ name: 'mine_total', help: 'Mine.', registers: [register] })
  own.inc(3)
  const stop = collectInto(register)
  const sameButForTime = (text) => text.replaceAll('\n\n', '\n').replace(/^(chainlock_event_loop_silence_seconds) .*$/m, '$1')
  const told = await register.metrics()
  assert.ok(told.includes('\nmine_total 3\n'))
  const withoutOwn = told.split('\n').filter((line) => !line.includes('mine_total')).join('\n').replace(/^\n+/, '')
  assert.equal(sameButForTime(withoutOwn), sameButForTime(metrics()))
  const asJson = await register.getMetricsAsJSON()
  assert.equal(asJson.length, familiesOf(metrics()).length + 1)
  assert.deepEqual(new Set(asJson.map(({ aggregator }) => aggregator)), new Set(['sum', 'max', 'min']))
  const whole = promClient.AggregatorRegistry.aggregate([asJson, asJson])
  const versions = samplesOf(`${await whole.getSingleMetricAsString('chainlock_build_info')}\n`)
  assert.equal(versions[0].value, 1)
  register.resetMetrics()
  stop()
  assert.deepEqual(register.getMetricsAsArray().map(({ name }) => name), ['mine_total'])
  const open = new promClient.Registry(promClient.Registry.OPENMETRICS_CONTENT_TYPE)
  const stopOpen = collectInto(open)
  const text = await open.metrics()
  assert.match(text, /^# TYPE chainlock_lock_acquisitions counter$/m)
  assert.match(text, /^chainlock_lock_acquisitions_total\{/m)
  assert.match(text, /# EOF\n$/)
  assert.doesNotMatch(text, /_total_total/)
  stopOpen()
})

test('a register that has such a name already keeps what it had, and gets nothing', () => {
  const register = new promClient.Registry()
  new promClient.Gauge({ name: 'chainlock_verdicts', help: 'Mine.', registers: [register] })
  assert.throws(() => collectInto(register), /already been registered/)
  assert.deepEqual(register.getMetricsAsArray().map(({ name }) => name), ['chainlock_verdicts'])
})

test('OpenTelemetry: four instruments with the units and values of the locks', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  const stop = observeLocks({ meter: provider.getMeter('test') })
  const guard = locks.tryAcquire('observed-1')
  const waiting = locks.acquire('observed-1', { timeoutMs: 60_000 })
  const collected = async () => {
    exporter.reset()
    await reader.forceFlush()
    const { metrics: found } = exporter.getMetrics().at(-1).scopeMetrics[0] ?? { metrics: [] }
    const of = ({ attributes }) => attributes['chainlock.lock.name'] === 'observed-*' && attributes['chainlock.lock.mode'] !== 'shared'
    return Object.fromEntries(found.map(({ descriptor, dataPoints }) => [
      `${descriptor.name} ${descriptor.unit}`, dataPoints.find(of)?.value,
    ]))
  }
  const held = await collected()
  assert.deepEqual(Object.keys(held), [
    'chainlock.lock.count {hold}', 'chainlock.lock.pending_requests {request}', 'chainlock.lock.wait_time s', 'chainlock.lock.use_time s',
  ])
  assert.equal(held['chainlock.lock.count {hold}'], 1)
  assert.equal(held['chainlock.lock.pending_requests {request}'], 1)
  guard.release()
  ;(await waiting).release()
  const after = await collected()
  assert.equal(after['chainlock.lock.count {hold}'], 0)
  assert.ok(after['chainlock.lock.use_time s'] > 0)
  stop()
  const last = locks.tryAcquire('observed-1')
  assert.notEqual((await collected())['chainlock.lock.count {hold}'], 1, 'nobody looks any more')
  last.release()
  await provider.shutdown()
})

test('the command line tells of another process, and says what it cannot find', async (t) => {
  const { child, ...program } = startNode(({ chainlock: { locks } }) => {
    // Busy, so that it has labels of its own however many classes the other processes of this machine use.
    for (let times = 0; times < 200_000; times++) locks.tryAcquire('elsewhere-1').release()
    globalThis.guard = locks.tryAcquire('elsewhere-1')
    console.log('held')
    setInterval(() => {}, 1_000)
  })
  t.after(() => child.kill('SIGKILL'))
  await said({ child, ...program }, 'held')
  const of = { lock: 'elsewhere-*', kind: 'lock', mode: 'exclusive' }
  const answer = spawnSync(process.execPath, [CLI, 'metrics', '--pid', String(child.pid)], { encoding: 'utf8' })
  assert.deepEqual([answer.status, answer.stderr], [0, ''])
  assert.equal(valueOf(answer.stdout, 'chainlock_lock_held', of), 1)
  const all = spawnSync(process.execPath, [CLI, 'metrics'], { encoding: 'utf8' })
  assert.ok(valueOf(all.stdout, 'chainlock_lock_held', of) >= 1)
  const here = metrics({ all: true })
  assert.ok(valueOf(here, 'chainlock_lock_held', of) >= 1)
  assert.ok(!metrics().includes('elsewhere'))
  const none = spawnSync(process.execPath, [CLI, 'metrics', '--pid', '2147483647'], { encoding: 'utf8' })
  assert.deepEqual([none.status, none.stdout], [3, ''])
  assert.match(none.stderr, /process 2147483647 cannot be looked at/)
})

test('wrong arguments are named', () => {
  const wrong = (call, code, message) => assert.throws(call, (error) => error.code === code && message.test(error.message))
  for (const [name, call] of Object.entries({ metrics, metricsHandler, observeLocks, collectInto: (options) => collectInto(new promClient.Registry(), options) })) {
    wrong(() => call({ al: true }), 'ERR_LOCK_UNKNOWN_OPTION', new RegExp(`^${name}: unknown option 'al'`))
    wrong(() => call({ all: 'yes' }), 'ERR_LOCK_INVALID_ARGUMENT', new RegExp(`^${name}: options.all must be a boolean`))
    wrong(() => call(null), 'ERR_LOCK_INVALID_ARGUMENT', new RegExp(`^${name}: options must be an object`))
  }
  wrong(() => collectInto(), 'ERR_LOCK_INVALID_ARGUMENT', /^collectInto: register must be a Registry/)
  wrong(() => collectInto({}), 'ERR_LOCK_INVALID_ARGUMENT', /^collectInto: register must be a Registry/)
  wrong(() => observeLocks({ meter: {} }), 'ERR_LOCK_INVALID_ARGUMENT', /^observeLocks: options.meter must be a Meter/)
})
