// Everything that can go wrong with locks and that real processes can be brought to do. Each failure: the `program` of
// a process that says 'ready', `then` what is done to it from outside, and what has to be told of it.
'use strict'

/**
 * @typedef {{
 *   before?: (tools: any) => any, program: Function, data?: unknown, command?: string[], skip?: string | false, never?: string,
 *   then?: (started: any, start: Function, tools: any) => any,
 *   tells: { rule: string, level: string, lock: string | RegExp | null, says: RegExp, next?: (pid: number) => string },
 *   shows?: (snapshot: any) => boolean,
 * }} Staged
 *   `before` answers the data of the program as `given`; `then` finds its answer in its tools.
 *   `then` answers `pid`, who is to be blamed if not the process itself; `everywhere`: all processes are looked at;
 *   `as`: the command by which somebody else looks.
 */

/** @type {Record<string, Staged>} */
module.exports = { ...require('./holders'), ...require('./circles'), ...require('./limits'), ...require('./leases') }
