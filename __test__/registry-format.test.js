// docs/formats/registry.md is the registry's format: its offsets are those of the Rust structs, and a reader that
// knows nothing but that page finds the processes in the memory file.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { registry } = require('chainlock')

const root = path.dirname(__dirname)
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')

/** Each documented struct: its fields in order, each with name, offset and size in bytes. */
const documented = new Map(read('docs/formats/registry.md').split(/^## /m).flatMap((section) => {
  const name = /^`(\w+)`$/m.exec(section)?.[1]
  const rows = [...section.matchAll(/^\| (\d+) \| (\d+) \| `(\w+)` \|/gm)]
  return name ? [[name, rows.map(([, offset, size, field]) => ({ field, offset: Number(offset), size: Number(size) }))]] : []
}))

const SOURCES = ['layout', 'pool', 'text'].map((name) => read(`src/registry/${name}.rs`)).join('\n')
const CONSTANTS = Object.fromEntries(
  [...SOURCES.matchAll(/^pub const (\w+): usize =([^;]+);$/gm)].map(([, name, sum]) => [name, sum]),
)

/** What a constant is outside of the model checkers. */
function constant(name) {
  if (/^\d+$/.test(name)) return Number(name)
  const sum = CONSTANTS[name].replace(/if SMALL \{[^}]*\} else \{([^}]*)\}/g, '($1)').replaceAll('_', '')
  return Function(`return ${sum.replace(/[A-Z]+/g, (other) => constant(other))}`)()
}

function sizeOf(type) {
  const [, array, length] = /^\[(\w+); (\w+)\]$/.exec(type) ?? []
  const [, words] = /^TextField<(\w+)>$/.exec(type) ?? []
  if (['Field', 'AtomicU64'].includes(type)) return 8
  if (array) return sizeOf(array) * constant(length)
  if (words) return 8 + 8 * constant(words)
  const size = fieldsOf(type).reduce((sum, one) => sum + one.size, 0)
  return SOURCES.includes(`#[repr(C, align(64))]\n#[derive(Debug, Default)]\npub struct ${type} `) ? Math.ceil(size / 64) * 64 : size
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
  assert.deepEqual([...documented.keys()], ['Registry', 'Header', 'Pool', 'Slot', 'Record'])
  for (const [struct, fields] of documented) assert.deepEqual(fields, fieldsOf(struct), struct)
  assert.equal(sizeOf('Record'), 2_560)
})

/** The bytes of this process's memory file, as far as there are any. */
function memoryFile() {
  for (const number of fs.readdirSync('/proc/self/fd')) {
    try {
      const link = `/proc/self/fd/${number}`
      if (fs.readlinkSync(link).startsWith('/memfd:chainlock-registry')) return { link, bytes: fs.readFileSync(link) }
    } catch {
      // The descriptor that listed the folder is gone by now.
    }
  }
}

test('a reader that knows only the page finds the processes', { skip: process.platform !== 'linux' }, () => {
  registry.register({ id: 'gone' })
  registry.register({ id: 'build', command: 'make', args: ['-j', ''], dir: '/srv', kind: 'job', pid: 77 })
  registry.setStatus('build', 'running')
  registry.exit('build', -1, { signal: 'SIGKILL', reason: 'too long' })
  registry.remove('gone')
  const { link, bytes } = memoryFile()
  const at = (struct, field) => documented.get(struct).find((one) => one.field === field).offset
  const word = (offset) => bytes.readBigUInt64LE(offset)
  const header = (field) => Number(word(at('Header', field)))
  assert.equal(bytes.toString('latin1', 0, 8), 'CHAINRG\0')
  assert.deepEqual([header('layout_version'), header('pid'), header('size')], [1, process.pid, sizeOf('Registry')])
  assert.equal(header('free_entries'), 0x1_0000_0001, 'one came back: the first')
  assert.equal(Number(word(at('Header', 'free_entries') + 8)), 2)

  const entry = (place) => word(at('Registry', 'entries') + place * 64 + at('Slot', 'current'))
  assert.equal(entry(0) & 15n, 0n)
  assert.equal(entry(1) & 15n, 4n)
  const record = at('Registry', 'records') + Number((entry(1) >> 4n) & 0xf_ffffn) * 2_560
  const number = (field) => Number(word(record + at('Record', field)))
  const text = (field) => {
    const begin = record + at('Record', field)
    return bytes.toString('utf8', begin + 8, begin + 8 + Number(word(begin)))
  }
  assert.deepEqual(['revision', 'thread_id', 'pid', 'exit_code'].map(number), [3, 0, 77, 2 ** 32 - 1])
  assert.deepEqual(['id', 'name', 'kind', 'signal', 'reason', 'command', 'dir', 'args'].map(text),
    ['build', '', 'job', 'SIGKILL', 'too long', 'make', '/srv', '-j\0\0'])
  assert.ok(number('started_at') > 0 && number('ended_at') >= number('started_at'))
  assert.throws(() => fs.writeFileSync(link, 'x'), /EPERM|EACCES/, 'nobody writes through the file')
  assert.throws(() => fs.truncateSync(link, 0), /EPERM|EACCES/)
})
