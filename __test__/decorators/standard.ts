// Compiled by `locks-decorators.test.js` with the decorators of the TC39 standard only: private methods.
import { writeLock } from 'chainlock'

export class Account {
  #balance = 0

  @writeLock('decorated-private')
  async #add(amount: number): Promise<number> {
    const before = this.#balance
    await new Promise<void>((resolve) => setImmediate(resolve))
    return (this.#balance = before + amount)
  }

  @writeLock('decorated-private-static')
  static async #make(): Promise<Account> {
    return new Account()
  }

  static make(): Promise<Account> {
    return Account.#make()
  }

  async addAll(amounts: number[]): Promise<number> {
    await Promise.all(amounts.map((amount) => this.#add(amount)))
    return this.#balance
  }
}
