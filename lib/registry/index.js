// The registry of processes: one for all threads, in native memory. What its calls mean is written in index.d.ts.
// @ts-check
'use strict'

const { invalidArgument } = require('../errors')
const { native, face, calls, layout, STATUSES, entryFrom, entryOf } = require('./face')
const { subscribe } = require('./changes')
const options = require('./options')

/** @typedef {import('../../index').RegistryEntry} Entry */

const { status: statusOf } = calls

/**
 * @param {string} call
 * @param {string} id
 * @param {string} texts What a changing call has answered.
 */
function changed(call, id, texts) {
  if (texts === '') throw options.refusal(call, id)
  return entryOf(texts)
}

/** @param {string} call @param {unknown} given @param {import('../binding.cjs').ProcessFacts} facts */
function change(call, given, facts) {
  const id = options.idText(call, given)
  return changed(call, id, native.registryChange(face, id, facts))
}

/** @type {import('../../index').ProcessRegistry} */
const registry = {
  register(process) {
    const { id, facts } = options.description('registry.register', process)
    return changed('registry.register', id, native.registryRegister(face, id, facts))
  },

  update(id, patch) {
    return change('registry.update', id, options.patch('registry.update', patch))
  },

  setStatus(id, status, given) {
    const call = 'registry.setStatus'
    const number = options.statusNumber(call, status)
    return change(call, id, { ...options.ending(call, given, ['reason']), status: number })
  },

  exit(id, code, given) {
    const call = 'registry.exit'
    const exitCode = options.exitCode(call, code)
    const ending = options.ending(call, given)
    if (exitCode === null && ending.signal === undefined) {
      throw invalidArgument(`${call}: code`, 'a whole number where options.signal is missing', code)
    }
    const status = options.statusNumber(call, exitCode === 0 && ending.signal === undefined ? 'success' : 'failed')
    return change(call, id, { ...ending, status, ...(exitCode === null ? {} : { exitCode }) })
  },

  get(id) {
    const texts = native.registryGet(face, options.idText('registry.get', id))
    return texts === '' ? null : entryOf(texts)
  },

  status(id) {
    const number = statusOf(id)
    if (number >= 0) return STATUSES[number]
    // Not a possible id; or so long only before it was cleaned.
    options.idText('registry.status', id)
    return null
  },

  list(filter) {
    const { status, kind, name } = options.filter('registry.list', filter)
    const { numbers, texts } = native.registryList(status, kind, name)
    const all = texts.split('\n')
    const count = numbers.length / layout.numbers
    /** @type {Entry[]} */
    const entries = new Array(count)
    for (let index = 0; index < count; index++) {
      entries[index] = entryFrom(numbers, index * layout.numbers, all, index * layout.texts)
    }
    return entries
  },

  remove(id) {
    return native.registryRemove(options.idText('registry.remove', id))
  },

  clearFinished() {
    return native.registryClearFinished()
  },

  subscribe,

  track(child, given) {
    return require('./track').track(registry, child, given)
  },
}

module.exports = { registry: Object.freeze(registry) }
