// Several processes add to one file, and some of them are killed in the middle.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { test } = require('node:test')
const { chainlock, deep } = require('./helpers/package')
const { folder, read } = require('./helpers/folders')
const { startNode, runNode, said } = require('./helpers/processes')

const { appendFileAtomic, appendFileAtomicSync, writeFileAtomic } = chainlock

/** Adds entries that tell whose they are, how many there are and how long they are. */
function adder({ chainlock, data }) {
  const add = async () => {
    for (let turn = 0; turn < data.entries; turn++) {
      const size = 10 + ((turn * 7_919) % data.most)
      const entry = `${data.name}:${turn}:${data.name.repeat(size)}\n`
      if (turn % 2) chainlock.appendFileAtomicSync(data.file, entry, { durable: false })
      else await chainlock.appendFileAtomic(data.file, [entry.slice(0, 5), entry.slice(5)], { durable: false })
      process.stdout.write(`${turn}\n`)
    }
  }
  add()
}

/** The entries of the file by their adders; fails for one that is torn or mixed with another. */
function entriesOf(file, most) {
  const found = {}
  const text = read(file)
  assert.ok(text === '' || text.endsWith('\n'), 'the last entry is whole')
  for (const line of text.split('\n').slice(0, -1)) {
    const [name, turn, content] = line.split(':')
    assert.ok(content === name.repeat(10 + ((Number(turn) * 7_919) % most)), `entry ${turn} of ${name} is whole`)
    const list = (found[name] ??= [])
    list.push(Number(turn))
  }
  return found
}

test('four processes: every entry is there once, whole and in order', async (t) => {
  const file = path.join(folder(t), 'journal')
  const entries = deep(1_000, 100)
  const runs = ['a', 'b', 'c', 'd'].map((name) => runNode(adder, { file, name, entries, most: 20_000 }))
  for (const { code, stderr } of await Promise.all(runs)) assert.equal(code, 0, stderr)
  const found = entriesOf(file, 20_000)
  for (const name of ['a', 'b', 'c', 'd']) assert.deepEqual(found[name], Array.from({ length: entries }, (_, turn) => turn))
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ['journal'])
})

test('four processes, killed at any moment: what was said to be there is there, and nothing is torn', async (t) => {
  const file = path.join(folder(t), 'journal')
  const most = 300_000
  // Together less than one string holds, should this process stand still while they write.
  const entries = 600
  let kills = 0
  for (let round = 0; round < deep(100, 8); round++) {
    fs.rmSync(file, { force: true })
    const names = ['a', 'b', 'c', 'd']
    const nodes = names.map((name) => startNode(adder, { file, name, entries, most }))
    await Promise.all(nodes.map((node) => said(node, '0\n')))
    for (const node of nodes) {
      await new Promise((done) => setTimeout(done, Math.random() * 40))
      node.child.kill('SIGKILL')
      kills += 1
    }
    const told = (await Promise.all(nodes.map((node) => node.ended))).map(({ stdout }) => stdout.split('\n').length - 1)
    await appendFileAtomic(file, '')
    const found = entriesOf(file, most)
    names.forEach((name, index) => {
      const there = found[name].length
      assert.deepEqual(found[name], Array.from({ length: there }, (_, turn) => turn), `${name}: in order, none missing`)
      assert.ok(there >= told[index] && there <= told[index] + 1, `${name}: ${there} are there, ${told[index]} were said to be`)
    })
    assert.deepEqual(fs.readdirSync(path.dirname(file)), ['journal'])
  }
  t.diagnostic(`${kills} kills`)
})

test('a torn end is cut off, once, and only if the file is still the same', (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'journal')
  const record = path.join(dir, '.journal.chainlock-append')
  // A record as a killed process leaves it: taken from one that is killed before it can write the piece.
  const keep = () => {
    fs.writeFileSync(file, 'first\n')
    const hash = (bytes) => [...bytes].reduce((sum, byte) => BigInt.asUintN(64, (sum ^ BigInt(byte)) * 0x100000001b3n), 0xcbf29ce484222325n)
    const bytes = Buffer.alloc(64)
    bytes.write('CHNLAPN1')
    const { ino } = fs.statSync(file, { bigint: true })
    ;[ino, 6n, 6n + 100n, hash(Buffer.from('first\n')), hash(Buffer.from('x'.repeat(100)))].forEach((word, at) => bytes.writeBigUInt64LE(word, 8 + 8 * at))
    bytes.writeBigUInt64LE(hash(bytes.subarray(0, 56)), 56)
    fs.writeFileSync(record, bytes)
  }
  keep()
  fs.appendFileSync(file, 'x'.repeat(60))
  appendFileAtomicSync(file, 'second\n')
  assert.equal(read(file), 'first\nsecond\n', 'torn')
  keep()
  fs.appendFileSync(file, 'x'.repeat(100))
  appendFileAtomicSync(file, 'second\n')
  assert.equal(read(file), `first\n${'x'.repeat(100)}second\n`, 'whole')
  keep()
  fs.appendFileSync(file, '\0'.repeat(100))
  appendFileAtomicSync(file, 'second\n')
  assert.equal(read(file), 'first\nsecond\n', 'zeroes after a loss of power')
  keep()
  fs.writeFileSync(file, 'written by somebody else\n')
  appendFileAtomicSync(file, 'second\n')
  assert.equal(read(file), 'written by somebody else\nsecond\n', 'not the same')
  assert.deepEqual(fs.readdirSync(dir), ['journal'])
})

const flock = (file) => spawn('flock', [file, 'sh', '-c', 'echo held; read _'], { stdio: ['pipe', 'pipe', 'inherit'] })

test('who holds the file by flock(1) is waited for, up to the limit or the signal', async (t) => {
  const file = path.join(folder(t), 'journal')
  fs.writeFileSync(file, '')
  const shell = flock(file)
  await once(shell.stdout, 'data')
  const busy = { code: 'ERR_LOCK_TIMEOUT', path: file, message: /waited \d+ ms .* flock/ }
  await assert.rejects(appendFileAtomic(file, 'x', { timeoutMs: 30 }), busy)
  assert.throws(() => appendFileAtomicSync(file, 'x', { timeoutMs: 0 }), busy)
  const controller = new AbortController()
  const aborted = appendFileAtomic(file, 'x', { signal: controller.signal, timeoutMs: Infinity })
  controller.abort('enough')
  await assert.rejects(aborted, (thrown) => thrown === 'enough')
  const waiting = appendFileAtomic(file, 'at last')
  // A whole write does not wait: it makes a new file.
  assert.equal(read(file), '')
  shell.stdin.end('\n')
  await waiting
  assert.equal(read(file), 'at last')
})

test('an addition and whole writes of other processes', async (t) => {
  const file = path.join(folder(t), 'journal')
  fs.writeFileSync(file, '')
  const adding = runNode(adder, { file, name: 'a', entries: 100, most: 100 })
  for (let turn = 0; turn < 100; turn++) await writeFileAtomic(file, '', { durable: false })
  assert.equal((await adding).code, 0)
  entriesOf(file, 100)
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ['journal'])
})
