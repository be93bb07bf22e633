// The command line, parsed: options that every command has, errors that name the nearest, numbers and durations.
// @ts-check
'use strict'

const { parseArgs } = require('node:util')
const { usageError } = require('./exit')
const { nearest } = require('./nearest')
const { said } = require('./text')

/** @typedef {import('./commands').Option} Option */

/** Every command has these. @type {Record<string, Option>} */
const COMMON = {
  color: { type: 'string', value: 'WHEN', help: 'always, never or auto (the default: on a terminal)' },
  ascii: { type: 'boolean', help: 'plain letters in place of signs' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
}

/** For commands whose answer has a form for programs. @type {Option} */
const JSON_OPTION = { type: 'boolean', help: 'one JSON object instead of text' }
/** For commands that can ask a store of leases in place of this machine. @type {Record<'store' | 'scope' | 'namespace', Option>} */
const STORE_OPTIONS = {
  store: { type: 'string', value: 'URL', help: 'leases in a store: redis://…, postgres://…, sqlite:FILE, …' },
  scope: { type: 'string', value: 'SCOPE', help: 'cluster: leases in the store that CHAINLOCK_STORE names' },
  namespace: { type: 'string', value: 'NAME', help: 'of the leases (default: chainlock)' },
}
/** For commands that look at processes. @type {Option} */
const PID_OPTION = { type: 'string', value: 'N', help: 'only the process with this id' }

/**
 * The command's name among the arguments, and what is left of them. Options may stand before it.
 * @param {string[]} argv
 */
function splitCommand(argv) {
  const options = /** @type {any} */ ({ ...COMMON, pid: PID_OPTION, version: { type: 'boolean', short: 'V' } })
  const { tokens } = parseArgs({ args: argv, options, strict: false, allowPositionals: true, tokens: true })
  const end = tokens.find((token) => token.kind === 'option-terminator')?.index ?? Infinity
  const command = tokens.find((token) => token.kind === 'positional' && token.index < end)
  const asked = (/** @type {string} */ name) =>
    tokens.some(
      (token) => token.kind === 'option' && token.name === name && token.index < (command?.index ?? Infinity),
    )
  if (command === undefined) return { name: null, rest: argv, wantsVersion: asked('version') }
  const rest = [...argv.slice(0, command.index), ...argv.slice(command.index + 1)]
  return { name: argv[command.index], rest, wantsVersion: asked('version') }
}

/**
 * @param {string[]} argv What follows the command's name.
 * @param {Record<string, Option>} own The options of the command.
 */
function parse(argv, own) {
  const options = { ...own, ...COMMON }
  const parsed = parseArgs({
    args: withFallbacks(argv, own),
    options: /** @type {any} */ (options),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  for (const token of parsed.tokens) if (token.kind === 'option') checkOption(token, options)
  const values = /** @type {Record<string, any>} */ (parsed.values)
  if (values.color !== undefined) word('--color', values.color, ['always', 'never', 'auto'])
  return { values, args: /** @type {string[]} */ (parsed.positionals) }
}

/**
 * `--watch` alone is `--watch=1000`, but `--watch 250` stays.
 * @param {string[]} argv
 * @param {Record<string, Option>} own
 */
function withFallbacks(argv, own) {
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length
  return argv.map((argument, index) => {
    const { fallback } = own[argument.slice(2)] ?? {}
    const isAlone = argument.startsWith('--') && index < end && !/^\d/.test(argv[index + 1] ?? '')
    return fallback !== undefined && isAlone ? `${argument}=${fallback}` : argument
  })
}

/**
 * @param {{ name: string, rawName: string, value?: string, inlineValue?: boolean }} token
 * @param {Record<string, Option>} options
 */
function checkOption({ name, rawName, value, inlineValue }, options) {
  const shown = said(rawName)
  if (!Object.hasOwn(options, name)) throw unknown(rawName, Object.keys(options))
  const option = options[name]
  if (option.type === 'boolean' && value !== undefined) throw usageError(`${shown} takes no value`)
  const isMissing = value === undefined || value === '' || (!inlineValue && value.startsWith('-'))
  if (option.type === 'string' && isMissing) {
    throw usageError(`${shown} needs a value: ${shown} ${option.value ?? 'TEXT'}`)
  }
}

/** @param {string} rawName @param {string[]} known */
function unknown(rawName, known) {
  const near = rawName.startsWith('--') ? nearest(rawName.slice(2), known) : null
  const hint = near ? `; did you mean --${near}?` : ''
  return usageError(`there is no option ${said(rawName)}${hint}`)
}

/**
 * Checks how many words follow the command against what its usage asks for.
 * @param {string[]} args
 * @param {string} usage
 */
function checkCount(args, usage) {
  const needed = usage.match(/<[^>]+>/g) ?? []
  const allowed = needed.length + (usage.match(/\[(?!options\])[^-\]][^\]]*\]/g) ?? []).length
  if (args.length < needed.length) throw usageError(`${needed[args.length]} is missing`)
  if (!usage.includes('…') && args.length > allowed) throw usageError(`what is "${said(args[allowed])}" for?`)
}

/**
 * @param {string} name
 * @param {string} value
 * @param {readonly string[]} words
 */
function word(name, value, words) {
  if (words.includes(value)) return value
  const near = nearest(value, words)
  const hint = near ? `; did you mean ${near}?` : ''
  throw usageError(`${name} is one of ${words.join(', ')}; got "${said(value)}"${hint}`)
}

/**
 * A whole number.
 * @param {string} name
 * @param {string} value
 * @param {{ min?: number, max?: number }} [range]
 */
function wholeNumber(name, value, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}) {
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= min && number <= max) return number
  throw usageError(`${name} is a whole number from ${min} to ${max}; got "${said(value)}"`)
}

const UNITS = /** @type {Record<string, number>} */ ({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 })

/**
 * A time span such as '250ms', '30s', '10m' or '1h30m', in milliseconds. A bare number is in `bare`.
 * @param {string} name
 * @param {string} value
 * @param {'ms' | 's'} [bare]
 */
function span(name, value, bare = 's') {
  const wrong = () => usageError(`${name} is a time such as 500ms, 30s, 10m or 2h; got "${said(value)}"`)
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * UNITS[bare]
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(value)) throw wrong()
  let total = 0
  for (const [, number, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) total += Number(number) * UNITS[unit]
  if (total > Number.MAX_SAFE_INTEGER) throw wrong()
  return total
}

module.exports = { COMMON, JSON_OPTION, PID_OPTION, STORE_OPTIONS, splitCommand, parse, checkCount, word, wholeNumber, span }
