// A worker: takes tasks from the queue until none is left, each under its lease, and writes the result with the
// lease's token. One of its tasks may be the one in which it is to be killed or stopped; there it stands still.
'use strict'

const { once } = require('node:events')
const { setTimeout: pause } = require('node:timers/promises')
const { LeaseManager } = require('chainlock/leases')
const { remoteResults } = require('./results.js')

const { name, store, ttlMs, namespace, token, url, trouble, first } = JSON.parse(process.argv[2])
const WORK_MS = 80
/** How long to wait in line for one task before looking for another. */
const LINE_MS = 1_000

const results = remoteResults(url)
const leases = new LeaseManager({ store, ttlMs, namespace, workerId: name, ...(token && { token }) })
let begun = 0

async function main() {
  process.send({ type: 'ready' })
  await once(process, 'message')
  for (let open = await results.open(); open.length > 0; open = await results.open()) {
    const lease = (await takeFree(open)) ?? (await waitInLine(open[0]))
    if (lease) await handle(lease)
  }
  const { totalAcquisitions, staleLocksClaimed, lost } = leases.getMetrics()
  await leases.destroy()
  process.send({ type: 'finished', totalAcquisitions, staleLocksClaimed, lost })
  process.disconnect()
}

/** The first that nobody holds; each worker begins to look at another place. */
async function takeFree(open) {
  for (let i = 0; i < open.length; i++) {
    const lease = await leases.tryAcquire(open[(i + first) % open.length])
    if (lease) return lease
  }
  return null
}

/** All tasks that are left are being worked on. If one of the workers dies, its lease ends, and the next in line has it. */
async function waitInLine(task) {
  try {
    return await leases.acquire(task, { timeoutMs: LINE_MS })
  } catch (error) {
    if (error.code === 'ERR_LOCK_TIMEOUT') return null
    throw error
  }
}

async function handle(lease) {
  const who = { worker: name, token: lease.token }
  const { accepted, done } = await results.begin(lease.key, who)
  if (accepted && !done) {
    begun += 1
    await pause(WORK_MS)
    if (troubleAt('before')) await standStill(lease)
    const written = await results.write(lease.key, { ...who, text: `${lease.key} by ${name}` })
    if (troubleAt('after')) await standStill(lease)
    if (!written.accepted) process.send({ type: 'refused', task: lease.key, token: lease.token, fence: written.fence })
  }
  await lease.release()
}

function troubleAt(when) {
  return trouble?.task === begun && trouble.when === when
}

/**
 * Tells the demo where it is, and goes on when it is told to. A program that was stopped does not know it; here it
 * looks, so that the demo can show what it would see, and then writes all the same, as one that does not look.
 */
async function standStill(lease) {
  const goOn = once(process, 'message')
  process.send({ type: 'here', task: lease.key, token: lease.token })
  await goOn
  process.send({ type: 'awake', task: lease.key, lost: lease.lost, aborted: lease.signal.aborted, remainingMs: lease.remainingMs })
}

main().catch((error) => {
  process.send({ type: 'failed', error: `${error.code ?? error.name}: ${error.message}` }, () => process.exit(1))
})
