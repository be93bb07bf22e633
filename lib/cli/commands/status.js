// `chainlock status`: what is wrong, and which locks are held or waited for.
// @ts-check
'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { EXIT } = require('../exit')
const { JSON_OPTION, PID_OPTION, wholeNumber, word } = require('../args')

const LEAST_WATCH_MS = 100

/** Home, and clear what is below. */
const FROM_THE_TOP = '\u001b[H\u001b[J'

module.exports = {
  summary: 'what is wrong, and which locks are held or waited for',
  usage: '[options]',
  details: [
    'Looks at every chainlock process of this user from outside, also at one that is blocked or stopped. The first ' +
      'line says what is wrong, who causes it and what to type next.',
  ],
  options: {
    json: JSON_OPTION,
    pid: PID_OPTION,
    all: { type: 'boolean', help: 'also free locks that were used' },
    sort: { type: 'string', value: 'BY', help: 'wait-total, wait-max, contended, hold or name' },
    watch: { type: 'string', value: 'MS', fallback: '1000', help: 'again and again, once a second or every MS' },
  },
  examples: ['chainlock status --sort wait-max', 'chainlock status --json | jq .verdict'],
  exits: [EXIT.bad, EXIT.notFound, EXIT.permission],

  /** @param {import('../commands').Context} context */
  async run(context) {
    const { values } = context
    const { SORTS } = require('../views/status')
    if (values.sort !== undefined) word('--sort', values.sort, SORTS)
    if (values.watch === undefined) return once(context)
    const everyMs = wholeNumber('--watch', values.watch, { min: LEAST_WATCH_MS, max: 3_600_000 })
    for (;;) {
      if (context.colour.on && context.isTty) context.stdout.write(FROM_THE_TOP)
      once(context)
      await sleep(everyMs)
    }
  },
}

/** @param {import('../commands').Context} context */
function once(context) {
  const { values, json, out } = context
  const { look, checkAnybody } = require('../look')
  const { sorted, statusLines } = require('../views/status')
  const taken = look(context, { all: values.all })
  if (json) out(JSON.stringify({ ...taken, locks: sorted(taken.locks, values.sort) }))
  // Whoever watches waits for the first process, too.
  if (values.watch === undefined) checkAnybody(taken)
  if (!json) out(statusLines(taken, { ...context, sort: values.sort }).join('\n'))
  return taken.ok ? EXIT.ok : EXIT.bad
}
