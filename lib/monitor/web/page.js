// The text of the page: one file beside this one, with the nonce of this answer in it.
// @ts-check
'use strict'

const { readFileSync } = require('node:fs')
const path = require('node:path')

/** @type {string | undefined} */
let template

/** @param {string} nonce */
function pageText(nonce) {
  template ??= readFileSync(path.join(__dirname, 'page.html'), 'utf8')
  return template.replaceAll('{{nonce}}', nonce)
}

module.exports = { pageText }
