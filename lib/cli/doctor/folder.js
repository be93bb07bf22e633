// Doctor: the private folder, in which lock files and control sockets lie.
// @ts-check
'use strict'

const fs = require('node:fs')
const path = require('node:path')

/** @typedef {import('./index').Check} Check */
/** @typedef {import('./index').Finding} Finding */

/** Where the sockets lie; the private folder is the one above. @returns {string} */
function controlFolder() {
  return /** @type {any} */ (require('../../native').native).controlFolder()
}

const OTHERS = 0o077

/** @type {Check} */
const folder = {
  id: 'folder',
  check() {
    const place = path.dirname(controlFolder())
    const facts = fs.lstatSync(place, { throwIfNoEntry: false })
    if (!facts) return [{ level: 'good', sentence: `${place} is made when it is first needed` }]
    if (!facts.isDirectory()) {
      return [{ level: 'bad', sentence: `${place} is no folder`, fix: `rm ${place}` }]
    }
    if (facts.uid !== process.getuid?.()) {
      return [
        { level: 'bad', sentence: `${place} belongs to another user (${facts.uid})`, fix: `sudo rm -r ${place}` },
      ]
    }
    if ((facts.mode & OTHERS) !== 0) {
      const sentence = `other users may look into ${place}: host locks are refused`
      return [{ level: 'bad', sentence, fix: `chmod 700 ${place}`, repair: () => fs.chmodSync(place, 0o700) }]
    }
    return [tryLock(place)]
  },
}

/** Takes a host lock there and gives it back: owner, file system and quota all have their say. @param {string} place */
function tryLock(place) {
  const file = path.join(place, `doctor-${process.pid}`)
  try {
    const guard = require('../../host').hostLock(file).tryAcquire()
    guard?.release()
    return /** @type {Finding} */ ({ level: 'good', sentence: `host locks work in ${place}` })
  } catch (error) {
    const { message } = /** @type {Error} */ (error)
    return /** @type {Finding} */ ({
      level: 'bad',
      sentence: message,
      fix: 'set XDG_RUNTIME_DIR to a folder of your own on a local disk',
    })
  } finally {
    fs.rmSync(file, { force: true })
  }
}

/** @type {Check} */
const sockets = {
  id: 'sockets',
  check() {
    const place = controlFolder()
    const names = fs.existsSync(place) ? fs.readdirSync(place).filter((name) => /^\d+\.sock$/.test(name)) : []
    const dead = names.filter((name) => !isAlive(Number.parseInt(name, 10)))
    if (dead.length === 0)
      return [{ level: 'good', sentence: `${names.length} control sockets, all of living processes` }]
    const sentence = `${dead.length} of ${names.length} control sockets were left behind by processes that are gone`
    const repair = () =>
      dead.forEach((name) => isAlive(Number.parseInt(name, 10)) || fs.rmSync(path.join(place, name), { force: true }))
    return [{ level: 'warn', sentence, fix: 'chainlock doctor --fix', repair }]
  },
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM'
  }
}

module.exports = { folder, sockets }
