// Every system call of a write and of an addition fails in turn, with each error, and kills the process in turn: a
// typed error, the old content or the new one as a whole, and nothing left beside it after the next write.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { describe, test } = require('node:test')
const { chainlock } = require('./helpers/package')
const { folder, read } = require('./helpers/folders')
const { whyNot, subject, traced, countCalls } = require('./helpers/strace')

const ERRORS = ['EIO', 'ENOSPC', 'EINTR', 'EMFILE', 'EACCES', 'EDQUOT', 'ESTALE']
const OLD = 'the old content\n'
const NEW = 'the new content, of another length\n'
const NEXT = 'next'

const OPERATIONS = {
  'a durable write': {
    run: ({ chainlock, data }) => chainlock.writeFileAtomicSync(data.file, data.content),
    after: NEW,
    next: (file) => chainlock.writeFileAtomicSync(file, NEXT),
    afterNext: [NEXT],
  },
  'a write that is not durable': {
    run: ({ chainlock, data }) => chainlock.writeFileAtomicSync(data.file, data.content, { durable: false }),
    after: NEW,
    next: (file) => chainlock.writeFileAtomicSync(file, NEXT),
    afterNext: [NEXT],
  },
  'a durable addition': {
    run: ({ chainlock, data }) => chainlock.appendFileAtomicSync(data.file, data.content),
    after: OLD + NEW,
    next: (file) => chainlock.appendFileAtomicSync(file, NEXT),
    afterNext: [OLD + NEXT, OLD + NEW + NEXT],
  },
}

/** The file as it is before each fault: of somebody else, where that is possible, and with permissions of its own. */
function reset(file) {
  for (const name of fs.readdirSync(path.dirname(file))) fs.rmSync(path.join(path.dirname(file), name))
  fs.writeFileSync(file, OLD)
  if (process.getuid() === 0) fs.chownSync(file, 65_534, 65_534)
  fs.chmodSync(file, 0o640)
}

function checkAnswer(answer, file, { after }) {
  if (answer.ok) return assert.equal(read(file), after)
  assert.equal(answer.isOurs, true, answer.message)
  assert.match(answer.code, /^ERR_LOCK_(FILE_IO|UNSUPPORTED)$/)
  assert.equal(answer.path, file)
  assert.match(answer.errno, /^E[A-Z]+$/)
  assert.match(answer.message, /: .{10,}; /)
  assert.equal(read(file), answer.replaced ? after : OLD, answer.message)
}

function checkNext(file, { next, afterNext }) {
  next(file)
  assert.ok(afterNext.includes(read(file)), read(file))
  assert.deepEqual(fs.readdirSync(path.dirname(file)), [path.basename(file)])
}

/** The calls of a log, each with what its descriptor or its name stands for. */
function orderOf(log) {
  const opened = new Map()
  const kindOf = (name) => (name.endsWith('-tmp') ? 'temp' : name.endsWith('-append') ? 'record' : name === 'a' ? 'file' : 'folder')
  const steps = []
  for (const line of log.slice(0, log.lastIndexOf('write(1, ')).split('\n')) {
    const [, call, descriptor, rest] = /^(\w+)\((\w+)(.*)/.exec(line) ?? []
    const [, name] = /^, "([^"]*)"/.exec(rest ?? '') ?? []
    const [, made] = / = (\d+)$/.exec(line) ?? []
    if (call === 'openat' && made) opened.set(made, kindOf(name))
    else if (call === 'renameat' || call === 'unlinkat') steps.push(`${call} ${kindOf(name)}`)
    else if (call) steps.push(`${call} ${opened.get(descriptor)}`)
  }
  return steps
}

describe('faults', { skip: whyNot(), concurrency: false }, () => {
  /** The calls that count, in their order: the name of the call, and of what it is made on. */
  const ORDER = {
    'a durable write': ['write temp', 'fsync temp', 'renameat temp', 'fsync folder'],
    'a write that is not durable': ['write temp', 'renameat temp'],
    'a durable addition': ['write record', 'fsync record', 'fsync folder', 'write file', 'fsync file', 'unlinkat record'],
  }

  for (const [name, order] of Object.entries(ORDER)) {
    test(`${name}: what is synced, and when`, async (t) => {
      const [dir, log] = [folder(t), path.join(folder(t), 'log')]
      const file = path.join(dir, 'a')
      const node = subject(OPERATIONS[name].run, { file, content: NEW })
      await node.ready
      reset(file)
      const { log: seen } = await traced(node, log)
      node.child.kill()
      assert.deepEqual(orderOf(seen).filter((step) => /write|sync|rename|unlink/.test(step)), order)
    })
  }

  for (const [name, operation] of Object.entries(OPERATIONS)) {
    test(name, async (t) => {
      const [dir, log] = [folder(t), path.join(folder(t), 'log')]
      const file = path.join(dir, 'a')
      const data = { file, content: NEW }
      let node = subject(operation.run, data)
      await node.ready
      reset(file)
      const whole = await traced(node, log)
      assert.equal(read(file), operation.after)
      const points = [...countCalls(whole.log)].flatMap(([call, count]) => Array.from({ length: count }, (_, turn) => `${call}:when=${turn + 1}`))
      assert.ok(points.length > 10, whole.log)
      let refused = 0
      for (const point of points) {
        for (const error of ERRORS) {
          reset(file)
          const { answer, log: seen } = await traced(node, log, [`${point}:error=${error}`])
          assert.ok(seen.includes('(INJECTED)'), `${point} came`)
          await t.test(`${point} says ${error}`, () => {
            checkAnswer(answer, file, operation)
            checkNext(file, operation)
          })
          refused += answer.ok ? 0 : 1
        }
        reset(file)
        const { answer } = await traced(node, log, [`${point}:signal=SIGKILL`])
        await t.test(`${point} is the last`, () => {
          assert.equal(answer, null)
          const content = read(file)
          const isPart = operation.after.startsWith(OLD) && operation.after.startsWith(content) && content.length >= OLD.length
          assert.ok([OLD, operation.after].includes(content) || isPart, content)
          checkNext(file, operation)
        })
        node = subject(operation.run, data)
        await node.ready
      }
      node.child.kill()
      t.diagnostic(`${points.length} calls, ${points.length * ERRORS.length} errors (${refused} refusals), ${points.length} deaths`)
    })
  }
})
