// The bugs that the deep tier plants must still find their places: a plant that changes nothing proves nothing.
'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { root } = require('../helpers/package')
const { SCRIPTED, NATIVE } = require('./bugs')
const leases = require('./lease-bugs')

test('every planted bug has exactly one place in the sources', () => {
  for (const { name, file, from } of [...SCRIPTED, ...NATIVE, ...leases.SCRIPTED, ...leases.PROOFS]) {
    const places = fs.readFileSync(path.join(root, file), 'utf8').split(from).length - 1
    assert.equal(places, 1, `${name}: ${places} places in ${file}`)
  }
})
