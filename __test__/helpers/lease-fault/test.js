// The test of a lease engine under faults: processes that hold leases are killed, stopped, blocked and cut off, the
// server dies and comes back, clocks jump. Whoever writes to the register with a lease that was overtaken is fenced off,
// no two believe to hold at a time, and after the last fault every key is granted again.
'use strict'

const assert = require('node:assert/strict')
const { faultRun } = require('.')
const { deep } = require('../package')
const { engineTest } = require('../servers')

const RAGE_MS = deep(120_000, 15_000)
/** On a machine that has nothing else to do it is 50 ms; here others want the processor, too. */
const NOTICE_MS = 1_000
/** So many times the bar, and so much more, is a hang. The report says what it was. */
const HANG = 3
const LATE_MS = 5_000

/**
 * Ends the process where it would only tidy up: after many cut connections the clean-up of Node 20 may spin for ever,
 * also in a process that has never loaded chainlock.
 * @param {number} code
 */
const end = (code) => process.exit(code)

/** @param {'sqlite' | 'redis' | 'postgres' | 'etcd' | 'github'} engine */
function faultTest(engine) {
  engineTest(`faults over ${engine}`, engine, { timeout: RAGE_MS + 240_000 }, async (t) => {
    // Here, and so after the test runner's own.
    process.on('exit', end)
    const { report, lines, ...outcome } = await faultRun(t, engine, { ms: RAGE_MS })
    for (const line of lines) t.diagnostic(line)
    for (const name of /** @type {const} */ (['duplicates', 'regressions', 'staleAccepted', 'overlaps', 'stuck', 'unended', 'unrecovered'])) {
      assert.deepEqual(report[name], [], name)
    }
    assert.ok(report.grants > 10, `${report.grants} grants`)
    // GitHub's leases are few and long: in a short run nobody may be overtaken.
    if (engine !== 'github' || RAGE_MS > 60_000) assert.ok(report.fencedOff > 0, 'the faults bite')
    assert.deepEqual(outcome.lostWhileBlocked, [], 'a blocked loop loses nothing')
    // GitHub has few leases, and one may not be held for so long.
    if (engine !== 'github') assert.ok(outcome.judged > 0, 'some were blocked with nothing else in their way')
    assert.equal(outcome.wrongFlags, 0, 'what is lost is known in the first instruction after a blocked loop')
    assert.equal(outcome.drift, 0, 'every grant was released, lost, or is held')
    assert.deepEqual(outcome.surprises, [], 'nobody was told anything else than that the store is not to be reached')
    assert.deepEqual(outcome.crashed, [], 'nobody has ended by itself')
    assert.equal(outcome.unended, 0, 'everybody ends when asked to')
    assert.ok((report.notice.p50 ?? 0) < NOTICE_MS, `told ${report.notice.p50} ms after the deadline`)
    assert.ok((outcome.recoveryAlone.p50 ?? 0) < HANG * outcome.recoveryMs + LATE_MS, `had again after ${outcome.recoveryAlone.p50} ms`)
  })
}

module.exports = { faultTest }
