// The doctor: each check looks at one thing and says what it found, and what to do; a few can do it themselves.
// @ts-check
'use strict'

const { nodeVersion, nativeCode } = require('./node')
const { sealing, clock, pidNamespace, visibility, limits } = require('./system')
const { folder, sockets } = require('./folder')
const { verdicts, versions } = require('./locks')
const journal = require('./journal')

/**
 * @typedef {{ level: 'good' | 'warn' | 'bad', sentence: string, fix?: string, repair?: () => void }} Finding
 *   `fix` is for people; `repair` does it, and is there only where nothing can be lost by it.
 * @typedef {{ id: string, check: (context: import('../commands').Context) => Finding[] | Promise<Finding[]> }} Check
 * @typedef {{ id: string, level: Finding['level'], sentence: string, fix: string | null, fixed: boolean }} Told
 */

/** @type {readonly Check[]} */
const FIRST = [nodeVersion, nativeCode]
/** Those that need the native code. @type {readonly Check[]} */
const THEN = [sealing, folder, sockets, clock, pidNamespace, visibility, limits, versions, verdicts, journal]

/**
 * @param {import('../commands').Context} context
 * @param {import('../store').Place | null} place Only this store.
 * @param {boolean} mayFix
 * @returns {Promise<Told[]>}
 */
async function examine(context, place, mayFix) {
  const told = []
  for (const check of FIRST) told.push(...(await outcome(check, context, mayFix)))
  if (told.some(({ level }) => level === 'bad')) return told
  const { examineStore } = require('./store')
  if (place !== null) return [...told, ...(await examineStore(context, place))]
  for (const check of THEN) told.push(...(await outcome(check, context, mayFix)))
  const { CHAINLOCK_STORE: url } = context.env
  if (!url) return told
  return [...told, ...(await examineStore(context, { url, namespace: undefined, options: ' --scope cluster' }))]
}

/**
 * A check that fails is a finding, and does not keep the others from being made.
 * @param {Check} one
 * @param {import('../commands').Context} context
 * @param {boolean} mayFix
 */
async function outcome({ id, check }, context, mayFix) {
  /** @type {Finding[]} */
  let found
  try {
    found = await check(context)
  } catch (error) {
    found = [{ level: 'warn', sentence: `could not be checked: ${/** @type {Error} */ (error).message}` }]
  }
  return found.map(({ level, sentence, fix, repair }) => {
    const fixed = mayFix && repair !== undefined && isDone(repair)
    return { id, level: fixed ? /** @type {const} */ ('good') : level, sentence, fix: fix ?? null, fixed }
  })
}

/** @param {() => void} repair */
function isDone(repair) {
  try {
    repair()
    return true
  } catch {
    return false
  }
}

module.exports = { examine, CHECKS: [...FIRST, ...THEN] }
