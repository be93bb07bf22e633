// The typings: programs compile against them, wrong programs do not, the JavaScript beneath agrees with
// them, and what they declare is what is there.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import ts from 'typescript'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('../..', import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'chainlock-typings-'))
process.env.XDG_RUNTIME_DIR = folder
after(() => rmSync(folder, { recursive: true }))

for (const [project, what] of [
  ['__test__/types/tsconfig.node16.json', 'an ES module and a CommonJS program compile under node16'],
  ['__test__/types/tsconfig.bundler.json', 'a bundled program compiles under bundler'],
  ['tsconfig.json', 'the JavaScript in lib/ agrees with index.d.ts'],
]) {
  test(what, async () => {
    const tsc = require.resolve('typescript/bin/tsc')
    const outcome = await promisify(execFile)(process.execPath, [tsc, '--pretty', 'false', '-p', project], { cwd: root })
      .catch((failure) => failure)
    assert.equal(outcome.stdout, '')
  })
}

test('every declared value is exported, and every exported value is declared', () => {
  assert.deepEqual(Object.keys(require(root)).sort(), declared().values)
})

/** An object of each class with members of its own, made or found. */
const OBJECTS = {
  SharedLock: ({ SharedLock }) => new SharedLock(),
  LockManager: ({ locks }) => locks,
  Mutex: ({ Mutex }) => new Mutex(),
  Semaphore: ({ Semaphore }) => new Semaphore(1),
  RWLock: ({ RWLock }) => new RWLock(),
  LockHandle: ({ locks }) => locks.lock('typings'),
  NamedSemaphore: ({ locks }) => locks.semaphore('typings', 1),
  LockGuard: ({ locks }) => locks.tryAcquire('typings'),
  ProcessRegistry: ({ registry }) => registry,
  HostLock: ({ hostLock }) => hostLock('typings'),
  HostGuard: ({ hostLock }) => hostLock('typings').tryAcquire(),
}

for (const [name, object] of Object.entries(OBJECTS)) {
  test(`every declared member of ${name} is there, and every public member is declared`, () => {
    const there = new Set()
    for (let level = object(require(root)); level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
      for (const member of Object.getOwnPropertyNames(level)) there.add(member)
    }
    there.delete('constructor')
    assert.deepEqual([...there].sort(), declared().membersOf(name))
  })
}

test('chainlock/leases: every declared value is exported, and every member of its classes is there', async () => {
  const leases = require('chainlock/leases')
  const { values, ownMembersOf } = declared('leases.d.ts')
  assert.deepEqual(Object.keys(leases).sort(), values)
  const manager = new leases.LeaseManager({ store: `sqlite:${folder}/leases.db` })
  const lease = await manager.acquire('typings')
  for (const [name, object] of Object.entries({ LeaseManager: manager, Lease: lease })) {
    const prototype = Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter((member) => member !== 'constructor')
    const emitters = Object.keys(new EventEmitter())
    const own = Object.keys(object).filter((member) => !emitters.includes(member))
    assert.deepEqual([...prototype, ...own].sort(), ownMembersOf(name), name)
  }
  assert.deepEqual(Object.keys(leases.fence).sort(), ['conditionalWrite', 'redis', 'sql'])
  await manager.destroy()
})

/** The names of the values that a contract exports, and of the members of a class or interface. */
function declared(contract = 'index.d.ts') {
  const file = `${root}${contract}`
  const program = ts.createProgram([file], { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 })
  const checker = program.getTypeChecker()
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)))
  const meant = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)
  const values = exported.filter((symbol) => meant(symbol).flags & ts.SymbolFlags.Value)
  const typeOf = (name) => checker.getDeclaredTypeOfSymbol(exported.find((symbol) => symbol.name === name))
  // Members named by a symbol have no name of their own to compare.
  const membersOf = (name) => names(checker.getPropertiesOfType(typeOf(name))).filter((member) => !member.startsWith('__@'))
  /** Without those of the classes above it. */
  const ownMembersOf = (name) => {
    const { declarations } = exported.find((symbol) => symbol.name === name)
    const members = declarations.flatMap((one) => one.members).filter((one) => one.name?.text !== undefined)
    return [...new Set(members.map((one) => one.name.text))].sort()
  }
  return { values: names(values), membersOf, ownMembersOf }
}

function names(symbols) {
  return symbols.map((symbol) => symbol.name).sort()
}
