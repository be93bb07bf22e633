// @ts-check
// Eight readers on two worker threads, read-mostly: they must be inside together, and see no half a write.
import { READERS, startReaders } from '../../reading.mjs'

/** @param {{ readingMs: number }} effort */
export async function readers({ readingMs }) {
  const readers = await startReaders()
  const met = await readers.meet('acquire')
  await readers.read('acquire', readingMs)
  const reading = await readers.read('acquire', readingMs)
  await readers.end()
  /** @type {import('../../figure.mjs').Figure[]} */
  const figures = [
    {
      id: 'readers',
      what: `${READERS} readers on 2 threads, 99 reads to a write, acquire() + release`,
      value: reading.perSecond / 1_000,
      unit: 'thousand a second',
      detail: `${reading.atOnce} inside at once`,
    },
  ]
  /** @type {import('../../figure.mjs').Fact[]} */
  const facts = [
    {
      id: 'readers-overlap',
      what: 'readers of two threads are all inside at once',
      holds: met === READERS,
      detail: `${met} of ${READERS} that waited for each other inside; read-mostly ${reading.atOnce} at once`,
    },
    {
      id: 'readers-whole',
      what: 'no reader sees half a write, no writer a reader',
      holds: reading.torn === 0,
      detail: `${reading.torn} did`,
    },
  ]
  return { figures, facts }
}
