// `readLock` and `writeLock`: as decorators of the TC39 standard, as those of `experimentalDecorators`, and as
// wrappers of functions.
'use strict'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const { basename, join } = require('node:path')
const ts = require('typescript')
const { chainlock, root } = require('./helpers/package')
const { locks, freshName, standing, failure } = require('./helpers/locks')
const { turn, gate } = require('./helpers/waiting')

const { readLock, writeLock, ChainlockError } = chainlock

const folder = join(__dirname, 'decorators')
const SETTINGS = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.esnext.decorators.d.ts'],
  module: ts.ModuleKind.Node16,
  moduleResolution: ts.ModuleResolutionKind.Node16,
  types: ['node'],
  typeRoots: [join(root, 'node_modules', '@types')],
  strict: true,
  skipLibCheck: true,
}
const STANDARD = 'decorators of the standard'
const LEGACY = 'experimentalDecorators'

// Parsed once: most of a compilation is the library's types.
const parsed = new Map()

/** Compiles programs of `decorators/`; answers what the compiler says, and how to load one of them. */
function compile(which, ...files) {
  const options = { ...SETTINGS, experimentalDecorators: which === LEGACY }
  const host = ts.createCompilerHost(options)
  const { getSourceFile } = host
  host.getSourceFile = (name, ...how) => {
    if (!parsed.has(name)) parsed.set(name, getSourceFile.call(host, name, ...how))
    return parsed.get(name)
  }
  const texts = new Map()
  host.writeFile = (path, text) => texts.set(basename(path), text)
  const program = ts.createProgram(files.map((file) => join(folder, `${file}.ts`)), options, host)
  const complaints = ts.getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  program.emit()
  const load = (file) => {
    const loaded = { exports: {} }
    const own = (name) => (name === 'chainlock' ? chainlock : require(name))
    new Function('module', 'exports', 'require', texts.get(`${file}.js`))(loaded, loaded.exports, own)
    return loaded.exports
  }
  return { complaints, load }
}

const standard = compile(STANDARD, 'both', 'standard', 'refused')
const legacy = compile(LEGACY, 'both')

for (const [which, { complaints, load }] of [[STANDARD, standard], [LEGACY, legacy]]) {
  describe(which, () => {
    const { Store, Child, wrapped, wrappedSync } = load('both')

    test('the programs compile, and the typings refuse what would not work', () => assert.deepEqual(complaints, []))

    test('writers one at a time, in the order of the calls', async () => {
      const store = new Store('a')
      const answers = await Promise.all(['1', '2', '3'].map((label) => store.exclusive(label)))
      assert.deepEqual(answers, ['a1', 'a2', 'a3'])
      assert.deepEqual(store.log, ['1', '2', '3'])
      assert.equal(store.most, 1)
      assert.deepEqual(standing('decorated-count'), { holders: 0, waiters: 0 })
    })

    test('readers together, and not beside a writer', async () => {
      const store = new Store('a')
      const { opened, open } = gate()
      let arrived = 0
      const reading = [1, 2, 3].map(() => store.together(opened, () => ++arrived === 3 && open()))
      const writing = store.exclusive('after')
      assert.deepEqual(await Promise.all(reading), [0, 0, 0])
      assert.equal(await writing, 'aafter')
    })

    test('a name out of the arguments and of this, and a static method', async () => {
      const store = new Store(freshName('prefix'))
      const guard = await locks.acquire(`${store.prefix}:one`)
      const waiting = store.put('one', 1)
      assert.equal(await store.put('two', 2), 1, 'another name is free')
      assert.deepEqual(standing(`${store.prefix}:one`), { holders: 1, waiters: 1 })
      guard.release()
      await waiting
      assert.equal(await Store.find('one'), 1)
    })

    test('name, length, inheritance and default arguments are as they were', async () => {
      assert.equal(Store.prototype.exclusive.name, 'exclusive')
      assert.equal(Store.prototype.put.length, 2)
      assert.equal(Store.prototype.withDefault.length, 1)
      assert.equal(Store.find.name, 'find')
      assert.equal(await new Child('b').exclusive('x'), 'BX')
      assert.equal(await new Store('').withDefault('first'), 'first default')
      const own = Object.getOwnPropertyDescriptor(Store.prototype, 'exclusive')
      assert.deepEqual([own.enumerable, own.writable, own.configurable], [false, true, true])
    })

    test('wrappers', async () => {
      assert.equal(await wrapped(1, 2), 3)
      assert.equal(wrapped.name, 'sum')
      assert.equal(wrapped.length, 2)
      assert.equal(await wrappedSync('four'), 4)
    })
  })
}

test('private methods, by the standard', async () => {
  const { Account } = standard.load('standard')
  const account = await Account.make()
  assert.equal(await account.addAll([1, 2, 3, 4]), 10)
})

