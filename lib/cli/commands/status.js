// `chainlock status`: what is wrong, and which locks are held or waited for, on this machine or in a store of leases.
// @ts-check
'use strict'

const { setTimeout: sleep } = require('node:timers/promises')
const { EXIT, usageError } = require('../exit')
const { JSON_OPTION, PID_OPTION, STORE_OPTIONS, wholeNumber, word } = require('../args')
const { said } = require('../text')

const LEAST_WATCH_MS = 100

/** Home, and clear what is below. */
const FROM_THE_TOP = '\u001b[H\u001b[J'

module.exports = {
  summary: 'what is wrong, and which locks are held or waited for',
  usage: '[key] [options]',
  details: [
    'Looks at every chainlock process of this user from outside, also at one that is blocked or stopped. The first ' +
      'line says what is wrong, who causes it and what to type next. With a store: its leases, or the one on [key].',
  ],
  options: {
    json: JSON_OPTION,
    pid: PID_OPTION,
    all: { type: 'boolean', help: 'also free locks that were used' },
    sort: { type: 'string', value: 'BY', help: 'wait-total, wait-max, contended, hold or name' },
    watch: { type: 'string', value: 'MS', fallback: '1000', help: 'again and again, once a second or every MS' },
    ...STORE_OPTIONS,
  },
  examples: ['chainlock status --json | jq .verdict', 'chainlock status deploy --store redis://127.0.0.1'],
  exits: [EXIT.bad, EXIT.notFound, EXIT.refused, EXIT.permission],

  /** @param {import('../commands').Context} context */
  async run(context) {
    const { values } = context
    const { SORTS } = require('../views/status')
    if (values.sort !== undefined) word('--sort', values.sort, SORTS)
    const look = lookerOf(context)
    if (values.watch === undefined) return look()
    const everyMs = wholeNumber('--watch', values.watch, { min: LEAST_WATCH_MS, max: 3_600_000 })
    for (;;) {
      if (context.colour.on && context.isTty) context.stdout.write(FROM_THE_TOP)
      await look()
      await sleep(everyMs)
    }
  },
}

/** What looks once. @param {import('../commands').Context} context @returns {() => Promise<number> | number} */
function lookerOf(context) {
  const { args: [key], values, env } = context
  const { placeOf } = require('../store')
  // A key can only be that of a lease.
  const scope = key !== undefined && env.CHAINLOCK_STORE ? { scope: 'cluster' } : {}
  const place = placeOf({ values: { ...scope, ...values }, env })
  if (place === null) {
    if (key !== undefined) throw usageError(`what is "${said(key)}" for? A key goes with --store; of a lock: chainlock why`)
    return () => once(context)
  }
  const { checkOptions, lookOnce } = require('../store-status')
  checkOptions(context)
  return () => lookOnce(context, place, key)
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
