// `chainlock monitor`: locks as they live, on a terminal, as lines where there is none, or as a page.
// @ts-check
'use strict'

const { JSON_OPTION, PID_OPTION, wholeNumber } = require('../args')
const { CommandError, EXIT, usageError } = require('../exit')
const { JOURNAL_OPTION, journalPath } = require('../journal')

/** @typedef {import('../commands').Context} Context */
/** @typedef {import('../../monitor/loop').Source} Source */

const DEFAULT_INTERVAL_MS = 1_000
const LEAST_INTERVAL_MS = 100
const MOST_INTERVAL_MS = 3_600_000
/** The last minute or so of a busy journal, and then what it gains between two looks. */
const JOURNAL_ROWS = 10_000

/** @param {Context} context */
async function run(context) {
  const { args, ascii, colour, columns, isTty, json, out, stdin, stdout, values } = context
  const interval = values.interval ?? String(DEFAULT_INTERVAL_MS)
  const intervalMs = wholeNumber('--interval', interval, { min: LEAST_INTERVAL_MS, max: MOST_INTERVAL_MS })
  const pid = values.pid === undefined ? undefined : wholeNumber('--pid', values.pid, { min: 1, max: 0x7fff_ffff })
  if (args.length > 0 && !values.web) throw usageError('a port is for --web: chainlock monitor --web PORT')
  if (values.web && (values.once || json)) throw usageError('--web goes with neither --once nor --json')
  const port = args[0] === undefined ? 0 : wholeNumber('the port', args[0], { min: 1, max: 65_535 })
  const source = sourceOf(pid, journalPath(context))
  const loop = require('../../monitor/loop')
  const look = { intervalMs, ascii, colour }
  if (values.web) return runPage(source, intervalMs, port, context)
  if (values.once) {
    const lines = json ? [JSON.stringify(source.take())] : await loop.oneFrame(source, { ...look, columns })
    lines.forEach((line) => out(line))
  } else if (isTty && stdin.isTTY && !json) {
    const openPage = (/** @type {import('../../monitor/loop').Watch} */ watch) => pageOf(watch, 0)
    await loop.runScreen(source, { ...look, stdin, stdout, openPage })
  } else {
    await loop.runLines(source, { intervalMs, json, out, signal: new AbortController().signal })
  }
  return EXIT.ok
}

/**
 * @param {number | undefined} pid
 * @param {string | null} path Of a journal.
 * @returns {Source}
 */
function sourceOf(pid, path) {
  const { snapshot } = require('../../snapshot')
  const take = () => snapshot(pid === undefined ? {} : { pid })
  if (pid !== undefined) {
    const { processes, unseen } = take()
    const reason = unseen[0]
    if (processes.length === 0) {
      const code = reason?.reason === 'permission' ? EXIT.permission : EXIT.notFound
      throw new CommandError(
        code,
        `process ${pid} cannot be looked at: ${reason?.advice ?? 'no chainlock is there'}`,
        'chainlock status',
      )
    }
  }
  return path === null ? { take } : { take, events: journalEvents(path, pid) }
}

/**
 * Rows of the journal, as they come.
 * @param {string} path
 * @param {number | undefined} pid
 */
function journalEvents(path, pid) {
  const { openJournal } = require('../../..')
  const journal = openJournal({ path, readOnly: true })
  /** @type {number | undefined} */
  let after
  return async () => {
    const events = await journal.query({ limit: JOURNAL_ROWS, ...(after !== undefined && { after }) })
    after = events.at(-1)?.id ?? after ?? 0
    return pid === undefined ? events : events.filter((event) => event.pid === pid)
  }
}

/**
 * A page that shows what has been seen so far.
 * @param {import('../../monitor/loop').Watch} watch
 * @param {number} port
 */
async function pageOf(watch, port) {
  const page = await require('../../monitor/web/server').openPage({ port })
  page.show(await watch.next())
  return page
}

/** @param {Source} source @param {number} intervalMs @param {number} port @param {Context} context */
async function runPage(source, intervalMs, port, { out, err }) {
  const { Watch, every } = require('../../monitor/loop')
  const watch = new Watch(source)
  const page = await pageOf(watch, port).catch((error) => {
    if (error.code === 'EADDRINUSE')
      throw new CommandError(EXIT.usage, `port ${port} is taken`, 'chainlock monitor --web')
    throw error
  })
  out(page.url)
  err('open it in a browser of this machine; whoever has the address sees the locks. Ctrl-C ends.')
  await every(intervalMs, new AbortController().signal, async () => page.show(await watch.next()))
  return EXIT.ok
}

module.exports = {
  summary: 'locks live: verdict, table, timeline, who waits for whom',
  usage: '[options] [port]',
  options: {
    interval: {
      type: 'string',
      value: 'MS',
      help: `how often to look (default ${DEFAULT_INTERVAL_MS}, at least ${LEAST_INTERVAL_MS})`,
    },
    once: { type: 'boolean', help: 'print one frame and end' },
    web: { type: 'boolean', help: 'a page at 127.0.0.1 instead, at PORT or a free one' },
    journal: { ...JOURNAL_OPTION, help: 'begin with what this journal recorded (default: CHAINLOCK_JOURNAL)' },
    pid: PID_OPTION,
    json: { ...JSON_OPTION, help: 'a JSON object a change; with --once, the snapshot' },
  },
  details: ['Without a terminal it writes a line for each change.', 'Keys: ? shows them, q quits.'],
  examples: ['chainlock monitor', 'chainlock monitor --web 8787', 'chainlock monitor --once --ascii'],
  exits: [EXIT.notFound, EXIT.permission],
  run,
}
