// docs/formats/table.md is the lock table's format: its offsets are those of the Rust structs, and a reader
// that knows nothing but that page finds in the memory file what the process's lock says of itself.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const chainlock = require('chainlock')

const root = path.dirname(__dirname)
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')

// ── The page ─────────────────────────────────────────────────────────────────────────────────────────

/** @returns Each documented struct: its fields in order, each with name, offset and size in bytes. */
function documented({ places }) {
  const structs = new Map()
  for (const section of read('docs/formats/table.md').split(/^## /m)) {
    const name = /^`(\w+)`$/m.exec(section)?.[1]
    if (!name) continue
    const rows = [...section.matchAll(/^\| (\d+) \| (N × )?(\d+) \| `(\w+)` \|/gm)]
    structs.set(name, rows.map(([, offset, isMany, size, field]) => ({
      name: field,
      offset: Number(offset),
      size: Number(size) * (isMany ? places : 1),
    })))
  }
  return structs
}

// ── The Rust structs ─────────────────────────────────────────────────────────────────────────────────

const SOURCES = ['src/table/layout.rs', 'src/table/ring.rs', 'src/metrics/histogram.rs'].map(read).join('\n')
const WORDS = ['Field', 'SeqLock', 'HoldWord', 'Stamp']

/** The integer constants of the sources. */
function constants() {
  const known = {}
  for (const [, name, value] of SOURCES.matchAll(/^(?:pub )?const (\w+): (?:u32|u64|usize) = (.+);$/gm)) {
    // What is smaller for the model checkers is as long as it says for everybody else.
    const sum = value.replace(/^if SMALL \{.*\} else \{ (.+) \}$/, '$1').replace(/ as \w+/g, '')
    if (!/^[\w\s+*<()]+$/.test(sum) || sum.includes('::')) continue
    known[name] = Function(...Object.keys(known), `return ${sum}`)(...Object.values(known))
  }
  return known
}

/** The size of a type, which is made of words. */
function sizeOf(type, lengths) {
  const generic = /^Ring<(\w+)>$/.exec(type)
  const array = /^\[(\w+); (\w+)\]$/.exec(type)
  if (WORDS.includes(type)) return 8
  if (type === 'LayerRows') return sizeOf('[LayerRow; LAYERS]', lengths)
  if (generic) return sizeOf('Ring', { ...lengths, N: lengths[generic[1]] })
  if (array) return sizeOf(array[1], lengths) * (lengths[array[2]] ?? Number(array[2]))
  return fieldsOf(type, lengths).reduce((sum, { size }) => sum + size, 0)
}

function fieldsOf(struct, lengths) {
  const body = new RegExp(`^(?:pub )?struct ${struct}(?:<[^>]+>)? \\{\\n([^]*?)^\\}`, 'm').exec(SOURCES)?.[1]
  assert.ok(body, `there is a struct ${struct}`)
  let offset = 0
  return [...body.matchAll(/^ {4}(?:pub )?(\w+): (.+),$/gm)].map(([, name, type]) => {
    const field = { name, offset, size: sizeOf(type, lengths) }
    offset += field.size
    return field
  })
}

const lengths = constants()
const tables = documented({ places: 1 })

test('the documented fields, offsets and sizes are those of the Rust structs', () => {
  assert.equal(tables.size, 12)
  for (const [struct, fields] of tables) assert.deepEqual(fields, fieldsOf(struct, { ...lengths, N: 1 }), struct)
})

test('the documented kinds are those of the records', () => {
  const body = /enum Kind \{([^]*?)^\}/m.exec(SOURCES)[1]
  const codes = [...body.matchAll(/^ {4}(\w+) = (\d+),$/gm)].map(([, , code]) => Number(code))
  const rows = read('docs/formats/table.md').split('| kind | what happened |')[1].split('\n\n')[0]
  assert.deepEqual([...rows.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code)), codes)
})

// ── The memory ───────────────────────────────────────────────────────────────────────────────────────

/** The bytes of this process's memory file. */
function memoryFile() {
  const descriptors = fs.readdirSync('/proc/self/fd').map((number) => `/proc/self/fd/${number}`)
  const found = descriptors.find((link) => {
    try {
      return fs.readlinkSync(link).startsWith('/memfd:chainlock-table')
    } catch {
      // The descriptor that listed the folder is gone by now.
      return false
    }
  })
  return fs.readFileSync(found)
}

