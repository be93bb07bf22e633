// @ts-check
// What chainlock is compared with: native functions that do nothing, and a JavaScript lock with the same
// rules. The native ones are built here when they are missing or older than their source.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const { SingletonLock } = require('./singleton.js')

const CRATE = fileURLToPath(new URL('./noop-addon/', import.meta.url))
const SOURCES = ['Cargo.toml', 'Cargo.lock', 'src/lib.rs'].map((file) => join(CRATE, file))
const BUILT = join(CRATE, 'target', 'release')
const LIBRARY = { win32: 'chainlock_noop_addon.dll', darwin: 'libchainlock_noop_addon.dylib' }

/** The path under which `require` loads the empty addon. */
export const NOOP_ADDON = join(BUILT, 'noop.node')

/**
 * @typedef {object} Noop
 * @property {() => boolean} nothing
 * @property {(text: string) => boolean} text
 * @property {(...numbers: number[]) => boolean} numbers
 * @property {(fd: number, count: number) => number} flockPairs How often the kernel's lock was granted.
 * @property {() => number} allocated The bytes that this process has from malloc, or −1.
 * @property {(path: string) => boolean} replace Replaces a file by 4 KiB, durably; whether it did.
 */

/** Builds the empty addon if need be. */
export function ensureNoopAddon() {
  if (existsSync(NOOP_ADDON) && SOURCES.every((file) => statSync(file).mtimeMs <= statSync(NOOP_ADDON).mtimeMs)) {
    return
  }
  const linking = process.platform === 'darwin' ? ['-C', 'link-args=-undefined dynamic_lookup'] : []
  const built = spawnSync('cargo', ['rustc', '--release', '--locked', '--quiet', '--', ...linking], {
    cwd: CRATE,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, CARGO_TARGET_DIR: join(CRATE, 'target') },
  })
  if (built.error) throw new Error(`the empty addon needs cargo: ${built.error.message}`)
  if (built.status !== 0) throw new Error('the empty addon does not build')
  const library = LIBRARY[/** @type {keyof typeof LIBRARY} */ (process.platform)]
  copyFileSync(join(BUILT, library ?? 'libchainlock_noop_addon.so'), NOOP_ADDON)
}

/** @returns {Noop} */
export const loadNoop = () => require(NOOP_ADDON)

/**
 * The JavaScript lock, three times, without cooldown: with no log in it at all; with its log lines made
 * and not printed (the log removed from an otherwise unchanged controller); and with `console.log`, whose
 * process has to have the null device as its standard output.
 */
export function makeSingletons() {
  let characters = 0
  return {
    bare: withoutCooldown(null),
    silent: withoutCooldown((level, text) => {
      characters += line(level, text).length
    }),
    logging: withoutCooldown((level, text) => console.log(line(level, text))),
    charactersMade: () => characters,
  }
}

/** @param {string} level @param {string} text */
const line = (level, text) => `[${new Date().toISOString()}] [SHARED_LOCK] [${level}] ${text}`

/** @param {((level: string, text: string) => void) | null} log */
function withoutCooldown(log) {
  const lock = new SingletonLock(log)
  lock.COOLDOWN_MS = 0
  return lock
}
