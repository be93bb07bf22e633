// A word to somebody at a terminal who waits for long.
// @ts-check
'use strict'

/** After how long somebody is told what is waited for. */
const SAY_AFTER_MS = 1_000

/**
 * @template T
 * @param {import('../commands').Context} context
 * @param {() => void} say
 * @param {Promise<T>} wait
 * @returns {Promise<T>}
 */
async function sayAfter({ stderr }, say, wait) {
  const timer = stderr.isTTY === true ? setTimeout(say, SAY_AFTER_MS) : undefined
  try {
    return await wait
  } finally {
    clearTimeout(timer)
  }
}

module.exports = { sayAfter }
