// docs/formats/lease-page.md is the lease page's format: its offsets are those of the Rust structs, and a reader that
// knows nothing but that page finds the leases in the memory file.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { LeaseManager } = require('chainlock/leases')
const { folder } = require('./helpers/folders')

const root = path.dirname(__dirname)
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')

/** Each documented struct: its fields in order, each with name, offset and size in bytes. */
const documented = new Map(read('docs/formats/lease-page.md').split(/^## /m).flatMap((section) => {
  const name = /^`(\w+)`$/m.exec(section)?.[1]
  const rows = [...section.matchAll(/^\| (\d+) \| (\d+) \| `(\w+)` \|/gm)]
  return name ? [[name, rows.map(([, offset, size, field]) => ({ field, offset: Number(offset), size: Number(size) }))]] : []
}))

const SOURCES = ['lease/page/layout', 'metrics/timing'].map((name) => read(`src/${name}.rs`)).join('\n')
const CONSTANTS = Object.fromEntries(
  [...SOURCES.matchAll(/^(?:pub )?const (\w+): \w+ = (.+);$/gm)].map(([, name, sum]) => [name, sum]),
)

function constant(name) {
  if (/^\d+$/.test(name)) return Number(name)
  const sum = CONSTANTS[name].replaceAll('_', '').replace(/as usize|u64|u32/g, '')
  return Function(`return ${sum.replace(/[A-Z]+(BITS)?/g, (other) => constant(other === 'SUBBITS' ? 'SUB_BITS' : other))}`)()
}

function sizeOf(type) {
  const [, array, length] = /^\[(\w+); (\w+)\]$/.exec(type) ?? []
  const [, words] = /^TextField<(\w+)>$/.exec(type) ?? []
  if (['Field', 'SeqLock'].includes(type)) return 8
  if (array) return sizeOf(array) * constant(length)
  if (words) return 8 + 8 * constant(words)
  return fieldsOf(type).reduce((sum, one) => sum + one.size, 0)
}

function fieldsOf(struct) {
  const body = new RegExp(`^pub struct ${struct} \\{\\n([^]*?)^\\}`, 'm').exec(SOURCES)[1]
  let offset = 0
  return [...body.matchAll(/^ {4}(?:pub )?(\w+): (.+),$/gm)].map(([, field, type]) => {
    const one = { field, offset, size: sizeOf(type) }
    offset += one.size
    return one
  })
}

test('the documented fields, offsets and sizes are those of the Rust structs', () => {
  assert.deepEqual([...documented.keys()], ['LeasePage', 'Header', 'StoreRow', 'Counts', 'LeaseRow'])
  for (const [struct, fields] of documented) assert.deepEqual(fields, fieldsOf(struct), struct)
  assert.equal(sizeOf('LeaseRow'), 192)
})

/** The bytes of this process's memory file, as far as there are any. */
function memoryFile() {
  for (const number of fs.readdirSync('/proc/self/fd')) {
    try {
      const link = `/proc/self/fd/${number}`
      if (fs.readlinkSync(link).startsWith('/memfd:chainlock-leases')) return { link, bytes: fs.readFileSync(link) }
    } catch {
      // The descriptor that listed the folder is gone by now.
    }
  }
}

test('a reader that knows only the page finds the leases', { skip: process.platform !== 'linux' }, async (t) => {
  const place = path.join(folder(t), 'locks.db')
  const manager = new LeaseManager({ store: `sqlite:${place}`, workerId: 'ci-7', ttlMs: 30_000 })
  t.after(() => manager.destroy())
  const gone = await manager.acquire('gone')
  const lease = await manager.acquire('deploy')
  await gone.release()
  const { link, bytes } = memoryFile()
  const at = (struct, field) => documented.get(struct).find((one) => one.field === field).offset
  const word = (offset) => bytes.readBigUInt64LE(offset)
  const header = (field) => Number(word(at('Header', field)))
  assert.equal(bytes.toString('latin1', 0, 8), 'CHAINLS\0')
  assert.deepEqual([header('layout_version'), header('pid'), header('size')], [1, process.pid, sizeOf('LeasePage')])
  assert.deepEqual([header('stores_end'), header('leases_end')], [1, 2])
  const text = (begin) => bytes.toString('utf8', begin + 8, begin + 8 + Number(word(begin)))

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
