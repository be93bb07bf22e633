// The repository as GitHub's API sees it: git's rules for moving refs, GitHub's clock on the commits, and a memory of
// what was there some moments before, for reads that lag.
'use strict'

const { Git, ZERO, OID, EMPTY_TREE, isRefName, parseCommit } = require('./git')

/** What a request is refused with. */
class Refusal extends Error {
  /** @param {number} status @param {string} message @param {string} [type] GraphQL's word for it */
  constructor(status, message, type = 'UNPROCESSABLE') {
    super(message)
    this.status = status
    this.type = type
  }
}

const WHY_NOT = {
  read: 'Resource not accessible by personal access token',
  archived: 'Repository was archived so is read-only.',
}

/** @param {'write' | 'read' | 'archived'} access */
function mayWrite(access) {
  if (access in WHY_NOT) throw new Refusal(403, WHY_NOT[access], 'FORBIDDEN')
}

class Repository {
  #git
  #clock
  #refused
  #writes = Promise.resolve()
  /** Per ref what it was and when it changed; per object when it was made. */
  #moves = new Map()
  #made = new Map()

  /** @param {Git} git @param {{ now(): Date }} clock @param {string | undefined} refused a namespace that is not allowed */
  constructor(git, clock, refused) {
    this.#git = git
    this.#clock = clock
    this.#refused = refused
  }

  fullName = ''
  empty = false

  static async create({ fullName, clock, empty, refuseRefs }) {
    const repository = new Repository(await Git.create(), clock, refuseRefs)
    repository.fullName = fullName
    repository.empty = empty
    if (!empty) {
      const who = { name: 'octo', email: 'octo@example.com', date: clock.now() }
      const made = { tree: EMPTY_TREE, parents: [], author: who, committer: who, message: 'Begin' }
      await repository.#git.moveRefs([{ name: 'refs/heads/main', before: ZERO, after: await repository.#git.commit(made) }])
    }
    return repository
  }

  /** Runs git in the repository, as somebody beside the server would. */
  run(args) {
    return this.#git.run(args)
  }

  // ── Reading: `asOf` is an instant of performance.now(), undefined is now ───────────────────────────────

  /** Where a ref points to. @returns {Promise<{ oid: string, type: string } | null>} */
  async ref(name, asOf) {
    const then = asOf === undefined ? undefined : this.#pointedTo(name, asOf)
    if (then === ZERO) return null
    return this.#git.read(then ?? name)
  }

  #pointedTo(name, asOf) {
    const moves = this.#moves.get(name)
    if (moves === undefined) return undefined
    return moves.findLast(({ at }) => at <= asOf)?.after ?? moves[0].before
  }

  /** All refs that begin with a prefix, by name. @returns {Promise<[string, string][]>} */
  async refs(prefix, asOf) {
    const refs = new Map(await this.#git.list(prefix))
    const moved = asOf === undefined ? [] : [...this.#moves.keys()].filter((name) => name.startsWith(prefix))
    for (const name of moved) {
      const then = this.#pointedTo(name, asOf)
      if (then === ZERO) refs.delete(name)
      else refs.set(name, then)
    }
    return [...refs].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** @returns {Promise<{ oid: string, type: string, body: Buffer } | null>} */
  async object(oid, asOf) {
    if (asOf !== undefined && (this.#made.get(oid) ?? 0) > asOf) return null
    return OID.test(oid) ? this.#git.read(oid) : null
  }

  async commit(oid, asOf) {
    const object = await this.object(oid, asOf)
    return object?.type === 'commit' ? { oid, ...parseCommit(object.body) } : null
  }

  // ── Writing ────────────────────────────────────────────────────────────────────────────────────────────

  async createCommit({ message, tree, parents = [], author, committer }, user) {
    if ((await this.object(tree))?.type !== 'tree') throw new Refusal(422, 'Tree SHA does not exist')
    for (const parent of parents) {
      if ((await this.object(parent))?.type !== 'commit') {
        throw new Refusal(422, 'Parent SHA does not exist or is not a commit object')
      }
    }
    const now = this.#clock.now()
    const self = { name: user.login, email: `${user.login}@users.noreply.github.com` }
    const dated = ({ date, ...who }) => ({ ...self, ...who, date: date === undefined ? now : new Date(date) })
    const signed = { author: dated(author ?? {}), committer: dated(committer ?? author ?? {}) }
    return this.#madeNow(await this.#git.commit({ message, tree, parents, ...signed }))
  }

  async createTree(base, changes) {
    return this.#madeNow(await this.#git.tree(base, changes).catch((error) => {
      throw new Refusal(422, `The tree is not valid: ${error.message}`)
    }))
  }

  #madeNow(oid) {
    if (!this.#made.has(oid)) this.#made.set(oid, performance.now())
    return oid
  }

  /**
   * Moves all of the refs or none. `before` undefined is any value; the zero id is no ref.
   * @param {{ name: string, before?: string, after: string, force?: boolean }[]} updates
   */
  updateRefs(updates) {
    const done = this.#writes.then(() => this.#updateRefsNow(updates))
    this.#writes = done.catch(() => {})
    return done
  }

  async #updateRefsNow(updates) {
    const moves = []
    for (const update of updates) moves.push(await this.#moveOf(update))
    await this.#git.moveRefs(moves).catch((error) => {
      throw new Refusal(422, `Reference update failed: ${error.message}`)
    })
    const at = performance.now()
    for (const { name, ...move } of moves) {
      if (!this.#moves.has(name)) this.#moves.set(name, [])
      this.#moves.get(name).push({ at, ...move })
    }
  }

  /** What git is to check and do; refuses what GitHub refuses before. */
  async #moveOf({ name, before, after, force = false }) {
    if (this.empty) throw new Refusal(409, 'Git Repository is empty.')
    if (!isRefName(name)) throw new Refusal(422, 'Reference name is not valid')
    if (this.#refused !== undefined && name.startsWith(this.#refused)) throw new Refusal(422, 'Reference update failed')
    const current = (await this.#git.read(name))?.oid ?? ZERO
    const expected = before ?? current
    if (after === ZERO) {
      if (current === ZERO) throw new Refusal(422, 'Reference does not exist')
    } else {
      if ((await this.object(after)) === null) throw new Refusal(422, 'Object does not exist')
      const allowed = force || current === ZERO || (await this.#git.isFastForward(current, after))
      if (!allowed) throw new Refusal(422, 'Update is not a fast forward')
    }
    return { name, before: expected, after }
  }

  async stop() {
    await this.#writes
    this.#git.stop()
  }
}

module.exports = { Repository, Refusal, ZERO, OID, mayWrite }
