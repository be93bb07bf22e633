// An onlooker in shared memory, which knows nothing of locks: who is inside at the same moment.
'use strict'

const READERS = 0
const WRITERS = 1
const MOST_READERS = 2
const CLASHES = 3
const WRITERS_LEFT = 4
const CELLS = 5

class Watch {
  #cells

  /** @param {SharedArrayBuffer} memory */
  constructor(memory) {
    this.#cells = new Int32Array(memory)
  }

  /** @param {number} writers How many will come. */
  static create(writers) {
    const memory = new SharedArrayBuffer(4 * CELLS)
    new Int32Array(memory)[WRITERS_LEFT] = writers
    return memory
  }

  async reading(work) {
    const inside = Atomics.add(this.#cells, READERS, 1) + 1
    this.#raise(MOST_READERS, inside)
    if (Atomics.load(this.#cells, WRITERS) > 0) Atomics.add(this.#cells, CLASHES, 1)
    try {
      return await work()
    } finally {
      Atomics.sub(this.#cells, READERS, 1)
    }
  }

  async writing(work) {
    const others = Atomics.add(this.#cells, WRITERS, 1) + Atomics.load(this.#cells, READERS)
    if (others > 0) Atomics.add(this.#cells, CLASHES, 1)
    try {
      return await work()
    } finally {
      Atomics.sub(this.#cells, WRITERS, 1)
    }
  }

  writerDone() {
    Atomics.sub(this.#cells, WRITERS_LEFT, 1)
  }

  writersLeft() {
    return Atomics.load(this.#cells, WRITERS_LEFT)
  }

  /** The most readers that were inside at once, and how often somebody came in beside a writer. */
  seen() {
    return { mostReaders: this.#cells[MOST_READERS], clashes: this.#cells[CLASHES] }
  }

  #raise(cell, value) {
    for (;;) {
      const present = Atomics.load(this.#cells, cell)
      if (value <= present || Atomics.compareExchange(this.#cells, cell, present, value) === present) return
    }
  }
}

module.exports = { Watch }
