// docs/formats/registry.md is the registry's format: its offsets are those of the Rust structs, and a reader that
// knows nothing but that page finds the processes in the memory file.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { test } = require('node:test')
const { registry } = require('chainlock')
const { structPage, memoryFile } = require('./helpers/struct-pages')

const { documented, fieldsOf, sizeOf, at } = structPage('registry', ['registry/layout', 'registry/pool', 'registry/text'])

test('the documented fields, offsets and sizes are those of the Rust structs', () => {
  assert.deepEqual([...documented.keys()], ['Registry', 'Header', 'Pool', 'Slot', 'Record'])
  for (const [struct, fields] of documented) assert.deepEqual(fields, fieldsOf(struct), struct)
  assert.equal(sizeOf('Record'), 2_560)
})

test('a reader that knows only the page finds the processes', { skip: process.platform !== 'linux' }, () => {
  registry.register({ id: 'gone' })
  registry.register({ id: 'build', command: 'make', args: ['-j', ''], dir: '/srv', kind: 'job', pid: 77 })
  registry.setStatus('build', 'running')
  registry.exit('build', -1, { signal: 'SIGKILL', reason: 'too long' })
  registry.remove('gone')
  const { link, bytes, word, text } = memoryFile('chainlock-registry')
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
  assert.deepEqual(['revision', 'thread_id', 'pid', 'exit_code'].map(number), [3, 0, 77, 2 ** 32 - 1])
  assert.deepEqual(['id', 'name', 'kind', 'signal', 'reason', 'command', 'dir', 'args'].map((field) => text(record + at('Record', field))),
    ['build', '', 'job', 'SIGKILL', 'too long', 'make', '/srv', '-j\0\0'])
  assert.ok(number('started_at') > 0 && number('ended_at') >= number('started_at'))
  assert.throws(() => fs.writeFileSync(link, 'x'), /EPERM|EACCES/, 'nobody writes through the file')
  assert.throws(() => fs.truncateSync(link, 0), /EPERM|EACCES/)
})
