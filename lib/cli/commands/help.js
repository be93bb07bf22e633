// `chainlock help`: all commands, or one of them.
// @ts-check
'use strict'

const { EXIT, usageError } = require('../exit')
const { nearest } = require('../nearest')
const { said } = require('../text')

module.exports = {
  summary: 'explains a command',
  usage: '[command]',
  options: {},
  /** @param {import('../commands').Context} context */
  run({ args: [name], out }) {
    const { NAMES } = require('../commands')
    const { overview, exitCodes, helpOf } = require('../help')
    if (name === undefined) out(overview().join('\n'))
    else if (name === 'exit') out(exitCodes().join('\n'))
    else if (NAMES.includes(name)) out(helpOf(name).join('\n'))
    else {
      const near = nearest(name, NAMES)
      throw usageError(`there is no command "${said(name)}"${near ? `; did you mean ${near}?` : ''}`)
    }
    return EXIT.ok
  },
}
