// Folders for a test's files, removed afterwards.
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after } = require('node:test')

/**
 * A fresh folder, gone after the test `t`, or without one after those of the calling file or suite.
 * @param {import('node:test').TestContext} [t]
 */
function folder(t) {
  const made = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-test-')))
  const remove = () => fs.rmSync(made, { recursive: true, force: true, maxRetries: 10 })
  if (t) t.after(remove)
  else after(remove)
  return made
}

const read = (file) => fs.readFileSync(file, 'utf8')
const permissions = (file) => fs.statSync(file).mode & 0o7777

module.exports = { folder, read, permissions }
