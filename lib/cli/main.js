// The command line's frame: finds the command, parses, runs it, and turns what it says or throws into an exit code.
// Data goes to stdout, talk to stderr.
// @ts-check
'use strict'

const { readFileSync } = require('node:fs')
const path = require('node:path')
const { NAMES, loadCommand } = require('./commands')
const { CommandError, EXIT, usageError } = require('./exit')
const { checkCount, parse, splitCommand } = require('./args')
const { clean, colourIf, glyphs, said, wantsColour } = require('./text')

/** What a terminal that does not say is taken to be wide. */
const USUAL_COLUMNS = 80

/** @param {string[]} argv */
async function main(argv) {
  // Whoever reads may have seen enough (`chainlock history | head`).
  process.stdout.on('error', (/** @type {NodeJS.ErrnoException} */ { code }) =>
    process.exit(code === 'EPIPE' ? EXIT.ok : EXIT.bug),
  )
  // Nobody listens to the talk: that changes neither what is done nor how it ends.
  process.stderr.on('error', () => {})
  process.exitCode = await codeOf(argv)
}

/** @param {string[]} argv */
async function codeOf(argv) {
  let name = null
  try {
    const split = splitCommand(argv)
    name = split.name
    if (split.wantsVersion) {
      process.stdout.write(`chainlock ${version()}\n`)
      return EXIT.ok
    }
    return await runCommand(name, split.rest)
  } catch (error) {
    return tell(error, name)
  }
}

/** @returns {string} */
function version() {
  return JSON.parse(readFileSync(path.join(__dirname, '../../package.json'), 'utf8')).version
}

/** @param {string | null} name @param {string[]} rest */
async function runCommand(name, rest) {
  if (name === null) {
    parse(rest, {})
    process.stdout.write(`${require('./help').overview().join('\n')}\n`)
    return EXIT.ok
  }
  if (!NAMES.includes(name)) {
    const near = require('./nearest').nearest(name, NAMES)
    throw usageError(`there is no command "${said(name)}"${near ? `; did you mean chainlock ${near}?` : ''}`)
  }
  const command = loadCommand(name)
  const { values, args } = parse(rest, command.options)
  if (values.help) {
    process.stdout.write(`${require('./help').helpOf(name).join('\n')}\n`)
    return EXIT.ok
  }
  checkCount(args, command.usage)
  const env = { ...process.env }
  if (command.locks !== true) lookOnly()
  return command.run(contextOf(args, values, env))
}

/** Who only looks writes no journal and listens to nobody. Read when the native code is loaded. */
function lookOnly() {
  delete process.env.CHAINLOCK_JOURNAL
  process.env.CHAINLOCK_CONTROL = 'off'
}

/**
 * @param {string[]} args
 * @param {Record<string, any>} values
 * @param {NodeJS.ProcessEnv} env As it was given.
 * @returns {import('./commands').Context}
 */
function contextOf(args, values, env) {
  const { stdin, stdout, stderr } = process
  const ascii = values.ascii === true
  return {
    args,
    values,
    out: (text = '') => void stdout.write(`${text}\n`),
    err: (text = '') => void stderr.write(`${text}\n`),
    stdin,
    stdout,
    stderr,
    colour: colourIf(wantsColour(stdout, values, env)),
    errColour: colourIf(wantsColour(stderr, values, env)),
    glyphs: glyphs(ascii),
    ascii,
    isTty: stdout.isTTY === true,
    json: values.json === true,
    columns: stdout.columns || USUAL_COLUMNS,
    env,
  }
}

/**
 * Says on stderr what went wrong.
 * @param {any} error
 * @param {string | null} name
 */
function tell(error, name) {
  const say = (/** @type {string} */ text) => process.stderr.write(`${text}\n`)
  if (error instanceof CommandError) {
    say(`chainlock: ${error.message}`)
    const isKnown = name !== null && NAMES.includes(name)
    const next = error.next ?? (error.exit === EXIT.usage ? `chainlock help${isKnown ? ` ${name}` : ''}` : null)
    if (next !== null) say(`  next  ${next}`)
    return error.exit
  }
  if (error?.code === 'EACCES' || error?.code === 'EPERM') {
    say(`chainlock: not permitted: ${clean(String(error.message))}`)
    return EXIT.permission
  }
  const lines = String(error?.stack ?? error)
    .split('\n')
    .map(clean)
  say('chainlock: this is a bug in chainlock, or something is broken here (chainlock doctor looks)')
  say(lines.join('\n'))
  return EXIT.bug
}

module.exports = { main }
