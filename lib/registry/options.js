// What callers of the registry may pass, and what a refusal says.
// @ts-check
'use strict'

const { ChainlockError, invalidArgument, quote } = require('../errors')
const { cleanLayerId, copyOptions, oneOf } = require('../options')
const { layout, scratch, STATUSES } = require('./face')

/**
 * @typedef {import('../../index').RegistryStatus} Status
 * @typedef {import('../binding.cjs').ProcessFacts} Facts
 */

const WORDS = /** @type {Status[]} */ (STATUSES.slice(1))
const FACTS = ['name', 'command', 'args', 'dir', 'kind', 'pid']
const DESCRIPTION = ['id', ...FACTS]
const PATCH = [...FACTS, 'reason']
const ENDING = ['signal', 'reason']
const FILTER = ['status', 'kind', 'name']
const MOST_PID = 0xffff_ffff
const CODES = `null, or a whole number from ${-(2 ** 31)} to ${MOST_PID}`

/**
 * A text that is a name, and therefore never cut.
 * @param {string} what
 * @param {unknown} value
 * @param {number} most Bytes.
 */
function nameText(what, value, most) {
  const clean = typeof value === 'string' ? cleanLayerId(value) : null
  if (clean === null || Buffer.byteLength(clean) > most) {
    throw invalidArgument(what, `a string of 1 to ${most} bytes`, value)
  }
  return clean
}

/** @param {string} call @param {unknown} id */
const idText = (call, id, name = 'id') => nameText(`${call}: ${name}`, id, layout.idBytes)

/** @param {string} call @param {unknown} status */
const statusNumber = (call, status, name = 'status') => WORDS.indexOf(oneOf(call, name, status, WORDS)) + 1

/** @param {string} what @param {unknown} value */
function text(what, value) {
  if (typeof value !== 'string') throw invalidArgument(what, 'a string', value)
  return value
}

/** @param {string} what @param {unknown} value */
function textList(what, value) {
  if (!Array.isArray(value)) throw invalidArgument(what, 'an array of strings', value)
  return Array.from(value, (one, index) => text(`${what}[${index}]`, one))
}

/** @param {string} what @param {unknown} value */
function pidNumber(what, value) {
  if (!Number.isInteger(value) || Number(value) < 1 || Number(value) > MOST_PID) {
    throw invalidArgument(what, `a whole number from 1 to ${MOST_PID}`, value)
  }
  return Number(value)
}

/** How each fact is checked. @type {Record<string, (what: string, value: unknown) => any>} */
const CHECKS = {
  name: (what, value) => nameText(what, value, layout.nameBytes),
  kind: (what, value) => nameText(what, value, layout.kindBytes),
  signal: (what, value) => nameText(what, value, layout.signalBytes),
  command: text,
  args: textList,
  dir: text,
  pid: pidNumber,
  reason: text,
}

/** @param {string} prefix @param {Record<string, unknown>} given @returns {Facts} */
function facts(prefix, given) {
  /** @type {Record<string, unknown>} */
  const checked = {}
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined) checked[name] = CHECKS[name](`${prefix}.${name}`, value)
  }
  return checked
}

/** @param {string} call @param {unknown} given */
function description(call, given) {
  if (given === undefined) throw invalidArgument(`${call}: process`, 'an object', given)
  const { id, ...rest } = copyOptions(call, given, DESCRIPTION, 'process')
  return { id: idText(call, id, 'process.id'), facts: facts(`${call}: process`, rest) }
}

/** @param {string} call @param {unknown} given */
function patch(call, given) {
  if (given === undefined) throw invalidArgument(`${call}: patch`, 'an object', given)
  return facts(`${call}: patch`, copyOptions(call, given, PATCH, 'patch'))
}

/** @param {string} call @param {unknown} given @param {readonly string[]} [known] */
const ending = (call, given, known = ENDING) => facts(`${call}: options`, copyOptions(call, given, known))

/** @param {string} call @param {unknown} code */
function exitCode(call, code) {
  if (code === null) return null
  if (!Number.isInteger(code) || Number(code) < -(2 ** 31) || Number(code) > MOST_PID) {
    throw invalidArgument(`${call}: code`, CODES, code)
  }
  return Number(code)
}

/** @param {string} call @param {unknown} given */
function filter(call, given) {
  const { status, ...rest } = copyOptions(call, given, FILTER, 'filter')
  const { kind, name } = facts(`${call}: filter`, rest)
  return { status: status === undefined ? undefined : statusNumber(call, status, 'filter.status'), kind, name }
}

/** Why the native side has refused; its number is in the scratch array. @param {string} call @param {string} id */
function refusal(call, id) {
  const [number, status] = scratch
  const was = STATUSES[status]
  switch (number) {
    case 1:
      return new ChainlockError('ERR_REGISTRY_UNKNOWN_ID', `${call}: no process has the id ${quote(id)}`, { id })
    case 2:
      return new ChainlockError('ERR_REGISTRY_DUPLICATE_ID', `${call}: the id ${quote(id)} is taken; remove() it first, or choose another`, { id })
    case 3:
      return new ChainlockError('ERR_REGISTRY_FINISHED', `${call}: process ${quote(id)} is finished (${was}) and changes no more`, { id, status: was })
    case 4:
      return new ChainlockError('ERR_REGISTRY_STATUS', `${call}: process ${quote(id)} is ${was} and cannot become pending again`, { id, status: was })
    default:
      return new ChainlockError('ERR_REGISTRY_FULL', `${call}: every place is taken by a process that is not finished`, { id })
  }
}

module.exports = { idText, statusNumber, description, patch, ending, exitCode, filter, facts, refusal }
