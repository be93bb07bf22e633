// Checked, not run, by `locks-decorators.test.js`: what the typings must refuse.
import { readLock, writeLock } from 'chainlock'

export class Wrong {
  // @ts-expect-error a method under a lock is asynchronous
  @readLock('x')
  sync(): number {
    return 1
  }

  // @ts-expect-error an accessor is no method
  @writeLock('x')
  get value(): number {
    return 1
  }

  // @ts-expect-error the name function takes the method's arguments
  @writeLock((key: string) => key)
  async byNumber(key: number): Promise<number> {
    return key
  }

  // @ts-expect-error the decorator's name says the mode
  @readLock('x', { mode: 'exclusive' })
  async mode(): Promise<void> {}
}

// @ts-expect-error a name is a string
readLock((key: string) => key.length)
