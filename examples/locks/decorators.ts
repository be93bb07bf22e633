// Locks as decorators: a shelf of notes whose methods take their locks themselves. The same source compiles as
// standard decorators and with `experimentalDecorators`; compile-and-run.js does both.
import { setImmediate as aTurn } from 'node:timers/promises'
import { readLock, writeLock } from 'chainlock'

const log: string[] = []

/** Does something that takes a few turns of the event loop, and notes its begin and end. */
async function slowly<T>(what: string, work: () => T): Promise<T> {
  log.push(`${what} begins`)
  for (let turn = 0; turn < 3; turn++) await aTurn()
  log.push(`${what} ends`)
  return work()
}

class Shelf {
  readonly #notes = new Map<string, string>()
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  /** One lock for all shelves. */
  @readLock('notes')
  async titles(): Promise<string[]> {
    return slowly('titles', () => [...this.#notes.keys()])
  }

  /** A lock for each note: the name is made of the arguments. */
  @writeLock((title: string) => `note:${title}`, { timeoutMs: 5_000, label: 'shelf' })
  async replace(title: string, text: string): Promise<void> {
    return slowly(`replace ${title}`, () => void this.#notes.set(title, text))
  }

  /** A lock for each shelf: the name is made of the object. */
  @writeLock(function (this: Shelf) {
    return `shelf:${this.name}`
  })
  async clear(): Promise<void> {
    return slowly(`clear ${this.name}`, () => this.#notes.clear())
  }
}

/** The same for a function: the lock is taken by what comes out. */
const publish = writeLock('notes')((title: string) => slowly(`publish ${title}`, () => title))

/** Whether the second of two began before the first had ended. */
async function overlap(first: () => Promise<unknown>, second: () => Promise<unknown>): Promise<boolean> {
  log.length = 0
  await Promise.all([first(), second()])
  return log[0]?.endsWith('begins') === true && log[1]?.endsWith('begins') === true
}

async function main(): Promise<void> {
  const [red, blue] = [new Shelf('red'), new Shelf('blue')]
  const pairs: [string, boolean, () => Promise<unknown>, () => Promise<unknown>][] = [
    ['two readers of the notes', true, () => red.titles(), () => blue.titles()],
    ['a reader and a publisher', false, () => red.titles(), () => publish('news')],
    ['replacing two notes', true, () => red.replace('a', '1'), () => red.replace('b', '2')],
    ['replacing one note twice', false, () => red.replace('a', '3'), () => blue.replace('a', '4')],
    ['clearing two shelves', true, () => red.clear(), () => blue.clear()],
    ['clearing one shelf twice', false, () => red.clear(), () => red.clear()],
  ]
  for (const [what, expected, first, second] of pairs) {
    const together = await overlap(first, second)
    console.log(`${what}: ${together ? 'side by side' : 'one after the other'}`)
    if (together !== expected) throw new Error(`${what}: unexpected`)
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
