// Whether what cannot be undone is meant: at a terminal the name is typed, elsewhere the token must have been named.
// @ts-check
'use strict'

const { createInterface } = require('node:readline')
const { CommandError, EXIT } = require('./exit')

/** @typedef {import('./commands').Context} Context */

/**
 * @param {Context} context
 * @param {{ name: string, isSure: boolean, expect: number | null, next: string | undefined }} asked `next` is the
 *   command that asks nothing.
 */
async function confirm(context, { name, isSure, expect, next }) {
  const isTalking = context.stdin.isTTY === true && context.stderr.isTTY === true
  if (isSure && (isTalking || expect !== null)) return
  if (!isTalking) {
    throw new CommandError(EXIT.refused, 'not confirmed: without a terminal it needs --yes and --expect TOKEN', next)
  }
  const typedName = await ask(context, `Type the lock's name to take it away (${name}): `)
  if (typedName !== name) throw new CommandError(EXIT.refused, 'not confirmed; nothing was done')
}

/**
 * One line from the terminal; null when there is none.
 * @param {Context} context
 * @param {string} question
 * @returns {Promise<string | null>}
 */
function ask({ stdin, stderr }, question) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: stdin, output: stderr })
    lines.on('close', () => resolve(null))
    lines.on('SIGINT', () => {
      stderr.write('\n')
      reject(new CommandError(EXIT.interrupted, 'interrupted; nothing was done'))
      lines.close()
    })
    lines.question(question, (answer) => {
      resolve(answer.trim())
      lines.close()
    })
  })
}

module.exports = { confirm }
