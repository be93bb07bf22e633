// What the scripts share: where things lie, what this machine's addon is called, and how a program is run.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** A failure that its message explains: shown without a stack. */
export class Failure extends Error {}

/** Whether the module is the program that was started, and not imported by another. */
export function isProgram(moduleUrl) {
  return fileURLToPath(moduleUrl) === realpathSync(process.argv[1])
}

/** Runs `main` as a script's whole work: its answer, or what it throws, becomes the exit code. */
export async function runScript(main) {
  try {
    process.exitCode = (await main()) ?? 0
  } catch (error) {
    console.error(error instanceof Failure ? `chainlock: ${error.message}` : error)
    process.exitCode = 1
  }
}

export function addonPath() {
  return join(root, 'lib', `chainlock.${platformName()}.node`)
}

/** The platform as napi-rs spells it. */
export function platformName() {
  const { platform, arch } = process
  if (platform === 'linux') return `linux-${arch}-${isGlibc() ? 'gnu' : 'musl'}`
  if (platform === 'win32') return `win32-${arch}-msvc`
  return `${platform}-${arch}`
}

function isGlibc() {
  return Boolean(process.report.getReport().header.glibcVersionRuntime)
}

/** Whether the program can be started. */
export function has(program, args = ['--version']) {
  return spawnSync(program, args, { stdio: 'ignore', shell: needsShell(program) }).status === 0
}

/** Runs a program to its end with its output shown. Throws a {@link Failure} when it fails. */
export function run(program, args, options = {}) {
  const { status, signal, error } = spawnSync(program, args, {
    cwd: root,
    stdio: 'inherit',
    shell: needsShell(program),
    ...options,
  })
  const command = [program, ...args].join(' ')
  if (error) throw new Failure(`\`${command}\` could not be started: ${error.message}`)
  if (status !== 0) throw new Failure(`\`${command}\` failed (${signal ?? `exit code ${status}`}).`)
}

/** Runs npm: the very one that runs this script, where one does. */
export function npm(args, options) {
  const { npm_execpath: itself } = process.env
  if (itself?.endsWith('.js') && existsSync(itself)) return run(process.execPath, [itself, ...args], options)
  if (!has('npm')) throw new Failure('npm was not found. Install Node.js 20 or newer with its npm.')
  return run('npm', args, options)
}

/**
 * Runs a program to its end, shows its output while it comes, and keeps what it wrote to standard output. One that
 * has not ended after `timeout` milliseconds is killed, whatever it has started besides.
 * @returns {Promise<{ code: number, output: string }>}
 */
export function tee(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const how = { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], killSignal: 'SIGKILL', ...options }
    const child = spawn(program, args, how)
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      process.stdout.write(text)
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (signal === null) return
      console.error(`\`${[program, ...args].join(' ')}\` was ended by ${signal}`)
      // What it has started may hold the other end open for ever.
      child.stdout.destroy()
    })
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

// npm, npx and the like are command files on Windows, which only a shell can start.
function needsShell(program) {
  return process.platform === 'win32' && ['npm', 'npx'].includes(program)
}
