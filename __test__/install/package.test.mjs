// What is in the packed package, what is not, and what the package linters say about it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { before, test } from 'node:test'
import { addonName, filesUnder, listing, pack, projectWith, root, run } from './workshop.mjs'

const require = createRequire(import.meta.url)
let tarball

before(async () => {
  tarball = await pack()
})

test('it has the entry, the typings, the native code of this platform and the licence', () => {
  const files = listing(tarball)
  for (const file of ['package.json', 'index.js', 'index.d.ts', 'lib/binding.cjs', `lib/${addonName}`, 'LICENSE']) {
    assert.ok(files.includes(file), `${file} is missing of ${files.join(', ')}`)
  }
})

test('it has no sources, tests, build output or machinery', () => {
  const wanted = /^(index\.(js|d\.ts)|(proper-lockfile|otel|leases)\.d\.ts|package\.json|LICENSE|README\.md|CHANGELOG\.md|docs\/.+\.(md|json)|bin\/[\w-]+\.js|man\/chainlock\.1|lib\/.+\.(js|cjs|d\.cts|node|html|css))$/
  assert.deepEqual(listing(tarball).filter((file) => !wanted.test(file)), [])
})

test('installing it brings nothing else and runs nothing', async () => {
  const project = await projectWith(tarball)
  const modules = filesUnder(join(project, 'node_modules')).filter((file) => file.endsWith('package.json'))
  assert.deepEqual(modules, ['chainlock/package.json'])
  const manifest = JSON.parse(readFileSync(join(project, 'node_modules', 'chainlock', 'package.json'), 'utf8'))
  for (const field of ['dependencies', 'optionalDependencies', 'bundleDependencies']) {
    assert.equal(manifest[field], undefined, field)
  }
  // What chainlock/otel works with, for those who have it.
  const optional = Object.keys(manifest.peerDependenciesMeta).filter((name) => manifest.peerDependenciesMeta[name].optional)
  assert.deepEqual(Object.keys(manifest.peerDependencies), optional)
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
    assert.equal(manifest.scripts?.[script], undefined, script)
  }
})

test('publint has nothing to say', async () => {
  const { stdout } = await run(process.execPath, [program('publint', 'publint'), 'run', tarball, '--strict'])
  assert.match(stdout, /All good!/)
})

test('@arethetypeswrong/cli has nothing to say', async () => {
  const { stdout } = await run(process.execPath, [program('@arethetypeswrong/cli', 'attw'), tarball, '--format', 'json'])
  const { analysis } = JSON.parse(stdout)
  assert.ok(analysis.types !== false, 'it has typings')
  assert.deepEqual(analysis.problems, [])
})

/** The path of a development tool's program. */
function program(name, bin) {
  const manifest = join(root, 'node_modules', name, 'package.json')
  return join(dirname(manifest), require(manifest).bin[bin])
}
