// The operations of GitHub's REST API that are served, by their names in its OpenAPI description.
'use strict'

const { filled } = require('./contract')
const { Refusal, ZERO } = require('./repository')

const ok = (body) => ({ status: 200, body })

/**
 * Each gets the world (see index.js) and `{ params, body, asOf }`, and answers `{ status, body, headers? }`.
 * @type {Record<string, (world: any, request: any) => object>}
 */
const REST = {
  'users/get-authenticated': ({ user, urls }) => ok(filled('private-user', user, urls.api)),

  'rate-limit/get'({ limits }) {
    if (limits.core === null) throw new Refusal(404, 'Rate limiting is not enabled.')
    const [core, graphql] = [limits.core.shown(), limits.graphql.shown()]
    const search = { limit: 30, remaining: 30, reset: core.reset, used: 0 }
    return ok({ resources: { core, graphql, search }, rate: core })
  },

  'repos/get'({ repository, user, urls, access }) {
    const [, name] = repository.fullName.split('/')
    const known = {
      id: 4711,
      node_id: repositoryId(repository),
      name,
      full_name: repository.fullName,
      owner: user,
      private: true,
      default_branch: 'main',
      url: urls.repo,
      html_url: urls.html,
      has_issues: true,
      archived: access === 'archived',
    }
    return ok(filled('full-repository', known, urls.repo))
  },

  // ── Git ────────────────────────────────────────────────────────────────────────────────────────────────

  async 'git/get-ref'(world, { params, asOf }) {
    const target = await notEmpty(world).ref(`refs/${params.ref}`, asOf)
    if (target === null) throw new Refusal(404, 'Not Found')
    return ok(shownRef(world, `refs/${params.ref}`, target))
  },

  async 'git/list-matching-refs'(world, { params, asOf }) {
    const shown = []
    for (const [name, oid] of await notEmpty(world).refs(`refs/${params.ref}`, asOf)) {
      const target = await world.repository.object(oid)
      if (target !== null) shown.push(shownRef(world, name, target))
    }
    return ok(shown)
  },

  async 'git/create-ref'(world, { body: { ref, sha } }) {
    const { repository } = world
    if ((await repository.ref(ref)) !== null) throw new Refusal(422, 'Reference already exists')
    await repository.updateRefs([{ name: ref, before: ZERO, after: sha }])
    const shown = shownRef(world, ref, await repository.object(sha))
    return { status: 201, body: shown, headers: { location: shown.url } }
  },

  async 'git/update-ref'(world, { params, body: { sha, force } }) {
    const { repository } = world
    const name = `refs/${params.ref}`
    if ((await repository.ref(name)) === null) throw new Refusal(422, 'Reference does not exist')
    await repository.updateRefs([{ name, after: sha, force }])
    return ok(shownRef(world, name, await repository.object(sha)))
  },

  async 'git/delete-ref'({ repository }, { params }) {
    await repository.updateRefs([{ name: `refs/${params.ref}`, after: ZERO }])
    return { status: 204 }
  },

  async 'git/get-commit'(world, { params, asOf }) {
    const commit = await notEmpty(world).commit(params.commit_sha, asOf)
    if (commit === null) throw new Refusal(404, 'Not Found')
    return ok(shownCommit(world, commit))
  },

  async 'git/create-commit'(world, { body }) {
    const { repository, user } = world
    const oid = await notEmpty(world).createCommit(body, user)
    const shown = shownCommit(world, await repository.commit(oid))
    return { status: 201, body: shown, headers: { location: shown.url } }
  },

  async 'git/create-tree'(world, { body }) {
    const sha = await notEmpty(world).createTree(body.base_tree, body.tree)
    const lines = (await world.repository.run(['ls-tree', sha])).split('\n').filter(Boolean)
    const tree = lines.map((line) => {
      const [, mode, type, entry, path] = /^(\d+) (\w+) (\w+)\t(.*)$/.exec(line)
      return { path, mode, type, sha: entry, url: `${world.urls.repo}/git/${type}s/${entry}` }
    })
    return { status: 201, body: { sha, url: `${world.urls.repo}/git/trees/${sha}`, tree, truncated: false } }
  },

  // ── Issues ─────────────────────────────────────────────────────────────────────────────────────────────

  'issues/get': ({ issues }, { params }) => ok(issues.get(params.issue_number)),
  'issues/update': ({ issues }, { params, body }) => ok(issues.update(params.issue_number, body ?? {})),
  'issues/add-assignees': ({ issues }, { params, body }) => ({
    status: 201,
    body: issues.assign(params.issue_number, body),
  }),
  'issues/remove-assignees': ({ issues }, { params, body }) => ok(issues.unassign(params.issue_number, body)),
  'issues/add-labels': ({ issues }, { params, body }) => ok(issues.label(params.issue_number, body)),
  'issues/remove-label': ({ issues }, { params }) => ok(issues.unlabel(params.issue_number, params.name)),
  'issues/update-comment': ({ issues }, { params, body }) => ok(issues.editComment(params.comment_id, body)),

  'issues/create-comment'({ issues }, { params, body }) {
    const shown = issues.comment(params.issue_number, body)
    return { status: 201, body: shown, headers: { location: shown.url } }
  },

  'issues/list-comments'({ issues, urls }, { params }) {
    const { shown, more } = issues.comments(params.issue_number, params)
    if (!more) return ok(shown)
    const query = new URLSearchParams({ ...query30(params), page: String((params.page ?? 1) + 1) })
    const next = `${urls.repo}/issues/${params.issue_number}/comments?${query}`
    return { ...ok(shown), headers: { link: `<${next}>; rel="next"` } }
  },
}

function query30({ since, per_page: each = 30 }) {
  return { per_page: String(each), ...(since !== undefined && { since }) }
}

/** The operations of git have nothing to work on before the first commit. */
function notEmpty({ repository }) {
  if (repository.empty) throw new Refusal(409, 'Git Repository is empty.')
  return repository
}

function shownRef({ urls }, name, { oid, type }) {
  return {
    ref: name,
    node_id: `REF_${Buffer.from(name).toString('base64url')}`,
    url: `${urls.repo}/git/${encodeURI(name)}`,
    object: { type, sha: oid, url: `${urls.repo}/git/${type}s/${oid}` },
  }
}

function shownCommit({ urls }, { oid, tree, parents, author, committer, message }) {
  const who = ({ name, email, date }) => ({ name, email, date: date.toISOString().replace(/\.\d+Z$/, 'Z') })
  const links = (sha) => ({ url: `${urls.repo}/git/commits/${sha}`, html_url: `${urls.html}/commit/${sha}` })
  return {
    sha: oid,
    node_id: `C_${Buffer.from(oid).toString('base64url')}`,
    ...links(oid),
    author: who(author),
    committer: who(committer),
    tree: { sha: tree, url: `${urls.repo}/git/trees/${tree}` },
    message,
    parents: parents.map((sha) => ({ sha, ...links(sha) })),
    verification: { verified: false, reason: 'unsigned', signature: null, payload: null, verified_at: null },
  }
}

function repositoryId({ fullName }) {
  return `R_${Buffer.from(fullName).toString('base64url')}`
}

module.exports = { REST, repositoryId }
