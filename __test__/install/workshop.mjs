// What the install tests share: the packed package, projects that install it far from this checkout, Node
// binaries of every supported version, and running programs there without any toolchain in reach.
import { execFile, execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { platformName } from '../../scripts/env.mjs'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const programs = join(root, '__test__', 'install', 'programs')
export const addonName = `chainlock.${platformName()}.node`
export const NODE_MAJORS = [20, 22, 24, 26]

/** A fresh folder outside the checkout, gone when this process ends. Its path is a real one. */
export function temporaryFolder() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'chainlock-install-')))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

// ── npm ──────────────────────────────────────────────────────────────────────────────────────────────

/** Runs the system's npm, by its path: it needs nothing from PATH then. */
export async function npm(args, options) {
  return run(process.execPath, [npmProgram(), ...args], options)
}

function npmProgram() {
  const { npm_execpath: itself, PATH = '' } = process.env
  if (itself?.endsWith('npm-cli.js')) return itself
  for (const folder of PATH.split(delimiter)) {
    const beside = join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js')
    if (existsSync(beside)) return beside
    const link = join(folder, 'npm')
    if (process.platform !== 'win32' && existsSync(link)) return realpathSync(link)
  }
  throw new Error('npm is not in PATH')
}

/** @returns The path of chainlock-VERSION.tgz, packed from this checkout as it is. */
export async function pack() {
  const folder = temporaryFolder()
  const { stdout } = await npm(['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: root })
  const [{ filename }] = [JSON.parse(stdout)].flat()
  return join(folder, filename)
}

/** @returns The folder of an empty project into which the tarball was installed with nothing in PATH. */
export async function projectWith(tarball, manifest = {}) {
  const project = temporaryFolder()
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'a-controller', private: true, ...manifest }))
  await npm(['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: project, env: bareEnvironment() })
  return project
}

/** @returns The folder of a second copy of an installed package; `without` names a file left out of it. */
export function copyOf(installed, { without } = {}) {
  const copy = join(temporaryFolder(), 'node_modules', 'chainlock')
  cpSync(installed, copy, { recursive: true, filter: (file) => basename(file) !== without })
  return copy
}

/** What a program may see where nothing but Node is installed: no compiler, no cargo, no npm setting. */
export function bareEnvironment() {
  const kept = ['HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'APPDATA', 'LOCALAPPDATA']
  const environment = { PATH: '/nowhere', NO_COLOR: '1' }
  for (const name of kept) if (process.env[name] !== undefined) environment[name] = process.env[name]
  return environment
}

// ── Programs of others, fetched when the tests run ───────────────────────────────────────────────────

const cache = join(root, 'node_modules', '.cache', 'chainlock-install')

/** @returns {Promise<string>} The program of the newest Node of that major version. */
export async function nodeBinary(major) {
  const system = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${system}-${process.arch}`
  const folder = await fetched(`node-${major}`, `${name}@${major}`)
  return join(folder, name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
}

/** @returns {Promise<string>} The node_modules folder that has Jest in it. */
export function jestFolder() {
  return fetched('jest-30', 'jest@30')
}

async function fetched(label, spec) {
  const folder = join(cache, label)
  const done = join(folder, 'done')
  if (!existsSync(done)) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }))
    await npm(['install', '--no-audit', '--no-fund', '--loglevel=error', spec], { cwd: folder })
    writeFileSync(done, '')
  }
  return join(folder, 'node_modules')
}

/** Lets TypeScript in the project find Node's types; the project itself installed only chainlock. */
export function lendNodeTypes(project) {
  mkdirSync(join(project, 'node_modules', '@types'), { recursive: true })
  symlinkSync(join(root, 'node_modules', '@types', 'node'), join(project, 'node_modules', '@types', 'node'), 'junction')
}

// ── Running ──────────────────────────────────────────────────────────────────────────────────────────

/** Runs a program to its end. Rejects, with everything it wrote, when it fails. */
export async function run(program, args, options = {}) {
  try {
    return await promisify(execFile)(program, args, { timeout: 240_000, maxBuffer: 1 << 26, ...options })
  } catch (failure) {
    failure.message += `\n${failure.stdout ?? ''}`
    throw failure
  }
}

/** Runs a JavaScript program where nothing else is installed and answers what it printed last, from JSON. */
export async function answerOf(nodeProgram, args, options) {
  const { stdout } = await run(nodeProgram, args, { env: bareEnvironment(), ...options })
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

/** @returns {string[]} The paths in the tarball, without the leading `package/`. */
export function listing(tarball) {
  // By its name alone: some tars take what stands before a colon for another machine.
  const text = execFileSync('tar', ['-tzf', basename(tarball)], { cwd: dirname(tarball), encoding: 'utf8' })
  return text.trim().split(/\r?\n/).map((path) => path.replace(/^package\//, '')).sort()
}

export function filesUnder(folder) {
  return readdirSync(folder, { recursive: true }).map((name) => name.replaceAll('\\', '/'))
}
