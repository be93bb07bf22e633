// A test file as a controller's suite has them, run by Jest in a project that installed chainlock. Jest
// gives each file, and each call of `resetModules`, a module registry of its own. It waits for the lock:
// another file may run in another thread at the same time.
const { writeFileSync } = require('node:fs')
const { basename, join } = require('node:path')

test('another registry, and one more after a reset, see the same lock', async () => {
  const first = require('chainlock')
  first.configureSendLock({ cooldownMs: 0 })
  const { token } = await first.acquireSendLock('e2e-executor')

  jest.resetModules()
  const second = require('chainlock')
  expect(second).not.toBe(first)
  expect(second.trySend('window-monitor')).toMatchObject({ acquired: false, reason: 'held', holder: { token } })
  jest.isolateModules(() => expect(require('chainlock').getLockStatus().token).toBe(token))
  expect(second.releaseSendLock('e2e-executor', token)).toBe(true)
  expect(first.getLockStatus().token).not.toBe(token)

  const seen = { pid: process.pid, token }
  writeFileSync(join(__dirname, `${basename(__filename)}.seen.json`), JSON.stringify(seen))
})

test('errors are instances of either class', () => {
  const first = require('chainlock')
  jest.resetModules()
  const second = require('chainlock')
  expect(() => first.configureSendLock({ cooldownMs: -1 })).toThrow(second.ChainlockError)
  expect(() => first.configureSendLock({ cooldownMs: -1 })).toThrow(TypeError)
})
