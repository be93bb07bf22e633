// Named locks in tests: a name of its own for each test, who was granted in which order, who stands in line.
'use strict'

const { chainlock } = require('./package')
const { turn } = require('./waiting')

const { locks } = chainlock

let names = 0
/** A name that no other test uses. */
const freshName = (what = 'lock') => `${what}-${process.pid}-${++names}`

/** How many hold the name and how many wait for it, in all threads of the process. */
function standing(name) {
  const status = locks.getLockStatus(name)
  return { holders: status?.holders.length ?? 0, waiters: status?.waiters.length ?? 0 }
}

/**
 * Requests that write down their grants: `ask('a', options)` asks, `log` says who was granted so far, and
 * `end('a')` gives back what that one got.
 */
function requests(name) {
  const log = []
  const guards = new Map()
  const failures = new Map()
  const asked = new Map()
  return {
    log,
    guards,
    failures,
    ask(who, options) {
      const answer = locks.acquire(name, options).then(
        (guard) => {
          log.push(who)
          guards.set(who, guard)
          return guard
        },
        (error) => {
          failures.set(who, error)
        },
      )
      asked.set(who, answer)
      return answer
    },
    async end(...those) {
      for (const who of those) guards.get(who).release()
      await turn()
    },
    /** Gives back one after the other, in the order of the grants, until nobody is left. */
    async endAll() {
      for (let next = 0; next < asked.size - failures.size; next++) {
        if (log.length <= next) await turn()
        guards.get(log[next])?.release()
        await turn()
      }
      await Promise.all(asked.values())
      return log
    },
  }
}

/** Waits for a promise that has to be rejected; answers its reason. */
async function failure(promise) {
  let value
  try {
    value = await promise
  } catch (error) {
    return error
  }
  throw new Error(`was not rejected, but answered ${String(value)}`)
}

module.exports = { locks, freshName, standing, requests, failure }
