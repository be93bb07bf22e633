// Folders of a test's own, removed after it.
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

/** @param {import('node:test').TestContext} t */
function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-files-'))
  t.after(() => fs.rmSync(made, { recursive: true, force: true }))
  return made
}

const read = (file) => fs.readFileSync(file, 'utf8')
const permissions = (file) => fs.statSync(file).mode & 0o7777

module.exports = { folder, read, permissions }
