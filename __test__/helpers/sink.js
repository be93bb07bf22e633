// A sink of messages that checks fencing tokens: it lies in shared memory, so that every thread sends to the
// same one. An old token is refused; what got in twice is counted.
'use strict'

const FENCE = 0
const REFUSED = 1
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
    // Without a lock: a thread that is terminated in the middle would keep it. The exchange decides.
    for (;;) {
      const fence = Atomics.load(this.cells, FENCE)
      if (token < fence) {
        Atomics.add(this.cells, REFUSED, 1)
        return false
      }
      if (Atomics.compareExchange(this.cells, FENCE, fence, token) === fence) break
    }
    Atomics.add(this.cells, HEAD + message, 1)
    return true
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
