// The help: of all commands, and of one; each fits one screen of 80 columns and 24 lines.
// @ts-check
'use strict'

const { NAMES, loadCommand } = require('./commands')
const { COMMON } = require('./args')
const { EXIT, MEANING } = require('./exit')
const { pad } = require('./text')

const COLUMNS = 78
const LINES = 24

/** @returns {string[]} */
function overview() {
  const commands = NAMES.map((name) => [name, loadCommand(name).summary])
  return [
    'chainlock: who holds a lock, since when, and who waits',
    '',
    'usage: chainlock <command> [options]',
    '',
    ...columns(commands),
    '',
    'chainlock help <command> explains one; chainlock --version says the version.',
    'Every command takes --color always|never|auto and --ascii (letters for signs).',
    'Exit codes: 0 healthy, 1 the verdict is bad; chainlock help exit lists all.',
  ]
}

/** @returns {string[]} */
function exitCodes() {
  const codes = columns(Object.entries(MEANING))
  return ['Exit codes of chainlock:', '', ...codes, '', 'chainlock run passes on the code of its command.']
}

/** @param {string} name @returns {string[]} */
function helpOf(name) {
  const command = loadCommand(name)
  const { summary, usage, options, details = [], examples = [], exits = [] } = command
  const all = Object.entries(options)
  const shown = all.map(([option, about]) => [signature(option, about), about.help])
  const codes = [EXIT.ok, ...exits, EXIT.usage].sort((a, b) => a - b)
  const explained = wrap(`Exit codes: ${codes.map((code) => `${code} ${MEANING[code]}`).join('; ')}.`)
  const lines = [
    `chainlock ${name}: ${summary}`,
    '',
    `usage: chainlock ${name}${usage ? ` ${usage}` : ''}`,
    '',
    ...details.flatMap((paragraph) => wrap(paragraph)),
    ...(details.length > 0 ? [''] : []),
    ...(shown.length > 0 ? columns(shown) : []),
    `  ${Object.entries(COMMON)
      .map(([option, about]) => signature(option, about))
      .join(', ')}`,
    ...(examples.length > 0 ? ['', ...examples.map((example) => `  $ ${example}`)] : []),
    '',
  ]
  if (lines.length + explained.length <= LINES) return [...lines, ...explained]
  return [...lines, `Exit codes: ${codes.join(', ')}; chainlock help exit explains them.`]
}

/** @param {string} name @param {import('./commands').Option} option */
function signature(name, { short, type, fallback, value = 'TEXT' }) {
  const takes = type === 'boolean' ? '' : fallback === undefined ? ` ${value}` : ` [${value}]`
  return `${short ? `-${short}, ` : ''}--${name}${takes}`
}

/** Two columns, the second wrapped. @param {string[][]} rows @returns {string[]} */
function columns(rows) {
  const left = Math.max(...rows.map(([first]) => first.length)) + 4
  return rows.flatMap(([first, second]) => {
    const [head, ...rest] = wrap(second, COLUMNS - left)
    return [`  ${pad(first, left - 2)}${head}`, ...rest.map((line) => ' '.repeat(left) + line)]
  })
}

/** @param {string} text @returns {string[]} */
function wrap(text, most = COLUMNS) {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1]
    if (last !== '' && last.length + 1 + word.length > most) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}

module.exports = { overview, exitCodes, helpOf, signature, wrap }
