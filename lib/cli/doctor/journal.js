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
        { level: 'warn', sentence: `there is no journal at ${path} yet`, fix: `CHAINLOCK_JOURNAL=${typed(path) ?? 'PATH'} node …` },
      ]
    try {
      const journal = /** @type {any} */ (require('../../../index')).openJournal({ path, readOnly: true })
      try {
        await journal.query({ limit: 1 })
        return [{ level: 'good', sentence: `the journal ${path} is readable, ${facts.size} bytes` }]
      } finally {
        await journal.close()
      }
    } catch (error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error)
      if (code === 'EACCES') throw error
      const word = typed(path)
      return [{ level: 'bad', sentence: message.startsWith('the journal ') ? message : `the journal ${path}: ${message}`, fix: word === null ? undefined : `mv -- ${word} ${typed(`${path}.broken`)}` }]
    }
  },
}