/** What the page says of some bytes: reads fields by the documented offsets alone. */
class Reader {
  constructor(bytes, struct, at) {
    Object.assign(this, { bytes, struct, at })
  }

  #place(name) {
    const field = tables.get(this.struct).find((one) => one.name === name)
    assert.ok(field, `${this.struct}.${name} is documented`)
    return this.at + field.offset
  }

  word(name) {
    return this.bytes.readBigUInt64LE(this.#place(name))
  }

  number(name) {
    return Number(this.word(name))
  }

  inside(name, struct, index = 0) {
    const size = tables.get(struct).reduce((sum, field) => sum + field.size, 0)
    return new Reader(this.bytes, struct, this.#place(name) + index * size)
  }

  text(name) {
    const text = this.inside(name, 'TextField')
    const begin = text.#place('words')
    return this.bytes.toString('utf8', begin, begin + Math.min(text.number('len'), 64))
  }
}

test('a reader that knows only the page reads the lock', { skip: process.platform !== 'linux' }, () => {
  const { configureSendLock, forceReleaseLock, getLockStatus, getMetrics, trySend } = chainlock
  configureSendLock({ cooldownMs: 0, timeoutMs: 12_345, cooldownFrom: 'release', historyLimit: 77 })
  trySend('window-monitor').guard.release()
  trySend('e2e-executor')
  trySend('chain-loop-monitor')
  const metrics = getMetrics()
  const status = getLockStatus()
  const bytes = memoryFile()

  const table = new Reader(bytes, 'Table', 0)
  const header = table.inside('header', 'Header')
  assert.equal(bytes.toString('latin1', 0, 8), 'CHAINLK\0')
  assert.equal(header.number('layout_version'), lengths.LAYOUT_VERSION)
  assert.equal(header.number('pid'), process.pid)
  assert.equal(header.number('size'), sizeOf('Table', lengths))
  assert.equal(bytes.length, Math.ceil(header.number('size') / 4096) * 4096)

  const row = table.inside('rows', 'Row')
  assert.deepEqual([row.number('state'), row.number('generation'), row.number('thread_id')], [1, 1, 0])

  const page = table.inside('send', 'SendPage')
  assert.equal(page.number('sequence') % 2, 0)
  assert.equal(page.word('word'), (BigInt(status.token) << 2n) | 1n)
  assert.equal(page.text('holder_layer'), 'e2e-executor')
  assert.equal(page.number('holder_thread'), 0)
  assert.equal(page.word('holder_row'), 1n << 32n)
  assert.equal(page.word('held_since'), page.word('last_acquired'))
  assert.ok(page.word('last_ended') < page.word('held_since'))

  const rules = page.inside('rules', 'RuleFields')
  assert.equal(rules.number('timeout'), 12_345_000_000)
  assert.deepEqual(['cooldown_from', 'on_timeout', 'history_limit', 'any_layer'].map((name) => rules.number(name)), [1, 0, 77, 0])

  const counters = page.inside('counters', 'Counters')
  assert.equal(counters.number('acquisitions'), metrics.totalAcquisitions)
  assert.equal(counters.number('releases'), metrics.totalReleases)
  assert.equal(counters.number('blocked_held'), metrics.refusedByReason.held)

  const layers = Array.from({ length: page.number('layer_count') }, (_, index) => page.inside('layers', 'LayerRow', index))
  assert.deepEqual(layers.map((layer) => layer.text('name')), Object.keys(metrics.layers))
  assert.deepEqual(layers.map((layer) => layer.number('blocked')), Object.values(metrics.layers).map(({ blocked }) => blocked))
  assert.equal(page.inside('hold_times', 'Histogram').number('count'), metrics.holdTimes.count)

  const events = page.inside('events', 'Ring')
  const record = events.inside('places', 'Place', events.number('written') - 1)
  assert.equal(record.number('stamp'), events.number('written'))
  assert.equal(record.number('kind'), 3)
  assert.equal(record.text('layer'), 'chain-loop-monitor')
  assert.equal(record.text('other'), 'e2e-executor')
  assert.equal(record.number('token'), status.token)
  assert.equal(layers[record.number('layer_row')].text('name'), 'chain-loop-monitor')
  forceReleaseLock('done')
})
