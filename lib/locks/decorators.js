// `readLock` and `writeLock`: one value that is a decorator of the TC39 standard, a decorator as TypeScript's
// `experimentalDecorators` applies it, and a wrapper of plain functions. By its arguments it knows which.
// @ts-check
'use strict'

const { invalidArgument, typeError } = require('../errors')
const claims = require('./claims')
const options = require('./options')

/** @typedef {(this: any, ...args: any[]) => any} Method */
/** @typedef {string | ((this: any, ...args: any[]) => string)} Name */

/** All but the mode, which the decorator's name says. */
const KNOWN = options.RUN.filter((name) => name !== 'mode')

/**
 * @param {string} call
 * @param {(asked: unknown) => void} check Throws when the options are wrong.
 * @param {(name: string, asked: unknown, body: () => any) => Promise<any>} run
 */
function makeDecorators(call, check, run) {
  /** @param {Name} name @param {unknown} [given] */
  function lockDecorator(name, given) {
    if (typeof name !== 'string' && typeof name !== 'function') {
      throw invalidArgument(`${call}: name`, 'a string or a function that gives one', name)
    }
    // A wrong option is told where it is written, not by the first call.
    check(given)
    const asked = given === undefined ? undefined : { .../** @type {object} */ (given) }

    /** @param {Method} fn */
    function guarded(fn) {
      /** @this {any} @param {any[]} args */
      const wrapped = async function (...args) {
        const own = typeof name === 'string' ? name : name.apply(this, args)
        if (typeof own !== 'string') throw invalidArgument(`${call}: what the name function returns`, 'a string', own)
        return run(own, asked, () => fn.apply(this, args))
      }
      Object.defineProperty(wrapped, 'name', { value: fn.name, configurable: true })
      Object.defineProperty(wrapped, 'length', { value: fn.length, configurable: true })
      return wrapped
    }

    /** @param {unknown} target @param {unknown} [context] @param {unknown} [descriptor] */
    return function decorate(target, context, descriptor) {
      if (arguments.length <= 1) return guarded(plainFunction(call, target))
      if (typeof context === 'object' && context !== null) {
        const { kind } = /** @type {{ kind?: unknown }} */ (context)
        if (kind !== 'method' || typeof target !== 'function') throw misplaced(call, place(kind))
        return guarded(/** @type {Method} */ (target))
      }
      const { value } = methodDescriptor(call, descriptor)
      return { .../** @type {PropertyDescriptor} */ (descriptor), value: guarded(value) }
    }
  }
  Object.defineProperty(lockDecorator, 'name', { value: call })
  return lockDecorator
}

/** @param {string} call @param {unknown} fn @returns {Method} */
function plainFunction(call, fn) {
  if (typeof fn !== 'function') throw invalidArgument(`${call}: fn`, 'a function', fn)
  // What TypeScript's `experimentalDecorators` hands to a decorator of a class.
  if (/^class\b/.test(Function.prototype.toString.call(fn))) throw misplaced(call, 'a class')
  return /** @type {Method} */ (fn)
}

/** @param {string} call @param {unknown} descriptor @returns {{ value: Method }} */
function methodDescriptor(call, descriptor) {
  if (typeof descriptor === 'number') throw misplaced(call, 'a parameter')
  if (typeof descriptor !== 'object' || descriptor === null) throw misplaced(call, 'a field')
  const { value, get, set } = /** @type {PropertyDescriptor} */ (descriptor)
  if (get || set) throw misplaced(call, 'an accessor')
  if (typeof value !== 'function') throw misplaced(call, 'a field')
  return { value }
}

/** @param {unknown} kind */
function place(kind) {
  if (kind === 'getter' || kind === 'setter' || kind === 'accessor') return 'an accessor'
  return kind === 'field' || kind === 'class' ? `a ${kind}` : 'something unknown'
}

/** @param {string} call @param {string} where */
function misplaced(call, where) {
  const use = `decorate a method, or wrap a function: ${call}(name)(fn)`
  return typeError('ERR_LOCK_INVALID_ARGUMENT', `${call} cannot decorate ${where}: ${use}`)
}

/**
 * @param {'readLock' | 'writeLock'} call
 * @param {0 | 1} weight Of the mode that the call asks for.
 */
function ofMode(call, weight) {
  /** @param {unknown} given */
  const waitOf = (given) => options.request(call, given, KNOWN, weight).wait
  // The options are looked at in each call: the default timeouts can change.
  return makeDecorators(call, waitOf, (name, asked, body) => claims.run(name, weight, waitOf(asked), body))
}

/** @type {import('../../index').readLock} */
const readLock = /** @type {any} */ (ofMode('readLock', 1))
/** @type {import('../../index').writeLock} */
const writeLock = /** @type {any} */ (ofMode('writeLock', 0))

module.exports = { makeDecorators, readLock, writeLock }
