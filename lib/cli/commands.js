// The table of commands, in the order of the help. Each is a file of its own, loaded when it is run or explained.
// @ts-check
'use strict'

const path = require('node:path')

/**
 * One option, as `util.parseArgs` takes it, with what the help says about it.
 * @typedef {{
 *   type: 'string' | 'boolean',
 *   short?: string,
 *   multiple?: boolean,
 *   value?: string,
 *   fallback?: string,
 *   help: string,
 * }} Option `value` is the word for what a 'string' takes, such as 'MS'; with a `fallback`, a number may follow or
 *   nothing.
 *
 * One command.
 * @typedef {{
 *   summary: string,
 *   usage: string,
 *   options: Record<string, Option>,
 *   details?: string[],
 *   examples?: string[],
 *   exits?: number[],
 *   locks?: boolean,
 *   run: (context: Context) => Promise<number> | number,
 * }} Command `usage` is what follows the name: '<lock>' is needed, '[lock]' is not, '…' takes all that follows.
 *   `details` are paragraphs for the help; `exits` the codes that it can end with, beside 0, 2, 70 and signals;
 *   `locks` says that it takes locks itself and does not only look.
 *
 * What a command gets.
 * @typedef {{
 *   args: string[],
 *   values: Record<string, any>,
 *   out: (text?: string) => void,
 *   err: (text?: string) => void,
 *   stdin: NodeJS.ReadStream,
 *   stdout: NodeJS.WriteStream,
 *   stderr: NodeJS.WriteStream,
 *   colour: import('./text').Colour,
 *   errColour: import('./text').Colour,
 *   glyphs: import('./text').Glyphs,
 *   ascii: boolean,
 *   isTty: boolean,
 *   json: boolean,
 *   columns: number,
 *   env: NodeJS.ProcessEnv,
 * }} Context `out` and `err` write a line; `isTty` is about stdout; `env` is the environment as it was given.
 */

/** @type {readonly string[]} */
const NAMES = 'status why monitor history trace doctor release metrics run help completion'.split(' ')

/**
 * @param {string} name One of `NAMES`.
 * @returns {Command}
 */
function loadCommand(name) {
  return require(path.join(__dirname, 'commands', `${name}.js`))
}

module.exports = { NAMES, loadCommand }
