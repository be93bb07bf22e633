// Doctor: is the journal whole?
// @ts-check
'use strict'

const fs = require('node:fs')
const { typed } = require('../../snapshot/words')

/** @type {import('./index').Check} */
module.exports = {
  id: 'journal',
  async check({ values, env }) {
    const path = values.journal ?? env.CHAINLOCK_JOURNAL
    if (!path) return []
    const facts = fs.statSync(path, { throwIfNoEntry: false })
    if (!facts)
      return [
        { level: 'warn', sentence: `there is no journal at ${path} yet`, fix: `CHAINLOCK_JOURNAL=${path} node …` },
      ]
    try {
      const journal = /** @type {any} */ (require('../../../index')).openJournal({ path, readOnly: true })
      try {
        const [fault] = await journal.check()
        if (fault !== undefined) return [damaged(path, fault)]
        return [{ level: 'good', sentence: `the journal ${path} is readable, ${facts.size} bytes` }]
      } finally {
        await journal.close()
      }
    } catch (error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error)
      if (code === 'EACCES') throw error
      return [damaged(path, message)]
    }
  },
}

/** @param {string} path @param {string} what @returns {import('./index').Finding} */
function damaged(path, what) {
  const [from, to] = [typed(path), typed(`${path}.broken`)]
  return { level: 'bad', sentence: `the journal ${path}: ${what}`, fix: from === null ? undefined : `mv ${from} ${to}` }
}
