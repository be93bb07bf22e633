// Folders for a test's files, removed afterwards.
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after } = require('node:test')

/** A fresh folder, gone after the tests of the calling file or suite. */
function folder() {
  const made = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-test-')))
  after(() => fs.rmSync(made, { recursive: true, force: true }))
  return made
}

module.exports = { folder }