describe('a wrapper', () => {
  test('passes this, the arguments and the result on, and waits for a promise', async () => {
    const name = freshName()
    const subject = {
      factor: 3,
      times: writeLock(name)(async function (value) {
        await turn()
        assert.equal(standing(name).holders, 1)
        return this.factor * value
      }),
    }
    assert.equal(await subject.times(4), 12)
    assert.equal(standing(name).holders, 0)
  })

  test('what throws rejects, and the lock is free again', async () => {
    const name = freshName()
    const thrown = new Error('thrown')
    const wrapped = readLock(name)(() => { throw thrown })
    assert.equal(await failure(wrapped()), thrown)
    assert.equal(standing(name).holders, 0)
    assert.equal(locks.getStatistics(name).modes.shared.errors, 1)
  })

  test('the name function: called with this and the arguments, once a call; what it throws rejects', async () => {
    const calls = []
    const name = freshName()
    const wrapped = writeLock(function (...args) {
      calls.push([this, ...args])
      if (args[0] === 'throw') throw new Error('no name')
      return args[0]
    })((_name, value) => value)
    const self = {}
    assert.equal(await wrapped.call(self, name, 1), 1)
    assert.deepEqual(calls, [[self, name, 1]])
    assert.match((await failure(wrapped('throw'))).message, /no name/)
    const error = await failure(wrapped(5))
    assert.ok(error instanceof TypeError && error instanceof ChainlockError)
    assert.match(error.message, /writeLock: what the name function returns must be a string; got the number 5/)
  })

  test('options: those of withLock, and a wait that fails does not call the function', async () => {
    const name = freshName()
    const guard = await locks.acquire(name)
    let calls = 0
    const wrapped = readLock(name, { timeoutMs: 1, label: 'the wrapper' })(() => ++calls)
    const error = await failure(wrapped())
    assert.equal(error.code, 'ERR_LOCK_TIMEOUT')
    guard.release()
    assert.equal(calls, 0)
    assert.equal(await wrapped(), 1)
  })

  test('calls inside of calls: refused, or a part of the hold where that is asked for', async () => {
    const name = freshName()
    const inner = writeLock(name)(() => 'inner')
    const again = writeLock(name, { reentrant: true })(() => 'again')
    const outer = writeLock(name)((which) => which())
    assert.equal((await failure(outer(inner))).code, 'ERR_LOCK_SELF_DEADLOCK')
    assert.equal(await outer(again), 'again')
  })
})

describe('wrong uses', () => {
  test('names, options and targets are refused where they are written', () => {
    for (const make of [readLock, writeLock]) {
      for (const name of [undefined, null, 5, {}, Symbol('name')]) {
        assert.throws(() => make(name), { name: 'TypeError', message: new RegExp(`^${make.name}: name must be a string or a function`) })
      }
      assert.throws(() => make('x', { timeout: 5 }), { message: new RegExp(`${make.name}: unknown option 'timeout'.*timeoutMs`) })
      assert.throws(() => make('x', { timeoutMs: -5 }), { message: /options\.timeoutMs must be/ })
      assert.throws(() => make('x', { mode: 'read' }), { message: /unknown option 'mode'/ })
      for (const fn of [undefined, null, {}, 'fn']) {
        assert.throws(() => make('x')(fn), { name: 'TypeError', message: /fn must be a function/ })
      }
      assert.throws(() => make('x')(class {}), { message: /cannot decorate a class: decorate a method, or wrap a function/ })
    }
  })

  test('what is no method is refused by its kind', () => {
    const decorate = readLock('x')
    const standard = { getter: 'an accessor', setter: 'an accessor', accessor: 'an accessor', field: 'a field', class: 'a class' }
    for (const [kind, words] of Object.entries(standard)) {
      const value = kind === 'field' || kind === 'accessor' ? undefined : () => {}
      assert.throws(() => decorate(value, { kind, name: 'it' }), { name: 'TypeError', message: new RegExp(`readLock cannot decorate ${words}`) })
    }
    const accessor = Object.getOwnPropertyDescriptor({ get it() { return 1 } }, 'it')
    assert.throws(() => decorate({}, 'it', accessor), { message: /cannot decorate an accessor/ })
    assert.throws(() => decorate({}, 'it', undefined), { message: /cannot decorate a field/ })
    assert.throws(() => decorate({}, 'it', 0), { message: /cannot decorate a parameter/ })
    assert.throws(() => decorate({}, 'it', { value: 5 }), { message: /cannot decorate a field/ })
  })

  test('options changed later change nothing', async () => {
    const name = freshName()
    const options = { timeoutMs: 1 }
    const wrapped = readLock(name, options)(() => 'ran')
    options.timeoutMs = 'forever'
    assert.equal(await wrapped(), 'ran')
  })
})
