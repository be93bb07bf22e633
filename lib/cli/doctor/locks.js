// Doctor: what a look at the locks shows: verdicts, the dead, other versions.
// @ts-check
'use strict'

/** @typedef {import('./index').Check} Check */
/** @typedef {import('./index').Finding} Finding */

/** @type {Check} */
const verdicts = {
  id: 'locks',
  check(context) {
    const { look } = require('../look')
    const { verdict, processes, locks } = look({ ...context, values: {} })
    if (verdict[0].rule === 'OK') {
      return [
        { level: 'good', sentence: `${processes.length} processes, ${locks.length} locks: ${verdict[0].sentence}` },
      ]
    }
    return verdict.map(({ rule, level, sentence, next }) => ({
      level,
      sentence: `${rule}: ${sentence}`,
      fix: next ?? undefined,
    }))
  },
}

/** @type {Check} */
const versions = {
  id: 'versions',
  check(context) {
    const { look } = require('../look')
    const { processes, unseen } = look({ ...context, values: {} })
    const others = unseen.filter(({ reason }) => reason === 'version')
    const known = [...new Set(processes.map(({ version }) => version).filter((version) => version !== null))].sort()
    if (others.length === 0)
      return [
        {
          level: 'good',
          sentence: known.length === 0 ? 'no other process uses chainlock' : `running: ${known.join(', ')}`,
        },
      ]
    const pids = others.map(({ pid }) => pid).join(', ')
    return [
      {
        level: 'warn',
        sentence: `another chainlock runs in ${pids}, whose table this one cannot read`,
        fix: others[0].advice,
      },
    ]
  },
}

module.exports = { verdicts, versions }
