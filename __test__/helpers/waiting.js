// Waiting for something in a test: for a state that another thread brings about, or for the event loop.
'use strict'

/** One whole turn of the event loop: what was ready has run. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Looks every turn until `condition`, which may be a promise's, is true; for what no event tells. */
async function until(condition, what = String(condition), limitMs = 60_000) {
  const started = performance.now()
  while (!(await condition())) {
    if (performance.now() - started > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`)
    await turn()
  }
  return performance.now() - started
}

/** Blocks this thread, as a busy event loop does. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** A promise and the call that fulfils it. */
function gate() {
  let open
  const opened = new Promise((resolve) => (open = resolve))
  return { opened, open }
}

/** The settled state of a promise after a turn of the event loop: 'pending', 'fulfilled' or 'rejected'. */
async function stateOf(promise) {
  const pending = Symbol('pending')
  await turn()
  try {
    return (await Promise.race([promise, Promise.resolve(pending)])) === pending ? 'pending' : 'fulfilled'
  } catch {
    return 'rejected'
  }
}

module.exports = { turn, pause, until, block, gate, stateOf }
