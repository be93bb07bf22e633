// GitHub on this machine, for the tests: its REST and GraphQL interfaces over a real bare git repository. What is asked
// and answered is checked against GitHub's own descriptions, and faults are injected on demand.
'use strict'

const { randomBytes } = require('node:crypto')
const { filled } = require('./contract')
const { Faults } = require('./faults')
const { readSchema } = require('./graphql')
const { Issues } = require('./issues')
const { RateLimit } = require('./limits')
const { Repository } = require('./repository')
const { GitHubServer } = require('./server')

const LOGIN = 'lock-bot'
/** Above what a test asks for in an hour; a test about the limit sets its own. */
const AMPLE = 1_000_000

/**
 * @typedef {object} GitHubOptions
 * @property {boolean} [ghes] as an Enterprise Server: below /api, and without rate limits unless one is given
 * @property {boolean} [older] a server without the mutation `updateRefs`
 * @property {boolean} [empty] a repository without a commit
 * @property {string} [refuseRefs] a namespace in which no ref may be written, such as `refs/locks/`
 * @property {'write' | 'read' | 'archived'} [access] what the token, or the repository, allows
 * @property {number} [rateLimit] requests an hour, of each interface
 * @property {number} [issues] so many issues are open, from 1 on
 * @property {number} [seed] of the faults by chance
 * @property {string} [repo]
 * @property {string} [token]
 * @property {number} [port]
 * @property {Record<string, Function>} [handlers] in place of the server's own, to see its answers checked
 * @param {GitHubOptions} [options]
 */
async function startGitHub(options = {}) {
  const { ghes = false, repo = 'octo/locks', token = `octo-${randomBytes(16).toString('hex')}`, seed = 1 } = options
  const clock = { offsetMs: 0, now: () => new Date(Date.now() + clock.offsetMs) }
  const { empty = false, refuseRefs } = options
  const repository = await Repository.create({ fullName: repo, clock, empty, refuseRefs })
  const faults = new Faults(seed)
  const { access = 'write' } = options
  const world = { clock, repository, access, limits: limitsOf(options, clock), schema: readSchema(options) }
  const server = new GitHubServer({ world, faults, token, ghes, handlers: options.handlers })
  const url = await server.listen(options.port ?? 0)
  Object.assign(world, people(options, clock, url, repo))
  return {
    /** The server; `apiUrl` and `graphqlUrl` are its two interfaces. */
    url,
    apiUrl: world.urls.api,
    graphqlUrl: ghes ? `${url}/api/graphql` : `${url}/graphql`,
    repo,
    token,
    login: LOGIN,
    /** The server's clock: `offsetMs` from this machine's. */
    clock,
    faults,
    log: server.log,
    violations: server.violations,
    count: (matcher) => server.count(matcher),
    idle: () => server.idle(),
    /** Runs git in the repository: `await github.git('log', 'refs/locks/x')`. @param {string[]} args */
    git: (...args) => repository.run(args),
    server,
    async stop() {
      await server.stop()
      await repository.stop()
    },
  }
}

function limitsOf({ ghes, rateLimit = ghes ? 0 : AMPLE }, clock) {
  const limit = (resource) => (rateLimit === 0 ? null : new RateLimit(clock, resource, rateLimit))
  return { core: limit('core'), graphql: limit('graphql') }
}

/** Who asks, and the issues. */
function people({ ghes, issues: count = 10 }, clock, url, repo) {
  const api = ghes ? `${url}/api/v3` : url
  const urls = { api, repo: `${api}/repos/${repo}`, html: `${url}/${repo}` }
  const known = { login: LOGIN, id: 77, node_id: 'U_77', type: 'User', url: `${api}/users/${LOGIN}` }
  const user = filled('simple-user', known, urls.api)
  return { urls, user, issues: new Issues({ clock, count, user, urls }) }
}

module.exports = { startGitHub }
