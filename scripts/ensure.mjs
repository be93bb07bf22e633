// Makes a checkout ready to run: npm's packages installed as locked, the addon built for this machine from
// these sources. Says nothing, and takes well under a second, when both are so already.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Failure, addonPath, has, isProgram, npm, root, runScript } from './env.mjs'

export function ensure() {
  requireNode()
  ensurePackages()
  ensureAddon()
}

function requireNode() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20) throw new Failure(`Node.js 20 or newer is needed; this is ${process.version}.`)
}

// ── npm's packages ───────────────────────────────────────────────────────────────────────────────────

function ensurePackages() {
  if (packagesAreInstalled()) return
  console.error('chainlock: installing the development packages (npm ci) …')
  npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
}

/** Whether what npm says it installed is what the lockfile asks for. */
function packagesAreInstalled() {
  const installedFile = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installedFile)) return false
  const installed = readJson(installedFile).packages
  return Object.entries(readJson(join(root, 'package-lock.json')).packages)
    .filter(([path]) => path !== '')
    .every(([path, { version, optional }]) =>
      installed[path] ? installed[path].version === version : optional === true,
    )
}

// ── The addon ────────────────────────────────────────────────────────────────────────────────────────

// Kept with cargo's output: removing that removes the claim that it is up to date.
const stampFile = join(root, 'target', 'addon-stamp.json')

function ensureAddon() {
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp()) return
  if (!has('cargo')) {
    throw new Failure(
      'cargo was not found, and the addon has to be built. Install a Rust toolchain, ' +
        `${rustVersion()} or newer (rustup brings one), and run this again.`,
    )
  }
  console.error('chainlock: building the addon (npm run build) …')
  npm(['run', 'build', '--silent'])
  if (!existsSync(addonPath())) throw new Failure(`the build left no ${relative(root, addonPath())}.`)
  mkdirSync(join(root, 'target'), { recursive: true })
  writeFileSync(stampFile, stamp())
}

/** What the addon was made from, and the addon itself, so that one put in its place by hand is noticed. */
function stamp() {
  return JSON.stringify({ inputs: hashOf(buildInputs()), outputs: hashOf(buildOutputs()) })
}

function buildInputs() {
  const sources = filesUnder(join(root, 'src')).filter((file) => !isTestSource(file))
  const others = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'package.json', 'node_modules/@napi-rs/cli/package.json']
  return [...sources, ...others.map((file) => join(root, file))]
}

function buildOutputs() {
  return [addonPath(), join(root, 'lib', 'binding.cjs'), join(root, 'lib', 'binding.d.cts')]
}

function isTestSource(file) {
  return relative(root, file).split(/[\\/]/)[1] === 'tests'
}

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .sort()
}

/** One hash over names and contents; a missing file counts as such. */
function hashOf(files) {
  const hash = createHash('sha256')
  for (const file of files) {
    const content = existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : 'missing'
    hash.update(`${relative(root, file)}\0${content}\0`)
  }
  return hash.digest('hex')
}

function rustVersion() {
  return /^rust-version\s*=\s*"(.+)"/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))?.[1] ?? 'stable'
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

if (isProgram(import.meta.url)) await runScript(ensure)
