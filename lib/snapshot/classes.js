// Classes of names: what varies in them becomes `*`, so that many locks are few lines of metrics.
// @ts-check
'use strict'

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi
// A hexadecimal number of eight digits and more with a decimal digit in it; words such as "deadbeef" stay.
const HEX = /(?<![0-9a-z])(?:0x[0-9a-f]+|(?=[0-9a-f]*[0-9])[0-9a-f]{8,})(?![0-9a-z])/gi
const DIGITS = /[0-9]+/g

/** What a lock without a name is called. */
const NAMELESS = '(nameless)'

/**
 * @param {string | null} name
 * @returns {string}
 */
function classOf(name) {
  if (name === null) return NAMELESS
  return name.replace(UUID, '*').replace(HEX, '*').replace(DIGITS, '*')
}

module.exports = { classOf, NAMELESS }
