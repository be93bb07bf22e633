// `chainlock completion`: what a shell reads to complete commands and options, made from the table of commands.
// @ts-check
'use strict'

const { EXIT } = require('../exit')
const { COMMON, word } = require('../args')

const SHELLS = /** @type {const} */ (['bash', 'zsh', 'fish'])

module.exports = {
  summary: 'prints the completion of a shell: bash, zsh or fish',
  usage: '<shell>',
  options: {},
  examples: ['source <(chainlock completion bash)', 'chainlock completion fish | source'],

  /** @param {import('../commands').Context} context */
  run({ args: [shell], out }) {
    const chosen = /** @type {typeof SHELLS[number]} */ (word('<shell>', shell, SHELLS))
    out(PRINT[chosen](commands()).join('\n'))
    return EXIT.ok
  },
}

/** @typedef {{ name: string, summary: string, options: [string, string][] }} Completed */

/** @returns {Completed[]} */
function commands() {
  const { NAMES, loadCommand } = require('../commands')
  return NAMES.map((name) => {
    const { summary, options } = loadCommand(name)
    const all = Object.entries({ ...options, ...COMMON })
    return { name, summary, options: all.map(([option, { help }]) => [`--${option}`, help]) }
  })
}

/** A text in single quotes, as all three shells read it. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", ' ')}'`

/** @param {[string, string]} option */
const described = ([option, help]) => quoted(`${option}:${help.replaceAll(':', ' -')}`)

/** @type {Record<typeof SHELLS[number], (commands: Completed[]) => string[]>} */
const PRINT = {
  bash: (all) => [
    '_chainlock() {',
    '  local word=${COMP_WORDS[COMP_CWORD]}',
    '  case $COMP_CWORD:${COMP_WORDS[1]} in',
    `    1:*) COMPREPLY=($(compgen -W ${quoted(all.map(({ name }) => name).join(' '))} -- "$word")) ;;`,
    ...all.map(
      ({ name, options }) =>
        `    *:${name}) COMPREPLY=($(compgen -W ${quoted(options.map(([option]) => option).join(' '))} -- "$word")) ;;`,
    ),
    '  esac',
    '}',
    'complete -o default -F _chainlock chainlock',
  ],
  zsh: (all) => [
    '#compdef chainlock',
    '_chainlock() {',
    '  if (( CURRENT == 2 )); then',
    '    local -a commands=(',
    ...all.map(({ name, summary }) => `      ${quoted(`${name}:${summary.replaceAll(':', ' -')}`)}`),
    '    )',
    '    _describe command commands',
    '    return',
    '  fi',
    '  local -a options',
    '  case $words[2] in',
    ...all.map(({ name, options }) => `    ${name}) options=(${options.map(described).join(' ')}) ;;`),
    '  esac',
    '  _describe option options || _files',
    '}',
    'compdef _chainlock chainlock',
  ],
  fish: (all) => [
    ...all.map(
      ({ name, summary }) => `complete -c chainlock -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ),
    ...all.flatMap(({ name, options }) =>
      options.map(
        ([option, help]) =>
          `complete -c chainlock -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)} -d ${quoted(help)}`,
      ),
    ),
  ],
}
