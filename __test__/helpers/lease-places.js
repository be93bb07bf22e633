// Where the leases of a suite lie, engine by engine: one server for all of its tests, and a namespace for each.
'use strict'

const assert = require('node:assert/strict')
const { startGitHub } = require('./github')
const { available, startServer } = require('./servers')

/** A store on the tests' GitHub. @param {{ repo: string, token: string, apiUrl: string }} github */
const onGitHub = ({ repo, token, apiUrl }) => ({ store: `github:${repo}`, token, apiUrl })

class Places {
  #server
  #count = 0

  /** @param {'redis' | 'postgres' | 'etcd' | 'github'} engine */
  constructor(engine) {
    this.engine = engine
    /** The shortest ttl that this engine keeps. */
    this.leastMs = engine === 'github' ? 6_000 : 0
  }

  async open() {
    if (!available(this.engine)) return
    this.#server = await (this.engine === 'github' ? startGitHub() : startServer(this.engine))
  }

  async close() {
    await this.#server?.stop()
    assert.deepEqual(this.#server?.violations ?? [], [], 'nothing was asked or answered that GitHub does not know')
  }

  /** Options for a manager, in a namespace that nobody has used. */
  next() {
    this.#count += 1
    const place = this.engine === 'github' ? onGitHub(this.#server) : { store: this.#server.url }
    return { ...place, namespace: `t${this.#count}` }
  }
}

/** @param {'redis' | 'postgres' | 'etcd' | 'github'} engine */
const placesOf = (engine) => new Places(engine)

module.exports = { placesOf, onGitHub }
