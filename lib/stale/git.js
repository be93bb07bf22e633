// Git's lock files: `index.lock`, `HEAD.lock`, `config.lock`, those of references. Git writes no pid into them.
// @ts-check
'use strict'

const path = require('node:path')
const { unless } = require('./steps')

/** @template T @typedef {import('./steps').Steps<T>} Steps */

/** How deep references may lie: refs/heads/a/b/c/d.lock. */
const MOST_LEVELS = 12

/**
 * The folders in which a Git command for this lock would run; none when it is no lock of Git.
 * @param {string} lock Absolute, without links.
 * @returns {Steps<string[]>}
 */
function* rootsOf(lock) {
  if (!lock.endsWith('.lock')) return []
  let folder = path.dirname(lock)
  for (let level = 0; level < MOST_LEVELS; level++) {
    if (yield* isRepository(folder)) return yield* treesOf(folder)
    const above = path.dirname(folder)
    if (above === folder) return []
    folder = above
  }
  return []
}

/** @param {string} folder @returns {Steps<boolean>} */
function* isRepository(folder) {
  if ((yield* unless(['lstat', path.join(folder, 'HEAD')])) === null) return false
  for (const name of ['objects', 'commondir']) {
    if ((yield* unless(['lstat', path.join(folder, name)])) !== null) return true
  }
  return false
}

/** @param {string} repository @returns {Steps<string[]>} */
function* treesOf(repository) {
  const roots = [repository]
  if (path.basename(repository) === '.git') roots.push(path.dirname(repository))
  // A linked work tree says where it is.
  const link = yield* unless(['readFile', path.join(repository, 'gitdir'), 'utf8'])
  if (link !== null) roots.push(path.dirname(link.trim()))
  return roots
}

module.exports = { rootsOf }
