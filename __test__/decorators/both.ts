// Compiled twice by `locks-decorators.test.js`: with the decorators of the TC39 standard, and with
// `experimentalDecorators`. The program is the same, and so is what it does.
import { readLock, writeLock, type LockGuard, locks } from 'chainlock'

export class Store {
  static readonly shelf = new Map<string, number>()
  readonly log: string[] = []
  inside = 0
  most = 0

  constructor(readonly prefix: string) {}

  @writeLock('decorated-count')
  async exclusive(label: string): Promise<string> {
    this.most = Math.max(this.most, ++this.inside)
    await turn()
    this.inside--
    this.log.push(label)
    return `${this.prefix}${label}`
  }

  @readLock('decorated-count', { timeoutMs: 5_000, label: 'a reader' })
  async together(everybody: Promise<void>, arrived: () => void): Promise<number> {
    arrived()
    await everybody
    return this.log.length
  }

  @writeLock(function (this: Store, key: string) {
    return `${this.prefix}:${key}`
  })
  async put(key: string, value: number): Promise<number> {
    Store.shelf.set(key, value)
    return held(`${this.prefix}:${key}`)
  }

  @readLock((key: string) => `static:${key}`)
  static async find(key: string): Promise<number | undefined> {
    return this.shelf.get(key)
  }

  @writeLock('decorated-optional', { timeoutMs: Infinity, priority: 1 })
  async withDefault(first: string, second = 'default'): Promise<string> {
    return `${first} ${second}`
  }
}

export class Child extends Store {
  override async exclusive(label: string): Promise<string> {
    return (await super.exclusive(label)).toUpperCase()
  }
}

export const wrapped = readLock('decorated-count')(async function sum(a: number, b: number) {
  return a + b
})
export const wrappedSync = writeLock('decorated-count')((text: string) => text.length)

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const held = (name: string) => locks.getLockStatus(name).holders.length

/** The guard's type stays its own beside the decorators. */
export const guardName = (guard: LockGuard): string => guard.name
