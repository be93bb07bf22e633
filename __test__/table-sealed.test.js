// S2: the memory that shows a process's locks and its registry to onlookers cannot be written by any of them: not by
// the process's own user, not by root, and another user cannot even read it.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { test } = require('node:test')
const { linkOf } = require('./helpers/host-kernel')
const { startNode, runNode, said } = require('./helpers/processes')

const skip = process.platform !== 'linux' && 'only Linux has sealed memory files'
const isRoot = process.getuid?.() === 0
/** A user that everybody has and that owns nothing. */
const NOBODY = 65_534

/** The memory files of a process with a lock and a registered process. */
async function shown(t) {
  const program = ({ chainlock }) => {
    chainlock.locks.tryAcquire('seen', { label: 'mine' })
    chainlock.registry.register({ id: 'job' })
    console.log('ready')
    setInterval(() => {}, 1_000)
  }
  const started = startNode(program)
  t.after(() => started.child.kill('SIGKILL'))
  await said(started, 'ready')
  const { pid } = started.child
  const files = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)
  const nameOf = (file) => /^\/memfd:(chainlock-\w+)/.exec(linkOf(file))?.[1]
  const found = Object.fromEntries(files.map((file) => [nameOf(file), file]).filter(([name]) => name))
  assert.deepEqual(Object.keys(found).sort(), ['chainlock-registry', 'chainlock-table'])
  return Object.values(found)
}

const asUser = (uid) => ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']

/** Tries every way to write that a program without privileges over the kernel has; what each met. */
function attack({ data: { files } }) {
  const fs = require('node:fs')
  const outcome = (act) => {
    try {
      act()
      return 'written'
    } catch ({ code }) {
      return code
    }
  }
  const by = (flags, act) => (file) => outcome(() => {
    const fd = fs.openSync(file, flags)
    try {
      act(fd)
    } finally {
      fs.closeSync(fd)
    }
  })
  const ways = {
    read: by('r', (fd) => fs.readSync(fd, Buffer.alloc(8), 0, 8, 0)),
    write: by('r+', (fd) => fs.writeSync(fd, Buffer.alloc(8), 0, 8, 0)),
    writev: by('r+', (fd) => fs.writevSync(fd, [Buffer.alloc(8)], 0)),
    shorten: by('r+', (fd) => fs.ftruncateSync(fd, 0)),
    lengthen: by('r+', (fd) => fs.ftruncateSync(fd, 1 << 30)),
    empty: (file) => outcome(() => fs.closeSync(fs.openSync(file, 'w'))),
    append: (file) => outcome(() => fs.appendFileSync(file, 'x')),
  }
  const found = files.map((file) => Object.entries(ways).map(([way, act]) => [way, act(file)]))
  console.log(JSON.stringify(found.map(Object.fromEntries)))
}

/** What an attacker met, and that the memory is what it was. */
async function attacked(files, command) {
  const before = files.map((file) => fs.readFileSync(file).subarray(0, 32))
  const { stdout, stderr } = await runNode(attack, { files }, { command })
  files.forEach((file, index) => assert.ok(fs.readFileSync(file).subarray(0, 32).equals(before[index]), file))
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout)
}

const REFUSED = { write: 'EPERM', writev: 'EPERM', shorten: 'EPERM', lengthen: 'EPERM', empty: 'EPERM', append: 'EPERM' }

test(`${isRoot ? 'root' : 'the same user'} can read it and write nothing`, { skip }, async (t) => {
  for (const met of await attacked(await shown(t))) assert.deepEqual(met, { read: 'written', ...REFUSED })
})

const noOther = skip || (!isRoot && 'NOT TESTED: only root can become another user')

test('another user can neither read nor write it', { skip: noOther }, async (t) => {
  const closed = Object.fromEntries(['read', ...Object.keys(REFUSED)].map((way) => [way, 'EACCES']))
  for (const met of await attacked(await shown(t), asUser(NOBODY))) assert.deepEqual(met, closed)
})
