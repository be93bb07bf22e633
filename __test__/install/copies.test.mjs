// Several copies of the package in one process: equal ones are one lock, however they are loaded;
// incompatible ones, and one without native code, say so.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { addonName, answerOf, copyOf, pack, programs, projectWith } from './workshop.mjs'

let first, second

before(async () => {
  first = join(await projectWith(await pack()), 'node_modules', 'chainlock')
  second = copyOf(first)
})

for (const how of ['same-thread', 'worker-thread', 'es-module', 'cleared-cache', 'vm-context']) {
  test(`two copies at two paths are one lock: ${how}`, () => areOneLock(how))
}

test('two copies that two threads load at the same moment are one lock', async () => {
  for (let time = 0; time < 10; time += 1) await areOneLock('racing-workers')
})

async function areOneLock(how) {
  const seen = await answerOf(process.execPath, [join(programs, 'two-copies.cjs'), how, first, second])
  assert.deepEqual(seen, {
    sawTheHold: { acquired: false, reason: 'held', layerId: 'e2e-executor' },
    thenTook: true,
    firstSawThat: 'window-monitor',
    tokensGrow: true,
  })
}

// A changed byte breaks the signature without which macOS loads nothing.
const patchable = process.platform === 'darwin' ? { skip: 'the addon is signed here' } : {}

for (const order of ['the older first', 'the newer first']) {
  test(`two copies that cannot share fail loudly, with both paths and versions: ${order}`, patchable, async () => {
    const newer = copyOf(first)
    const { old, raised } = makeIncompatible(join(newer, 'lib', addonName))
    const inOrder = order === 'the older first' ? [first, newer] : [newer, first]
    const failure = await failureOfLoading(...inOrder)
    assert.equal(failure.code, 'ERR_LOCK_VERSION_MISMATCH')
    const shown = [join(first, 'lib', addonName), join(newer, 'lib', addonName), old, raised]
    for (const part of shown) assert.ok(failure.message.includes(part), `${part} is missing of: ${failure.message}`)
  })
}

test('by import, too', patchable, async () => {
  const newer = copyOf(first)
  makeIncompatible(join(newer, 'lib', addonName))
  assert.equal((await failureOfImporting(first, newer)).code, 'ERR_LOCK_VERSION_MISMATCH')
})

test('without native code for this platform it says which platform, and how to build', async () => {
  const empty = copyOf(first, { without: addonName })
  for (const failure of [await failureOfLoading(empty), await failureOfImporting(empty)]) {
    assert.equal(failure.code, 'ERR_LOCK_NATIVE_MISSING')
    assert.ok(failure.isChainlockError)
    assert.match(failure.message, new RegExp(`${process.platform}-${process.arch}`))
    assert.match(failure.message, /npm run build/)
    assert.match(failure.message, /Rust/)
  }
})

/**
 * Makes a copy's native code that of a later release with the next protocol: by the number behind the mark
 * by which copies find one another, and by the version that it tells.
 * @returns How an error speaks of the release as it was, and as it became.
 */
function makeIncompatible(addon) {
  const bytes = readFileSync(addon)
  const { version } = JSON.parse(readFileSync(join(addon, '..', '..', 'package.json'), 'utf8'))
  const homes = placesOf('CHNLHOME', bytes).filter((at) => bytes.readUInt32LE(at + 12) === version.length)
  assert.equal(homes.length, 1, 'the mark is there once')
  const protocol = bytes.readUInt32LE(homes[0] + 8)
  bytes.writeUInt32LE(protocol + 1, homes[0] + 8)
  const later = `9${version.slice(1)}`
  for (const at of placesOf(version, bytes)) bytes.write(later, at)
  writeFileSync(addon, bytes)
  return { old: `version ${version} (protocol ${protocol})`, raised: `version ${later} (protocol ${protocol + 1})` }
}

function placesOf(text, bytes) {
  const places = []
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) places.push(at)
  return places
}

/** What loading the last of the copies throws, after the others loaded well. */
function failureOfLoading(...copies) {
  return failureOf(`for (const copy of ${JSON.stringify(copies)}) { now = copy; require(copy) }`, copies)
}

function failureOfImporting(...copies) {
  const addresses = copies.map((copy) => pathToFileURL(join(copy, 'index.js')).href)
  return failureOf(`for (const copy of ${JSON.stringify(addresses)}) { now = copy; await import(copy) }`, addresses)
}

async function failureOf(loading, copies) {
  const program = `(async () => {
    let now
    try {
      ${loading}
      console.log(JSON.stringify({ code: 'nothing failed', failed: now }))
    } catch (error) {
      const { code, message, name } = error
      console.log(JSON.stringify({ code, message, isChainlockError: name === 'ChainlockError', failed: now }))
    }
  })()`
  const failure = await answerOf(process.execPath, ['-e', program])
  assert.equal(failure.failed, copies.at(-1))
  return failure
}
