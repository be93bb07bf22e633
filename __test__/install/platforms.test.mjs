// One version everywhere, and a package for every platform, each what napi-rs makes of the target list.
import assert from 'node:assert/strict'
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { platformName } from '../../scripts/env.mjs'
import { addonName, answerOf, copyOf, npm, pack, projectWith, root, run, temporaryFolder } from './workshop.mjs'

const require = createRequire(import.meta.url)
const main = readJson('package.json')
const PLATFORMS = {
  'linux-x64-gnu': { os: ['linux'], cpu: ['x64'], libc: ['glibc'] },
  'linux-arm64-gnu': { os: ['linux'], cpu: ['arm64'], libc: ['glibc'] },
  'linux-x64-musl': { os: ['linux'], cpu: ['x64'], libc: ['musl'] },
  'linux-arm64-musl': { os: ['linux'], cpu: ['arm64'], libc: ['musl'] },
  'darwin-x64': { os: ['darwin'], cpu: ['x64'] },
  'darwin-arm64': { os: ['darwin'], cpu: ['arm64'] },
  'win32-x64-msvc': { os: ['win32'], cpu: ['x64'] },
  'win32-arm64-msvc': { os: ['win32'], cpu: ['arm64'] },
}

test('the native code, the main package and every platform package have one version', () => {
  const versions = { native: require(root).version, lockfile: readJson('package-lock.json').version }
  for (const platform of Object.keys(PLATFORMS)) versions[platform] = readJson('npm', platform, 'package.json').version
  assert.deepEqual(new Set(Object.values(versions)), new Set([main.version]), JSON.stringify(versions))
})

test('there is a package for each of the eight platforms and for no other', () => {
  assert.deepEqual(readdirSync(join(root, 'npm')).sort(), Object.keys(PLATFORMS).sort())
  assert.equal(main.napi.targets.length, Object.keys(PLATFORMS).length)
})

for (const [platform, { os, cpu, libc }] of Object.entries(PLATFORMS)) {
  test(`${platform}: its package installs there only and holds the one addon`, () => {
    const { name, main: entry, files, license, engines, ...rest } = readJson('npm', platform, 'package.json')
    const addon = `chainlock.${platform}.node`
    assert.deepEqual({ os: rest.os, cpu: rest.cpu, libc: rest.libc }, { os, cpu, libc })
    assert.deepEqual({ name, entry, files }, { name: `chainlock-${platform}`, entry: addon, files: [addon] })
    assert.deepEqual({ license, engines }, { license: main.license, engines: main.engines })
    for (const field of ['dependencies', 'scripts']) assert.equal(rest[field], undefined)
    assert.ok(existsSync(join(root, 'npm', platform, 'README.md')))
  })
}

test('the platform packages are what napi-rs makes of package.json today', async () => {
  const fresh = temporaryFolder()
  copyFileSync(join(root, 'package.json'), join(fresh, 'package.json'))
  const napi = join(root, 'node_modules', '@napi-rs', 'cli', require('@napi-rs/cli/package.json').bin.napi)
  await run(process.execPath, [napi, 'create-npm-dirs'], { cwd: fresh })
  for (const platform of Object.keys(PLATFORMS)) {
    const made = JSON.parse(readFileSync(join(fresh, 'npm', platform, 'package.json'), 'utf8'))
    assert.deepEqual(readJson('npm', platform, 'package.json'), made, platform)
  }
})

test('the main package finds the native code in the platform package, as a published one does', async () => {
  const installed = join(await projectWith(await pack()), 'node_modules', 'chainlock')
  const published = copyOf(installed, { without: addonName })
  const platformPackage = join(published, '..', `chainlock-${platformName()}`)
  mkdirSync(platformPackage)
  copyFileSync(join(root, 'npm', platformName(), 'package.json'), join(platformPackage, 'package.json'))
  copyFileSync(join(root, 'lib', addonName), join(platformPackage, addonName))
  const program = `const { version, tryAcquireSendLock } = require(${JSON.stringify(published)})
    console.log(JSON.stringify({ version, taken: tryAcquireSendLock('test-layer') }))`
  assert.deepEqual(await answerOf(process.execPath, ['-e', program]), { version: main.version, taken: true })
})

test('a release is nine packages that name one another at one version', async () => {
  const checkout = temporaryFolder()
  for (const name of ['package.json', 'index.js', 'index.d.ts', 'LICENSE', 'lib', 'scripts', 'npm']) {
    cpSync(join(root, name), join(checkout, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'), 'junction')
  const addons = join(checkout, 'addons')
  mkdirSync(addons)
  // For what a release does with them, every platform's addon is as good as this one's.
  for (const platform of Object.keys(PLATFORMS)) {
    copyFileSync(join(root, 'lib', addonName), join(addons, `chainlock.${platform}.node`))
  }
  const source = 'git+https://example.com/chainlock.git'
  const release = (tag) => run(process.execPath, ['scripts/release.mjs', 'addons', source, tag], { cwd: checkout })

  await assert.rejects(release('v999.0.0'), /the tag is v999\.0\.0/)
  await release(`v${main.version}`)

  const released = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
  const named = Object.keys(PLATFORMS).map((platform) => [`chainlock-${platform}`, main.version])
  assert.deepEqual(released.optionalDependencies, Object.fromEntries(named))
  assert.deepEqual(await packedFiles(checkout, /\.node$/), [])
  const checkPlatform = async (platform) => {
    const packed = await packedFiles(join(checkout, 'npm', platform))
    assert.deepEqual(packed, ['LICENSE', 'README.md', `chainlock.${platform}.node`, 'package.json'])
  }
  await Promise.all(Object.keys(PLATFORMS).map(checkPlatform))
})

/** The files that publishing the package in that folder would publish. */
async function packedFiles(folder, kept = /./) {
  const { stdout } = await npm(['pack', '--dry-run', '--ignore-scripts', '--json'], { cwd: folder })
  const [{ files }] = [JSON.parse(stdout)].flat()
  return files.map((file) => file.path).filter((path) => kept.test(path)).sort()
}

function readJson(...path) {
  return JSON.parse(readFileSync(join(root, ...path), 'utf8'))
}
