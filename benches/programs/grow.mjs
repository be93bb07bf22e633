// @ts-check
// Uses the lock for a number of operations and says by how many bytes the process has grown.
// Needs `--expose-gc`.
import { isSendLocked, configureSendLock, releaseSendLock, tryAcquireSendLock, trySend } from 'chainlock'

const operations = Number(process.argv[2])
const OPERATIONS_A_ROUND = 10
const LAYER = 'e2e-executor'
const OTHER = 'window-monitor'

/** Ten operations, granted and refused, with and without guards. */
function round() {
  let right = 0
  right += Number(tryAcquireSendLock(LAYER))
  right += Number(!tryAcquireSendLock(OTHER))
  right += Number(!trySend(OTHER).acquired)
  right += Number(isSendLocked())
  right += Number(releaseSendLock(LAYER))
  const attempt = trySend(LAYER)
  right += Number(attempt.acquired)
  right += Number(!tryAcquireSendLock(OTHER))
  right += Number(!trySend(OTHER).acquired)
  right += Number(isSendLocked())
  right += Number(attempt.acquired && attempt.guard.release())
  return right
}

/** @param {number} count */
function run(count) {
  let right = 0
  for (let done = 0; done < count; done += OPERATIONS_A_ROUND) right += round()
  if (right !== count) throw new Error(`${count - right} of ${count} answers were wrong`)
}

function settledSize() {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage.rss()
}

configureSendLock({ cooldownMs: 0 })
// The heap and the optimiser reach their working size first.
run(operations / 10)
const before = settledSize()
run(operations)
process.stdout.write(String(settledSize() - before))
