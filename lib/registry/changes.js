// Who is told of changes in the registry: listeners of this thread, from its own event loop, which they do not keep
// alive.
// @ts-check
'use strict'

const { invalidArgument } = require('../errors')
const { native, face, layout, entryFrom } = require('./face')

/** @typedef {import('../../index').RegistryChange} Change */

/** The kinds of a change by their number. */
const TYPES = /** @type {const} */ (['', 'registered', 'changed', 'removed'])
/** How many changes one fetch brings; fewer mean that there are no more. */
const MOST = 256
/** Kind and missed ones come before a state's numbers. */
const BEFORE = 2

/** @type {Set<{ listener: (change: Change) => void }>} */
const subscriptions = new Set()
let isOpen = false

/** @param {(change: Change) => void} listener */
function subscribe(listener) {
  if (typeof listener !== 'function') throw invalidArgument('registry.subscribe: listener', 'a function', listener)
  const subscription = { listener }
  if (subscriptions.size === 0) begin()
  subscriptions.add(subscription)
  return function unsubscribe() {
    if (subscriptions.delete(subscription) && subscriptions.size === 0) native.registryListen(face, false)
  }
}

function begin() {
  if (!isOpen) native.openMailbox(face, tell)
  isOpen = true
  // What earlier listeners have left there.
  while (fetch().length === MOST);
  native.registryListen(face, true)
}

function tell() {
  for (;;) {
    const changes = fetch()
    for (const change of changes) {
      for (const { listener } of [...subscriptions]) attempt(() => listener(change))
    }
    if (changes.length < MOST) return
  }
}

/** @returns {Change[]} */
function fetch() {
  const { numbers, texts } = native.registryFetch(face, MOST)
  const size = BEFORE + layout.numbers
  const all = texts.split('\n')
  return Array.from({ length: numbers.length / size }, (_, index) => {
    const at = index * size
    const entry = entryFrom(numbers, at + BEFORE, all, index * layout.texts)
    const type = /** @type {Change['type']} */ (TYPES[numbers[at]])
    return Object.freeze({ type, entry, missed: numbers[at + 1] })
  })
}

/** A listener that throws is an uncaught exception, as always, but does not keep the rest from the others. */
function attempt(/** @type {() => void} */ call) {
  try {
    call()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}

module.exports = { subscribe }
