// libfaketime: another wall clock for a process, by a library that is loaded before everything else. Its command of the
// same name does the same, but does not start where a process with that number was killed once: what that one shared
// with its children is still there.
'use strict'

const { existsSync, readdirSync } = require('node:fs')
const { join } = require('node:path')

const FILE = 'libfaketimeMT.so.1'
const PLACES = ['/usr/lib', '/usr/local/lib']

/** Where it lies; undefined where it is not installed. */
function clockLibrary() {
  const folders = PLACES.filter((place) => existsSync(place)).flatMap((place) => [place, ...readdirSync(place).map((name) => join(place, name))])
  return folders.map((folder) => join(folder, 'faketime', FILE)).find((file) => existsSync(file))
}

module.exports = { clockLibrary }
