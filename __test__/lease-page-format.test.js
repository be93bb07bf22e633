// docs/formats/lease-page.md is the lease page's format: its offsets are those of the Rust structs, and a reader that
// knows nothing but that page finds the leases in the memory file.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { LeaseManager } = require('chainlock/leases')
const { folder } = require('./helpers/folders')
const { structPage, memoryFile } = require('./helpers/struct-pages')

const { documented, fieldsOf, sizeOf, at } = structPage('lease-page', ['lease/page/layout', 'metrics/timing'])

test('the documented fields, offsets and sizes are those of the Rust structs', () => {
  assert.deepEqual([...documented.keys()], ['LeasePage', 'Header', 'StoreRow', 'Counts', 'LeaseRow'])
  for (const [struct, fields] of documented) assert.deepEqual(fields, fieldsOf(struct), struct)
  assert.equal(sizeOf('LeaseRow'), 192)
})

test('a reader that knows only the page finds the leases', { skip: process.platform !== 'linux' }, async (t) => {
  const place = path.join(folder(t), 'locks.db')
  const manager = new LeaseManager({ store: `sqlite:${place}`, workerId: 'ci-7', ttlMs: 30_000 })
  t.after(() => manager.destroy())
  const gone = await manager.acquire('gone')
  const lease = await manager.acquire('deploy')
  await gone.release()
  const { link, bytes, word, text } = memoryFile('chainlock-leases')
  const header = (field) => Number(word(at('Header', field)))
  assert.equal(bytes.toString('latin1', 0, 8), 'CHAINLS\0')
  assert.deepEqual([header('layout_version'), header('pid'), header('size')], [1, process.pid, sizeOf('LeasePage')])
  assert.deepEqual([header('stores_end'), header('leases_end')], [1, 2])

  const store = at('LeasePage', 'stores')
  const ofStore = (field) => Number(word(store + at('StoreRow', field)))
  assert.deepEqual(['state', 'failures', 'skew_at'].map(ofStore), [1, 0, 0])
  assert.deepEqual(['engine', 'shown'].map((field) => text(store + at('StoreRow', field))), ['sqlite', `sqlite:${place}`.slice(0, 128)])
  const count = (field) => Number(word(store + at('StoreRow', 'counts') + at('Counts', field)))
  assert.deepEqual(['acquisitions', 'releases', 'failed'].map(count), [2, 1, 0])

  const row = (place) => at('LeasePage', 'leases') + place * sizeOf('LeaseRow')
  assert.equal(word(row(0) + at('LeaseRow', 'what')), 0n, 'it was given back')
  const ofLease = (field) => Number(word(row(1) + at('LeaseRow', field)))
  assert.equal(word(row(1) + at('LeaseRow', 'what')), 1n | (6n << 48n))
  assert.deepEqual(['token', 'ttl_ms'].map(ofLease), [lease.token, 30_000])
  assert.deepEqual(['key', 'worker', 'other'].map((field) => text(row(1) + at('LeaseRow', field))), ['deploy', 'ci-7', ''])
  assert.equal(ofLease('deadline') - ofLease('renewed'), 30_000e6)
  assert.throws(() => fs.writeFileSync(link, 'x'), /EPERM|EACCES/, 'nobody writes through the file')
  assert.throws(() => fs.truncateSync(link, 0), /EPERM|EACCES/)
})
