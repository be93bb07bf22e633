// Words for people, made from what came from outside: cleaned texts, durations, names of locks and of those who hold.
// @ts-check
'use strict'

// The characters that `src/name.rs` keeps off screens, and halves of characters.
const UNPRINTABLE = new RegExp(
  '[\\0-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb' +
    '\\u{e0000}-\\u{e007f}]|\\p{Cs}',
  'gu',
)

/**
 * A text from outside, with nothing in it that moves a cursor, hides or reorders text, or forges a line.
 * @param {string} text
 */
function clean(text) {
  return text.replace(UNPRINTABLE, '\ufffd')
}

/** As many characters of a name as a sentence shows. */
const LONGEST = 64

/** @param {string} text */
function short(text) {
  const characters = Array.from(clean(text))
  return characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join('')}…` : characters.join('')
}

/**
 * A time span in two units at most: '0.4ms', '12ms', '4.1s', '5m12s', '3h7m', '2d4h'.
 * @param {number | null} ms
 * @returns {string}
 */
function duration(ms) {
  if (ms === null || !Number.isFinite(ms)) return '–'
  if (ms < 0) return `-${duration(-ms)}`
  if (ms < 9.95) return `${Number(ms.toFixed(1))}ms`
  if (ms < 999.5) return `${Math.round(ms)}ms`
  if (ms < 9_950) return `${Number((ms / 1_000).toFixed(1))}s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return two(seconds, 60, 'm', 1, 's')
  if (seconds < 86_400) return two(seconds, 3_600, 'h', 60, 'm')
  return two(seconds, 86_400, 'd', 3_600, 'h')
}

/**
 * @param {number} seconds
 * @param {number} large
 * @param {string} largeUnit
 * @param {number} small
 * @param {string} smallUnit
 */
function two(seconds, large, largeUnit, small, smallUnit) {
  const rest = Math.floor((seconds % large) / small)
  return `${Math.floor(seconds / large)}${largeUnit}${rest > 0 ? `${rest}${smallUnit}` : ''}`
}

/** @param {Pick<import('../../index').SnapshotLock, 'name' | 'path' | 'kind'>} lock */
function lockName(lock) {
  const name = lock.name ?? lock.path
  return name === null ? `a ${lock.kind} without a name` : `"${short(name)}"`
}

/**
 * Where something runs: 'worker.js 4242/w3'.
 * @param {{ pid: number | null, thread: string | null, command?: string | null, foreign: boolean }} who
 */
function place({ pid, thread, command, foreign }) {
  if (pid === null) return foreign ? 'a process without chainlock' : 'an unknown process'
  const named = `${command ? `${short(command)} ` : 'process '}${pid}${thread ? `/${thread}` : ''}`
  return foreign ? `${named}, without chainlock` : named
}

/**
 * Who holds or waits: its layer or label, and where it runs.
 * @param {{ layer: string | null, label: string | null, pid: number | null, thread: string | null,
 *   command?: string | null, foreign: boolean }} one
 */
function who(one) {
  const name = one.layer !== null ? `layer ${short(one.layer)}` : one.label !== null ? `"${short(one.label)}"` : null
  return name === null ? place(one) : `${name} (${place(one)})`
}

/**
 * A word of a command line, quoted where a shell needs it; null for what cannot be typed.
 * @param {string} text
 */
function typed(text) {
  if (clean(text) !== text) return null
  return /^[\w@%+=:,./-]+$/.test(text) && !text.startsWith('-') ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/**
 * The command that shows one lock.
 * @param {import('../../index').SnapshotLock} lock
 */
function whyCommand(lock) {
  const word = typed(lock.name ?? lock.path ?? lock.id)
  const where = lock.pid === null ? '' : ` --pid ${lock.pid}`
  if (word === null || lock.nameCut) return `chainlock status${where}`
  return withWord('chainlock why', word, where)
}

/** @param {Pick<import('../../index').SnapshotLease, 'key'>} lease */
function leaseName({ key }) {
  return `lease "${short(key)}"`
}

/** The command that shows one lease. @param {import('../../index').SnapshotLease} lease */
function whyLease({ key, keyCut, pid }) {
  const word = keyCut ? null : typed(key)
  return word === null ? `chainlock status --pid ${pid}` : withWord('chainlock why', word, ` --pid ${pid}`)
}

/**
 * A command line about one word. A word that looks like an option has to stand behind `--`.
 * @param {string} command
 * @param {string} word As `typed` gives it.
 * @param {string} options
 */
function withWord(command, word, options) {
  return word.startsWith("'-") ? `${command}${options} -- ${word}` : `${command} ${word}${options}`
}

module.exports = { clean, short, duration, lockName, leaseName, place, who, typed, whyCommand, whyLease, withWord }
