// Fences: what the guarded resource does with a lease's token, so that a holder that was overtaken without knowing
// cannot write any more. One for SQL, one for Redis, one for anything with conditional writes.
// @ts-check
'use strict'

const { createHash } = require('node:crypto')
const { ChainlockError, invalidArgument } = require('../errors')
const { copyOptions } = require('../options')

const MOST_RETRIES = 1_000

/** @param {string} call @param {unknown} token */
function checkToken(call, token) {
  if (!Number.isSafeInteger(token) || Number(token) < 1) {
    throw invalidArgument(`${call}: token`, 'the token of a lease (a whole number from 1)', token)
  }
  return Number(token)
}

/** @param {string} argument @param {unknown} name @returns {string} Quoted, as PostgreSQL and SQLite have it. */
function identifier(argument, name) {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) {
    throw invalidArgument(`fence.sql: ${argument}`, 'a name (a string, not empty, without NUL)', name)
  }
  return `"${name.replaceAll('"', '""')}"`
}

/** @param {string} argument @param {unknown} names @returns {string[]} */
function columns(argument, names) {
  if (!Array.isArray(names) || names.length === 0) throw invalidArgument(`fence.sql: ${argument}`, 'an array of column names', names)
  return Array.from(names, (name, index) => (identifier(`${argument}[${index}]`, name), name))
}

/** @type {typeof import('../../leases').fence.sql} */
function sql(of) {
  const given = copyOptions('fence.sql', of, ['table', 'set', 'where', 'column'])
  const table = identifier('table', given.table)
  const token = identifier('column', given.column ?? 'fence_token')
  const [set, where] = [columns('set', given.set), columns('where', given.where)]
  const all = [...set, ...where]
  /** @param {string} name @param {number} at */
  const equals = (name, at) => `${identifier('column', name)} = $${at + 1}`
  const last = `$${all.length + 1}`
  const written = [...set.map(equals), `${token} = ${last}`].join(', ')
  const row = where.map((name, at) => equals(name, set.length + at)).join(' AND ')
  return {
    migration: `ALTER TABLE ${table} ADD COLUMN ${token} BIGINT NOT NULL DEFAULT 0`,
    text: `UPDATE ${table} SET ${written} WHERE ${row} AND ${token} <= ${last}`,
    values(row, held) {
      const missing = all.find((name) => !Object.hasOwn(row, name))
      if (missing !== undefined) throw invalidArgument(`fence.sql: values.${missing}`, 'given', undefined)
      return [...all.map((name) => row[name]), checkToken('fence.sql', held)]
    },
  }
}

// Tokens stay below 2^53, so Lua's numbers tell them apart.
const SET = `local seen = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = tonumber(ARGV[1])
if not seen or not token or token < seen then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], ARGV[2])
return 1
`

/** @type {import('../../leases').RedisFence} */
const redis = Object.freeze({
  text: SET,
  sha1: createHash('sha1').update(SET).digest('hex'),
  keys(/** @type {string} */ key) {
    if (typeof key !== 'string' || key === '') throw invalidArgument('fence.redis.keys: key', 'a string, not empty', key)
    // Of one slot: where there are braces, Redis Cluster looks at what stands in the first pair only.
    if (/^[^{]*\{[^}]+\}/.test(key)) return /** @type {[string, string]} */ ([key, `${key}:fence`])
    if (!/[{}]/.test(key)) return /** @type {[string, string]} */ ([key, `{${key}}:fence`])
    throw invalidArgument('fence.redis.keys: key', 'without braces, or with a hash tag such as {user1}', key)
  },
  args(/** @type {number} */ token, /** @type {string | Uint8Array} */ value) {
    return /** @type {[string, string | Uint8Array]} */ ([String(checkToken('fence.redis.args', token)), value])
  },
})

/** @type {typeof import('../../leases').fence.conditionalWrite} */
async function conditionalWrite(of) {
  const call = 'fence.conditionalWrite'
  copyOptions(call, of, ['token', 'get', 'put', 'update', 'maxRetries'])
  const { get, put, update, maxRetries = 10 } = of
  const token = checkToken(call, of.token)
  for (const [name, fn] of Object.entries({ get, put, update })) {
    if (typeof fn !== 'function') throw invalidArgument(`${call}: ${name}`, 'a function', fn)
  }
  if (!Number.isInteger(maxRetries) || maxRetries < 0 || maxRetries > MOST_RETRIES) {
    throw invalidArgument(`${call}: maxRetries`, `a whole number from 0 to ${MOST_RETRIES}`, maxRetries)
  }
  for (let retries = 0; retries <= maxRetries; retries += 1) {
    const seen = await get()
    if (seen !== null && seen.token > token) return { written: false, token: seen.token, retries }
    const value = await update(seen === null ? null : seen.value)
    if (await put(value, token, seen === null ? null : seen.version)) return { written: true, token, retries }
  }
  throw new ChainlockError('ERR_LOCK_TIMEOUT', `${call}: others wrote in between each of ${maxRetries + 1} times`)
}

const fence = Object.freeze({ sql, redis, conditionalWrite })

module.exports = { fence }
