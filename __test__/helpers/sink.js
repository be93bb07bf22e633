// A sink of messages that checks fencing tokens: it lies in shared memory, so that every thread sends to the
// same one. An old token is refused; what got in twice is counted.
'use strict'

const FENCE = 0
const REFUSED = 1
const LOCKED = 2
const HEAD = 4

class Sink {
  /** @param {SharedArrayBuffer} memory @see {Sink.create} */
  constructor(memory) {
    this.memory = memory
    this.cells = new Int32Array(memory)
  }

  /** @param {number} messages */
  static create(messages) {
    return new Sink(new SharedArrayBuffer(4 * (HEAD + messages)))
  }

  /**
   * Delivers the message unless a newer token was seen.
   * @param {number} message Its number.
   * @param {number} token
   * @returns {boolean}
   */
  send(message, token) {
    while (Atomics.compareExchange(this.cells, LOCKED, 0, 1) !== 0);
    const fresh = token >= this.cells[FENCE]
    if (fresh) {
      this.cells[FENCE] = token
      this.cells[HEAD + message]++
    } else {
      this.cells[REFUSED]++
    }
    Atomics.store(this.cells, LOCKED, 0)
    return fresh
  }

  counts() {
    const delivered = this.cells.subarray(HEAD)
    return {
      once: delivered.filter((count) => count === 1).length,
      duplicated: delivered.filter((count) => count > 1).length,
      missing: [...delivered.keys()].filter((message) => delivered[message] === 0),
      refusedByFence: this.cells[REFUSED],
    }
  }
}

module.exports = { Sink }
