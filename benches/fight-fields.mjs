// @ts-check
// The memory that the fighting threads share: plain numbers, without any protection of their own.

/** @param {number} grants */
export const newFightMemory = (grants) => new SharedArrayBuffer(4 * (2 + 3 * grants))

/** @param {SharedArrayBuffer} memory @param {number} grants */
export function fieldsOf(memory, grants) {
  const array = (/** @type {number} */ index) => new Int32Array(memory, 4 * (2 + index * grants), grants)
  return {
    /** The counter; read and written without atomics. */
    cells: new Int32Array(memory, 0, 1),
    /** A clock that only counts. */
    stamp: new Int32Array(memory, 4, 1),
    /** Per request: the stamp just before it asked, and just after. */
    before: array(0),
    after: array(1),
    /** The requests in the order of their grants. */
    order: array(2),
  }
}
