// A list in the order of arrival whose items know their neighbours: adding one and taking any one out costs the
// same however many there are, and less than in a Set.
// @ts-check
'use strict'

class Item {
  /** @type {Chain<any> | null} */
  chain = null
  /** @type {any} */
  before = null
  /** @type {any} */
  after = null
}

/** @template {Item} T */
class Chain {
  /** @type {T | null} */
  #first = null
  /** @type {T | null} */
  #last = null

  /** @param {T} item Of no chain. */
  add(item) {
    item.chain = this
    item.before = this.#last
    if (this.#last === null) this.#first = item
    else this.#last.after = item
    this.#last = item
  }

  /** @param {T} item @returns {boolean} Whether it was in here. */
  delete(item) {
    if (item.chain !== this) return false
    const { before, after } = item
    if (before === null) this.#first = after
    else before.after = after
    if (after === null) this.#last = before
    else after.before = before
    item.chain = item.before = item.after = null
    return true
  }

  get first() {
    return this.#first
  }

  /** An item that is taken out on the way ends it: go over a copy. */
  *[Symbol.iterator]() {
    for (let item = this.#first; item !== null; item = item.after) yield item
  }
}

module.exports = { Item, Chain }
