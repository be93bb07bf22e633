// Writes man/chainlock.1 from the table of commands: `node scripts/man.mjs`. With --check it only looks whether what
// is there is what it would write.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Failure, root, runScript } from './env.mjs'

const require = createRequire(import.meta.url)
const { NAMES, loadCommand } = require('../lib/cli/commands.js')
const { COMMON } = require('../lib/cli/args.js')
const { signature } = require('../lib/cli/help.js')
const { MEANING } = require('../lib/cli/exit.js')

const FILE = join(root, 'man', 'chainlock.1')

/** A text as roff takes it: no line is a command, no backslash an escape, a dash is one. */
const roff = (text) =>
  text
    .replaceAll('\\', '\\\\')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1')
const bold = (text) => `.B ${roff(text)}`

function optionLines(options) {
  return Object.entries(options).flatMap(([name, option]) => [
    '.TP',
    bold(signature(name, option)),
    roff(option.help),
  ])
}

function commandLines(name) {
  const { summary, usage, options, details = [], examples = [] } = loadCommand(name)
  return [
    `.SS ${roff(`chainlock ${name}${usage ? ` ${usage}` : ''}`)}`,
    roff(`${summary[0].toUpperCase()}${summary.slice(1)}.`),
    ...details.flatMap((paragraph) => ['.PP', roff(paragraph)]),
    ...optionLines(options),
    ...(examples.length === 0 ? [] : ['.PP', '.nf', '.RS', ...examples.map((one) => roff(`$ ${one}`)), '.RE', '.fi']),
  ]
}

function page() {
  const lines = [
    '.\\" Written by scripts/man.mjs from lib/cli/commands.',
    '.TH CHAINLOCK 1 "" "chainlock" "User Commands"',
    '.SH NAME',
    'chainlock \\- who holds a lock, since when, and who waits',
    '.SH SYNOPSIS',
    '.B chainlock',
    '.I command',
    '[options]',
    '.SH DESCRIPTION',
    'Looks at the locks of all processes of a user that have chainlock loaded, from outside: they do not notice, and',
    'may be blocked or stopped. Data goes to standard output, talk to standard error.',
    '.SH COMMANDS',
    ...NAMES.flatMap(commandLines),
    '.SH OPTIONS OF ALL COMMANDS',
    ...optionLines(COMMON),
    '.SH EXIT STATUS',
    ...Object.entries(MEANING).flatMap(([code, meaning]) => ['.TP', bold(code), roff(meaning)]),
    '.SH ENVIRONMENT',
    ...Object.entries(ENVIRONMENT).flatMap(([name, meaning]) => ['.TP', bold(name), roff(meaning)]),
  ]
  return `${lines.join('\n')}\n`
}

const ENVIRONMENT = {
  NO_COLOR: 'No colours, when it is set and not empty.',
  FORCE_COLOR: 'Colours also where there is no terminal, unless it is 0.',
  CHAINLOCK_JOURNAL: 'The journal that history, trace and doctor read, when none is named.',
  CHAINLOCK_STORE: 'The store of leases for --scope cluster, also with a password: it is not seen in the list of processes.',
  CHAINLOCK_CA_FILE: 'A PEM file with the roots to trust for a store over TLS.',
  GITHUB_TOKEN: 'The token for a github: store; GITHUB_API_URL is the base of its API, if it is not github.com.',
  CHAINLOCK_TOKEN: 'Set by run for its command: the fencing token of the lease.',
}

await runScript(() => {
  if (!process.argv.includes('--check')) {
    mkdirSync(join(root, 'man'), { recursive: true })
    writeFileSync(FILE, page())
  } else if (readFileSync(FILE, 'utf8') !== page()) {
    throw new Failure('man/chainlock.1 is not what `node scripts/man.mjs` writes: run it, and commit')
  }
  return 0
})
