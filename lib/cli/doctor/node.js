// Doctor: is Node.js new enough, and does the native code load?
// @ts-check
'use strict'

const LEAST_NODE = 20

/** @type {import('./index').Check} */
const nodeVersion = {
  id: 'node',
  check() {
    const { node } = process.versions
    if (Number.parseInt(node, 10) >= LEAST_NODE)
      return [{ level: 'good', sentence: `Node.js ${node} on ${process.platform}-${process.arch}` }]
    return [
      {
        level: 'bad',
        sentence: `Node.js ${node} is older than ${LEAST_NODE}`,
        fix: `run Node.js ${LEAST_NODE} or newer`,
      },
    ]
  },
}

/** @type {import('./index').Check} */
const nativeCode = {
  id: 'native',
  check() {
    try {
      return [{ level: 'good', sentence: `native code ${require('../../native').native.version()} loads` }]
    } catch (error) {
      const { message } = /** @type {Error} */ (error)
      return [{ level: 'bad', sentence: message, fix: 'npm install --include=optional' }]
    }
  },
}

module.exports = { nodeVersion, nativeCode }
